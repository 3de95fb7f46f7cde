"""MLServer: a runtime of our own, which takes records as JSON strings, as its documentation shows for JSON."""

from mlserver import MLModel
from mlserver.codecs import StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from oncology_model.classifier import load
from oncology_model.datamodel import Record
from pydantic import TypeAdapter

record_adapter = TypeAdapter(Record)


class ClassifierRuntime(MLModel):
    """The predictor, behind the inference protocol."""

    async def load(self) -> bool:
        """Load the model."""
        self.predictor = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer the records of a request, each with a prediction as a JSON string."""
        records = [record_adapter.validate_json(text) for text in StringCodec.decode_input(payload.inputs[0])]
        answers = [prediction.model_dump_json() for prediction in self.predictor.predict(records)]
        output = StringCodec.encode_output("predictions", answers)
        return InferenceResponse(model_name=self.name, outputs=[output])
