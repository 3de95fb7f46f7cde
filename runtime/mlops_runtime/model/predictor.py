"""The predictor: what turns records into predictions, whatever kind of model it uses."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mlops_runtime.contract import Contract, Features, FieldSpec, LabelPrediction, RecordModel, ValuePrediction
from mlops_runtime.model.artefact import Artefact, ArtefactError, read_artefact
from mlops_runtime.model.baseline import Baseline, ValueBaseline
from mlops_runtime.model.golden import all_agree
from mlops_runtime.model.metadata import Interval

Prediction = LabelPrediction | ValuePrediction


class Predictor(ABC):
    """A trained model, ready to predict.

    `OnnxPredictor` serves ONNX graphs. For a model of another kind derive a class from this one and write
    `load_model` and `outputs`; intervals, warnings, golden records and everything that the service does
    follow from these two.

    One instance may be used by several threads at once, if `outputs` may.
    """

    def __init__(self, artefact: Artefact) -> None:
        """Load the model of an artefact.

        Raises:
            ArtefactError: if the files of the model cannot be used.
        """
        self.artefact = artefact
        self.contract = artefact.contract
        self.metadata = artefact.metadata
        self.baseline = artefact.baseline
        self.golden_records = artefact.golden_records
        layout = self.contract.layout
        self._expected = (
            np.array([number.field.expected or (-np.inf, np.inf) for number in layout.numbers], dtype=np.float64)
            .reshape(-1, 2)
            .T
        )
        self._has_expected = bool(np.isfinite(self._expected).any())
        self._known = tuple(_known(field, self.baseline) for field in layout.categories)
        self.load_model(artefact.model_files)

    @classmethod
    def load(cls, contract: Contract, folder: Path) -> Self:
        """Return the predictor of the artefact in the folder.

        Raises:
            ArtefactError: if the artefact is missing, incomplete, changed since it was made, made for
                another contract, or its model cannot be loaded.
        """
        return cls(read_artefact(contract, folder))

    @abstractmethod
    def load_model(self, files: Mapping[str, bytes]) -> None:
        """Prepare the model, once.

        Args:
            files: content of each file of the model, by name, as training wrote it.

        Raises:
            ArtefactError: if they cannot be used.
        """

    @abstractmethod
    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the output of the model for each row.

        Returns:
            Shape (rows, labels): the probability of each label in the contract's order, with a sum of 1
            in each row. For regression, shape (rows, 1): the value.
        """

    def predict(self, records: Sequence[RecordModel]) -> list[Any]:
        """Return a prediction for each record, in their order."""
        return self.predictions(self.contract.encode(records)) if records else []

    def predict_one(self, record: RecordModel) -> Any:
        """Return the prediction for a single record."""
        return self.predict([record])[0]

    def predictions(self, features: Features) -> list[Any]:
        """Return a prediction for each row, in their order; there must be a row."""
        return predictions_from_outputs(
            self.contract, self.outputs(features), self.metadata.interval, self.warnings(features)
        )

    def warnings(self, features: Features) -> dict[int, tuple[str, ...]]:
        """Return the warnings of each row that has any, by the row's index."""
        layout = self.contract.layout
        warnings: dict[int, list[str]] = {}
        low, high = self._expected
        for row, column in self._unexpected(features.numbers):
            name = layout.numbers[column].field.name
            value, minimum, maximum = map(_plain, (features.numbers[row, column], low[column], high[column]))
            text = f"{name}: {value} is outside the range of the training data, {minimum} to {maximum}"
            warnings.setdefault(row, []).append(text)
        for column, known in enumerate(self._known):
            for row, value in enumerate(features.categories[:, column].tolist()):
                if value and value not in known:
                    text = f"{layout.categories[column].name}: unknown value, treated as missing"
                    warnings.setdefault(row, []).append(text)
        return {row: tuple(texts) for row, texts in warnings.items()}

    def _unexpected(self, numbers: NDArray[np.float64]) -> list[list[int]]:
        """Return the row and the column of each number outside the expected range of its field."""
        if not self._has_expected:
            return []
        low, high = self._expected
        unexpected = (numbers < low) | (numbers > high)
        # For one record, argwhere takes longer to find nothing than count_nonzero.
        return np.argwhere(unexpected).tolist() if np.count_nonzero(unexpected) else []

    def gives_golden_predictions(self) -> bool:
        """Return whether each golden record still gets its golden prediction."""
        predictions = self.predict([golden.record for golden in self.golden_records])
        return bool(predictions) and all_agree(predictions, self.golden_records)


def predictions_from_outputs(
    contract: Contract,
    outputs: NDArray[np.float64],
    interval: Interval | None,
    warnings: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
) -> list[Any]:
    """Return the predictions for the outputs of a model.

    Args:
        contract: whose predictions they are.
        outputs: shape (rows, labels) or (rows, 1).
        interval: of the model, for regression.
        warnings: by row, for rows that have any.
    """
    predictions = _labels(contract, outputs) if contract.labels else _values(outputs[:, 0], interval)
    for row, texts in warnings.items():
        predictions[row]["warnings"] = texts
    return contract.predictions_adapter.validate_python(predictions)


def _labels(contract: Contract, outputs: NDArray[np.float64]) -> list[dict[str, object]]:
    labels = contract.labels
    return [
        {"label": labels[winner], "probability": row[winner], "probabilities": dict(zip(labels, row, strict=True))}
        for winner, row in zip(outputs.argmax(axis=1).tolist(), outputs.tolist(), strict=True)
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
    """Return the lower and upper bounds of the prediction intervals of some values, each of their shape.

    Raises:
        ArtefactError: if there is no interval: the artefact predicts labels.
    """
    if interval is None:
        raise ArtefactError("the artefact has no interval for its values; run `make train`")
    half_widths = np.asarray(interval.half_widths)[np.searchsorted(interval.edges, values, side="right")]
    low = values - half_widths
    if interval.minimum is not None:
        # A target that was never negative gets no interval below 0; a value stays within its own interval.
        low = np.minimum(np.maximum(low, interval.minimum), values)
    return low, values + half_widths


def _plain(value: float) -> str:
    """Return a number in decimal notation, to six significant digits."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def _known(field: FieldSpec, baseline: Baseline) -> frozenset[str]:
    known = baseline.fields[field.name]
    return frozenset(known.shares) if isinstance(known, ValueBaseline) else frozenset()
