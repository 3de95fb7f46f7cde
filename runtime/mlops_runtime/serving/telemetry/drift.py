"""Drift: the difference between the records and predictions of the last day and the training rows."""

import hashlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from mlops_runtime.contract import Features, Layout, PredictionModel
from mlops_runtime.model import Baseline, NumberBaseline
from mlops_runtime.serving.telemetry.binning import Binning, edges_of, evenly_spaced, prediction_reference
from mlops_runtime.serving.telemetry.process_counts import ProcessCounts
from mlops_runtime.serving.telemetry.psi import min_records, stability_indices

Predictions = Sequence[PredictionModel]
Outcome = tuple[Any, tuple[str, ...]]
"""What the kind of prediction describes, such as a label or a value, and the warnings."""

SLOTS = 24
SLOT_SECONDS = 3600
"""The window consists of slots; the last slot is the current hour."""

BATCH_ROWS = 256
"""Number of records that are counted together, as counting each record alone takes longer than predicting it."""
MAX_BATCH_VALUES = 100_000
"""Maximum number of values of a batch; of a larger batch, evenly spaced rows are counted."""
MAX_FIELDS = 50
"""Maximum number of fields whose bins are exposed: more would be too many series for Prometheus."""


class Drift:
    """Counts of records and predictions by bin, over all processes of the service.

    The methods are thread-safe.
    """

    def __init__(
        self,
        layout: Layout,
        kind: type[PredictionModel],
        baseline: Baseline,
        prediction_rows: int,
        folder: Path | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create the counts.

        Args:
            layout: of the features.
            kind: type of the predictions.
            baseline: distributions in the training rows.
            prediction_rows: number of held-out rows with predictions in the baseline.
            folder: shared by all processes, or None.
            clock: returns the seconds since 1970.
        """
        self._clock = clock
        self._kind, labels = kind, kind.counted()
        self._max_rows = max(MAX_BATCH_VALUES // len(layout.fields), 1)
        self._labels = {label: index for index, label in enumerate(labels)}
        predictions = baseline.predictions
        self._edges = edges_of(predictions) if isinstance(predictions, NumberBaseline) else ()
        # Bounds of the histogram of values.
        self._bounds = predictions.bin_edges if isinstance(predictions, NumberBaseline) else ()
        self._binning = Binning(layout, baseline)
        self._names = self._binning.names
        # The bins of predictions follow those of the fields.
        self._references = (*self._binning.references, prediction_reference(predictions, labels))
        self._starts = np.append(self._binning.starts, self._binning.size)
        # Unknown words and predictions are those of held-out rows.
        rows = [baseline.rows] * len(layout.fields)
        rows += [prediction_rows] * (len(self._references) - len(rows))
        self._rows = rows
        sized = list(zip(self._references, rows, strict=True))
        self._expected = np.concatenate([np.multiply(reference.shares, rows) for reference, rows in sized])
        bins_in_use = (int(np.count_nonzero(reference.shares)) for reference in self._references)
        self._min_records = np.array(
            [min_records(bins, rows) for bins, (_, rows) in zip(bins_in_use, sized, strict=True)]
        )
        # After the bins the number of records. Apart: records with a warning, the sum of the values, their histogram.
        self._positions = CountPositions(len(self._expected) + 1, 2 + len(self._bounds) + 1)
        # During a rolling update, processes whose model has other bins are counted separately.
        bins = hashlib.sha256(repr((self._references, self._bounds)).encode()).hexdigest()
        self._counts = ProcessCounts(folder, f"drift-{bins[:16]}", self._positions.size)
        self._layout = layout
        self._outcome = attrgetter(kind.OUTCOME, "warnings")
        self._batch_rows = min(BATCH_ROWS, self._max_rows)
        self._buffer = RecordBuffer()
        self._buffer_lock = threading.Lock()
        self._counts_lock = threading.Lock()

    def add(self, features: Features, predictions: Predictions) -> None:
        """Buffer predictions until the next `flush`; a full buffer is counted immediately."""
        outcomes = map(self._outcome, predictions)
        if len(predictions) >= self._batch_rows:
            self._count(features, list(outcomes))
            return
        with self._buffer_lock:
            self._buffer.add(features, outcomes)
            full = len(self._buffer.outcomes) >= self._batch_rows
        if full:
            self.flush()

    def flush(self) -> None:
        """Count the buffered predictions."""
        with self._buffer_lock:
            buffered, self._buffer = self._buffer, RecordBuffer()
        if buffered.outcomes:
            self._count(buffered.features(self._layout), buffered.outcomes)

    def _count(self, features: Features, outcomes: Sequence[Outcome]) -> None:
        if len(features) > self._max_rows:
            features = features.take(evenly_spaced(len(features), self._max_rows))
        warned = sum(bool(warnings) for _, warnings in outcomes)
        if self._labels:
            prediction_counts, others = self._label_counts(outcomes), [warned]
        else:
            values = np.array([value for value, _ in outcomes], np.float64)
            prediction_counts = _counts_between(self._edges, values, "right")
            # In Prometheus a value equal to a bound belongs to the bucket below it.
            others = [warned, values.sum(), *_counts_between(self._bounds, values, "left")]
        counts = np.concatenate([self._binning.counts(features), prediction_counts, [len(outcomes)]])
        with self._counts_lock:
            self._positions.add(self._counts.own, counts, others, self._slot())

    def _label_counts(self, outcomes: Sequence[Outcome]) -> NDArray[np.float64]:
        counts = np.zeros(len(self._labels))
        for label, count in self._kind.label_counts(outcome for outcome, _ in outcomes).items():
            counts[self._labels[label]] = count
        return counts

    def _slot(self) -> int:
        return int(self._clock() // SLOT_SECONDS)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of records and predictions."""
        each = self._counts.each()
        total = np.sum(each, axis=0)
        window = self._positions.window(each, self._slot())
        counts, others = total[self._positions.totals], total[self._positions.others]
        yield CounterMetricFamily("webservice_records", "Predicted records", counts[-1])
        yield CounterMetricFamily("webservice_records_with_warnings", "Predicted records with a warning", others[0])
        yield self._predictions(counts[self._starts[-1] : -1], others)
        yield GaugeMetricFamily("webservice_drift_records", "Records of the last day", window[-1])
        yield from self._indices(window[:-1])
        yield from self._prediction_bins(counts)
        if len(self._names) <= MAX_FIELDS:
            yield from self._bins(counts)

    def _predictions(self, counts: NDArray[np.float64], others: NDArray[np.float64]) -> Metric:
        if self._labels:
            labels = CounterMetricFamily("webservice_predictions", "Predictions by label", labels=("label",))
            for label, index in self._labels.items():
                labels.add_metric((label,), counts[index])
            return labels
        bounds = [*map(str, self._bounds), "+Inf"]
        buckets = list(zip(bounds, others[2:].cumsum().tolist(), strict=True))
        return HistogramMetricFamily("webservice_predicted_value", "Predicted values", buckets, others[1])

    def _indices(self, window: NDArray[np.float64]) -> Iterator[Metric]:
        indices = stability_indices(window, self._expected, self._starts)
        # With fewer records an index would measure chance, not drift.
        indices[np.add.reduceat(window, self._starts) < self._min_records] = np.nan
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
            "Population stability index of the predictions of the last day against those of the held-out rows",
            labels=(),
        )
        if not math.isnan(indices[-1]):
            predictions.add_metric((), indices[-1])
        yield predictions

    def _prediction_bins(self, counts: NDArray[np.float64]) -> Iterator[Metric]:
        """Yield what an index over several replicas is worked out from, for predictions."""
        reference, start = self._references[-1], self._starts[-1]
        live = CounterMetricFamily("webservice_prediction_values", "Predictions by bin", labels=("bin",))
        shares = GaugeMetricFamily(
            "webservice_prediction_baseline_share", "Share of the held-out rows in a bin", labels=("bin",)
        )
        for index, (bin_, share) in enumerate(zip(reference.bins, reference.shares, strict=True), start):
            live.add_metric((bin_,), counts[index])
            shares.add_metric((bin_,), share)
        yield live
        yield shares
        yield GaugeMetricFamily("webservice_prediction_baseline_rows", "Held-out rows with predictions", self._rows[-1])
        yield GaugeMetricFamily(
            "webservice_prediction_min_records", "Records from which on there is an index", self._min_records[-1]
        )

    def _bins(self, counts: NDArray[np.float64]) -> Iterator[Metric]:
        live = CounterMetricFamily("webservice_field_values", "Values of records by bin", labels=("field", "bin"))
        shares = GaugeMetricFamily(
            "webservice_field_baseline_share", "Share of the training rows in a bin", labels=("field", "bin")
        )
        for name, reference, start in zip(self._names, self._references, self._starts.tolist(), strict=False):
            for index, (bin_, share) in enumerate(zip(reference.bins, reference.shares, strict=True), start):
                live.add_metric((name, bin_), counts[index])
                shares.add_metric((name, bin_), share)
        yield live
        yield shares
        rows = GaugeMetricFamily("webservice_field_baseline_rows", "Rows of which the shares are", labels=("field",))
        least = GaugeMetricFamily(
            "webservice_field_min_records", "Records from which on there is an index", labels=("field",)
        )
        for name, number, records in zip(self._names, self._rows, self._min_records.tolist(), strict=False):
            rows.add_metric((name,), number)
            least.add_metric((name,), records)
        yield rows
        yield least


class RecordBuffer:
    """Buffer of records with their predictions.

    It stores bytes and lists, because keeping the arrays and predictions of each request would displace other
    objects from the processor's cache and make requests slower by a sixth.

    Attributes:
        outcomes: of the records.
    """

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._numbers = bytearray()
        self._categories: list[list[str]] = []
        self._texts: list[list[str]] = []

    def add(self, features: Features, outcomes: Iterable[Outcome]) -> None:
        """Add records."""
        self.outcomes.extend(outcomes)
        self._numbers += features.numbers.tobytes()
        if features.layout.categories:
            self._categories += features.categories.tolist()
        if features.layout.texts:
            self._texts += features.texts.tolist()

    def features(self, layout: Layout) -> Features:
        """Return the features of all records."""
        rows = len(self.outcomes)
        return Features(
            layout,
            np.frombuffer(self._numbers).reshape(rows, len(layout.numbers)),
            np.array(self._categories, dtype=object).reshape(rows, len(layout.categories)),
            np.array(self._texts, dtype=object).reshape(rows, len(layout.texts)),
        )


class CountPositions:
    """Positions of the counts of drift in the array of a process.

    Each slot of the window has its hour since 1970 and a count for each bin.

    Attributes:
        totals: counts of each bin since the process started.
        others: other counts since the process started.
        size: length of the array.
    """

    def __init__(self, bins: int, others: int) -> None:
        self._shape = (SLOTS, bins)
        end = SLOTS + SLOTS * bins
        self._window = slice(SLOTS, end)
        self.totals = slice(end, end + bins)
        self.size = end + bins + others
        self.others = slice(end + bins, self.size)

    def add(self, array: NDArray[np.float64], counts: NDArray[np.float64], others: Sequence[float], slot: int) -> None:
        """Add counts of bins to the totals and to a slot of the window, and other counts to `others`.

        Args:
            array: of this process.
            counts: of each bin.
            others: the first of the other counts.
            slot: hour since 1970.
        """
        row = array[self._window].reshape(self._shape)[slot % SLOTS]
        if array[slot % SLOTS] != slot:
            # While a slot is reset it has hour 0, which other processes ignore.
            array[slot % SLOTS] = 0
            row[:] = 0
            array[slot % SLOTS] = slot
        row += counts
        array[self.totals] += counts
        array[self.others][: len(others)] += others

    def window(self, arrays: Sequence[NDArray[np.float64]], slot: int) -> NDArray[np.float64]:
        """Return the counts of each bin over all processes and the slots of the window up to `slot`, shape (bins,)."""
        total = np.zeros(self._shape[1])
        for array in arrays:
            slots = array[:SLOTS]
            recent = (slots > slot - SLOTS) & (slots <= slot)
            total += array[self._window].reshape(self._shape)[recent].sum(axis=0)
        return total


def _counts_between(
    edges: Sequence[float], values: NDArray[np.float64], side: Literal["left", "right"]
) -> NDArray[Any]:
    """Return the number of values between edges; `side` is that of `numpy.searchsorted`."""
    return np.bincount(np.searchsorted(edges, values, side), minlength=len(edges) + 1)
