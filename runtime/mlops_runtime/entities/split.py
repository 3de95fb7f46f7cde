"""The split of annotated texts into two parts."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mlops_runtime.entities.dataset import AnnotatedText

WITHOUT_ENTITIES = ""


def split_texts(
    texts: Sequence[AnnotatedText], share: float, seed: int
) -> tuple[tuple[AnnotatedText, ...], tuple[AnnotatedText, ...]]:
    """Return the texts that stay and those that are held out, both in the order of the file.

    The parts are stratified by the rarest label of each text. Texts that differ in case and white space alone are in
    the same part.

    Args:
        texts: texts to split.
        share: share of the texts to hold out.
        seed: seed of the draw.
    """
    generator = np.random.default_rng(seed)
    counts = Counter(entity.label for text in texts for entity in text.entities)
    strata: dict[str, dict[str, list[int]]] = {}
    stratum_of: dict[str, str] = {}
    for place, text in enumerate(texts):
        key = " ".join(text.text.casefold().split())
        stratum = stratum_of.setdefault(key, _rarest(text, counts))
        strata.setdefault(stratum, {}).setdefault(key, []).append(place)
    held_out: set[int] = set()
    drawn, seen = 0, 0
    for stratum in sorted(strata):
        groups = list(strata[stratum].values())
        for index in generator.permutation(len(groups)).tolist():
            # The share is kept over all strata: that of many small ones would not be whole.
            seen += len(groups[index])
            if drawn + len(groups[index]) / 2 <= share * seen:
                drawn += len(groups[index])
                held_out.update(groups[index])
    return (
        tuple(text for place, text in enumerate(texts) if place not in held_out),
        tuple(text for place, text in enumerate(texts) if place in held_out),
    )


def _rarest(text: AnnotatedText, counts: Counter[str]) -> str:
    labels = {entity.label for entity in text.entities}
    return min(labels, key=lambda label: (counts[label], label), default=WITHOUT_ENTITIES)
