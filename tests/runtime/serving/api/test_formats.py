import csv
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import FEATURES, FIELDS
from mlops_runtime.contract.fields import FieldSpec, RecordModel
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.api import arrow
from mlops_runtime.serving.api.formats import (
    LISTED_IN_PLACE,
    all_valid,
    cells_of,
    columns,
    csv_text,
    elements,
    in_words,
    read_records,
    refused,
    write_predictions,
)
from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.problems import MAX_ERRORS, FieldError, InvalidRequestError
from mlops_runtime.testing.synthetic import Order
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND

MOST = 50
NDJSON = Format.NDJSON
CSV = Format.CSV

some_records = st.lists(st.from_type(Record), min_size=1, max_size=5)


def values(record: RecordModel) -> dict[str, Any]:
    """Return a record as JSON has it."""
    return record.model_dump(mode="json")


def as_json(records: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps(records).encode()


def as_lines(records: Sequence[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def as_table(records: Sequence[dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for record in records for name in record))
    return csv_text(names, [[record.get(name) for name in names] for record in records]).encode()


def as_stream(records: Sequence[dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for record in records for name in record))
    return stream_of({name: [record.get(name) for record in records] for name in names})


def stream_of(made: dict[str, Any], **options: Any) -> bytes:
    """Return columns as a stream of Arrow."""
    pyarrow = pytest.importorskip("pyarrow", reason="Arrow is an option: `pipenv sync --categories arrow`")
    table = pyarrow.table(made)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema, options=pyarrow.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


WRITERS: dict[Format, Callable[[Sequence[dict[str, Any]]], bytes]] = {
    Format.JSON: as_json,
    NDJSON: as_lines,
    CSV: as_table,
    Format.ARROW: as_stream,
}
WRITTEN = [pytest.param(one, WRITERS[one], id=one.name.lower()) for one in FORMATS]
OTHERS = [pytest.param(one, WRITERS[one], id=one.name.lower()) for one in FORMATS if one is not Format.JSON]
"""Formats, and what writes records in them."""


def fault_of(body: bytes, sent: Format, most: int = MOST) -> InvalidRequestError:
    """Return what is wrong with a body, after checking that something is."""
    with pytest.raises(InvalidRequestError) as caught:
        all_valid(read_records(body, sent, most))
    return caught.value


# Reading.


@pytest.mark.parametrize(("sent", "write"), WRITTEN)
@given(records=some_records)
def test_a_record_is_the_same_in_every_format(sent: Format, write: Callable[..., bytes], records: list[Record]) -> None:
    assert read_records(write([values(record) for record in records]), sent, MOST) == records


@given(orders=st.lists(st.from_type(Order), min_size=1, max_size=5))
def test_fields_of_every_kind_survive_a_table(orders: list[Order]) -> None:
    # Given orders as a table
    rows = list(csv.reader(StringIO(as_table([values(order) for order in orders]).decode(), newline="")))

    # When the cells that are not empty are read as the contract reads texts
    header = rows[0]
    found = [
        Order.model_validate_strings({name: cell for name, cell in zip(header, row, strict=True) if cell})
        for row in rows[1:]
    ]

    # Then they are the orders
    assert found == orders


@given(orders=st.lists(st.from_type(Order), min_size=1, max_size=5))
def test_fields_of_every_kind_survive_arrow_as_python_has_them(orders: list[Order]) -> None:
    # Given orders as columns: dates and times as such, sizes by their keys in a dictionary
    pyarrow = pytest.importorskip("pyarrow")
    made = {name: [order.model_dump()[name] for order in orders] for name in orders[0].model_dump()}
    made = {
        name: [getattr(value, "value", value) for value in column]
        for name, column in made.items()
        # A column has one offset for all of its moments, or none.
        if name != "Paid at"
    }
    made["Size"] = pyarrow.array(made["Size"], pyarrow.string()).dictionary_encode()

    # When they are read
    names, rows = arrow.read(stream_of(made), MOST)

    # Then they are the orders
    found = [Order.model_validate_json(json.dumps(dict(zip(names, row, strict=True)))) for row in rows]
    assert found == [order.model_copy(update={"paid": None}) for order in orders]


@pytest.mark.parametrize(("sent", "write"), OTHERS)
def test_the_order_of_the_fields_is_no_matter(
    sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    turned = dict(reversed(record.items()))

    assert read_records(write([turned]), sent, MOST) == read_records(write([record]), sent, MOST)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        pytest.param(b"\n \r\n", NDJSON, id="blank-lines"),
        pytest.param(b"", NDJSON, id="no-line"),
        pytest.param(b"", CSV, id="no-header"),
        pytest.param(",".join(f'"{name}"' for name in FEATURES).encode(), CSV, id="nothing-but-a-header"),
    ],
)
def test_a_body_without_records_is_refused(body: bytes, sent: Format) -> None:
    fault = fault_of(body, sent)

    assert fault.code == 422
    assert "at least one record" in str(fault.description)


@pytest.mark.parametrize(("sent", "write"), WRITTEN)
def test_a_body_may_have_as_many_records_as_the_settings_say(
    sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    assert len(read_records(write([record] * MOST), sent, MOST)) == MOST
    fault = fault_of(write([record] * (MOST + 1)), sent)
    assert fault.code == 413
    assert f"at most {MOST} records" in str(fault.description)


def test_space_around_lines_and_a_byte_order_mark_before_a_table_are_no_matter(record: dict[str, Any]) -> None:
    expected = read_records(as_json([record, record]), Format.JSON, MOST)

    lines = as_lines([record, record]).replace(b"\n", b" \r\n\r\n\t") + b"\r\n"
    assert read_records(lines, NDJSON, MOST) == expected
    assert read_records(b"\xef\xbb\xbf" + as_table([record, record]), CSV, MOST) == expected
    assert read_records(as_table([record, record]).replace(b"\r\n", b"\n"), CSV, MOST) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"\xff\xfe", "UTF-8", id="not-utf-8"),
        pytest.param(b'"a', "CSV", id="quotation-mark-left-open"),
        pytest.param(b'"a"b,c', "CSV", id="text-after-a-quotation-mark"),
        pytest.param(b"a" * 200_000, "CSV", id="endless-cell"),
    ],
)
def test_what_is_no_table_is_refused(body: bytes, reason: str) -> None:
    fault = fault_of(body, CSV)

    assert fault.code == 400
    assert reason in str(fault.description)


def test_a_table_that_breaks_off_later_is_refused_by_its_line(record: dict[str, Any]) -> None:
    fault = fault_of(as_table([record]) + b'"', CSV)

    assert fault.code == 400
    assert "in line 3" in str(fault.description)


@pytest.mark.parametrize(("sent", "write"), [one for one in OTHERS if one.values[0] is not NDJSON])
def test_wrong_columns_are_one_fault_of_the_table(
    sent: Format, write: Callable[..., bytes], record: dict[str, Any]
) -> None:
    # Given a table with a column too many, in each of its rows
    fault = fault_of(write([record | {"unknown?": 1}] * 3), sent)

    # Then it is told of once, by the name of the column
    assert fault.code == 422
    assert [error.pointer for error in fault.errors] == ["/unknown?"]


def test_a_repeated_column_is_refused(record: dict[str, Any]) -> None:
    header, row = as_table([record]).decode().splitlines()

    fault = fault_of(f"{header},{FIELDS[0].name}\r\n{row},1\r\n".encode(), CSV)
    assert [(error.field, error.detail) for error in fault.errors] == [(FIELDS[0].name, "is there more than once")]


def test_a_column_that_must_be_there_is_missed_once(record: dict[str, Any]) -> None:
    for field in FIELDS:
        without = {name: value for name, value in record.items() if name != field.name}
        if field.optional or not without:
            continue
        fault = fault_of(as_table([without] * 3), CSV)
        assert [(error.field, "is missing" in error.detail) for error in fault.errors] == [(field.name, True)]


@pytest.mark.parametrize("cells", [-1, 1], ids=["too-few", "too-many"])
def test_a_row_of_another_length_is_refused_by_its_number(record: dict[str, Any], cells: int) -> None:
    body = as_table([record, record]).removesuffix(b"\r\n")
    body = body + b",1" if cells > 0 else body[: body.rindex(b"\r\n")] + b"\r\n1" + b",1" * (len(record) - 2)
    if len(record) == 1 and cells < 0:
        pytest.skip("a row of no cells is a blank line")

    (error,) = fault_of(body, CSV).errors
    assert error.pointer == "/1"
    assert f"the header {len(record)}" in error.detail


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
@pytest.mark.parametrize(("sent", "write"), WRITTEN)
def test_a_wrong_value_is_told_of_by_the_number_of_its_record(
    sent: Format, write: Callable[..., bytes], record: dict[str, Any], field: FieldSpec
) -> None:
    wrong = "x" * 20_001
    # Of an Arrow column all values have one type
    if sent is Format.ARROW and not isinstance(record[field.name], str):
        pytest.skip("a column of numbers holds no text")

    (error,) = fault_of(write([record, record | {field.name: wrong}]), sent).errors
    assert (error.pointer.split("/")[1], error.field) == ("1", field.name)
    assert error.detail.startswith("must be ")


def test_a_missing_value_is_an_empty_cell() -> None:
    required = next((field for field in FIELDS if not field.optional), None)
    optional = next((field for field in FIELDS if field.optional), None)
    errors = fault_of(csv_text(FEATURES, [["x" * 20_001] * len(FEATURES)]).encode(), CSV).errors

    told = {error.field: error.detail for error in errors}
    if optional and optional.name in told:
        assert "or empty" in told[optional.name]
    if required and required.name in told:
        assert "or empty" not in told[required.name]


def test_a_line_that_is_not_json_is_told_of_by_its_number(record: dict[str, Any]) -> None:
    fault = fault_of(as_lines([record]) + b"\n{", NDJSON)

    assert fault.code == 400
    assert [error.pointer for error in fault.errors] == ["/1"]
    assert "Record 1, counted from 0, is not valid JSON" in str(fault.description)


def test_a_line_that_is_no_record_is_refused(record: dict[str, Any]) -> None:
    assert [error.pointer for error in fault_of(as_lines([record]) + b"\n[]", NDJSON).errors] == ["/1"]


def test_a_name_that_a_line_repeats_is_refused(record: dict[str, Any]) -> None:
    name = json.dumps(FIELDS[0].name)
    line = json.dumps(record)

    (error,) = fault_of(f"{line}\n{line[:-1]}, {name}: {json.dumps(record[FIELDS[0].name])}}}".encode(), NDJSON).errors
    assert error.pointer.startswith("/1/")
    assert error.detail == "is there more than once"


def test_all_faults_are_counted_and_the_first_are_listed(record: dict[str, Any]) -> None:
    fault = fault_of(as_lines([record | {"unknown?": 1}] * (MAX_ERRORS + 5)), NDJSON)

    assert len(fault.errors) == MAX_ERRORS
    assert f"in {MAX_ERRORS + 5} places" in str(fault.description)


def test_what_a_word_may_stand_for_is_guessed_for_the_first_faults_alone(record: dict[str, Any]) -> None:
    # Given many lines with a field that is nearly one of the contract
    name = FIELDS[0].name + "_"
    found = read_records(as_lines([record | {name: 1}] * MOST), NDJSON, MOST)

    # Then it is guessed which one is meant, but not for each of them: that takes time
    guessed = ["did you mean" in error.detail for fault in found for error in getattr(fault, "errors", ())]
    assert guessed == [True] * MAX_ERRORS + [False] * (MOST - MAX_ERRORS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
)


@given(values=st.lists(json_values, min_size=1, max_size=5), space=st.sampled_from(["", " ", "\n\t"]))
def test_the_elements_of_a_list_are_found(values: list[Any], space: str) -> None:
    body = f"{space}[{space}{f'{space},{space}'.join(map(json.dumps, values))}{space}]{space}"

    assert [json.loads(element) for element in elements(body.encode())] == values


@pytest.mark.parametrize("sent", FORMATS)
@given(body=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(sent: Format, body: bytes) -> None:
    assert status_of(body, sent) in {200, 400, 422}


def status_of(body: bytes, sent: Format) -> int | None:
    try:
        read_records(body, sent, MOST)
    except InvalidRequestError as error:
        return error.code
    return 200


# Arrow.


@given(position=st.integers(min_value=0), junk=st.binary(min_size=1, max_size=8), data=st.data())
def test_a_damaged_stream_is_read_or_refused(position: int, junk: bytes, data: st.DataObject) -> None:
    # Given a stream of which some bytes were overwritten
    names = data.draw(st.sampled_from([{"a": ["x", "yz", None]}, {"a": [1, 2, 3], "b": [True, None, False]}]))
    body = bytearray(stream_of(names))
    start = position % len(body)
    body[start : start + len(junk)] = junk

    # Then it is read, or refused in a way that is told to its sender
    with suppress(arrow.ArrowError):
        found, rows = arrow.read(bytes(body), MOST)
        assert all(len(row) == len(found) for row in rows)


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_a_compressed_stream_is_refused_before_it_is_unpacked(kind: str) -> None:
    with pytest.raises(arrow.ArrowError, match="without compression"):
        arrow.read(stream_of({"a": [0] * 10_000}, compression=kind), MOST)


def test_a_compressed_dictionary_is_refused_too() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    packed = pyarrow.array(["x" * 10_000]).dictionary_encode()

    with pytest.raises(arrow.ArrowError, match="without compression"):
        arrow.read(stream_of({"a": packed}, compression="zstd"), MOST)


def test_a_text_is_not_repeated_without_end() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    long = pyarrow.DictionaryArray.from_arrays([0] * MOST, ["x" * (arrow.MAX_CHARACTERS // MOST + 1)])

    with pytest.raises(arrow.ArrowError, match="characters"):
        arrow.read(stream_of({"a": long}), MOST)


@pytest.mark.parametrize("column", [[[1]], [{"b": 1}], [b"x"]], ids=["list", "struct", "binary"])
def test_a_column_of_a_type_that_no_field_takes_is_refused_by_its_name(column: list[Any]) -> None:
    with pytest.raises(arrow.ArrowError, match="'a' has the type"):
        arrow.read(stream_of({"a": column}), MOST)


def test_of_rows_without_a_byte_no_more_are_read_than_are_taken() -> None:
    pyarrow = pytest.importorskip("pyarrow")

    assert len(arrow.read(stream_of({"a": pyarrow.nulls(10**7)}), MOST)[1]) == MOST + 1


# Writing.


@pytest.fixture(scope="module")
def predictions(predictor: Predictor) -> list[Prediction]:
    return predictor.predict([golden.record for golden in predictor.golden_records])


def test_a_prediction_is_the_same_in_every_format(predictions: list[Prediction]) -> None:
    written = {wanted: write_predictions(predictions, wanted, many=True, errors=False) for wanted in FORMATS}

    # JSON and its lines say all, as the model does
    expected = [json.loads(prediction.model_dump_json()) for prediction in predictions]
    assert json.loads(written[Format.JSON]) == expected
    assert [json.loads(line) for line in written[NDJSON].splitlines()] == expected

    # A table has the same numbers, to the last digit
    header, *rows = csv.reader(StringIO(written[CSV].decode(), newline=""))
    assert header == columns(errors=False)
    for row, prediction in zip(rows, predictions, strict=True):
        expected_cells = cells_of(prediction, errors=False)
        for cell, value in zip(row, expected_cells, strict=True):
            assert (float(cell) if isinstance(value, float) else cell) == (value or "")


def test_a_stream_has_the_columns_of_a_table(predictions: list[Prediction]) -> None:
    pyarrow = pytest.importorskip("pyarrow")

    body = write_predictions(predictions, Format.ARROW, many=True, errors=True)
    found = pyarrow.ipc.open_stream(body).read_all()
    assert found.column_names == columns(errors=True)
    assert [list(row.values()) for row in found.to_pylist()] == [cells_of(one, errors=True) for one in predictions]


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_fault_stands_in_the_place_of_a_prediction(predictions: list[Prediction], wanted: Format) -> None:
    # Given a prediction, a record with more faults than are listed in its place, and another prediction
    errors = [FieldError(pointer=f"/1/{number}", field=f"field {number}", detail="is wrong") for number in range(9)]
    faulty = refused(InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "many faults", errors))

    # When they are written
    written = write_predictions([predictions[0], faulty, predictions[1]], wanted, many=True, errors=True)

    # Then the fault is in its place, and tells how much it leaves out
    told = '"field 0" is wrong; "field 1" is wrong; "field 2" is wrong; and 6 more faults'
    match wanted:
        case Format.JSON | Format.NDJSON:
            one = json.loads(written)[1] if wanted is Format.JSON else json.loads(written.splitlines()[1])
            assert one["error"]["detail"] == told
            assert len(one["error"]["errors"]) == LISTED_IN_PLACE
        case Format.CSV:
            rows = list(csv.reader(StringIO(written.decode(), newline="")))
            assert [row[-1] for row in rows] == ["error", "", told, ""]
            assert set(rows[2][:-1]) == {""}
        case Format.ARROW:
            pyarrow = pytest.importorskip("pyarrow")
            assert pyarrow.ipc.open_stream(written).read_all()["error"].to_pylist() == [None, told, None]


@given(name=st.text() | st.sampled_from(["=1+1", "+1", "-1", "@a", "\t=1", "\r=1"]) | st.none())
def test_no_spreadsheet_takes_a_fault_for_a_formula(name: str | None) -> None:
    told = in_words([FieldError(pointer="/0", field=name, detail="is wrong")], 1)

    assert told.startswith(('"', "this "))
