import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract import Contract, FieldSpec, Kind, RecordModel
from mlops_runtime.serving.api.faults import MAX_FAULTS_PER_RECORD, RecordFaults
from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.prediction_writer import csv_text
from mlops_runtime.serving.api.problems import MAX_ERRORS, InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, all_valid
from mlops_runtime.testing.synthetic import FIELDS, Order
from tests.runtime.serving.api.bodies import WRITERS, as_json, as_lines, as_table
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND

MAX_RECORDS = 50
NDJSON = Format.NDJSON
CSV = Format.CSV
FEATURES = tuple(field.name for field in FIELDS)

some_orders = st.lists(st.from_type(Order), min_size=1, max_size=5)

WRITTEN = [pytest.param(each, WRITERS[each], id=each.name.lower()) for each in FORMATS]
OTHERS = [case for case in WRITTEN if case.id != "json"]
"""Formats, and what writes records in them."""


def values(record: RecordModel) -> dict[str, Any]:
    """Return a record as JSON."""
    return record.model_dump(mode="json")


@pytest.fixture(scope="module")
def reader(contract: Contract) -> RecordReader:
    return RecordReader(contract, MAX_RECORDS)


def fault_of(reader: RecordReader, body: bytes, sent: Format) -> InvalidRequestError:
    """Return the error of a faulty body."""
    with pytest.raises(InvalidRequestError) as caught:
        all_valid(reader.read(body, sent).results)
    return caught.value


@given(orders=some_orders)
def test_a_record_is_the_same_in_every_format(reader: RecordReader, orders: list[Order]) -> None:
    for sent in FORMATS:
        assert reader.read(WRITERS[sent]([values(order) for order in orders]), sent).results == orders


@pytest.mark.parametrize(("sent", "write"), OTHERS)
def test_the_order_of_the_fields_does_not_matter(
    reader: RecordReader, sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    turned = dict(reversed(record.items()))

    assert reader.read(write([turned]), sent).results == reader.read(write([record]), sent).results


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(b"\n \r\n", NDJSON, id="blank-lines"),
        pytest.param(b"", NDJSON, id="no-line"),
        pytest.param(b"", CSV, id="no-header"),
        pytest.param(",".join(f'"{name}"' for name in FEATURES).encode(), CSV, id="nothing-but-a-header"),
    ],
)
def test_a_body_without_records_is_refused(reader: RecordReader, body: bytes, sent: Format) -> None:
    fault = fault_of(reader, body, sent)

    assert fault.code == 422
    assert "at least one record" in str(fault.description)


@pytest.mark.parametrize(("sent", "write"), WRITTEN)
def test_the_number_of_records_in_a_body_is_limited_by_the_settings(
    reader: RecordReader, sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    assert len(reader.read(write([record] * MAX_RECORDS), sent).results) == MAX_RECORDS
    fault = fault_of(reader, write([record] * (MAX_RECORDS + 1)), sent)
    assert fault.code == 413
    assert f"at most {MAX_RECORDS} records" in str(fault.description)


def test_space_around_lines_and_a_byte_order_mark_are_ignored(reader: RecordReader, record: dict[str, Any]) -> None:
    expected = reader.read(as_json([record, record]), Format.JSON).results

    lines = as_lines([record, record]).replace(b"\n", b" \r\n\r\n\t") + b"\r\n"
    assert reader.read(lines, NDJSON).results == expected
    assert reader.read(b"\xef\xbb\xbf" + as_table([record, record]), CSV).results == expected
    assert reader.read(as_table([record, record]).replace(b"\r\n", b"\n"), CSV).results == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"\xff\xfe\x00", "UTF-16", id="not-utf-16"),
        pytest.param(b"a\x00b", "not text", id="not-text"),
        pytest.param(gzip.compress(b"a,b"), "compressed", id="compressed"),
        pytest.param(b'"a', "CSV", id="quotation-mark-left-open"),
        pytest.param(b'"a"b,c', "CSV", id="text-after-a-quotation-mark"),
        pytest.param(b"a" * 200_000, "CSV", id="endless-cell"),
    ],
)
def test_a_body_that_is_not_a_table_is_refused(reader: RecordReader, body: bytes, reason: str) -> None:
    fault = fault_of(reader, body, CSV)

    assert fault.code == 400
    assert reason in str(fault.description)


def test_a_damaged_table_is_refused_with_the_number_of_the_line(reader: RecordReader, record: dict[str, Any]) -> None:
    fault = fault_of(reader, as_table([record]) + b'"', CSV)

    assert fault.code == 400
    assert "row 3" in str(fault.description)


@pytest.mark.parametrize(("sent", "write"), [case for case in OTHERS if case.id != "ndjson"])
def test_an_unknown_column_is_one_fault_of_the_whole_table(
    reader: RecordReader, sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    # Given a table with a column too many, in each of its rows
    fault = fault_of(reader, write([record | {"unknown?": 1}] * 3), sent)

    # Then it is one fault, with the name of the column
    assert fault.code == 422
    assert [error.pointer for error in fault.errors] == ["/unknown?"]


def test_a_repeated_column_is_refused(reader: RecordReader, record: dict[str, Any]) -> None:
    header, row = as_table([record]).decode().splitlines()

    fault = fault_of(reader, f"{header},{FIELDS[0].name}\r\n{row},1\r\n".encode(), CSV)
    assert [(error.field, error.detail) for error in fault.errors] == [(FIELDS[0].name, "is there more than once")]


def test_a_missing_column_is_one_fault_of_the_whole_table(reader: RecordReader, record: dict[str, Any]) -> None:
    required = [field.name for field in FIELDS if not field.optional]
    assert required
    for name in required:
        without = {other: value for other, value in record.items() if other != name}
        fault = fault_of(reader, as_table([without] * 3), CSV)
        assert [(error.field, "is missing" in error.detail) for error in fault.errors] == [(name, True)]


def test_a_longer_row_is_refused_with_its_number(reader: RecordReader, record: dict[str, Any]) -> None:
    body = as_table([record, record]).removesuffix(b"\r\n") + b",1"

    (error,) = fault_of(reader, body, CSV).errors

    assert error.pointer == "/1"
    assert f"the header {len(record)}" in error.detail


def test_a_shorter_row_lacks_the_values_at_its_end(reader: RecordReader, record: dict[str, Any]) -> None:
    # Given a row without its last cell, of a required field
    header, row = as_table([{name: record[name] for name in FEATURES}]).decode().splitlines()
    body = f"{header}\r\n{row}\r\n{row.rpartition(',')[0]}\r\n".encode()

    # Then that field is missing, as in training
    (error,) = fault_of(reader, body, CSV).errors
    assert (error.pointer, error.field) == (f"/1/{FEATURES[-1]}", FEATURES[-1])


@pytest.mark.parametrize(
    ("sent", "write", "field"),
    [
        pytest.param(*case.values, *field.values, id=f"{case.id}-{field.id}")
        for case in WRITTEN
        for field in ONE_OF_EACH_KIND
        # A column of numbers in Arrow holds no text
        if case.id != "arrow" or field.id not in ("number", "integer", "boolean")
        # Any text is valid
        if field.id not in ("category", "text")
    ],
)
def test_a_wrong_value_is_located_by_the_number_of_its_record(
    reader: RecordReader, sent: Format, write: Callable[..., bytes], record: dict[str, Any], field: FieldSpec
) -> None:
    wrong = record | {field.name: "x" * 20_001}

    (error,) = fault_of(reader, write([record, wrong]), sent).errors
    assert (error.pointer.split("/")[1], error.field) == ("1", field.name)
    assert error.detail.startswith("must be ")


def test_faults_in_a_table_describe_missing_values_as_empty(reader: RecordReader) -> None:
    errors = fault_of(reader, csv_text(FEATURES, [["x" * 20_001] * len(FEATURES)]).encode(), CSV).errors

    details = {error.field: error.detail for error in errors}
    for field in FIELDS:
        if field.kind not in (Kind.CATEGORY, Kind.TEXT):
            assert ("or empty" in details[field.name]) == field.optional


def test_a_line_that_is_not_json_is_refused_with_its_number(reader: RecordReader, record: dict[str, Any]) -> None:
    fault = fault_of(reader, as_lines([record]) + b"\n{", NDJSON)

    assert fault.code == 400
    assert [error.pointer for error in fault.errors] == ["/1"]
    assert "Record 1, counted from 0, is not valid JSON" in str(fault.description)


def test_a_line_that_is_not_a_record_is_refused(reader: RecordReader, record: dict[str, Any]) -> None:
    assert [error.pointer for error in fault_of(reader, as_lines([record]) + b"\n[]", NDJSON).errors] == ["/1"]


def test_a_name_that_a_line_repeats_is_refused(reader: RecordReader, record: dict[str, Any]) -> None:
    name = json.dumps(FIELDS[0].name)
    line = json.dumps(record)

    (error,) = fault_of(
        reader, f"{line}\n{line[:-1]}, {name}: {json.dumps(record[FIELDS[0].name])}}}".encode(), NDJSON
    ).errors
    assert error.pointer.startswith("/1/")
    assert error.detail == "is there more than once"


def test_all_faults_are_counted_and_the_first_are_listed(reader: RecordReader, record: dict[str, Any]) -> None:
    fault = fault_of(reader, as_lines([record | {"unknown?": 1}] * (MAX_ERRORS + 5)), NDJSON)

    assert len(fault.errors) == MAX_ERRORS
    assert f"in {MAX_ERRORS + 5} places" in str(fault.description)


def test_only_the_first_faults_get_a_suggestion(reader: RecordReader, record: dict[str, Any]) -> None:
    # Given many lines with a field that is nearly one of the contract
    name = FIELDS[0].name + "_"
    results = reader.read(as_lines([record | {name: 1}] * MAX_RECORDS), NDJSON).results

    # Then the response asks which field was meant, but not for each of them, because that takes time
    guessed = ["did you mean" in error.detail for fault in results for error in getattr(fault, "errors", ())]
    assert guessed == [True] * MAX_ERRORS + [False] * (MAX_RECORDS - MAX_ERRORS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


@pytest.mark.parametrize("sent", FORMATS)
@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(reader: RecordReader, sent: Format, body: bytes) -> None:
    assert status_of(reader, body, sent) in {200, 400, 422}


def status_of(reader: RecordReader, body: bytes, sent: Format) -> int | None:
    try:
        reader.read(body, sent)
    except InvalidRequestError as error:
        return error.code
    return 200


@given(
    records=st.lists(st.none() | st.from_type(Order), min_size=1, max_size=5), space=st.sampled_from(["", " ", "\n\t"])
)
def test_each_record_of_a_list_is_read_or_has_faults(
    reader: RecordReader, records: list[Order | None], space: str
) -> None:
    # Given a list in which some elements are no records
    elements = ["[{}]" if each is None else each.model_dump_json() for each in records]
    body = f"{space}[{space}{f'{space},{space}'.join(elements)}{space}]{space}".encode()

    # When it is read
    results = reader.read(body, Format.JSON).results

    # Then each record is at its place, and the others have their faults
    assert [None if isinstance(each, RecordFaults) else each for each in results] == records
    for number, result in enumerate(results):
        if isinstance(result, RecordFaults):
            assert [error.pointer for error in result.errors] == [f"/{number}"]


def test_a_name_repeated_beside_a_faulty_record_is_a_fault_too(reader: RecordReader, record: dict[str, Any]) -> None:
    # Given a list with a nested value, a valid record, and a record that has a name twice
    text = json.dumps(record)
    twice = f"{text[:-1]}, {json.dumps(FEATURES[0])}: 1}}"
    body = f'[{{"a": {{"b": 1, "b": 2}}}}, {text}, {twice}]'.encode()

    # When it is read
    results = reader.read(body, Format.JSON).results

    # Then the valid record alone is read
    assert [isinstance(result, RecordFaults) for result in results] == [True, False, True]
    assert [error.pointer for error in getattr(results[2], "errors", ())] == [f"/2/{FEATURES[0]}"]


@pytest.mark.parametrize(("sent", "write"), WRITTEN)
def test_brackets_and_colons_in_texts_make_no_difference(
    reader: RecordReader, sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    # Given a record with more brackets than a request may have records
    bracketed = record | {"Remark": '[{"a":' * (MAX_RECORDS + 2)}

    # Then it is read like any other
    (result,) = reader.read(write([bracketed]), sent).results
    assert values(result) == bracketed if isinstance(result, RecordModel) else pytest.fail(str(result))


@pytest.mark.parametrize("value", [[[]] * 200, {"a": [{}] * 200}], ids=["lists", "objects"])
def test_a_nested_value_is_a_wrong_value(reader: RecordReader, record: dict[str, Any], value: object) -> None:
    results = reader.read(as_json([record | {"Remark": value}, record]), Format.JSON).results

    assert [isinstance(result, RecordFaults) for result in results] == [True, False]
    assert isinstance(results[0], RecordFaults)
    (error,) = results[0].errors
    assert (error.pointer, error.detail[:8]) == ("/0/Remark", "must be ")


def test_a_faulty_record_lists_few_faults_once_the_response_is_full(reader: RecordReader) -> None:
    results = reader.read(as_lines([{f"unknown {number}": 1 for number in range(50)}] * 3), NDJSON).results

    assert [len(getattr(result, "errors", ())) for result in results] == [
        MAX_ERRORS,
        MAX_FAULTS_PER_RECORD,
        MAX_FAULTS_PER_RECORD,
    ]
