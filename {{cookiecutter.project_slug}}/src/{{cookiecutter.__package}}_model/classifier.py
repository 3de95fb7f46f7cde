"""The classifier: loads the artefact once and turns records into predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from pydantic import ValidationError

from {{cookiecutter.__package}}_model import metadata as artefact
from {{cookiecutter.__package}}_model.datamodel import Label, Prediction, Record, feature_matrix

ARTEFACT = Path(__file__).parent / "artefact"
"""Where training puts the artefact, and where the wheel carries it."""

GOLDEN_TOLERANCE = 1e-6
"""How far a probability may be from the golden one: the bound that parity with scikit-learn is proved for."""


class Classifier:
    """A trained model, ready to predict.

    One instance may be used by several threads at once: an ONNX Runtime session holds no
    state between calls, and nothing here is written after construction.
    """

    def __init__(
        self, model: bytes, metadata: artefact.Metadata, golden_records: tuple[artefact.GoldenRecord, ...]
    ) -> None:
        """Build the inference session from the bytes of an ONNX model.

        Raises:
            ArtefactError: if the bytes are no model, or a model with other inputs or outputs.
        """
        options = onnxruntime.SessionOptions()
        # A tabular model takes microseconds: threads of its own would cost more than they give.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class but this one
            raise artefact.ArtefactError(f"ONNX Runtime cannot load the model: {error}") from error
        inputs = [(node.name, node.shape[-1]) for node in self._session.get_inputs()]
        outputs = [node.name for node in self._session.get_outputs()]
        if inputs != [("records", len(metadata.features))] or outputs != ["label", "probabilities"]:
            raise artefact.ArtefactError(
                f"the model has inputs {inputs} and outputs {outputs}: not made by this trainer"
            )
        self.metadata = metadata
        self.golden_records = golden_records
        self._labels = tuple(Label(value) for value in metadata.labels)

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
            golden_records = artefact.golden_records_adapter.validate_json(contents[artefact.GOLDEN_FILE])
        except ValidationError as error:
            raise artefact.ArtefactError(f"{folder / artefact.GOLDEN_FILE} is not valid: {error}") from error
        return cls(contents[artefact.MODEL_FILE], metadata, golden_records)

    def probabilities(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of each label of the metadata, in their order.

        Args:
            features: shape (rows, features), NaN where a value is missing.

        Returns:
            Shape (rows, labels), each row adding up to 1.
        """
        (probabilities,) = self._session.run(["probabilities"], {"records": features})
        return np.asarray(probabilities, dtype=np.float64)

    def predict(self, records: Sequence[Record]) -> list[Prediction]:
        """Return a prediction for each record, in their order."""
        if not records:
            return []
        probabilities = self.probabilities(feature_matrix(records))
        winners = probabilities.argmax(axis=1)
        return [
            Prediction(label=self._labels[winner], probability=row[winner])
            for winner, row in zip(winners.tolist(), probabilities.tolist(), strict=True)
        ]

    def predict_one(self, record: Record) -> Prediction:
        """Return the prediction for a single record."""
        return self.predict([record])[0]

    def gives_golden_answers(self) -> bool:
        """Return whether each golden record still gets its golden prediction."""
        predictions = self.predict([golden.record for golden in self.golden_records])
        return bool(predictions) and all(
            agrees(prediction, golden.prediction)
            for prediction, golden in zip(predictions, self.golden_records, strict=True)
        )


def agrees(prediction: Prediction, golden: Prediction) -> bool:
    """Return whether a prediction is the golden one, up to rounding in the last places."""
    return prediction.label is golden.label and abs(prediction.probability - golden.probability) <= GOLDEN_TOLERANCE
