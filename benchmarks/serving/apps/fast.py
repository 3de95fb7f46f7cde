"""FastAPI as its documentation shows it: the contract's classes are body and answer. `def` and `async def`."""

from typing import Annotated

from fastapi import Body, FastAPI
from oncology_model.classifier import load
from oncology_model.datamodel import Prediction, Record

Records = Annotated[list[Record], Body(min_length=1, max_length=1000)]

predictor = load()
app = FastAPI()


@app.post("/threaded/record")
def predict_record(record: Record) -> Prediction:
    """Answer a record in a thread."""
    return predictor.predict([record])[0]


@app.post("/threaded/records")
def predict_records(records: Records) -> list[Prediction]:
    """Answer a list of records in a thread."""
    return predictor.predict(records)


@app.post("/async/record")
async def predict_record_at_once(record: Record) -> Prediction:
    """Answer a record on the event loop."""
    return predictor.predict([record])[0]


@app.post("/async/records")
async def predict_records_at_once(records: Records) -> list[Prediction]:
    """Answer a list of records on the event loop."""
    return predictor.predict(records)
