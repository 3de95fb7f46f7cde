"""A cell that is no value of its column is a fault of its record, in whatever way a table is sent."""

import csv
import json
from io import BytesIO, StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from mlops_runtime.contract import FieldSpec, Kind
from mlops_runtime.serving.api.negotiation import FORMATS, LENIENT, Format
from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.testing.synthetic import FIELDS
from tests.runtime.serving.api.bodies import WRITERS
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND

URL = "/v1/predictions"
ODD = {
    Kind.NUMBER: ("five", "12abc", "1,23", "1_000", "(5", "1e400", "0x10", "5,5.5", "2024-12-31"),
    Kind.INTEGER: ("five", "5.5", "1_0", "12 pieces"),
    Kind.BOOLEAN: ("maybe", "2", "yes and no"),
    Kind.CHOICE: ("huge", "LARGE", "large, small"),
    Kind.DATE: ("tomorrow", "2024-02-30", "2024-13-01", "31/12/2024 or so", "12/31/2024", "1704067200"),
    Kind.DATETIME: ("tomorrow", "2024-02-30T10:00", "2024-12-31T25:00", "31/12/2024", "1704067200"),
    Kind.TIME: ("noon", "24:00", "10h", "36000"),
}
"""Cells that are no values, by the kind of the column. Any text is a value of a category or text."""

CASES = [
    pytest.param(case.values[0], cell, id=f"{case.id}-{cell}")
    for case in ONE_OF_EACH_KIND
    for cell in ODD.get(Kind(str(case.id)), ())
]


def body_of(record: dict[str, Any], field: FieldSpec, cell: str, sent: Format) -> bytes:
    """Return three records, of which the second has an odd cell."""
    good = record[field.name]
    # A column of Arrow has one type.
    text = str(good).lower() if sent is Format.ARROW and not isinstance(good, str) else good
    return WRITERS[sent]([record | {field.name: value} for value in (text, cell, text)])


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize(("field", "cell"), CASES)
def test_a_request_with_an_odd_cell_is_refused_with_its_row_and_field(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, cell: str, sent: Format
) -> None:
    response = client.post(URL, data=body_of(record, field, cell, sent), content_type=sent)

    assert response.status_code == 422
    (error,) = Problem.model_validate_json(response.data).errors
    assert (error.pointer.split("/")[1], error.field) == ("1", field.name)


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize(("field", "cell"), CASES)
def test_the_other_rows_are_answered_where_the_caller_prefers_it(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, cell: str, sent: Format
) -> None:
    expected = client.post(URL, data=json.dumps(record), content_type=Format.JSON).json

    headers = {"Prefer": LENIENT, "Accept": Format.JSON}
    response = client.post(URL, data=body_of(record, field, cell, sent), content_type=sent, headers=headers)

    assert response.status_code == 200
    first, odd, last = response.json or ()
    assert first["warnings"] == last["warnings"] == (expected or {})["warnings"]
    assert first["label"] == last["label"] == (expected or {})["label"]
    assert [error["field"] for error in odd["error"]["errors"]] == [field.name]


@pytest.mark.parametrize("prefer", ["", LENIENT], ids=["strict", "lenient"])
@pytest.mark.parametrize(("field", "cell"), CASES)
def test_a_single_record_with_an_odd_cell_is_refused(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, cell: str, prefer: str
) -> None:
    body = json.dumps(record | {field.name: cell})

    response = client.post(URL, data=body, content_type=Format.JSON, headers={"Prefer": prefer})

    assert response.status_code == 422
    assert [error.field for error in Problem.model_validate_json(response.data).errors] == [field.name]


@pytest.mark.parametrize(("field", "cell"), CASES)
def test_the_other_rows_of_a_table_on_the_page_are_answered(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, cell: str
) -> None:
    content = body_of(record, field, cell, Format.CSV)

    response = client.post("/table", data={"table": (BytesIO(content), "mine.csv")})

    assert response.status_code == 200
    first, odd, last = csv.DictReader(StringIO(response.text))
    assert first == last
    assert first["label"]
    assert (first["error"], odd["label"]) == ("", "")
    assert odd["error"].startswith(f"{json.dumps(field.name)} must be ")


def test_each_kind_of_field_that_has_odd_cells_is_tested() -> None:
    assert {field.kind for field in FIELDS} - {Kind.CATEGORY, Kind.TEXT} == set(ODD)
