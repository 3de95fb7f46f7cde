"""The route for explanations: it takes one record, and returns its prediction with the contribution of each field.

It is for people who try values, so the records are not counted in the metrics: they would show as drift.
"""

from functools import cache
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, create_model
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType

from mlops_runtime.contract import Contract
from mlops_runtime.model import Predictor
from mlops_runtime.serving.api.negotiation import Format, negotiate
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, all_valid, is_list
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY
from mlops_runtime.serving.ui.shapley import background_of, contributions_to

PATH = "/v1/explanations"


class FieldContribution(BaseModel):
    """How much the values of some fields add to the output of the model, or subtract from it."""

    model_config = ConfigDict(frozen=True)

    fields: tuple[str, ...] = Field(description="Names of the fields: one, or those with the least effect together")
    amount: float = Field(description="A Shapley value, in the unit of the output")


class Explained(BaseModel):
    """The contributions that lead from the mean output for the reference records to the output for this one."""

    model_config = ConfigDict(frozen=True)

    mean: float = Field(description="Mean output for the reference records: golden records of the training rows")
    output: float = Field(description="Probability of the predicted label, or the predicted value")
    contributions: tuple[FieldContribution, ...] = Field(
        description="They add up to output minus mean; largest first, several fields together last"
    )


@cache
def explanation_type(contract: Contract) -> type[BaseModel]:
    """Return the type of the response: an explanation with a prediction of the contract."""
    doc = "A prediction with its explanation: what the values of the fields add and subtract."
    fields: Any = {"prediction": (contract.prediction, ...)}
    return create_model("Explanation", __base__=Explained, __doc__=doc, **fields)


def blueprint(predictor: Predictor) -> Blueprint:
    """Return the blueprint of the route for explanations."""
    routes = Blueprint("explanations", __name__)
    reader = RecordReader(predictor.contract, 1)
    background = background_of(predictor)

    @routes.post(PATH)
    def explain() -> Response:
        negotiation = negotiate(request.headers)
        if negotiation.request_format is not Format.JSON:
            raise UnsupportedMediaType(f"Send one record as {Format.JSON}.")
        if negotiation.response_format is not Format.JSON:
            raise NotAcceptable(f"The response is {Format.JSON}: name it in the header Accept.")
        body = request.get_data(cache=False)
        if is_list(body):
            raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "Send one record, not a list.")
        (record,) = all_valid(reader.read(body, Format.JSON).results)
        request.environ[RECORDS_KEY] = 1
        features = predictor.contract.encode([record])
        (prediction,) = predictor.predictions(features)
        parts = contributions_to(prediction, features, predictor, background)
        content = explanation_type(predictor.contract)(
            prediction=prediction,
            mean=parts.mean,
            output=parts.output,
            contributions=tuple(
                FieldContribution(fields=tuple(field.name for field in part.fields), amount=part.amount)
                for part in parts.parts
            ),
        )
        return Response(content.model_dump_json(), mimetype=Format.JSON)

    return routes
