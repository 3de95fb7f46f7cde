"""The page for people: a form made from the contract, and the prediction for what it holds."""

from collections.abc import Mapping
from http import HTTPStatus

from flask import Blueprint, render_template, request
from pydantic import BaseModel, ConfigDict, ValidationError

from webservice import TITLE
from webservice.fields import FIELDS, FIELDS_BY_NAME, RecordField
from webservice.logs import RECORDS_KEY

from {{cookiecutter.__package}}_model.classifier import Classifier
from {{cookiecutter.__package}}_model.datamodel import Label, Prediction, Record
from {{cookiecutter.__package}}_model.metadata import GoldenRecord


class Form(BaseModel):
    """What the form shows: a text and perhaps an error for each field, by its name."""

    model_config = ConfigDict(frozen=True)

    texts: dict[str, str]
    errors: dict[str, str] = {}
    prediction: Prediction | None = None


def blueprint(classifier: Classifier) -> Blueprint:
    """Return the blueprint with the form."""
    routes = Blueprint("page", __name__)
    examples = first_of_each_label(classifier.golden_records)

    @routes.get("/")
    def show() -> str:
        record = examples.get(request.args.get("example", ""), classifier.golden_records[0].record)
        return page(Form(texts=texts_of(record)))

    @routes.post("/")
    def predict() -> tuple[str, HTTPStatus]:
        texts = {field.name: request.form.get(field.name, "").strip() for field in FIELDS}
        try:
            record = record_of(texts)
        except ValidationError as error:
            return page(Form(texts=texts, errors=errors_of(error))), HTTPStatus.UNPROCESSABLE_ENTITY
        request.environ[RECORDS_KEY] = 1
        return page(Form(texts=texts, prediction=classifier.predict_one(record))), HTTPStatus.OK

    def page(form: Form) -> str:
        return render_template(
            "page.html",
            title=TITLE,
            lead=Record.__doc__,
            fields=FIELDS,
            form=form,
            examples=examples,
            metadata=classifier.metadata,
        )

    return routes


def first_of_each_label(golden_records: tuple[GoldenRecord, ...]) -> dict[str, Record]:
    """Return an example for each label that the golden records have."""
    labels = {golden.prediction.label for golden in golden_records}
    return {
        label.value: next(golden.record for golden in golden_records if golden.prediction.label is label)
        for label in Label
        if label in labels
    }


def texts_of(record: Record) -> dict[str, str]:
    """Return the values of a record as a person would type them."""
    return {name: "" if value is None else f"{value:g}" for name, value in record.model_dump().items()}


def record_of(texts: Mapping[str, str]) -> Record:
    """Return the record that a person typed; an empty text is a missing value.

    Raises:
        ValidationError: if it breaks the contract.
    """
    return Record.model_validate_strings({name: text for name, text in texts.items() if text})


def errors_of(error: ValidationError) -> dict[str, str]:
    """Return what to type instead, for each field that breaks the contract."""
    names = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
    return {name: f"Enter {hint(FIELDS_BY_NAME[name])}." for name in FIELDS_BY_NAME if name in names}


def hint(field: RecordField) -> str:
    """Return what a person may type into the field, in words."""
    return field.range if field.required else f"{field.range}, or leave it empty"
