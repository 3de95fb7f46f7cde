"""Reads the records of a request from JSON, NDJSON, CSV or Arrow.

The contract validates the records of all formats in the same way. A fault is located by the index of its record,
from 0, and the name of its field.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO, TextIOWrapper
from itertools import islice
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema, from_json, to_json

from mlops_runtime.contract import Contract, RecordModel
from mlops_runtime.serving.api import arrow
from mlops_runtime.serving.api.faults import FaultFinder, RecordFaults, check, repeated_names
from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.problems import (
    MAX_ERRORS,
    FieldError,
    InvalidRequestError,
    contract_violation,
    no_records,
    pointer,
    too_many_records,
)

MAX_MEMORY_FACTOR = 128
"""Maximum memory for reading a body, as a multiple of MAX_CONTENT_LENGTH, in any format, valid or not. Most of it
is Python's overhead for many small values."""

JSON_SPACE = b" \t\r\n"

Row = TypeVar("Row")
Result = RecordModel | RecordFaults
"""A valid record, or the faults of an invalid one."""


@dataclass(frozen=True, slots=True)
class NoneIfInvalid:
    """Annotation of a type: an invalid value becomes None, because errors would keep copies of the value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Replace errors by a default."""
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


class RepeatedNames(NamedTuple):
    """The names that appear more than once in a JSON object."""

    names: tuple[str, ...]


class RecordReader:
    """Reads the records of a contract.

    Create one per application, because creating the validators takes milliseconds.
    """

    def __init__(self, contract: Contract, max_records: int) -> None:
        record: Any = Annotated[contract.record, NoneIfInvalid()]
        records: Any = Annotated[list[record], Field(min_length=1, max_length=max_records)]
        self._record: TypeAdapter[RecordModel | None] = TypeAdapter(record)
        self._records: TypeAdapter[list[RecordModel | None]] = TypeAdapter(records)
        self._read_texts = contract.record.model_validate_strings
        self._faults = FaultFinder(contract)
        self._max_records = max_records

    def read(self, body: bytes, sent: Format) -> list[Result]:
        """Return the records of a body, or their faults.

        Args:
            body: of a request.
            sent: format of the body.

        Raises:
            InvalidRequestError: if the body is not in the format, has no records or too many, has faults that do not
                belong to a single record, such as an unknown column, or is a faulty record outside a list.
        """
        match sent:
            case Format.JSON:
                return self._read_json(body)
            case Format.NDJSON:
                return _read_each(self._limited(_lines(body)), self._read_line)
            case Format.CSV:
                return _read_each(self._limited(self._table_rows(body)), lambda row, *args: self.read_row(*row, *args))
            case Format.ARROW:
                return _read_each(
                    self._limited(self._arrow_rows(body)),
                    lambda values, number, left: self._read_values(values, (number,), left),
                )

    def read_valid_json(self, body: bytes) -> list[RecordModel]:
        """Return the records of JSON: one record or a list of them.

        Raises:
            InvalidRequestError: if the body is not JSON, or a record breaks the contract.
        """
        return all_valid(self._read_json(body))

    def read_row(self, header: Sequence[str], cells: Sequence[str], number: int, remaining: int = MAX_ERRORS) -> Result:
        """Return the record in a row of a table, or its faults; an empty cell is a missing value.

        Args:
            header: names of the columns, all of which are fields.
            cells: of the row.
            number: index of the record in the request, from 0.
            remaining: number of faults that the response can still list.
        """
        if len(cells) != len(header):
            detail = f"has {len(cells)} cells, and the header {len(header)}"
            return RecordFaults((FieldError(pointer=pointer((number,)), detail=detail),))
        texts = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
        try:
            return self._read_texts(texts)
        except ValidationError as error:
            return self._faults.of_texts(error, texts, (number,), remaining)

    def _read_json(self, body: bytes) -> list[Result]:
        many = is_list(body)
        try:
            results = self._results(body, many, lambda number: (number,) if many else ())
        except ValueError as error:
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, f"The body {_not_json(error)}.") from error
        if not many:
            all_valid(results)
        return results

    def _read_line(self, line: bytes, number: int, remaining: int) -> Result:
        try:
            return self._results(line, False, lambda _: (number,), remaining)[0]
        except ValueError as error:
            return RecordFaults((FieldError(pointer=pointer((number,)), detail=_not_json(error)),), malformed=True)

    def _results(
        self, body: bytes, many: bool, location: Callable[[int], tuple[int, ...]], remaining: int = MAX_ERRORS
    ) -> list[Result]:
        """Return the records of JSON, or their faults.

        Args:
            body: an object or a list.
            many: whether it is a list.
            location: function of the index of a record.
            remaining: number of faults that the response can still list.

        Raises:
            InvalidRequestError: if the list is empty or too long.
            ValueError: if the body is not JSON.
        """
        # pydantic needs 450 bytes for each list and object, however short. A body with more of them than records can
        # have is parsed to Python objects directly, which need less.
        nested = len(body) > self._max_records and body.count(b"{") + body.count(b"[") > self._max_records + 1
        records = [] if nested else self._validated(body, many)
        if nested or any(record is None for record in records):
            results, names = self._from_documents(body, many, records, location, remaining)
        else:
            results = cast("list[Result]", records)
            names = sum(len(record.model_fields_set) for record in records if record is not None)
        if _may_repeat_names(body, names) and any(not isinstance(result, RecordFaults) for result in results):
            for number, repeated in _repeated_names(body):
                if not isinstance(results[number], RecordFaults):
                    results[number] = repeated_names(repeated, location(number))
        return results

    def _from_documents(
        self,
        body: bytes,
        many: bool,
        records: Sequence[RecordModel | None],
        location: Callable[[int], tuple[int, ...]],
        remaining: int,
    ) -> tuple[list[Result], int]:
        """Return the results of JSON by way of Python objects, and the number of names in its records.

        Invalid records are None in `records`, which is empty if the body is not validated yet.
        """
        document = from_json(body)
        documents = self._limited(document) if many else [document]
        results = _read_each(
            zip(records or [None] * len(documents), documents, strict=True),
            lambda pair, number, left: (
                self._read_values(pair[1], location(number), left) if pair[0] is None else pair[0]
            ),
            remaining,
        )
        return results, sum(len(value) for value in documents if isinstance(value, dict))

    def _validated(self, body: bytes, many: bool) -> list[RecordModel | None]:
        """Return the records of JSON, with None for invalid ones; raises the errors of `_results`."""
        try:
            return self._records.validate_json(body) if many else [self._record.validate_json(body)]
        except ValidationError as error:
            match error.errors(include_input=False)[0]["type"]:
                case "too_long":
                    raise too_many_records(self._max_records) from error
                case "too_short":
                    raise no_records() from error
            raise

    def _read_values(self, values: Any, location: tuple[int, ...], remaining: int) -> Result:
        """Return the record with these JSON values, or its faults."""
        if isinstance(values, dict) and not any(isinstance(value, dict | list) for value in values.values()):
            record = self._record.validate_json(to_json(values, inf_nan_mode="constants"))
            if record is not None:
                return record
        return self._faults.of_json(values, location, remaining)

    def _table_rows(self, body: bytes) -> Iterator[tuple[list[str], list[str]]]:
        """Yield the header with the cells of each row of CSV (RFC 4180).

        Raises:
            InvalidRequestError: if the body is not valid CSV, or its header does not match the contract.
        """
        # Excel writes a byte order mark before the header.
        reader = csv.reader(TextIOWrapper(BytesIO(body), "utf-8-sig", newline=""), strict=True)
        try:
            header = next(reader, None)
            if header is None:
                raise no_records()
            check(self._faults.of_columns(header))
            for cells in reader:
                if cells:
                    yield header, cells
        except UnicodeDecodeError as error:
            detail = f"The table is not in UTF-8: {error.reason}, after line {reader.line_num}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error
        except csv.Error as error:
            detail = f"The table is not valid CSV (RFC 4180): {error}, in line {reader.line_num}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error

    def _arrow_rows(self, body: bytes) -> Iterator[dict[str, Any]]:
        """Yield the values of each row of a stream of Arrow, by column.

        Raises:
            InvalidRequestError: if the body is not such a stream, or its columns do not match the contract.
        """
        try:
            yield from arrow.read(body, self._max_records, lambda names: check(self._faults.of_columns(names)))
        except arrow.ArrowError as error:
            detail = f"The body is not a stream of Arrow that can be read: {error}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error

    def _limited(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows.

        Raises:
            InvalidRequestError: if there are no rows or too many.
        """
        taken = list(islice(rows, self._max_records + 1))
        if len(taken) > self._max_records:
            raise too_many_records(self._max_records)
        if not taken:
            raise no_records()
        return taken


def all_valid(results: list[Result]) -> list[RecordModel]:
    """Return the records, if all are valid.

    Raises:
        InvalidRequestError: with all the faults.
    """
    faulty = [result for result in results if isinstance(result, RecordFaults)]
    if not faulty:
        return cast("list[RecordModel]", results)
    for faults in faulty:
        if faults.malformed:
            (wrong,) = faults.errors
            detail = f"Record {wrong.pointer[1:]}, counted from 0, {wrong.detail}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail, faults.errors)
    errors = [error for faults in faulty for error in faults.errors]
    raise contract_violation(errors, sum(faults.count for faults in faulty))


def is_list(body: bytes) -> bool:
    """Return whether JSON is a list."""
    return body.lstrip(JSON_SPACE).startswith(b"[")


def _not_json(error: ValueError) -> str:
    reason = error.errors(include_input=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
    return f"is not valid JSON: {reason.removeprefix('Invalid JSON: ')}"


def _read_each(
    rows: Iterable[Row], read: Callable[[Row, int, int], Result], remaining: int = MAX_ERRORS
) -> list[Result]:
    """Return the record of each row, or its faults.

    Args:
        rows: in order.
        read: function of a row, its index and the number of faults that the response can still list.
        remaining: number of faults that the response can list.
    """
    results: list[Result] = []
    for number, row in enumerate(rows):
        result = read(row, number, remaining)
        if isinstance(result, RecordFaults):
            remaining = max(0, remaining - result.count)
        results.append(result)
    return results


def _lines(body: bytes) -> Iterator[bytes]:
    """Yield each line that is not blank."""
    for line in BytesIO(body):
        if stripped := line.strip(JSON_SPACE):
            yield stripped


def _may_repeat_names(body: bytes, names: int) -> bool:
    """Return whether JSON may have more names than were read from it.

    pydantic silently takes the last value of a repeated name. A quotation mark and a colon follow each name, apart
    from white space; in texts they are rare.
    """
    return body.count(b":") != names and body.translate(None, JSON_SPACE).count(b'":') != names


def _repeated_names(body: bytes) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the index of each JSON object with repeated names, and these names."""
    # Numbers stay texts, because Python refuses to convert very long ones.
    document = json.loads(body, object_pairs_hook=_repeated_in, parse_int=str, parse_float=str)
    for number, value in enumerate(document if isinstance(document, list) else [document]):
        if isinstance(value, RepeatedNames) and value.names:
            yield number, value.names


def _repeated_in(pairs: Sequence[tuple[str, Any]]) -> RepeatedNames:
    if len(dict(pairs)) == len(pairs):
        return RepeatedNames(())
    counts = Counter(name for name, _ in pairs)
    return RepeatedNames(tuple(name for name in counts if counts[name] > 1))
