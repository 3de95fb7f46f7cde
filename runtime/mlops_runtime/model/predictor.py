"""The predictor: base class for all kinds of models."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, Features, FieldSpec, RecordModel
from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.baseline import Baseline, ValueBaseline
from mlops_runtime.model.golden import all_agree
from mlops_runtime.model.metadata import Interval


class BasePredictor(ABC):
    """Predicts with the model of an artefact: what the service, golden records and training need.

    Derive `Predictor` for a model whose outputs are probabilities or values. A model with predictions of another
    kind derives from this class and implements `load_model` and `predictions`.

    A predictor is thread-safe if its `predictions` is.
    """

    def __init__(self, artefact: Artefact) -> None:
        """Load the model of an artefact.

        Raises:
            ArtefactError: if the model cannot be loaded.
        """
        self.artefact = artefact
        self.contract = artefact.contract
        self.metadata = artefact.metadata
        self.baseline = artefact.baseline
        self.golden_records = artefact.golden_records
        layout = self.contract.layout
        expected = [number.field.expected or (-np.inf, np.inf) for number in layout.numbers]
        self._expected_low, self._expected_high = np.array(expected, dtype=np.float64).reshape(-1, 2).T
        self._has_expected_ranges = bool(np.isfinite(expected).any())
        self._known_categories = tuple(_known_categories(field, self.baseline) for field in layout.categories)
        self.load_model(artefact.model_files)

    @classmethod
    def load(cls, contract: Contract, folder: Path) -> Self:
        """Load the artefact in the folder.

        Raises:
            ArtefactError: if the artefact is missing, incomplete, modified, or made for another contract, or its
                model cannot be loaded.
        """
        return cls(read_artefact(contract, folder))

    @abstractmethod
    def load_model(self, files: Mapping[str, bytes]) -> None:
        """Load the model. This method is called once, by the constructor.

        Args:
            files: content of each file of the model, by name, as written by training.

        Raises:
            ArtefactError: if the model cannot be loaded.
        """

    @abstractmethod
    def predictions(self, features: Features) -> list[Any]:
        """Return a prediction for each row, in the same order; there must be at least one row."""

    def returns_quickly(self) -> bool:
        """Return whether a prediction takes microseconds and waits for nothing; by default, nobody knows."""
        return False

    def predict(self, records: Sequence[RecordModel]) -> list[Any]:
        """Return a prediction for each record, in the same order."""
        return self.predictions(self.contract.encode(records)) if records else []

    def predict_one(self, record: RecordModel) -> Any:
        """Return the prediction for one record."""
        return self.predict([record])[0]

    def warnings(self, features: Features) -> dict[int, tuple[str, ...]]:
        """Return the warnings of each row that has any, by row index."""
        layout = self.contract.layout
        warnings: dict[int, list[str]] = {}
        for row, column in self._unexpected(features.numbers):
            name = layout.numbers[column].field.name
            value, low, high = map(
                _decimal, (features.numbers[row, column], self._expected_low[column], self._expected_high[column])
            )
            text = f"{name}: {value} is outside the expected range, {low} to {high}"
            warnings.setdefault(row, []).append(text)
        for column, known in enumerate(self._known_categories):
            for row, value in enumerate(features.categories[:, column].tolist()):
                if value and value not in known:
                    text = f"{layout.categories[column].name}: unknown value, treated as missing"
                    warnings.setdefault(row, []).append(text)
        return {row: tuple(texts) for row, texts in warnings.items()}

    def _unexpected(self, numbers: NDArray[np.float64]) -> list[list[int]]:
        """Return the row and column of each number outside the expected range of its field."""
        if not self._has_expected_ranges:
            return []
        unexpected = (numbers < self._expected_low) | (numbers > self._expected_high)
        # For a single record without warnings, count_nonzero is faster than argwhere.
        return np.argwhere(unexpected).tolist() if np.count_nonzero(unexpected) else []

    def gives_golden_predictions(self) -> bool:
        """Return whether the model reproduces the prediction of each golden record; False if there are none."""
        predictions = self.predict([golden.record for golden in self.golden_records])
        return bool(predictions) and all_agree(predictions, self.golden_records)


class Predictor(BasePredictor):
    """Predicts a label with probabilities, or a value with an interval.

    `OnnxPredictor` runs ONNX models. For another kind of model, derive a class and implement `load_model` and
    `outputs`; intervals, warnings, explanations, golden records and the service use these two.

    A predictor is thread-safe if its `outputs` is.
    """

    @abstractmethod
    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the output of the model for each row.

        Returns:
            For classification, shape (rows, labels): the probability of each label, in the contract's order;
            each row sums to 1. For regression, shape (rows, 1): the value.
        """

    def predictions(self, features: Features) -> list[Any]:
        """Return a prediction for each row, in the same order; there must be at least one row.

        Raises:
            ValueError: if the outputs of the model have another shape than `outputs` promises.
        """
        outputs = self.outputs(features)
        expected = (len(features), len(self.contract.labels) or 1)
        if outputs.shape != expected:
            raise ValueError(f"{type(self).__name__}.outputs returns the shape {outputs.shape}, expected {expected}")
        return predictions_from_outputs(self.contract, outputs, self.metadata.interval, self.warnings(features))


def predictions_from_outputs(
    contract: Contract,
    outputs: NDArray[np.float64],
    interval: Interval | None,
    warnings: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
) -> list[Any]:
    """Convert the outputs of a model to predictions of the contract.

    Args:
        contract: contract of the model.
        outputs: array of shape (rows, labels), or (rows, 1) for regression.
        interval: interval of the model, for regression.
        warnings: warnings of the rows that have any, by row index.
    """
    predictions = _labels(contract, outputs) if contract.labels else _values(outputs[:, 0], interval)
    for row, texts in warnings.items():
        predictions[row]["warnings"] = texts
    return contract.predictions_adapter.validate_python(predictions)


def _labels(contract: Contract, outputs: NDArray[np.float64]) -> list[dict[str, object]]:
    labels = contract.labels
    return [
        {"label": labels[index], "probability": row[index], "probabilities": dict(zip(labels, row, strict=True))}
        for index, row in zip(outputs.argmax(axis=1).tolist(), outputs.tolist(), strict=True)
    ]


def _values(values: NDArray[np.float64], interval: Interval | None) -> list[dict[str, object]]:
    low, high = interval_bounds(values, interval)
    return [
        {"value": value, "low": lower, "high": upper}
        for value, lower, upper in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


def interval_bounds(
    values: NDArray[np.float64], interval: Interval | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper bounds of the prediction interval of each value, shape (rows,) each.

    Raises:
        ArtefactError: if the artefact has no interval.
    """
    if interval is None:
        raise ArtefactError("the artefact has no interval for its values; run `make train`")
    half_widths = np.asarray(interval.half_widths)[np.searchsorted(interval.edges, values, side="right")]
    low = values - half_widths
    if interval.minimum is not None:
        # The interval of a non-negative target does not start below 0, but always contains the value.
        low = np.minimum(np.maximum(low, interval.minimum), values)
    return low, values + half_widths


def _decimal(value: float) -> str:
    """Return a number in decimal notation, to six significant digits."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def _known_categories(field: FieldSpec, baseline: Baseline) -> frozenset[str]:
    """Return the values of a category in the baseline."""
    distribution = baseline.fields[field.name]
    return frozenset(distribution.shares) if isinstance(distribution, ValueBaseline) else frozenset()
