"""The description of the service for programs: an OpenAPI 3.1 document made from the contract."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from webservice import TITLE, problems
from webservice.problems import FieldError, Problem
from webservice.settings import Settings

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Prediction, Record
from {{cookiecutter.__package}}_model.metadata import GoldenRecord, Metadata

JSON = "application/json"
SCHEMAS = "#/components/schemas/"
LISTED = 3
"""Golden records in the example of a list."""


class Release(BaseModel):
    """The release that runs, and the model in it."""

    version: str = Field(description="The release of the service")
    model: Metadata


class Status(BaseModel):
    """How the process is."""

    status: str


def schemas() -> tuple[Mapping[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    """Return the references to what goes in and out, by class, and the JSON schemas of it all, by name.

    A class of the contract may be called like one of these: both have longer names then.
    """
    classes: dict[type[BaseModel], JsonSchemaMode] = {
        Record: "validation",
        Prediction: "serialization",
        Problem: "serialization",
        FieldError: "serialization",
        Release: "serialization",
        Status: "serialization",
    }
    references, definitions = models_json_schema(list(classes.items()), ref_template=SCHEMAS + "{model}")
    return {one: references[one, mode] for one, mode in classes.items()}, definitions["$defs"]


REFERENCES, COMPONENTS = schemas()


def blueprint(classifier: Classifier, settings: Settings) -> Blueprint:
    """Return the blueprint that describes the service."""
    routes = Blueprint("description", __name__)
    document = json.dumps(openapi(classifier.golden_records, settings), ensure_ascii=False)

    @routes.get("/openapi.json")
    def describe() -> Response:
        return Response(document, mimetype=JSON)

    return routes


def openapi(golden_records: tuple[GoldenRecord, ...], settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document, with golden records as its examples."""
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "description": Record.__doc__ or "", "version": settings.version},
        "servers": [{"url": "/"}],
        "paths": {
            "/v1/predictions": {"post": predictions_operation(golden_records, settings)},
            "/healthz": {"get": health_operation("alive", "Does the process run?")},
            "/readyz": {"get": health_operation("ready", "Should this process get requests?", refuses=True)},
            "/version": {"get": version_operation()},
        },
        "components": {"schemas": COMPONENTS},
    }


def predictions_operation(golden_records: tuple[GoldenRecord, ...], settings: Settings) -> dict[str, Any]:
    """Return the description of the prediction of records."""
    questions = [golden.record.model_dump(mode="json") for golden in golden_records]
    answers = [golden.prediction.model_dump(mode="json") for golden in golden_records]
    return {
        "operationId": "predict",
        "tags": ["predictions"],
        "summary": "Predict one record or a list of records",
        "description": f"A list may have at most {settings.max_records} records, "
        f"and the body at most {settings.max_content_length} bytes. A list is answered in its order.",
        "requestBody": {
            "required": True,
            "content": {JSON: one_or_list(REFERENCES[Record], questions, maxItems=settings.max_records)},
        },
        "responses": {
            "200": {
                "description": "The prediction, or a list of them",
                "content": {JSON: one_or_list(REFERENCES[Prediction], answers)},
            },
            "400": problem("The body is not valid JSON"),
            "413": problem("The body or the list is too long"),
            "415": problem(f"The body is not {JSON}, or has a content encoding"),
            "422": problem("A record breaks the contract"),
        },
    }


def one_or_list(reference: dict[str, Any], examples: list[Any], **limits: int) -> dict[str, Any]:
    """Return the description of JSON that holds one object or a list of them."""
    return {
        "schema": {"oneOf": [reference, {"type": "array", "items": reference, "minItems": 1, **limits}]},
        "examples": {
            "one": {"summary": "One", "value": examples[0]},
            "list": {"summary": "A list", "value": examples[:LISTED]},
        },
    }


def health_operation(status: str, summary: str, *, refuses: bool = False) -> dict[str, Any]:
    """Return the description of a question that the cluster asks."""
    answer = {JSON: {"schema": REFERENCES[Status], "example": {"status": status}}}
    responses = {"200": {"description": f"The process is {status}", "content": answer}}
    if refuses:
        responses["503"] = problem("The process is about to stop, or its model gives wrong answers")
    return {"operationId": status, "tags": ["health"], "summary": summary, "responses": responses}


def version_operation() -> dict[str, Any]:
    """Return the description of the question for the release."""
    answer = {JSON: {"schema": REFERENCES[Release]}}
    return {
        "operationId": "version",
        "tags": ["health"],
        "summary": "Which release runs, with which model?",
        "responses": {"200": {"description": "The release and its model", "content": answer}},
    }


def problem(description: str) -> dict[str, Any]:
    """Return the description of an answer that is a problem."""
    content = {problems.MEDIA_TYPE: {"schema": REFERENCES[Problem]}}
    return {"description": description, "content": content}
