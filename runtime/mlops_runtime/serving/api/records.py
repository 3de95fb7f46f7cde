"""Reads the records of a request from JSON, NDJSON, CSV or Arrow.

The contract validates the records of all formats in the same way. A fault is located by the index of its record,
from 0, and the name of its field.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, TypeVar, cast

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema, from_json, to_json

from mlops_runtime.contract import Contract, Kind, RecordModel
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
from mlops_runtime.serving.api.record_keys import key_fault
from mlops_runtime.serving.api.table_values import ReadCells, TableValues
from mlops_runtime.serving.ui.field_text import shortened
from mlops_runtime.tables.cells import cleaned
from mlops_runtime.tables.dialects import AMBIGUOUS_COMMA, AMBIGUOUS_POINT, decimal_of, numbers_of
from mlops_runtime.tables.formats import COMPRESSED, START_SIZE, advice_for
from mlops_runtime.tables.source import ConvertedSource, Source, SourceError, fitted, text_source

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


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a request.

    Attributes:
        results: each record, or its faults.
        keys: key of each record; None if there are no keys.
    """

    results: list[Result]
    keys: list[Any] | None = None


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
        self._contract = contract
        self._values = TableValues(contract)
        self._faults = FaultFinder(contract, self._values)
        self._key = contract.key
        self._key_required = False
        self._strings = tuple(
            (field.attribute, contract.missing[field.name])
            for field in contract.fields
            if field.kind in (Kind.CATEGORY, Kind.TEXT) and field.name not in contract.verbatim
        )
        self._all_optional = all(field.optional for field in contract.fields)
        self._max_records = max_records

    def with_key(self, name: str) -> Self:
        """Return a reader of the same records that also reads keys from a column.

        Args:
            name: of a field, or of a column that is ignored otherwise.
        """
        reader = copy(self)
        reader._key, reader._key_required = name, True
        reader._values = self._values.ignoring(name)
        reader._faults = FaultFinder(self._contract, reader._values)
        return reader

    def read(self, body: bytes, sent: Format, charset: str | None = None) -> Records:
        """Return the records of a body, or their faults.

        Args:
            body: of a request.
            sent: format of the body.
            charset: encoding of a table; None to detect it.

        Raises:
            InvalidRequestError: if the body is not in the format, has no records or too many, has faults that do not
                belong to a single record, such as an unknown column, or is a faulty record outside a list.
        """
        match sent:
            case Format.JSON:
                return self.read_json(body)
            case Format.NDJSON:
                lines = self._limited(_lines(body))
                keys = [_json_or_none(line) for line in lines] if self._may_have_keys(body) else []
                return self._with_keys(_read_each(lines, self._read_line), keys)
            case Format.CSV:
                return self._read_table(body, charset)
            case Format.ARROW:
                rows = self._limited(self._arrow_rows(body))
                results = _read_each(rows, lambda values, number, left: self._read_values(values, (number,), left))
                return self._with_keys(results, rows)

    def read_json(self, body: bytes) -> Records:
        """Return the records of JSON: one record or a list of them.

        Raises:
            InvalidRequestError: if the body is not JSON, or is a faulty record outside a list.
        """
        results = self._read_json(body)
        if not self._may_have_keys(body):
            return self._with_keys(results, [])
        document = from_json(body)
        return self._with_keys(results, document if is_list(body) else [document])

    def cell_reader(self, header: Sequence[str], decimal: str) -> ReadCells:
        """Return a function that reads the cells of a row; see `TableValues.cell_reader`."""
        return self._values.cell_reader(header, decimal)

    def read_row(
        self, read_cells: ReadCells, header: Sequence[str], row: Sequence[str], number: int, remaining: int
    ) -> Result:
        """Return the record in a row of a table, or its faults; an empty cell is a missing value.

        Args:
            read_cells: reads the cells of a row.
            header: names of the columns.
            row: its cells.
            number: index of the record in the request, from 0.
            remaining: number of faults that the response can still list.
        """
        cells = fitted(row, len(header))
        if cells is None:
            detail = f"has {len(row)} cells, and the header {len(header)}"
            return RecordFaults((FieldError(pointer=pointer((number,)), detail=detail),))
        texts = read_cells(cells)
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
        records = [] if nested or self._key_required else self._validated(body, many)
        if not records or any(record is None for record in records):
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
            records = self._records.validate_json(body) if many else [self._record.validate_json(body)]
        except ValidationError as error:
            match error.errors(include_input=False)[0]["type"]:
                case "too_long":
                    raise too_many_records(self._max_records) from error
                case "too_short":
                    raise no_records() from error
            raise
        return [self._if_clean(record) for record in records] if self._strings else records

    def _if_clean(self, record: RecordModel | None) -> RecordModel | None:
        """Return a record, or None if one of its texts has another meaning in a table, such as a missing value."""
        if record is None:
            return None
        values = vars(record)
        for attribute, missing in self._strings:
            text = values[attribute]
            if text is not None and (text in missing or cleaned(text) != text):
                return None
        return record

    def _read_values(self, values: Any, location: tuple[int, ...], remaining: int) -> Result:
        """Return the record with these JSON values, or its faults."""
        if isinstance(values, dict):
            converted = self._values.of_json(values)
            if not any(isinstance(value, dict | list) for value in converted.values()):
                record = self._record.validate_json(to_json(converted, inf_nan_mode="constants"))
                if record is not None:
                    return record
        return self._faults.of_json(values, location, remaining)

    def _read_table(self, body: bytes, charset: str | None) -> Records:
        """Return the records of delimited text.

        Raises:
            InvalidRequestError: if the body is not a table, or its header does not match the contract.
        """
        if not body.strip():
            raise no_records()
        try:
            source = _text_source(body, charset, self._contract.features)
            check(self._faults.of_columns(self._written_names(source)))
            rows = self._limited(cells for _, cells in source.raw_rows(fit=False, blank=self._all_optional))
        except SourceError as error:
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, f"{error}.") from error
        read_cells = self.cell_reader(source.header, decimal_mark(self._contract, source, rows))
        results = _read_each(rows, lambda row, *args: self.read_row(read_cells, source.header, row, *args))
        if self._key is None or self._key not in source.header:
            return self._with_keys(results, [])
        column = source.header.index(self._key)
        keys = [row[column] if column < len(row) else None for row in rows]
        return self._with_keys(results, [{self._key: key} for key in keys])

    def _written_names(self, source: Source) -> list[str]:
        """Return the names of the columns of a table: an unknown one, such as `a_2` for the second `a`, as written."""
        known = {*self._contract.features, *self._values.ignored}
        return [
            name if name in known else " ".join(written.split()) or name
            for name, written in zip(source.header, source.raw_header, strict=True)
        ]

    def _arrow_rows(self, body: bytes) -> Iterator[dict[str, Any]]:
        """Yield the values of each row of a stream of Arrow, by column.

        Raises:
            InvalidRequestError: if the body is not such a stream, or its columns do not match the contract.
        """
        try:
            yield from arrow.read(body, self._max_records, self._wanted)
        except arrow.ArrowError as error:
            detail = f"The body is not a stream of Arrow that can be read: {error}."
            raise InvalidRequestError(HTTPStatus.BAD_REQUEST, detail) from error

    def _wanted(self, names: Sequence[str]) -> Collection[str]:
        """Return the columns to read, of all columns.

        Raises:
            InvalidRequestError: if they do not match the contract.
        """
        check(self._faults.of_columns(names))
        return {*self._contract.features, *([] if self._key is None else [self._key])}.intersection(names)

    def _may_have_keys(self, body: bytes) -> bool:
        """Return whether JSON may have keys; a name may have escapes."""
        if self._key is None or self._key_required:
            return self._key_required
        return json.dumps(self._key, ensure_ascii=False).encode() in body or b"\\" in body

    def _with_keys(self, results: list[Result], rows: Sequence[Any]) -> Records:
        """Return the results with the key of each record; a record with a wrong key is faulty.

        Args:
            results: of the records.
            rows: values of each record by name; empty if there are no keys.
        """
        keys = [row.get(self._key) if isinstance(row, dict) else None for row in rows]
        if not self._key_required and all(key is None for key in keys):
            return Records(results)
        keys = keys or [None] * len(results)
        for number, key in enumerate(keys):
            if (detail := key_fault(key)) is not None:
                name = shortened(str(self._key))
                results[number] = RecordFaults(
                    (FieldError(pointer=pointer((number, name)), field=name, detail=detail),)
                )
                keys[number] = None
        return Records(results, keys)

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


def _text_source(body: bytes, charset: str | None, names: Collection[str]) -> Source:
    """Return the source of a table in the body of a request.

    Raises:
        SourceError: if it is not a table, or not in the encoding.
    """
    if body.startswith(COMPRESSED):
        raise SourceError("The table is compressed, or a workbook: send it as plain text")
    if advice := advice_for("The table", body[:START_SIZE]):
        raise SourceError(advice)
    if charset is not None:
        try:
            body = body.decode(charset).encode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"The table is not in {charset.upper()}: {error.reason}, after {error.start} bytes"
            ) from error
    return text_source(Path("The table"), body, names)


def decimal_mark(contract: Contract, source: Source, rows: Iterable[Sequence[str]]) -> str:
    """Return the decimal mark of a table: that of most numbers in its columns of numbers, or else the contract's.

    Args:
        contract: of the records.
        source: of the table.
        rows: some of its rows.

    Raises:
        InvalidRequestError: if a point may be a decimal mark, as RFC 4180 leaves it, or a separator of thousands, as
            in the training table.
    """
    if isinstance(source, ConvertedSource):
        return source.decimal
    commas_between = source.delimiter == ","
    if commas_between and contract.decimal == "." and not source.quoted:
        return "."
    names = {field.name for field in contract.fields if field.kind in (Kind.NUMBER, Kind.INTEGER)}
    cells = numbers_of(source.header, names, rows)
    mark = decimal_of(cells)
    if mark is not None or not commas_between or contract.decimal == ".":
        return mark or contract.decimal
    if any(map(AMBIGUOUS_COMMA.fullmatch, cells)):
        return ","
    if any(map(AMBIGUOUS_POINT.fullmatch, cells)):
        detail = (
            "The point in a number such as 1.234 may be a decimal mark or a separator of thousands, and no number of "
            "this table tells which: write 1234 or 1.2340."
        )
        raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return "."


def _json_or_none(line: bytes) -> Any:
    try:
        return from_json(line)
    except ValueError:
        return None


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
