"""Formats: records read from JSON, NDJSON, CSV and Arrow, and predictions written in them.

A record means the same in each of them: it is the contract that checks it, and a fault is told of
by its place, which is the number of the record, from 0, and the name of the field.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from io import StringIO
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, FailFast, Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from mlops_runtime.contract.features import LABELS
from mlops_runtime.contract.fields import LabelPrediction, ValuePrediction
from mlops_runtime.serving.api import arrow
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.problems import (
    MAX_ERRORS,
    FieldError,
    InvalidRequestError,
    broken_contract,
    broken_record,
    invalid_body,
    invalid_columns,
    no_records,
    pointer,
    too_many_records,
)

JSON_SPACE = b" \t\r\n"

MANY_FAULTS = 10_000
"""More faults than this are not looked at one by one: a body of a few kilobytes may have hundreds of thousands."""
LISTED_IN_PLACE = 3
"""Faults that are listed in the place of a prediction."""

Row = TypeVar("Row")
Read = Record | InvalidRequestError
"""What became of a record that was sent."""

record_adapter = TypeAdapter(Record)
predictions_adapter = TypeAdapter(list[Prediction])
first_wrong_record_adapter = TypeAdapter(Annotated[list[Record], FailFast()])


class RecordFault(BaseModel):
    """Why a record has no prediction."""

    detail: str = Field(description="What is wrong with the record")
    errors: tuple[FieldError, ...] = Field(description=f"The faults, at most {LISTED_IN_PLACE} of them")


class RefusedRecord(BaseModel):
    """What stands in the place of a prediction, where the others are wanted all the same."""

    error: RecordFault


Outcome = Prediction | RefusedRecord


# Reading.


def read_records(body: bytes, sent: Format, max_records: int) -> list[Read]:
    """Return each record that a body holds, or what is wrong with it.

    Args:
        body: of a request.
        sent: format of the body.
        max_records: that a list or table may have.

    Raises:
        InvalidRequestError: if the body is not in the format, has no record or too many of them, or has
            faults that are not those of some of its records, such as an unknown column.
    """
    match sent:
        case Format.JSON:
            return JsonReader(max_records).read(body)
        case Format.NDJSON:
            return read_each(limited(lines(body), max_records), json_record)
        case Format.CSV:
            return read_each(limited(csv_rows(body), max_records), text_record)
        case Format.ARROW:
            return read_each(limited(arrow_rows(body, max_records), max_records), json_record)


def all_valid(found: Sequence[Read]) -> list[Record]:
    """Return the records, if none is faulty.

    Raises:
        InvalidRequestError: with all the faults.
    """
    faulty = [one for one in found if isinstance(one, InvalidRequestError)]
    if not faulty:
        return [one for one in found if not isinstance(one, InvalidRequestError)]
    for fault in faulty:
        if fault.code == HTTPStatus.BAD_REQUEST:
            raise fault
    errors = [error for fault in faulty for error in fault.errors]
    raise broken_contract(errors[:MAX_ERRORS], sum(fault.count for fault in faulty))


def limited(rows: Iterable[Row], max_records: int) -> list[Row]:
    """Return the rows.

    Raises:
        InvalidRequestError: if there is none, or there are more than that.
    """
    taken = list(islice(rows, max_records + 1))
    if len(taken) > max_records:
        raise too_many_records(max_records)
    if not taken:
        raise no_records()
    return taken


def read_each(rows: Iterable[Row], read: Callable[[Row, int, bool], Record]) -> list[Read]:
    """Return the record of each row, or what is wrong with it.

    Args:
        rows: in their order.
        read: a function of a row, its number and whether guesses are wanted of what a wrong word stands for.
            They take time, and the caller chooses the words: a request gets a few of them.
    """
    found: list[Read] = []
    faults = 0
    for number, row in enumerate(rows):
        try:
            found.append(read(row, number, faults < MAX_ERRORS))
        except InvalidRequestError as error:
            faults += error.count
            found.append(error)
    return found


class JsonReader:
    """Reads JSON: one record, or a list of them."""

    def __init__(self, max_records: int) -> None:
        self._max_records = max_records
        self._records_adapter = TypeAdapter(Annotated[list[Record], Field(min_length=1, max_length=max_records)])

    def records(self, body: bytes) -> list[Record]:
        """Return the records.

        Raises:
            InvalidRequestError: if the body is not JSON, or a record breaks the contract.
        """
        many = is_list(body)
        try:
            records = self._records_adapter.validate_json(body) if many else [record_adapter.validate_json(body)]
        except ValidationError as error:
            raise invalid_body(bounded(error, body), body, self._max_records) from error
        refuse_repeated_names(body, records, many=many)
        return records

    def read(self, body: bytes) -> list[Read]:
        """Return each record, or what is wrong with it; a record that is sent alone is not told apart from its body.

        Raises:
            InvalidRequestError: if the body is not JSON, its list is empty or too long, or its only record is faulty.
        """
        try:
            return [*self.records(body)]
        except InvalidRequestError as error:
            if not error.errors or not is_list(body):
                raise
        return read_each(elements(body), json_record)


def is_list(body: bytes) -> bool:
    """Return whether JSON holds a list."""
    return body.lstrip(JSON_SPACE).startswith(b"[")


def elements(body: bytes) -> Iterator[bytes]:
    """Yield each element of a list that is not empty, in valid JSON, as it stands there."""
    text = body.decode()
    # What numbers are worth is not for this parser to say.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    space = JSON_SPACE.decode()
    end = text.index("[")
    while text[end] != "]":
        start = end + 1
        while text[start] in space:
            start += 1
        _, end = decoder.raw_decode(text, start)
        yield text[start:end].encode()
        while text[end] in space:
            end += 1


def lines(body: bytes) -> Iterator[bytes]:
    """Yield each line that is not blank."""
    for line in body.split(b"\n"):
        if stripped := line.strip(JSON_SPACE):
            yield stripped


def json_record(line: bytes, number: int, guess: bool) -> Record:
    """Return the record of this number in a request, from its JSON.

    Raises:
        InvalidRequestError: if it is not JSON, or breaks the contract.
    """
    try:
        record = record_adapter.validate_json(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if fault["type"] == "json_invalid":
            reason = fault["msg"].removeprefix("Invalid JSON: ")
            wrong = FieldError(pointer=pointer([number]), detail=f"is not valid JSON: {reason}")
            detail = f"Record {number}, counted from 0, is not valid JSON: {reason}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail, [wrong]) from error
        raise broken_record(error, from_json(line), number, guess=guess) from error
    refuse_repeated_names(line, [record], many=True, first=number)
    return record


def csv_rows(body: bytes) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the header and the cells of each row of a table (RFC 4180), the header left out.

    Raises:
        InvalidRequestError: if the body is no such table, or its header does not fit the contract.
    """
    try:
        # Excel puts a byte order mark before the header.
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        detail = f"The table is not in UTF-8: {error.reason} at byte {error.start}."
        raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise no_records()
        if fault := invalid_columns(header):
            raise fault
        for cells in reader:
            if cells:
                yield header, cells
    except csv.Error as error:
        detail = f"The table is not valid CSV (RFC 4180): {error}, in line {reader.line_num}."
        raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error


def text_record(row: tuple[list[str], list[str]], number: int, guess: bool) -> Record:
    """Return the record of this number in a request, from a header and cells; an empty cell is a missing value.

    Raises:
        InvalidRequestError: if it breaks the contract.
    """
    header, cells = row
    if len(cells) != len(header):
        detail = f"has {len(cells)} cells, and the header {len(header)}"
        raise broken_contract([FieldError(pointer=pointer([number]), detail=detail)], 1)
    texts = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    try:
        return Record.model_validate_strings(texts)
    except ValidationError as error:
        raise broken_record(error, texts, number, guess=guess, missing="empty") from error


def arrow_rows(body: bytes, max_records: int) -> Iterator[bytes]:
    """Yield each row of a stream of Arrow as JSON, so that the contract reads it as any other.

    Raises:
        InvalidRequestError: if the body is no such stream, or its columns do not fit the contract.
    """
    try:
        names, rows = arrow.read(body, max_records)
    except arrow.ArrowError as error:
        detail = f"The body is not a stream of Arrow that can be read: {error}."
        raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error
    if fault := invalid_columns(names):
        raise fault
    for row in rows:
        yield to_json(dict(zip(names, row, strict=True)), inf_nan_mode="constants")


def bounded(error: ValidationError, body: bytes) -> ValidationError:
    """Return the error for a list, or that of its first wrong record alone if it has too many faults to look at."""
    if error.error_count() > MANY_FAULTS:
        try:
            first_wrong_record_adapter.validate_json(body)
        except ValidationError as first:
            return first
    return error


def refuse_repeated_names(body: bytes, records: Sequence[Record], *, many: bool, first: int = 0) -> None:
    """Refuse a body with an object that has a name twice: JSON does not say which value counts.

    The parser takes the last one without a word. Each name is followed by a colon, so a body with
    as many colons as the records have fields repeats none, and only another one is read again.

    Args:
        body: of a request, or a part of it.
        records: that it holds.
        many: whether a record's place is its number.
        first: number of the first one.

    Raises:
        InvalidRequestError: if a name stands twice.
    """
    if body.count(b":") == sum(len(record.model_fields_set) for record in records):
        return
    objects: list[list[str]] = []
    json.loads(body, object_pairs_hook=lambda pairs: objects.append([name for name, _ in pairs]))
    errors = [
        FieldError(
            pointer=pointer((first + index, name) if many else (name,)), field=name, detail="is there more than once"
        )
        for index, names in enumerate(objects)
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if errors:
        raise broken_contract(errors[:MAX_ERRORS], len(errors))


# Writing.


def refused(error: InvalidRequestError) -> RefusedRecord:
    """Return what stands in the place of the prediction for a faulty record."""
    listed = error.errors[:LISTED_IN_PLACE]
    return RefusedRecord(error=RecordFault(detail=in_words(listed, error.count), errors=listed))


def in_words(errors: Sequence[FieldError], count: int) -> str:
    """Return faults of a record as one text.

    It starts with a letter or a quotation mark, so that no spreadsheet takes what a caller wrote for a formula.
    """
    faults = [
        f"{'this' if error.field is None else json.dumps(error.field, ensure_ascii=False)} {error.detail}"
        for error in errors
    ]
    more = [f"and {count - len(errors)} more faults"] if count > len(errors) else []
    return "; ".join(faults + more)


def write_predictions(outcomes: Sequence[Outcome], wanted: Format, *, many: bool, errors: bool) -> bytes:
    """Return predictions in a format.

    Args:
        outcomes: for each record its prediction, or why it has none.
        wanted: the format.
        many: whether JSON holds a list, even of one; the other formats are lists by themselves.
        errors: whether a table has a column for what is wrong.
    """
    match wanted:
        case Format.JSON if many:
            return b"[" + b",".join(one.model_dump_json().encode() for one in outcomes) + b"]"
        case Format.JSON:
            return outcomes[0].model_dump_json().encode()
        case Format.NDJSON:
            return b"".join(one.model_dump_json().encode() + b"\n" for one in outcomes)
        case Format.CSV:
            return csv_table(outcomes, errors=errors)
        case Format.ARROW:
            rows = [cells_of(one, errors=errors) for one in outcomes]
            return arrow.write(columns(errors=errors), TEXT_COLUMNS, rows)


TEXT_COLUMNS = ("label", "warnings", "error")
"""Columns of an answer that are texts; the others are numbers."""


def columns(*, errors: bool) -> list[str]:
    """Return the columns of a table of predictions."""
    labels = ["label", "probability", *(f"probability_{label}" for label in LABELS)]
    found = labels if LABELS else ["value", "low", "high"]
    return [*found, "warnings", *(["error"] if errors else [])]


def cells_of(outcome: Outcome, *, errors: bool) -> list[Any]:
    """Return the cells of a prediction, None where there is nothing to say, in the order of `columns`.

    Labels and warnings are the words of the project's own table, and stay as they are.
    """
    match outcome:
        case RefusedRecord(error=error):
            return [*[None] * (len(columns(errors=errors)) - 1), error.detail]
        case LabelPrediction():
            probabilities = [outcome.probabilities[label] for label in LABELS]
            cells: list[Any] = [str(outcome.label), outcome.probability, *probabilities]
        case ValuePrediction():
            cells = [outcome.value, outcome.low, outcome.high]
    return [*cells, "; ".join(outcome.warnings) or None, *([None] if errors else [])]


def csv_table(outcomes: Sequence[Outcome], *, errors: bool) -> bytes:
    """Return predictions as a table, their numbers with all digits."""
    return csv_text(columns(errors=errors), [cells_of(one, errors=errors) for one in outcomes]).encode()


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return values that JSON has as a table (RFC 4180); None is an empty cell."""
    file = StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return file.getvalue()


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value
