"""The floor: WSGI without a framework. It parses, validates, predicts and writes, and does nothing else.

The environment variable INTRA_OP sets the threads that ONNX Runtime uses for one prediction.
"""

import os
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import onnxruntime
from oncology_model.classifier import ARTEFACT, load
from oncology_model.datamodel import Prediction, Record
from mlops_runtime.model.artefact import MODEL_FILE
from pydantic import Field, TypeAdapter

record_adapter = TypeAdapter(Record)
records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=1000)])
predictions_adapter = TypeAdapter(list[Prediction])
predictor = load()

if "INTRA_OP" in os.environ:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["INTRA_OP"])
    options.inter_op_num_threads = 1
    # The model package offers no such setting: what it should be is what is measured here.
    predictor._model._session = onnxruntime.InferenceSession(ARTEFACT / MODEL_FILE, options)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a record or a list of records."""
    body = environ["wsgi.input"].read()
    if body.startswith(b"["):
        content = predictions_adapter.dump_json(predictor.predict(records_adapter.validate_json(body)))
    else:
        content = predictor.predict([record_adapter.validate_json(body)])[0].model_dump_json().encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]
