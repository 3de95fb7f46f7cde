"""The page for people: a form made from the contract, and the prediction for what it holds."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus

from flask import Blueprint, Response, render_template, request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from mlops_runtime.contract.features import FIELDS, LABELS, features_of
from mlops_runtime.contract.fields import LabelPrediction, RecordModel, ValuePrediction
from mlops_runtime.model.golden import GoldenRecord
from mlops_runtime.model.metadata import Metadata
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import TITLE
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY
from mlops_runtime.serving.ui.explanation import Answered, Drivers, drivers_of
from mlops_runtime.serving.ui.form import Input, form_inputs, sent_texts, text_of, values_of
from mlops_runtime.serving.ui.number_format import rounded
from mlops_runtime.serving.ui.result import Panel, panel_of
from mlops_runtime.serving.ui.shapley import background_of, contributions
from mlops_runtime.serving.ui.tables import Table, download, example_table, name_of_answer, predicted

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SHOWN = 40
"""Inputs that are seen at once; the others wait behind a line that opens."""
MAX_LINKS = 12
"""Examples that are links; more of them are a list to choose from."""


@dataclass(frozen=True, slots=True)
class Example:
    """A record to start from.

    Attributes:
        key: by which it is asked for.
        title: for people.
        record: what the form then holds.
    """

    key: str
    title: str
    record: Record


@dataclass(frozen=True, slots=True)
class Form:
    """What the page shows.

    Attributes:
        texts: in the inputs, by the field's name.
        errors: what to do about a text, by the field's name.
        panel: the prediction.
        drivers: what drove it.
        table_problem: why a table could not be predicted.
    """

    texts: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
    panel: Panel | None = None
    drivers: Drivers | None = None
    table_problem: str = ""


def blueprint(predictor: Predictor, settings: Settings, predict: Predict) -> Blueprint:
    """Return the blueprint with the form, and predictions as `predict` makes them."""
    routes = Blueprint("page", __name__)
    routes.after_request(allow_own_scripts)
    inputs = form_inputs(FIELDS, predictor.baseline)
    examples = {example.key: example for example in examples_of(predictor.golden_records)}
    first = predictor.golden_records[0].record
    background = background_of(predictor.golden_records, predictor.baseline)

    @routes.get("/")
    def show() -> str:
        example = examples.get(request.args.get("example", ""))
        return page(Form(texts_of(example.record if example else first)))

    @routes.post("/")
    def predict_form() -> tuple[str, HTTPStatus]:
        texts = sent_texts(inputs, request.form)
        try:
            record = Record.model_validate_strings(values_of(inputs, texts))
        except ValidationError as error:
            return page(Form(texts, errors_of(inputs, error))), HTTPStatus.UNPROCESSABLE_ENTITY
        request.environ[RECORDS_KEY] = 1
        (prediction,) = predict([record])
        panel = panel_of(prediction, predictor.baseline, predictor.metadata.interval)
        return page(Form(texts, panel=panel, drivers=drivers(record, prediction, texts))), HTTPStatus.OK

    @routes.get("/table")
    def example() -> Response:
        return download(example_table(predictor.golden_records), "example.csv")

    @routes.post("/table")
    def predict_table() -> Response | tuple[str, int]:
        # A table may be longer than any other body.
        request.max_content_length = request.max_form_memory_size = settings.max_table_length
        try:
            with closing(request.files.get("table", FileStorage())) as file:
                table = Table(file.read())
        except RequestEntityTooLarge:
            problem = f"The table may have at most {settings.max_table_length:,} bytes: send it in several parts."
            return page(Form(texts_of(first), table_problem=problem)), HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        except InvalidRequestError as error:
            return page(Form(texts_of(first), table_problem=error.description or "")), HTTPStatus.UNPROCESSABLE_ENTITY
        return download(predicted(table, predict, settings.max_records), name_of_answer(file.filename or "table"))

    def drivers(record: Record, prediction: Prediction, texts: Mapping[str, str]) -> Drivers:
        column = LABELS.index(str(prediction.label)) if isinstance(prediction, LabelPrediction) else 0
        found = contributions(
            lambda features: predictor.outputs(features)[:, column], features_of([record]), background
        )
        answered = Answered(record, inputs, texts, prediction)
        return drivers_of(answered, found, predictor.baseline, predictor.metadata.target)

    def page(form: Form) -> str:
        return rendered(inputs, form, tuple(examples.values()), predictor.metadata, settings)

    return routes


def rendered(
    inputs: Sequence[Input], form: Form, examples: Sequence[Example], metadata: Metadata, settings: Settings
) -> str:
    """Return the page as HTML."""
    return render_template(
        "page.html",
        title=TITLE,
        lead=Record.__doc__ or "",
        shown=inputs[:SHOWN],
        others=inputs[SHOWN:],
        errors_within=any(one.spec.name in form.errors for one in inputs[SHOWN:]),
        inputs=inputs,
        form=form,
        examples=examples,
        many_examples=len(examples) > MAX_LINKS,
        metadata=metadata,
        settings=settings,
    )


def allow_own_scripts(response: Response) -> Response:
    """Allow the page the scripts of this service, and to ask this service."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def examples_of(golden_records: Sequence[GoldenRecord]) -> list[Example]:
    """Return an example for each label that the golden records have; of values, a low, a middle and a high one."""
    of_labels: dict[str, Example] = {}
    of_values: list[tuple[ValuePrediction, Record]] = []
    for golden in golden_records:
        match golden.prediction:
            case LabelPrediction(label=label):
                of_labels.setdefault(str(label), Example(str(label), str(label), golden.record))
            case ValuePrediction() as prediction:
                of_values.append((prediction, golden.record))
    return [of_labels[label] for label in LABELS if label in of_labels] + examples_of_values(of_values)


def examples_of_values(found: Sequence[tuple[ValuePrediction, Record]]) -> list[Example]:
    """Return the records with the lowest, the middle and the highest value; fewer if there are fewer."""
    ranked = sorted(found, key=lambda one: one[0].value)
    # Where there are fewer than three, one record has two places, and the later name.
    places = {0: "low", len(ranked) // 2: "middle", len(ranked) - 1: "high"} if ranked else {}
    return [
        Example(name, f"{name} ({rounded(prediction.value, prediction.high - prediction.low)})", record)
        for name, (prediction, record) in ((name, ranked[place]) for place, name in sorted(places.items()))
    ]


def texts_of(record: RecordModel) -> dict[str, str]:
    """Return the values of a record as a person would type them, by the fields' names."""
    return {name: text_of(value) for name, value in record.model_dump().items()}


def errors_of(inputs: Sequence[Input], error: ValidationError) -> dict[str, str]:
    """Return what to do about each field that breaks the contract, by its name."""
    names = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
    return {one.spec.name: one.advice for one in inputs if one.spec.name in names}
