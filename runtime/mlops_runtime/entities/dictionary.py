"""The dictionary of the training entities: what a model must be better than."""

import re
from collections import Counter
from collections.abc import Sequence

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText


class Dictionary:
    """Finds the names of training entities in texts, whole words alone, and gives each its most common label.

    Of names that overlap, it takes the first, and of those at one place the longest.
    """

    def __init__(self, texts: Sequence[AnnotatedText]) -> None:
        """Collect the names."""
        labels: dict[str, Counter[str]] = {}
        for text in texts:
            for entity in text.entities:
                labels.setdefault(entity.text, Counter())[entity.label] += 1
        self._labels = {name: min(counts, key=lambda label: (-counts[label], label)) for name, counts in labels.items()}
        names = sorted(self._labels, key=lambda name: (-len(name), name))
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)") if names else None

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._labels)

    def entities(self, text: str) -> tuple[Entity, ...]:
        """Return the entities of a text."""
        if self._pattern is None:
            return ()
        return tuple(
            Entity(text=match[0], label=self._labels[match[0]], start=match.start(), end=match.end())
            for match in self._pattern.finditer(text)
        )
