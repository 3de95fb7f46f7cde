"""Drift: how the records of the last day differ from the training rows, and the predictions with them."""

import hashlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from mlops_runtime.contract.features import Features, Layout
from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.model.baseline import Baseline, NumberBaseline
from mlops_runtime.serving.telemetry.binning import Binning, edges_of, evenly, prediction_reference
from mlops_runtime.serving.telemetry.counts import Counts
from mlops_runtime.serving.telemetry.psi import least_records, stability_indices

Predictions = Sequence[LabelPrediction | ValuePrediction]
Outcome = tuple[Any, tuple[str, ...]]
"""The label or the value that was predicted, and the warnings."""

PARTS = 24
PART_SECONDS = 3600
"""The window: so many parts of so many seconds, of which the last one is not over yet."""

ROWS_AT_ONCE = 256
"""Records that are gathered before they are counted: one by one they would cost more than their predictions."""
CELLS_AT_ONCE = 100_000
"""Values that are gathered, and counted in one go: of more, some rows, evenly spread, stand for all."""
MAX_FIELDS = 50
"""Fields whose bins are shown one by one: a contract of thousands would be more than Prometheus likes."""


class Drift:
    """The records and predictions that all processes of the service have counted.

    Its methods may be called by several threads at once.
    """

    def __init__(
        self,
        layout: Layout,
        labels: Sequence[str],
        baseline: Baseline,
        prediction_rows: int,
        folder: Path | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start to count.

        Args:
            layout: of the features.
            labels: that predictions give; none where they give values.
            baseline: what records and predictions are compared with.
            prediction_rows: number of rows whose predictions it describes.
            folder: that all processes share, or None.
            clock: seconds since 1970.
        """
        self._clock = clock
        self._names = tuple(field.name for field in layout.fields)
        self._most_rows = max(CELLS_AT_ONCE // len(self._names), 1)
        self._labels = {label: place for place, label in enumerate(labels)}
        told = baseline.predictions
        self._edges = edges_of(told) if isinstance(told, NumberBaseline) else ()
        # Of the histogram of values.
        self._bounds = told.bin_edges if isinstance(told, NumberBaseline) else ()
        self._binning = Binning(layout, baseline)
        # The bins of predictions come after those of the fields.
        self._references = (*self._binning.references, prediction_reference(told, labels))
        self._starts = np.append(self._binning.starts, self._binning.size)
        sized = [(reference, baseline.rows) for reference in self._binning.references]
        sized.append((self._references[-1], prediction_rows))
        self._expected = np.concatenate([np.multiply(reference.shares, rows) for reference, rows in sized])
        bins_in_use = (int(np.count_nonzero(reference.shares)) for reference in self._references)
        self._least = np.array([least_records(bins, rows) for bins, (_, rows) in zip(bins_in_use, sized, strict=True)])
        # Records with a warning, the sum of the values predicted, and the histogram of these.
        self._cells = Cells(len(self._expected), 2 + len(self._bounds) + 1)
        # Processes with a model of other bins, as while one release takes the place of another, count apart.
        bins = hashlib.sha256(repr((self._references, self._bounds)).encode()).hexdigest()
        self._counts = Counts(folder, f"drift-{bins[:16]}", self._cells.size)
        self._layout = layout
        self._outcome = attrgetter("label" if labels else "value", "warnings")
        self._most_noted = min(ROWS_AT_ONCE, self._most_rows)
        self._noted = Notes()
        self._gathering = threading.Lock()
        self._counting = threading.Lock()

    def predicted(self, features: Features, predictions: Predictions) -> None:
        """Note predictions, to be counted with the next `flush`, or at once if many have gathered."""
        outcomes = map(self._outcome, predictions)
        if len(predictions) >= self._most_noted:
            self._count(features, list(outcomes))
            return
        with self._gathering:
            self._noted.add(features, outcomes)
            many = len(self._noted.outcomes) >= self._most_noted
        if many:
            self.flush()

    def flush(self) -> None:
        """Count the predictions that were noted."""
        with self._gathering:
            noted, self._noted = self._noted, Notes()
        if noted.outcomes:
            self._count(noted.features(self._layout), noted.outcomes)

    def _count(self, features: Features, outcomes: Sequence[Outcome]) -> None:
        if len(features) > self._most_rows:
            features = features.take(evenly(len(features), self._most_rows))
        warned = sum(bool(warnings) for _, warnings in outcomes)
        if self._labels:
            of_predictions, others = self._label_counts(outcomes), [warned]
        else:
            values = np.array([value for value, _ in outcomes], np.float64)
            of_predictions = _counts_between(self._edges, values, "right")
            # A bound belongs to the bin below it, as Prometheus has it.
            others = [warned, values.sum(), *_counts_between(self._bounds, values, "left")]
        counts = np.concatenate([self._binning.counts(features), of_predictions])
        part = self._part()
        with self._counting:
            self._cells.add(self._counts.array, counts, others, part)

    def _label_counts(self, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
        counts = np.zeros(len(self._labels))
        for label, count in Counter(label for label, _ in outcomes).items():
            counts[self._labels[label]] = count
        return counts

    def _part(self) -> int:
        return int(self._clock() // PART_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of records and predictions."""
        each = self._counts.each()
        total = np.sum(each, axis=0)
        window = self._cells.window(each, self._part())
        counts, others = total[self._cells.totals], total[self._cells.others]
        predicted = counts[self._starts[-1] :]
        yield CounterMetricFamily("webservice_records", "Records predicted", predicted.sum())
        yield CounterMetricFamily("webservice_records_with_warnings", "Records with an unusual value", others[0])
        yield self._predictions(predicted, others)
        yield GaugeMetricFamily("webservice_drift_records", "Records of the last day", window[self._starts[-1] :].sum())
        yield from self._indices(window)
        if len(self._names) <= MAX_FIELDS:
            yield from self._bins(counts)

    def _predictions(self, counts: NDArray[np.float64], others: NDArray[np.float64]) -> Metric:
        if self._labels:
            labels = CounterMetricFamily("webservice_predictions", "Records predicted, by label", labels=("label",))
            for label, place in self._labels.items():
                labels.add_metric((label,), counts[place])
            return labels
        bounds = [*map(str, self._bounds), "+Inf"]
        buckets = list(zip(bounds, others[2:].cumsum().tolist(), strict=True))
        return HistogramMetricFamily("webservice_predicted_value", "Values predicted", buckets, others[1])

    def _indices(self, window: NDArray[np.float64]) -> Iterator[Metric]:
        indices = stability_indices(window, self._expected, self._starts)
        # Of fewer records the index would tell of chance, not of drift.
        indices[np.add.reduceat(window, self._starts) < self._least] = np.nan
        fields = GaugeMetricFamily(
            "webservice_field_drift_psi",
            "Population stability index of the records of the last day against the training rows",
            labels=("field",),
        )
        for name, index in zip(self._names, indices[:-1].tolist(), strict=True):
            if not math.isnan(index):
                fields.add_metric((name,), index)
        yield fields
        predictions = GaugeMetricFamily(
            "webservice_prediction_drift_psi",
            "Population stability index of the predictions of the last day against those for held-out rows",
            labels=(),
        )
        if not math.isnan(indices[-1]):
            predictions.add_metric((), indices[-1])
        yield predictions

    def _bins(self, counts: NDArray[np.float64]) -> Iterator[Metric]:
        live = CounterMetricFamily("webservice_field_values", "Values of records, by bin", labels=("field", "bin"))
        shares = GaugeMetricFamily(
            "webservice_field_baseline_share", "Share of the training rows in a bin", labels=("field", "bin")
        )
        for name, reference, start in zip(self._names, self._references, self._starts.tolist(), strict=False):
            for place, (bin_, share) in enumerate(zip(reference.bins, reference.shares, strict=True), start):
                live.add_metric((name, bin_), counts[place])
                shares.add_metric((name, bin_), share)
        yield live
        yield shares


class Notes:
    """Records and what was predicted for them, in little memory.

    What a request leaves behind takes from the processor's cache what the next one would find there:
    arrays and predictions that are kept make each request slower by a sixth.

    Attributes:
        outcomes: of the records.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._numbers = bytearray()
        self._categories: list[list[str]] = []
        self._texts: list[list[str]] = []

    def add(self, features: Features, outcomes: Iterable[Outcome]) -> None:
        """Note some records."""
        self.outcomes.extend(outcomes)
        self._numbers += features.numbers.tobytes()
        if features.layout.categories:
            self._categories += features.categories.tolist()
        if features.layout.texts:
            self._texts += features.texts.tolist()

    def features(self, layout: Layout) -> Features:
        """Return the records as they came."""
        rows = len(self.outcomes)
        return Features(
            layout,
            np.frombuffer(self._numbers).reshape(rows, len(layout.numbers)),
            np.array(self._categories, dtype=object).reshape(rows, len(layout.categories)),
            np.array(self._texts, dtype=object).reshape(rows, len(layout.texts)),
        )


class Cells:
    """Where the counts of bins stand among the cells of a process.

    Each part of the window has a cell that tells which part of time it is about, and a cell for each bin.

    Attributes:
        totals: the cells of each bin since the service started.
        others: the cells of what else is counted since then.
        size: number of cells.
    """

    def __init__(self, bins: int, others: int) -> None:
        self._shape = (PARTS, bins)
        end = PARTS + PARTS * bins
        self._window = slice(PARTS, end)
        self.totals = slice(end, end + bins)
        self.size = end + bins + others
        self.others = slice(end + bins, self.size)

    def add(self, cells: NDArray[np.float64], counts: NDArray[np.float64], others: Sequence[float], part: int) -> None:
        """Add counts of bins, to the totals and to a part of the window, and what else was counted."""
        row = cells[self._window].reshape(self._shape)[part % PARTS]
        if cells[part % PARTS] != part:
            # Nobody reads a part that is about no time while it is emptied.
            cells[part % PARTS] = 0
            row[:] = 0
            cells[part % PARTS] = part
        row += counts
        cells[self.totals] += counts
        cells[self.others][: len(others)] += others

    def window(self, each: Sequence[NDArray[np.float64]], part: int) -> NDArray[np.float64]:
        """Return the counts of bins in the parts up to this one, of all processes, shape (bins,)."""
        total = np.zeros(self._shape[1])
        for cells in each:
            parts = cells[:PARTS]
            recent = (parts > part - PARTS) & (parts <= part)
            total += cells[self._window].reshape(self._shape)[recent].sum(axis=0)
        return total


def _counts_between(
    edges: Sequence[float], values: NDArray[np.float64], side: Literal["left", "right"]
) -> NDArray[Any]:
    """Return how many values lie between edges; one equal to an edge lies on this side of its place."""
    return np.bincount(np.searchsorted(edges, values, side), minlength=len(edges) + 1)
