"""LitServe: one process for HTTP and one for the model. Usage: lit.py PORT default|fast.

The second argument is the queue between the two processes.
"""

import sys
from typing import Annotated, Any

import litserve
from oncology_model.classifier import load
from oncology_model.datamodel import Prediction, Record
from pydantic import Field, TypeAdapter

records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=1000)])


class ClassifierAPI(litserve.LitAPI):
    """The predictor in the steps of LitServe."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe gives it)
        """Load the model."""
        self.predictor = load()

    def decode_request(self, request):  # type: ignore[no-untyped-def]
        """Return the records of a request: the body is one, or a list of them.

        LitServe takes a type given here for a parameter of the query: without one it hands over the body.
        """
        return records_adapter.validate_python(request if isinstance(request, list) else [request])

    def predict(self, x: list[Record]) -> list[Prediction]:
        """Return the predictions."""
        return self.predictor.predict(x)

    def encode_response(self, output: list[Prediction]) -> list[dict[str, Any]]:
        """Return the predictions as JSON content."""
        return [prediction.model_dump(mode="json") for prediction in output]


if __name__ == "__main__":
    port, queue = sys.argv[1:]
    fast = queue == "fast"
    server = litserve.LitServer(ClassifierAPI(), accelerator="cpu", workers_per_device=1, timeout=30, fast_queue=fast)
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")
