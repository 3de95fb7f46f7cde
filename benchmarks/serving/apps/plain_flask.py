"""Flask with the same validation and the same predictor, in a few lines."""

from typing import Annotated

from flask import Flask, Response, request
from oncology_model.classifier import load
from oncology_model.datamodel import Prediction, Record
from pydantic import Field, TypeAdapter, ValidationError

record_adapter = TypeAdapter(Record)
records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=1000)])
predictions_adapter = TypeAdapter(list[Prediction])
predictor = load()
app = Flask(__name__)


@app.post("/predictions")
def predict() -> Response:
    """Answer a record or a list of records."""
    body = request.get_data()
    if body.startswith(b"["):
        content = predictions_adapter.dump_json(predictor.predict(records_adapter.validate_json(body)))
    else:
        content = predictor.predict([record_adapter.validate_json(body)])[0].model_dump_json().encode()
    return Response(content, mimetype="application/json")


@app.errorhandler(ValidationError)
def refuse(error: ValidationError) -> Response:
    """Respond to an invalid record."""
    return Response(error.json(), status=422, mimetype="application/json")
