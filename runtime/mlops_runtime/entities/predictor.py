"""The predictor for pipelines of spaCy."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config

from mlops_runtime.contract import Features
from mlops_runtime.contract.features import tokens
from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.baseline import unknown_share
from mlops_runtime.model.predictor import BasePredictor

CONFIG_FILE = "config.cfg"
PIPELINE_FILE = "pipeline.bin"

TEXTS_AT_ONCE = 32
"""Number of texts of a zone of memory. Between two zones, another thread has its turn."""

MAX_NEW_WORDS = 500_000
"""Number of new words after which the pipeline is loaded anew: spaCy's maps of words keep about 60 bytes of each,
whatever a zone frees."""

MAX_UNKNOWN_SHARE = 0.5
MIN_WORDS = 4
"""Minimum number of words for a warning: a name alone is often unknown."""


def pipeline_files(nlp: Language) -> dict[str, bytes]:
    """Return a pipeline as the files of an artefact: its configuration, and its weights and strings."""
    return {CONFIG_FILE: nlp.config.to_bytes(), PIPELINE_FILE: nlp.to_bytes()}


def loaded_pipeline(files: Mapping[str, bytes]) -> Language:
    """Return the pipeline in the files of an artefact.

    Raises:
        ArtefactError: if a file is missing, or spaCy cannot load the pipeline.
    """
    for name in (CONFIG_FILE, PIPELINE_FILE):
        if name not in files:
            raise ArtefactError(f"the artefact has no {name}; run `make train`")
    try:
        config = Config().from_bytes(files[CONFIG_FILE], interpolate=False)
        language = spacy.util.get_lang_class(config["nlp"]["lang"])
        nlp: Language = language.from_config(config)
        return nlp.from_bytes(files[PIPELINE_FILE])
    except Exception as error:  # spaCy, thinc and srsly raise exceptions without a common base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ArtefactError(f"spaCy cannot load the model: {reason}") from error


class SpacyPredictor(BasePredictor):
    """Finds entities with the pipeline of spaCy in `config.cfg` and `pipeline.bin`.

    Thread-safe: threads take turns, because those of spaCy share a vocabulary. It would grow by each word that a
    service has not seen before; a zone of memory frees the words of its texts, and from time to time the pipeline is
    loaded anew.

    An entity whose label the contract does not have is left out: a pretrained pipeline may know further labels.
    """

    def load_model(self, files: Mapping[str, bytes]) -> None:
        """Load the pipeline."""
        self._files = files
        self._load_pipeline()
        self._lock = threading.Lock()
        self._labels = frozenset(map(str, self.contract.labels))
        vocabulary = self.baseline.vocabularies.get(self.contract.features[0])
        self._words = frozenset(vocabulary.words if vocabulary else ())

    def _load_pipeline(self) -> None:
        self._pipeline = loaded_pipeline(self._files)
        # spaCy counts words that it has freed as well.
        self._max_words = len(self._pipeline.vocab) + MAX_NEW_WORDS

    def predictions(self, features: Features) -> list[Any]:
        """Return the entities of each text, in the same order; there must be at least one text."""
        texts = features.texts[:, 0].tolist()
        warnings = self.warnings(features)
        found = [
            {"entities": entities, "warnings": warnings.get(row, ())}
            for row, entities in enumerate(self._entities(texts))
        ]
        return self.contract.predictions_adapter.validate_python(found)

    def warnings(self, features: Features) -> dict[int, tuple[str, ...]]:
        """Return the warnings of each text that has any, by row index: most of its words are unknown."""
        if not self._words:
            return {}
        name = self.contract.features[0]
        warnings: dict[int, tuple[str, ...]] = {}
        for row, text in enumerate(features.texts[:, 0].tolist()):
            words = tokens(text)
            if len(words) >= MIN_WORDS and unknown_share(words, self._words) > MAX_UNKNOWN_SHARE:
                unknown = sum(word not in self._words for word in words)
                warnings[row] = (f"{name}: {unknown} of {len(words)} words are not in the training texts",)
        return warnings

    def _entities(self, texts: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[first : first + TEXTS_AT_ONCE]
            with self._lock:
                with self._pipeline.memory_zone():
                    # Nothing of the zone may be used after it: its texts are copied.
                    found = [self._spans(document) for document in self._documents(part)]
                if len(self._pipeline.vocab) > self._max_words:
                    self._load_pipeline()
            yield from found

    def _documents(self, texts: Sequence[str]) -> Iterator[Doc]:
        if len(texts) == 1:
            # A pipe of one text takes longer.
            yield self._pipeline(texts[0])
        else:
            yield from self._pipeline.pipe(texts)

    def _spans(self, document: Doc) -> list[dict[str, Any]]:
        return [
            {"text": span.text, "label": span.label_, "start": span.start_char, "end": span.end_char}
            for span in document.ents
            if span.label_ in self._labels
        ]
