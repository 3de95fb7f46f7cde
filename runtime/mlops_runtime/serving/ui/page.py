"""The page: a form generated from the contract, the prediction of a record, and the upload of tables."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, render_template, request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.exceptions import RequestEntityTooLarge

from mlops_runtime.contract import Contract, RecordModel, ValuePrediction
from mlops_runtime.model import BasePredictor, GoldenRecord, Predictor
from mlops_runtime.number_format import rounded
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import RECORDS_KEY
from mlops_runtime.serving.ui.explanation import Explanation, PredictedRecord, explain
from mlops_runtime.serving.ui.form import Input, form_inputs, form_reader, submitted_texts, texts_of
from mlops_runtime.serving.ui.result import Result, result_of
from mlops_runtime.serving.ui.shapley import background_of, contributions_to
from mlops_runtime.serving.ui.tables import TablePrediction, example_table, result_file_name, uploaded

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
MAX_SHOWN = 40
"""Maximum number of visible inputs; the others are in a collapsed section."""
MAX_LINKS = 12
"""Maximum number of examples shown as links; more are options of a list."""


@dataclass(frozen=True, slots=True)
class Example:
    """A record that fills the form.

    Attributes:
        key: of the example in the URL.
        title: for people.
        record: for the form.
    """

    key: str
    title: str
    record: RecordModel


@dataclass(frozen=True, slots=True)
class Form:
    """The state of the page.

    Attributes:
        texts: in the inputs, by field.
        errors: messages about invalid texts, by field.
        result: the prediction.
        explanation: of the prediction.
        table_problem: reason why a table could not be predicted.
    """

    texts: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)
    result: Result | None = None
    explanation: Explanation | None = None
    table_problem: str = ""


def blueprint(predictor: BasePredictor, settings: Settings, predict: Predict, title: str) -> Blueprint:
    """Return the blueprint of the page.

    Args:
        predictor: the served model.
        settings: of the service.
        predict: returns the predictions of valid records.
        title: of the page.
    """
    routes = Blueprint("page", __name__)
    routes.after_request(allow_own_scripts)
    # Available to templates of a project too.
    routes.app_context_processor(lambda: {"title": title, "metadata": predictor.metadata})
    contract = predictor.contract
    inputs = form_inputs(contract.fields, predictor.baseline)
    read_form = form_reader(contract, inputs)
    examples = {example.key: example for example in examples_of(contract, predictor.golden_records)}
    first = texts_of(predictor.golden_records[0].record)
    background = background_of(predictor) if isinstance(predictor, Predictor) else None
    reader = RecordReader(contract, settings.max_records)

    def page(form: Form) -> str:
        return rendered(contract, inputs, form, tuple(examples.values()))

    def explanation(record: RecordModel, prediction: Any, texts: Mapping[str, str]) -> Explanation | None:
        if not isinstance(predictor, Predictor) or background is None:
            return None
        features = contract.encode([record])
        parts = contributions_to(prediction, features, predictor, background)
        return explain(PredictedRecord(features, inputs, texts, prediction), parts, predictor.baseline, contract.target)

    @routes.get("/")
    def show() -> str:
        example = examples.get(request.args.get("example", ""))
        return page(Form(texts_of(example.record) if example else first))

    @routes.post("/")
    def predict_form() -> tuple[str, HTTPStatus]:
        texts = submitted_texts(inputs, request.form)
        try:
            record = contract.record.model_validate_strings(read_form(texts))
        except ValidationError as error:
            return page(Form(texts, errors_of(inputs, error))), HTTPStatus.UNPROCESSABLE_ENTITY
        request.environ[RECORDS_KEY] = 1
        (prediction,) = predict([record])
        # From here on the values as they were read: a word for a missing value is an empty input.
        texts = texts_of(record)
        result = result_of(prediction, predictor.baseline, predictor.metadata.interval, record)
        return page(Form(texts, result=result, explanation=explanation(record, prediction, texts))), HTTPStatus.OK

    @routes.get("/table")
    def example() -> Response:
        return download([example_table(contract, predictor.golden_records)], "example.csv")

    @routes.post("/table")
    def predict_table() -> Response | tuple[str, int]:
        """Return a table with predictions: as CSV for the form, as NDJSON for the script of the page."""
        script = request.accept_mimetypes.best == Format.NDJSON
        try:
            return table_response(script=script)
        except (InvalidRequestError, RequestEntityTooLarge) as error:
            if script:
                raise
            status = error.code or HTTPStatus.UNPROCESSABLE_ENTITY
            return page(Form(first, table_problem=error.description or "")), status

    def table_response(*, script: bool) -> Response:
        # A table has a higher limit than other bodies.
        request.max_content_length = request.max_form_memory_size = settings.max_table_length
        try:
            file = request.files.get("table", FileStorage())
        except RequestEntityTooLarge as error:
            detail = f"The table may have at most {settings.max_table_length:,} bytes: send it in several parts."
            raise InvalidRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail) from error
        with ExitStack() as stack:
            source = stack.enter_context(uploaded(contract, file))
            batches = TablePrediction(contract, source, reader, predict).run(
                settings.max_records, settings.max_content_length
            )
            if script:
                response = Response((batch.json_line() for batch in batches), mimetype=Format.NDJSON)
            else:
                response = download((batch.csv for batch in batches), result_file_name(file.filename or "table"))
            # The table is read while the response is sent.
            response.call_on_close(stack.pop_all().close)
        return response

    return routes


def rendered(contract: Contract, inputs: Sequence[Input], form: Form, examples: Sequence[Example]) -> str:
    """Return the page as HTML."""
    return render_template(
        "page.html",
        lead=contract.description,
        shown=inputs[:MAX_SHOWN],
        others=inputs[MAX_SHOWN:],
        errors_within=any(input_.spec.name in form.errors for input_ in inputs[MAX_SHOWN:]),
        inputs=inputs,
        form=form,
        examples=examples,
        many_examples=len(examples) > MAX_LINKS,
    )


def download(content: Iterator[str] | list[str], name: str) -> Response:
    """Return CSV as a file to download."""
    response = Response(content, mimetype=Format.CSV)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def allow_own_scripts(response: Response) -> Response:
    """Allow the page to use the scripts and the routes of this service only."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    return response


def examples_of(contract: Contract, golden_records: Sequence[GoldenRecord[Any, Any]]) -> list[Example]:
    """Return a golden record for each label, or for a low, a middle and a high value."""
    by_label: dict[str, Example] = {}
    with_values: list[tuple[ValuePrediction, RecordModel]] = []
    for golden in golden_records:
        prediction = golden.prediction
        if isinstance(prediction, ValuePrediction):
            with_values.append((prediction, golden.record))
            continue
        for label in prediction.label_counts([getattr(prediction, prediction.OUTCOME)]):
            by_label.setdefault(str(label), Example(str(label), str(label), golden.record))
    return [by_label[label] for label in contract.labels if label in by_label] + examples_of_values(with_values)


def examples_of_values(predicted: Sequence[tuple[ValuePrediction, RecordModel]]) -> list[Example]:
    """Return the records with the lowest, the middle and the highest value; fewer if there are fewer than three."""
    ranked = sorted(predicted, key=lambda pair: pair[0].value)
    # With fewer than three records, names share an index and the last one wins.
    names = {0: "low", len(ranked) // 2: "middle", len(ranked) - 1: "high"} if ranked else {}
    return [
        Example(name, f"{name} ({rounded(prediction.value, prediction.high - prediction.low)})", record)
        for name, (prediction, record) in ((name, ranked[index]) for index, name in sorted(names.items()))
    ]


def errors_of(inputs: Sequence[Input], error: ValidationError) -> dict[str, str]:
    """Return the message for each invalid field, by name."""
    names = {str(fault["loc"][0]) for fault in error.errors(include_url=False, include_input=False)}
    return {input_.spec.name: input_.advice for input_ in inputs if input_.spec.name in names}
