"""Contributions: how much each field of a record moves the output of the model, compared with real records.

A contribution is a Shapley value: what giving the model the record's own value of a field, in place
of another record's, changes on average over all orders in which the fields may be given. They add
up to the difference between the output for the record and the mean output for the others. Fields
that the model takes together share what they do together.

The records compared with, the background, are the golden records: rows of the table as they were,
texts included. The baseline would give more values of each field, but not that of a text, nothing
between the edges of ten bins, and no two that belong together.

Sources: E. Štrumbelj and I. Kononenko, Explaining prediction models and individual predictions with
feature contributions, Knowledge and Information Systems 41 (2014), for the sampling of orders.
R. Mitchell, J. Cooper, E. Frank and G. Holmes, Sampling permutations for Shapley value estimation,
Journal of Machine Learning Research 23 (2022), for taking each order with its reverse.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract.features import Features, features_of
from mlops_runtime.contract.fields import FieldSpec, LabelPrediction
from mlops_runtime.model.baseline import Baseline, ValueBaseline
from mlops_runtime.model.golden import GoldenRecord

SEED = 0
MAX_ROWS = 10_000
"""Rows that the model is asked for to explain one record."""
MAX_ROWS_OF_TEXTS = 2_000
"""The same where a record has a text: its words are found anew in each row."""
MAX_CELLS = 8_000_000
"""Values in all of these rows: a record of many fields is asked for less often."""
CELLS_OF_RUN = 1_000_000
"""Values that the model gets at once."""
MAX_PARTS = 20
"""Contributions of one record. Of more fields those that matter least are one part together."""

Outputs = Callable[[Features], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Background:
    """The records that another one is compared with.

    Attributes:
        features: of the records.
        weights: of each, shape (rows,), adding up to 1.
    """

    features: Features
    weights: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much some fields, mostly one, move the output; in the unit of the output."""

    fields: tuple[FieldSpec, ...]
    amount: float


@dataclass(frozen=True, slots=True)
class Contributions:
    """What leads from the mean output for the background to that for a record.

    Attributes:
        known: how many records the background has.
        start: the mean output for the background.
        end: the output for the record.
        parts: their amounts add up to the difference. The largest comes first, one of several fields last.
    """

    known: int
    start: float
    end: float
    parts: tuple[Contribution, ...]


def background_of(golden_records: Sequence[GoldenRecord], baseline: Baseline) -> Background:
    """Return the golden records as a background, labels among them weighing as much as in the training rows.

    Within a label, and among values, golden records are evenly spread over what the model says.
    """
    weights = np.ones(len(golden_records))
    labels = [
        str(golden.prediction.label) for golden in golden_records if isinstance(golden.prediction, LabelPrediction)
    ]
    if labels and isinstance(baseline.target, ValueBaseline):
        counts = Counter(labels)
        weights = np.array([baseline.target.shares.get(label, 0) / counts[label] for label in labels])
    return Background(features_of([golden.record for golden in golden_records]), weights / weights.sum())


def contributions(outputs: Outputs, record: Features, background: Background) -> Contributions:
    """Return how much each field of a record contributes to the output for it.

    The same record gets the same contributions. They are exact where few fields differ from each
    record of the background, or where the output is a sum over fields; elsewhere as near as
    MAX_ROWS rows get.

    Args:
        outputs: of the model for rows of features, shape (rows,).
        record: one row.
        background: what to compare it with.
    """
    game = _Game(outputs, record, background)
    parts = game.parts()
    amounts = game.amounts(parts)
    found = (
        Contribution(tuple(game.fields[place] for place in np.flatnonzero(part)), amount)
        for part, amount in zip(parts, amounts.tolist(), strict=True)
    )
    ranked = tuple(sorted(found, key=lambda one: (len(one.fields) > 1, -abs(one.amount))))
    return Contributions(len(background.features), float(background.weights @ game.starts), game.end, ranked)


class _Game:
    """The fields of a record, and what the output is when some of them have its own values and the rest another's."""

    def __init__(self, outputs: Outputs, record: Features, background: Background) -> None:
        layout = record.layout
        self.fields = layout.fields
        self._outputs = outputs
        self._record = record
        self._others = background.features
        self._weights = background.weights
        places = {field: place for place, field in enumerate(self.fields)}
        self._numbers = [places[number.field] for number in layout.numbers]
        self._categories = [places[field] for field in layout.categories]
        self._texts = [places[field] for field in layout.texts]
        columns = len(self._numbers) + len(self._categories) + len(self._texts)
        self._rows = max(1, min(MAX_ROWS_OF_TEXTS if self._texts else MAX_ROWS, MAX_CELLS // columns))
        self._rows_of_run = max(1, CELLS_OF_RUN // columns)
        self.starts = outputs(background.features)
        self.end = float(outputs(record)[0])
        self.differs = self._differing()

    def parts(self) -> NDArray[np.bool_]:
        """Return which fields make a part, shape (parts, fields).

        Each field is one, unless there are too many: then those are that change the output most
        when each of them alone is another's.
        """
        count = len(self.fields)
        if count <= MAX_PARTS:
            return np.eye(count, dtype=bool)
        looked_at = np.arange(min(count, max(1, self._rows // 2)))
        effects = np.zeros(count)
        given = np.ones((len(looked_at), count), dtype=bool)
        given[looked_at, looked_at] = False
        several = max(1, min(len(self._others), self._rows // 2 // len(looked_at)))
        for other in np.linspace(0, len(self._others) - 1, several).astype(int).tolist():
            effects[looked_at] += np.abs(self.end - self.values(given, np.full(len(given), other)))
        named = np.sort(np.argsort(-effects, kind="stable")[: MAX_PARTS - 1])
        rest = np.ones(count, dtype=bool)
        rest[named] = False
        return np.concatenate([np.eye(count, dtype=bool)[named], rest[np.newaxis]])

    def amounts(self, parts: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the contribution of each part, shape (parts,)."""
        generator = np.random.default_rng(SEED)
        # A part that is the same in both records changes nothing, in whatever order.
        differing = [np.flatnonzero((parts & differs).any(axis=1)) for differs in self.differs]
        steps = sum(max(len(players) - 1, 0) for players in differing)
        most = max(2, self._rows // max(steps, 1))
        orders = [players[_orders(len(players), most, generator)] for players in differing]
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
        """Return the outputs for rows with some values of the record, the others of a row of the background.

        Args:
            given: whether a field has the record's value, shape (rows, fields).
            others: the row of the background that each row takes the other values from, shape (rows,).
        """
        starts = range(0, len(given), self._rows_of_run)
        runs = (slice(start, start + self._rows_of_run) for start in starts)
        return np.concatenate([np.empty(0), *(self._outputs(self._mixed(given[run], others[run])) for run in runs)])

    def _mixed(self, given: NDArray[np.bool_], others: NDArray[np.intp]) -> Features:
        record, other = self._record, self._others
        return Features(
            record.layout,
            np.where(given[:, self._numbers], record.numbers, other.numbers[others]),
            np.where(given[:, self._categories], record.categories, other.categories[others]),
            np.where(given[:, self._texts], record.texts, other.texts[others]),
        )

    def _differing(self) -> NDArray[np.bool_]:
        """Return which fields differ between the record and each row of the background, shape (rows, fields)."""
        record, other = self._record, self._others
        both_missing = np.isnan(record.numbers) & np.isnan(other.numbers)
        differs = np.zeros((len(other), len(self.fields)), dtype=bool)
        for places, columns in (
            (self._numbers, (record.numbers != other.numbers) & ~both_missing),
            (self._categories, record.categories != other.categories),
            (self._texts, record.texts != other.texts),
        ):
            for column, place in enumerate(places):
                differs[:, place] |= columns[:, column].astype(bool)
        return differs


def _orders(count: int, most: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Return orders of so many places, shape (orders, count): all of few, else random ones with their reverses."""
    if math.factorial(count) <= most:
        return np.array(list(permutations(range(count))), dtype=np.intp)
    half = generator.permuted(np.tile(np.arange(count), (most // 2, 1)), axis=1)
    return np.concatenate([half, half[:, ::-1]])


def _given(orders: NDArray[np.intp], parts: int) -> NDArray[np.bool_]:
    """Return which parts have been given on the way along each order, but for its ends, shape (ways, parts)."""
    count, length = orders.shape
    given = np.zeros((count, max(length - 1, 0), parts), dtype=bool)
    for step in range(length - 1):
        given[np.arange(count)[:, np.newaxis], np.arange(step, length - 1), orders[:, [step]]] = True
    return given.reshape(-1, parts)
