"""Training of a pipeline on annotated texts, with early stopping."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed

from mlops_runtime.contract import Entity
from mlops_runtime.entities.dataset import AnnotatedText, Problem
from mlops_runtime.entities.evaluation import span_outcomes
from mlops_runtime.entities.pipelines import NER, Pipeline, PipelineError
from mlops_runtime.entities.predictor import pipeline_files

STOPPING_SHARE = 0.15
"""Share of the training texts whose F1 decides when training ends."""

MAX_PASSES = 40
PATIENCE = 8
"""Passes over the training texts without a better F1 after which training ends."""

MAX_BATCH = 32
MIN_STEPS = 10
"""Texts of a step, and steps of a pass: with few texts, steps are small, so that each pass has enough of them."""

DROPOUT = 0.1


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass over the training texts.

    Attributes:
        loss: sum of the losses of its steps.
        f1: F1 on the texts for early stopping, afterwards.
        seconds: since training started.
    """

    loss: float
    f1: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained pipeline.

    Attributes:
        name: components and language of the pipeline.
        files: the pipeline after the best pass, as files of an artefact.
        passes: all passes.
        best: index of the pass with the greatest F1, the first of equal ones.
        stopped: why training ended.
    """

    name: str
    files: dict[str, bytes]
    passes: tuple[Pass, ...]
    best: int
    stopped: str

    @property
    def effort(self) -> str:
        """Number of passes, in words."""
        return "1 pass" if len(self.passes) == 1 else f"{len(self.passes)} passes"


def misaligned(nlp: Language, texts: Sequence[AnnotatedText]) -> Iterator[Problem]:
    """Yield a problem for each entity that starts or ends within a token: the pipeline could not predict it."""
    for text in texts:
        document = nlp.make_doc(text.text)
        for entity in text.entities:
            if document.char_span(entity.start, entity.end) is None:
                around = document.char_span(entity.start, entity.end, alignment_mode="expand")
                yield Problem(
                    f'the entity {entity.start} to {entity.end}, {entity.label}, is "{entity.text}", a part of '
                    f'the words "{around.text}": move its bounds, or give PIPELINE a tokenizer that splits them',
                    f"line {text.line}",
                    text.text,
                )


def fit(
    pipeline: Pipeline,
    labels: Sequence[str],
    training: Sequence[AnnotatedText],
    stopping: Sequence[AnnotatedText],
    seed: int,
    budget: float,
    on_pass: Callable[[Pass], None] = lambda _: None,
) -> Fitted:
    """Train a pipeline, and return it as it was after its best pass.

    The same texts, seed and libraries give the same files, byte for byte, unless the budget ended the training.

    Args:
        pipeline: makes the pipeline.
        labels: labels of the contract.
        training: texts to learn from.
        stopping: texts whose F1 decides when training ends.
        seed: seed of weights, order of texts and dropout.
        budget: seconds after which no further pass starts.
        on_pass: called after each pass.

    Raises:
        PipelineError: if the pipeline cannot be made or trained.
    """
    fix_random_seed(seed)
    nlp = pipeline()
    if not nlp.has_pipe(NER):
        raise PipelineError(f"PIPELINE has no component {NER!r}: it finds the entities")
    examples = [_example(nlp, text) for text in training]
    recogniser = nlp.get_pipe(NER)
    for label in labels:
        recogniser.add_label(str(label))
    optimizer = _started(nlp, examples)
    order, start = np.random.default_rng(seed), time.monotonic()
    passes: list[Pass] = []
    best, files = 0, pipeline_files(nlp)
    stopped = "the maximum number of passes was made"
    size = max(min(MAX_BATCH, len(examples) // MIN_STEPS), 1)
    while len(passes) < MAX_PASSES:
        losses: dict[str, float] = {}
        shuffled = [examples[place] for place in order.permutation(len(examples)).tolist()]
        for first in range(0, len(shuffled), size):
            nlp.update(shuffled[first : first + size], drop=DROPOUT, sgd=optimizer, losses=losses)
        done = Pass(float(losses.get(NER, 0)), f1(nlp, labels, stopping), time.monotonic() - start)
        if not passes or done.f1 > passes[best].f1:
            best, files = len(passes), pipeline_files(nlp)
        passes.append(done)
        on_pass(done)
        if done.f1 == 1:
            stopped = "no pass can bring a better F1"
            break
        # A blank pipeline may find nothing in its first passes.
        if passes[best].f1 and len(passes) - 1 - best >= PATIENCE:
            stopped = f"{PATIENCE} passes brought no better F1"
            break
        if done.seconds > budget:
            stopped = f"the budget of {budget:g} seconds was used"
            break
    return Fitted(f"{', '.join(nlp.pipe_names)} ({nlp.lang})", files, tuple(passes), best, stopped)


def f1(nlp: Language, labels: Sequence[str], texts: Sequence[AnnotatedText]) -> float:
    """Return F1 over the entities of texts."""
    predicted = [_entities(document) for document in nlp.pipe(text.text for text in texts)]
    outcomes = span_outcomes(labels, [text.entities for text in texts], predicted)
    return 1 - float(outcomes.weighted_loss()(np.ones((1, outcomes.rows)))[0])


def _started(nlp: Language, examples: Sequence[Example]) -> object:
    """Draw the weights of a blank pipeline, or keep those of a pretrained one; return the optimizer."""
    recogniser = nlp.get_pipe(NER)
    try:
        if any(node.has_param(name) for node in recogniser.model.walk() for name in node.param_names):
            return nlp.resume_training()
        return nlp.initialize(lambda: examples)
    except ValueError as error:
        raise PipelineError(f"spaCy cannot train the pipeline: {str(error).splitlines()[0]}") from error


def _example(nlp: Language, text: AnnotatedText) -> Example:
    document = nlp.make_doc(text.text)
    reference = document.copy()
    spans, unknown = [], []
    for entity in text.entities:
        span = reference.char_span(entity.start, entity.end, label=str(entity.label))
        if span is None:
            # What its words are is unknown, because they are no entity as a whole.
            unknown.append(reference.char_span(entity.start, entity.end, alignment_mode="expand"))
        else:
            spans.append(span)
    reference.set_ents(spans, missing=unknown)
    return Example(document, reference)


def _entities(document: Doc) -> list[Entity]:
    return [
        Entity(text=span.text, label=span.label_, start=span.start_char, end=span.end_char) for span in document.ents
    ]
