"""BentoML: a service with one method for a record and one for a list, `def` and `async def`."""

from typing import Annotated

import bentoml
from oncology_model.classifier import load
from oncology_model.datamodel import Prediction, Record
from pydantic import Field

Records = Annotated[list[Record], Field(min_length=1, max_length=1000)]


@bentoml.service(workers=1, traffic={"timeout": 30})
class Predictions:
    """The predictor."""

    def __init__(self) -> None:
        """Load the model."""
        self.predictor = load()

    @bentoml.api
    def predict_record(self, record: Record) -> Prediction:
        """Answer a record in a thread."""
        return self.predictor.predict([record])[0]

    @bentoml.api
    def predict_records(self, records: Records) -> list[Prediction]:
        """Answer a list of records in a thread."""
        return self.predictor.predict(records)

    @bentoml.api
    async def predict_record_at_once(self, record: Record) -> Prediction:
        """Answer a record on the event loop."""
        return self.predictor.predict([record])[0]

    @bentoml.api
    async def predict_records_at_once(self, records: Records) -> list[Prediction]:
        """Answer a list of records on the event loop."""
        return self.predictor.predict(records)
