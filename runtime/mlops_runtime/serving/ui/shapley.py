"""Shapley values: how much each field of a record contributes to the output of the model.

The contribution of a field is the change of the output when the value of a background record is
replaced by that of the record, averaged over all orders in which fields can be replaced. The
contributions add up to the difference between the output for the record and the mean output for the
background. Fields that interact share the effect of their interaction.

The background are the golden records: complete rows of the table, with their texts. The baseline has
more values of each field, but no texts and no combinations of values.

Sources: E. Štrumbelj and I. Kononenko, Explaining prediction models and individual predictions with
feature contributions, Knowledge and Information Systems 41 (2014), for the sampling of orders.
R. Mitchell, J. Cooper, E. Frank and G. Holmes, Sampling permutations for Shapley value estimation,
Journal of Machine Learning Research 23 (2022), for taking each order with its reverse.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Features, FieldSpec, LabelPrediction
from mlops_runtime.model import Predictor
from mlops_runtime.model.baseline import ValueBaseline

SEED = 0
MAX_ROWS = 10_000
"""Maximum number of rows that are predicted to explain one record."""
MAX_ROWS_WITH_TEXTS = 2_000
"""The same for a contract with texts, as the words of each row must be counted."""
MAX_CELLS = 8_000_000
"""Maximum number of values in these rows: a contract with many fields gets fewer rows."""
MAX_CELLS_PER_CALL = 1_000_000
"""Maximum number of values in one call of the model."""
MAX_PARTS = 20
"""Maximum number of contributions: of more fields, the least important ones share one."""

Outputs = Callable[[Features], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Background:
    """The records that an explained record is compared with.

    Attributes:
        features: of the records.
        weights: shape (rows,), with a sum of 1.
    """

    features: Features
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """The contribution of a field, or of several together, in the unit of the output."""

    fields: tuple[FieldSpec, ...]
    amount: float


@dataclass(frozen=True, slots=True)
class Contributions:
    """The contributions that lead from the mean output for the background to the output for a record.

    Attributes:
        background_size: number of records in the background.
        mean: output for the background.
        output: for the record.
        parts: their amounts add up to the difference; largest first, a part of several fields last.
    """

    background_size: int
    mean: float
    output: float
    parts: tuple[Contribution, ...]


def background_of(predictor: Predictor) -> Background:
    """Return the golden records as a background, in which each label has the weight of its share of the training rows.

    Within a label, and for values, the golden records are spread evenly over the predictions.
    """
    golden_records, target = predictor.golden_records, predictor.baseline.target
    weights = np.ones(len(golden_records))
    labels = [
        str(golden.prediction.label) for golden in golden_records if isinstance(golden.prediction, LabelPrediction)
    ]
    if labels and isinstance(target, ValueBaseline):
        counts = Counter(labels)
        weights = np.array([target.shares.get(label, 0) / counts[label] for label in labels])
    features = predictor.contract.encode([golden.record for golden in golden_records])
    return Background(features, weights / weights.sum())


def contributions_to(
    prediction: object, features: Features, predictor: Predictor, background: Background
) -> Contributions:
    """Return how much each field of a record contributes to the probability of its label, or to its value.

    Args:
        prediction: of the record.
        features: of the record, one row.
        predictor: made the prediction.
        background: records to compare it with.
    """
    labels = predictor.contract.labels
    column = labels.index(str(prediction.label)) if isinstance(prediction, LabelPrediction) else 0
    return contributions(lambda rows: predictor.outputs(rows)[:, column], features, background)


def contributions(outputs: Outputs, record: Features, background: Background) -> Contributions:
    """Return how much each field of a record contributes to the output for it.

    The result is deterministic. It is exact where the record differs in few fields from each background
    record, or where the output is a sum over fields; otherwise it is an estimate from `MAX_ROWS` rows.

    Args:
        outputs: function of the model that returns shape (rows,).
        record: one row.
        background: records to compare it with.
    """
    game = _Game(outputs, record, background)
    parts = game.parts()
    amounts = game.amounts(parts)
    unordered = (
        Contribution(tuple(game.fields[index] for index in np.flatnonzero(part)), amount)
        for part, amount in zip(parts, amounts.tolist(), strict=True)
    )
    ranked = tuple(sorted(unordered, key=lambda part: (len(part.fields) > 1, -abs(part.amount))))
    return Contributions(len(background.features), float(background.weights @ game.starts), game.end, ranked)


class _Game:
    """The cooperative game of the fields: players have the record's value, the others that of a background record.

    Attributes:
        fields: of the contract.
        starts: outputs for the background, shape (rows,).
        end: output for the record.
        differs: which fields differ between the record and each background record, shape (rows, fields).
    """

    def __init__(self, outputs: Outputs, record: Features, background: Background) -> None:
        layout = record.layout
        self.fields = layout.fields
        self._outputs = outputs
        self._record = record
        self._others = background.features
        self._weights = background.weights
        indices = {field: index for index, field in enumerate(self.fields)}
        self._numbers = [indices[number.field] for number in layout.numbers]
        self._categories = [indices[field] for field in layout.categories]
        self._texts = [indices[field] for field in layout.texts]
        columns = len(self._numbers) + len(self._categories) + len(self._texts)
        self._rows = max(1, min(MAX_ROWS_WITH_TEXTS if self._texts else MAX_ROWS, MAX_CELLS // columns))
        self._rows_per_call = max(1, MAX_CELLS_PER_CALL // columns)
        self.starts = outputs(background.features)
        self.end = float(outputs(record)[0])
        self.differs = self._differing()

    def parts(self) -> NDArray[np.bool_]:
        """Return which fields are in each part, shape (parts, fields).

        Each field is a part of its own, up to `MAX_PARTS`. With more fields, those are whose replacement alone
        changes the output most.
        """
        count = len(self.fields)
        if count <= MAX_PARTS:
            return np.eye(count, dtype=bool)
        tried = np.arange(min(count, max(1, self._rows // 2)))
        effects = np.zeros(count)
        given = np.ones((len(tried), count), dtype=bool)
        given[tried, tried] = False
        repeats = max(1, min(len(self._others), self._rows // 2 // len(tried)))
        for other in np.linspace(0, len(self._others) - 1, repeats).astype(int).tolist():
            effects[tried] += np.abs(self.end - self.values(given, np.full(len(given), other)))
        named = np.sort(np.argsort(-effects, kind="stable")[: MAX_PARTS - 1])
        rest = np.ones(count, dtype=bool)
        rest[named] = False
        return np.concatenate([np.eye(count, dtype=bool)[named], rest[np.newaxis]])

    def amounts(self, parts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the contribution of each part, shape (parts,)."""
        generator = np.random.default_rng(SEED)
        # A part that is equal in both records changes nothing in any order.
        differing = [np.flatnonzero((parts & differs).any(axis=1)) for differs in self.differs]
        steps = sum(max(len(players) - 1, 0) for players in differing)
        limit = max(2, self._rows // max(steps, 1))
        orders = [players[_orders(len(players), limit, generator)] for players in differing]
        given = [_given(order, len(parts)) for order in orders]
        others = np.repeat(np.arange(len(given)), [len(rows) for rows in given])
        values = self.values(np.concatenate(given) @ parts, others)
        amounts = np.zeros(len(parts))
        for other, order in enumerate(orders):
            if order.size:
                path = np.empty((len(order), order.shape[1] + 1))
                path[:, 0], path[:, -1] = self.starts[other], self.end
                path[:, 1:-1] = values[others == other].reshape(len(order), -1)
                np.add.at(amounts, order, self._weights[other] / len(order) * np.diff(path))
        return amounts

    def values(self, given: NDArray[np.bool_], others: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the outputs for rows that mix values of the record with those of background records.

        Args:
            given: which fields have the record's value, shape (rows, fields).
            others: index of the background record with the other values, shape (rows,).
        """
        starts = range(0, len(given), self._rows_per_call)
        calls = (slice(start, start + self._rows_per_call) for start in starts)
        return np.concatenate([np.empty(0), *(self._outputs(self._mixed(given[call], others[call])) for call in calls)])

    def _mixed(self, given: NDArray[np.bool_], others: NDArray[np.intp]) -> Features:
        record, other = self._record, self._others
        return Features(
            record.layout,
            np.where(given[:, self._numbers], record.numbers, other.numbers[others]),
            np.where(given[:, self._categories], record.categories, other.categories[others]),
            np.where(given[:, self._texts], record.texts, other.texts[others]),
        )

    def _differing(self) -> NDArray[np.bool_]:
        record, other = self._record, self._others
        both_missing = np.isnan(record.numbers) & np.isnan(other.numbers)
        differs = np.zeros((len(other), len(self.fields)), dtype=bool)
        for indices, columns in (
            (self._numbers, (record.numbers != other.numbers) & ~both_missing),
            (self._categories, record.categories != other.categories),
            (self._texts, record.texts != other.texts),
        ):
            for column, index in enumerate(indices):
                differs[:, index] |= columns[:, column].astype(bool)
        return differs


def _orders(count: int, limit: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return orders of `count` players, shape (orders, count): all if they are within the limit.

    Otherwise they are random, each with its reverse.
    """
    if math.factorial(count) <= limit:
        return np.array(list(permutations(range(count))), dtype=np.intp)
    half = generator.permuted(np.tile(np.arange(count), (limit // 2, 1)), axis=1)
    return np.concatenate([half, half[:, ::-1]])


def _given(orders: NDArray[np.intp], parts: int) -> NDArray[np.bool_]:
    """Return which parts have the record's value after each step of each order but the last, shape (steps, parts)."""
    count, length = orders.shape
    given = np.zeros((count, max(length - 1, 0), parts), dtype=bool)
    for step in range(length - 1):
        given[np.arange(count)[:, np.newaxis], np.arange(step, length - 1), orders[:, [step]]] = True
    return given.reshape(-1, parts)
