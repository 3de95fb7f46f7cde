"""Pipelines of spaCy to train: a blank one, or one that was trained elsewhere."""

from collections.abc import Callable

import spacy
from spacy.language import Language

NER = "ner"
WORD_VECTORS = "tok2vec"

Pipeline = Callable[[], Language]
"""Makes the pipeline to train. It is called after the seed is set, because weights are drawn."""


class PipelineError(RuntimeError):
    """The pipeline cannot be made or trained."""


def blank_pipeline(language: str, width: int = 96, depth: int = 4) -> Pipeline:
    """Return a pipeline of word vectors and a recogniser of entities, whose weights are drawn at random.

    It runs on a processor, and its model has a few megabytes.

    Args:
        language: code of the language, such as `en`; `xx` for several.
        width: numbers of a word's vector.
        depth: number of layers, each of which sees one word more on either side.
    """

    def make() -> Language:
        try:
            nlp = spacy.blank(language)
        except ImportError as error:
            raise PipelineError(
                f"spaCy has no language {language!r}: give its code in PIPELINE, such as 'en'"
            ) from error
        layers = {
            "@architectures": "spacy.HashEmbedCNN.v2",
            "pretrained_vectors": None,
            "width": width,
            "depth": depth,
            "embed_size": 2000,
            "window_size": 1,
            "maxout_pieces": 3,
            "subword_features": True,
        }
        nlp.add_pipe(WORD_VECTORS, config={"model": layers})
        listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": width, "upstream": WORD_VECTORS}
        parser = {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": "ner",
            "extra_state_tokens": False,
            "hidden_width": 64,
            "maxout_pieces": 2,
            "use_upper": True,
            "nO": None,
            "tok2vec": listener,
        }
        nlp.add_pipe(NER, config={"model": parser})
        return nlp

    return make


def pretrained_pipeline(name: str) -> Pipeline:
    """Return a pipeline that is installed as a package, or in a folder, with its recogniser of entities.

    Components that the recogniser does not need are left out. One that has other labels keeps them; the predictor
    leaves out entities with these labels.

    Args:
        name: name of the package, such as `en_core_web_sm`, or path of the folder.
    """

    def make() -> Language:
        try:
            nlp = spacy.load(name)
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"spaCy cannot load the pipeline {name!r} of PIPELINE: add its package to the Pipfile"
            ) from error
        if not nlp.has_pipe(NER):
            nlp.add_pipe(NER)
        for component in set(nlp.component_names) - {NER, *_upstream(nlp)}:
            nlp.remove_pipe(component)
        return nlp

    return make


def _upstream(nlp: Language) -> set[str]:
    """Return the components with the vectors that the recogniser uses."""
    model = nlp.get_pipe(NER).model
    if not model.has_ref("tok2vec"):
        return set()
    names = {getattr(node, "upstream_name", None) for node in model.get_ref("tok2vec").walk()}
    return {name for name in nlp.component_names if name in names or ("*" in names and name == WORD_VECTORS)}
