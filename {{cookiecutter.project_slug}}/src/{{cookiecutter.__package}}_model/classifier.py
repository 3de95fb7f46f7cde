"""The classifier: loads the artefact once and turns records into predictions.

So it is called whatever it predicts: a label, or a value with its interval.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from {{cookiecutter.__package}}_model import metadata as artefact
from {{cookiecutter.__package}}_model.datamodel import Prediction, Record
from {{cookiecutter.__package}}_model.features import LABELS, LAYOUT, Features, features_of
from {{cookiecutter.__package}}_model.fields import FieldSpec, LabelPrediction, ValuePrediction

ARTEFACT = Path(__file__).parent / "artefact"
"""Where training puts the artefact, and where the wheel carries it."""

GOLDEN_TOLERANCE = 1e-6
"""How far a probability may be from the golden one, and a value in proportion to its interval:
the bound that parity with scikit-learn is proved for."""

OUTPUT = "outputs"
"""Name of the output of the ONNX model: a probability for each label, or one value."""

baseline_adapter = TypeAdapter(artefact.Baseline)
predictions_adapter = TypeAdapter(list[Prediction])


class OnnxModel:
    """The ONNX model alone: arrays in, probabilities or values out."""

    def __init__(self, content: bytes) -> None:
        """Build the inference session from the bytes of an ONNX model.

        Raises:
            ArtefactError: if the bytes are no model, or a model with another output.
        """
        options = onnxruntime.SessionOptions()
        # A tabular model takes microseconds: threads of its own would cost more than they give.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class but this one
            raise artefact.ArtefactError(f"ONNX Runtime cannot load the model: {error}") from error
        outputs = [(node.name, node.shape[-1]) for node in self._session.get_outputs()]
        if outputs != [(OUTPUT, len(LABELS) or 1)]:
            raise artefact.ArtefactError(f"the model has the outputs {outputs}: not made by this trainer")
        # A model that needs none of the texts, say, has no such input.
        self._inputs = tuple(node.name for node in self._session.get_inputs())

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return what the model says of each row.

        Returns:
            Shape (rows, labels): the probability of each label in the contract's order, adding up
            to 1 in a row. Or shape (rows, 1): the value.
        """
        inputs = features.inputs()
        (outputs,) = self._session.run([OUTPUT], {name: inputs[name] for name in self._inputs})
        return np.asarray(outputs, dtype=np.float64)


class Classifier:
    """A trained model, ready to predict.

    One instance may be used by several threads at once: an ONNX Runtime session holds no
    state between calls, and nothing here is written after construction.
    """

    def __init__(
        self,
        model: bytes,
        metadata: artefact.Metadata,
        baseline: artefact.Baseline,
        golden_records: tuple[artefact.GoldenRecord, ...] = (),
        folder: Path | None = None,
    ) -> None:
        """Take the parts of an artefact, and the folder they are from, if there is one.

        Raises:
            ArtefactError: if the bytes are no model, or a model with another output.
        """
        self.metadata = metadata
        self.baseline = baseline
        self.golden_records = golden_records
        self._folder = folder
        self._model = OnnxModel(model)
        self._usual = np.array([_usual(number.field) for number in LAYOUT.numbers], dtype=np.float64).reshape(-1, 2).T
        self._any_usual = bool(np.isfinite(self._usual).any())
        self._known = tuple(_known(field, baseline) for field in LAYOUT.categories)

    @classmethod
    def load(cls, folder: Path = ARTEFACT) -> Self:
        """Return the classifier of the artefact in the folder.

        Raises:
            ArtefactError: if the artefact is missing, incomplete, changed since it was made,
                or made for another contract.
        """
        metadata = artefact.read_metadata(folder)
        contents = artefact.read_verified(folder, metadata)
        try:
            baseline = baseline_adapter.validate_json(contents[artefact.BASELINE_FILE])
            golden_records = artefact.golden_records_adapter.validate_json(contents[artefact.GOLDEN_FILE])
        except ValidationError as error:
            raise artefact.ArtefactError(f"a file in {folder} is not valid: {error}; run `make train`") from error
        return cls(contents[artefact.MODEL_FILE], metadata, baseline, golden_records, folder)

    def report(self) -> bytes:
        """Return the report on the training of this model as HTML, read from the artefact.

        Raises:
            ArtefactError: if it is not there, or not that of this model.
        """
        if self._folder is None or artefact.REPORT_FILE not in self.metadata.files:
            raise artefact.ArtefactError("the artefact has no report; run `make train`")
        return artefact.read_file(self._folder, artefact.REPORT_FILE, self.metadata)

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return what the model says of each row, as `OnnxModel.outputs` does."""
        return self._model.outputs(features)

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """Return a prediction for each record, in their order."""
        return self.predictions(features_of(records)) if records else []

    def predictions(self, features: Features) -> list[Prediction]:
        """Return a prediction for each row, in their order; there must be a row."""
        return answers(self.outputs(features), self.metadata.interval, self.warnings(features))

    def predict_one(self, record: Record) -> Prediction:
        """Return the prediction for a single record."""
        return self.predict([record])[0]

    def warnings(self, features: Features) -> dict[int, tuple[str, ...]]:
        """Return what is unusual in each row that has something unusual, by the row's number."""
        found: dict[int, list[str]] = {}
        low, high = self._usual
        for row, column in self._unusual(features.numbers):
            name = LAYOUT.numbers[column].field.name
            value, least, most = map(_plain, (features.numbers[row, column], low[column], high[column]))
            text = f"{name}: {value} is unusual, {least} to {most} is what the model knows"
            found.setdefault(row, []).append(text)
        for column, known in enumerate(self._known):
            for row, value in enumerate(features.categories[:, column].tolist()):
                if value and value not in known:
                    name = LAYOUT.categories[column].name
                    text = f"{name}: the model does not know this value and takes it as missing"
                    found.setdefault(row, []).append(text)
        return {row: tuple(texts) for row, texts in found.items()}

    def _unusual(self, numbers: NDArray[np.float64]) -> list[list[int]]:
        """Return the row and the column of each number outside the usual range of its field."""
        if not self._any_usual:
            return []
        low, high = self._usual
        unusual = (numbers < low) | (numbers > high)
        # Of one record, to find none takes longer than to count none.
        return np.argwhere(unusual).tolist() if np.count_nonzero(unusual) else []

    def gives_golden_answers(self) -> bool:
        """Return whether each golden record still gets its golden prediction."""
        predictions = self.predict([golden.record for golden in self.golden_records])
        return bool(predictions) and all(
            agrees(prediction, golden.prediction)
            for prediction, golden in zip(predictions, self.golden_records, strict=True)
        )


def answers(
    outputs: NDArray[np.float64],
    interval: artefact.Interval | None,
    warnings: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
) -> list[Prediction]:
    """Return the predictions that outputs of a model stand for.

    Args:
        outputs: shape (rows, labels) or (rows, 1).
        interval: of the model, if it predicts values.
        warnings: by row, of those that have some.
    """
    found = _label_answers(outputs) if LABELS else _value_answers(outputs[:, 0], interval)
    for row, texts in warnings.items():
        found[row]["warnings"] = texts
    return predictions_adapter.validate_python(found)


def _label_answers(outputs: NDArray[np.float64]) -> list[dict[str, object]]:
    return [
        {"label": LABELS[winner], "probability": row[winner], "probabilities": dict(zip(LABELS, row, strict=True))}
        for winner, row in zip(outputs.argmax(axis=1).tolist(), outputs.tolist(), strict=True)
    ]


def _value_answers(values: NDArray[np.float64], interval: artefact.Interval | None) -> list[dict[str, object]]:
    low, high = bounds(values, interval)
    return [
        {"value": value, "low": lower, "high": upper}
        for value, lower, upper in zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    ]


def bounds(
    values: NDArray[np.float64], interval: artefact.Interval | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper ends of the prediction intervals of some values, each of their shape.

    Raises:
        ArtefactError: if there is no interval: the artefact predicts labels.
    """
    if interval is None:
        raise artefact.ArtefactError("the artefact has no interval for its values; run `make train`")
    half_widths = np.asarray(interval.half_widths)[np.searchsorted(interval.edges, values, side="right")]
    low = values - half_widths
    if interval.minimum is not None:
        # What has never been negative gets no interval that says it might be; an estimate stays within its interval.
        low = np.minimum(np.maximum(low, interval.minimum), values)
    return low, values + half_widths


def _plain(value: float) -> str:
    """Return a number as people write it, to six digits."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def _usual(field: FieldSpec) -> tuple[float, float]:
    return field.usual or (-np.inf, np.inf)


def _known(field: FieldSpec, baseline: artefact.Baseline) -> frozenset[str]:
    known = baseline.fields[field.name]
    return frozenset(known.shares) if isinstance(known, artefact.ValueBaseline) else frozenset()


def agrees(prediction: Prediction, golden: Prediction) -> bool:
    """Return whether a prediction is the golden one, up to rounding in the last places."""
    match prediction, golden:
        case LabelPrediction(), LabelPrediction():
            return prediction.label == golden.label and all(
                abs(probability - golden.probabilities.get(label, np.nan)) <= GOLDEN_TOLERANCE
                for label, probability in prediction.probabilities.items()
            )
        case ValuePrediction(), ValuePrediction():
            allowed = GOLDEN_TOLERANCE * max(abs(golden.value), golden.high - golden.low)
            return all(
                abs(found - expected) <= allowed
                for found, expected in (
                    (prediction.value, golden.value),
                    (prediction.low, golden.low),
                    (prediction.high, golden.high),
                )
            )
    return False
