"""The route for explanations: it takes records, and returns predictions with the contribution of each field.

It is for people who try values, so the records are not counted as predictions: they would show as drift. Its requests
have the formats, the faults and the keys of records of those for predictions.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.model import Predictor
from mlops_runtime.serving.api.prediction_writer import PredictionWriter
from mlops_runtime.serving.api.predictions import PredictionApi, respond
from mlops_runtime.serving.ui.shapley import MAX_PARTS, background_of, contributions_to

PATH = "/v1/explanations"
CONTRIBUTION = "contribution_"
"""Prefix of the columns with the contributions: a field may have the name of another column."""
OTHERS = "other_contributions"
"""Column with the contribution of several fields together."""


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


class ExplanationWriter(PredictionWriter):
    """Writes explanations: a table has the columns of the prediction, and then a column for each field.

    A field that shares its contribution with others has an empty cell; a column of its own has what they share.
    """

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._fields = contract.features
        self._others = [OTHERS] if len(contract.features) > MAX_PARTS else []

    def _columns(self) -> list[str]:
        return [*super()._columns(), "mean", "output", *(CONTRIBUTION + name for name in self._fields), *self._others]

    def _cells(self, prediction: Any) -> list[Any]:
        amounts = {part.fields: part.amount for part in prediction.contributions}
        return [
            *super()._cells(prediction.prediction),
            prediction.mean,
            prediction.output,
            *(amounts.get((name,)) for name in self._fields),
            *(amount for fields, amount in amounts.items() if len(fields) > 1),
        ]


def blueprint(predictor: Predictor, max_explanations: int) -> Blueprint:
    """Return the blueprint of the route for explanations.

    Args:
        predictor: whose predictions are explained.
        max_explanations: number of records that a request may have.
    """
    routes = Blueprint("explanations", __name__)
    contract = predictor.contract
    explanation = explanation_type(contract)
    background = background_of(predictor)

    def explain(records: Sequence[RecordModel]) -> list[BaseModel]:
        features = contract.encode(records)
        explained = []
        for row, prediction in enumerate(predictor.predictions(features)):
            parts = contributions_to(prediction, features.take([row]), predictor, background)
            contributions = tuple(
                FieldContribution(fields=tuple(field.name for field in part.fields), amount=part.amount)
                for part in parts.parts
            )
            explained.append(
                explanation(prediction=prediction, mean=parts.mean, output=parts.output, contributions=contributions)
            )
        return explained

    api = PredictionApi(contract, explain, max_explanations, ExplanationWriter(contract))

    @routes.post(PATH)
    def explanations() -> Response:
        return respond(api)

    return routes
