"""A number such as 1,234 is read as in the training table, or refused, in whatever way it is sent."""

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import pytest
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage

from mlops_runtime.contract import Category, Contract, RecordModel, Task, ValuePrediction
from mlops_runtime.model.baseline import Baseline, NumberBaseline
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, all_valid
from mlops_runtime.serving.ui.form import form_inputs, form_reader
from mlops_runtime.serving.ui.tables import TablePrediction, csv_text, uploaded
from mlops_runtime.tables.cells import value_reader
from tests.runtime.serving.api.bodies import WRITERS

Read = Callable[[Contract, str], float | None]
"""Returns the number in a text as a contract reads it; None if it is refused."""


class Measured(RecordModel):
    x: float
    k: Category


def contract_with(decimal: str) -> Contract:
    return Contract(Measured, ValuePrediction, Task.REGRESSION, "y", decimal=decimal)


def by_api(write: Callable[[Sequence[dict[str, Any]]], bytes], sent: Format) -> Read:
    def read(contract: Contract, text: str) -> float | None:
        try:
            (record,) = all_valid(RecordReader(contract, 1).read(write([{"x": text, "k": "a"}]), sent).results)
        except InvalidRequestError:
            return None
        return float(vars(record)["x"])

    return read


def on_the_page(delimiter: str) -> Read:
    def read(contract: Contract, text: str) -> float | None:
        values: list[float] = []

        def predict(records: Sequence[RecordModel]) -> list[Any]:
            values.extend(vars(record)["x"] for record in records)
            return [ValuePrediction(value=1, low=0, high=2) for _ in records]

        content = BytesIO(table([{"x": text, "k": "a"}], delimiter))
        try:
            with uploaded(contract, FileStorage(content, "mine.csv")) as source:
                list(TablePrediction(contract, source, RecordReader(contract, 1), predict).run(10, 10_000))
        except InvalidRequestError:
            return None
        return values[0] if values else None

    return read


def in_the_form(contract: Contract, text: str) -> float | None:
    target = NumberBaseline(
        missing_share=0, mean=1, standard_deviation=1, minimum=0, maximum=2, bin_edges=(0, 2), bin_shares=(1,)
    )
    inputs = form_inputs(contract.fields, Baseline(rows=1, fields={}, target=target, predictions=target))
    try:
        record = contract.record.model_validate_strings(form_reader(contract, inputs)({"x": text, "k": "a"}))
    except ValidationError:
        return None
    return float(vars(record)["x"])


def in_training(contract: Contract, text: str) -> float | None:
    read = value_reader("number", contract.decimal, None, contract.missing["x"])(text)
    return float(read) if read else None


def table(records: Sequence[dict[str, Any]], delimiter: str) -> bytes:
    """Return a table with this delimiter between its cells."""
    return csv_text([list(records[0]), *(list(record.values()) for record in records)], delimiter).encode()


API: dict[str, Read] = {
    "JSON": by_api(lambda records: json.dumps(records[0]).encode(), Format.JSON),
    "a list in JSON": by_api(WRITERS[Format.JSON], Format.JSON),
    "NDJSON": by_api(WRITERS[Format.NDJSON], Format.NDJSON),
    "Arrow": by_api(WRITERS[Format.ARROW], Format.ARROW),
    "CSV with semicolons": by_api(lambda records: table(records, ";"), Format.CSV),
    "a file with semicolons": on_the_page(";"),
}
COMMAS: dict[str, Read] = {
    "CSV with commas": by_api(lambda records: table(records, ","), Format.CSV),
    "a file with commas": on_the_page(","),
}
WAYS = API | COMMAS | {"the form": in_the_form}

TELLING = ("0,123", "0.123", "12,5", "12.5", "1,234.5", "1.234,5", "1,234,567", "1.234.567", "1.5e3", "12,5 %", "7,5 €")
MARKS = pytest.mark.parametrize("decimal", [pytest.param(".", id="point"), pytest.param(",", id="comma")])


@MARKS
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["1,234", "-12,345", "1.234", "999.000"])
def test_an_ambiguous_number_is_read_as_in_training(decimal: str, way: str, text: str) -> None:
    # Given a contract, and a number whose mark may be one of decimals or of thousands
    contract = contract_with(decimal)
    trained = in_training(contract, text)
    assert trained is not None

    # When it is sent
    read = WAYS[way](contract, text)

    # Then it is read as in training, but where points are common, it is refused, or is what a browser sends
    if decimal == "," and "." in text and way in COMMAS:
        assert read is None
    elif decimal == "," and "." in text and way == "the form":
        assert read == float(text)
    else:
        assert read == trained


@MARKS
@pytest.mark.parametrize(
    "text",
    ["0,123", "0.123", "12,5", "12.5", "1,234.5", "1.234,5", "1,234,567", "1.234.567", "1.5e3", "12,5 %", "007,5"],
)
def test_a_number_that_tells_its_decimal_mark_has_one_value_or_is_refused(decimal: str, text: str) -> None:
    contract = contract_with(decimal)

    values = {read(contract, text) for read in WAYS.values()} | {in_training(contract, text)}

    assert len(values - {None}) == 1


def test_another_number_of_the_table_tells_the_decimal_mark() -> None:
    body = b"x,k\r\n1.234,a\r\n0.5,a\r\n"

    records = all_valid(RecordReader(contract_with(","), 2).read(body, Format.CSV).results)

    assert [vars(record)["x"] for record in records] == [1.234, 0.5]


def test_the_reason_of_a_refusal_says_what_to_write() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        RecordReader(contract_with(","), 1).read(b"x,k\r\n1.234,a\r\n", Format.CSV)

    assert caught.value.code == 422
    assert "write 1234 or 1.2340" in str(caught.value.description)
