"""Reading of JSON: an array of records, or JSON Lines with a record per line."""

import json
import re
from collections.abc import Collection, Iterator
from json import JSONDecodeError
from pathlib import Path
from shlex import quote
from typing import Any

from mlops_runtime.tables.encodings import SourceError

MAX_ARRAY_SIZE = 1 << 28
"""Maximum size in bytes of a JSON array, which is read into memory."""

MAX_DEPTH = 50
"""Maximum number of lists and records within each other in a value that becomes a cell."""

UTF_8_MARK = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"
ARRAY = re.compile(rb"\[\s*(\{|\]|$)")
OBJECT = re.compile(rb'\{\s*("|\})')


def is_json(start: bytes) -> bool:
    """Return whether a file that starts with these bytes is JSON, not delimited text."""
    start = start.removeprefix(UTF_8_MARK).lstrip(BLANKS)
    return bool(ARRAY.match(start) or OBJECT.match(start))


def json_header(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns, in the order in which they occur, and the number of records.

    Raises:
        SourceError: if the file is not valid, or its values are not records.
    """
    names: dict[str, None] = {}
    count = 0
    for _, record in _records(path):
        names |= dict.fromkeys(record)
        count += 1
    if not names:
        raise SourceError(f"{path.name} contains no table: its records have no values")
    return list(names), count


def json_rows(path: Path, names: Collection[str] = ()) -> Iterator[list[str]]:
    """Yield the cells of each record.

    Args:
        path: path of the file.
        names: of columns that are expected: lists and records in other columns become JSON. Empty if they are not
            known: then each value must be a single one.

    Raises:
        SourceError: as `json_header`, or if a value of an expected column is not a single value.
    """
    header, _ = json_header(path)
    further = frozenset(header if names else ()).difference(names)
    for row, record in _records(path):
        yield [_cell(path.name, name, row, record.get(name), nested=name in further) for name in header]


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def json_text(value: Any, depth: int = MAX_DEPTH) -> str:
    """Return a value as JSON, with its numbers as they were written.

    Args:
        value: of JSON.
        depth: maximum number of lists and records within each other.

    Raises:
        ValueError: if there are more.
    """
    if isinstance(value, list | dict) and not depth:
        raise ValueError("it is nested too deeply")
    match value:
        case dict():
            members = [f"{json_text(name)}: {json_text(member, depth - 1)}" for name, member in value.items()]
            return f"{{{', '.join(members)}}}"
        case list():
            return f"[{', '.join([json_text(member, depth - 1) for member in value])}]"
        case Number():
            return str(value)
    return json.dumps(value, ensure_ascii=False)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the record of each row."""
    with path.open("rb") as file:
        start = file.read(1 << 12).removeprefix(UTF_8_MARK).lstrip(BLANKS)
        file.seek(0)
        if start.startswith(b"["):
            if path.stat().st_size > MAX_ARRAY_SIZE:
                raise SourceError(
                    f"{path.name} is a large JSON array: "
                    f"run `jq -c '.[]' {quote(path.name)} > table.jsonl` to read it by line"
                )
            values: Any = _parsed(path.name, file.read(), 1)
            rows = enumerate(values, start=1)
        else:
            lines = ((number, line) for number, line in enumerate(file, start=1) if line.strip(BLANKS + UTF_8_MARK))
            rows = ((number, _parsed(path.name, line, number)) for number, line in lines)  # type: ignore[assignment]
        for row, record in rows:
            if not isinstance(record, dict):
                raise SourceError(
                    f"{path.name}, row {row} is not a record: write an array of objects, or one on each line"
                )
            yield row, record


def _parsed(file: str, text: bytes, line: int) -> Any:
    """Return a JSON value, with numbers as they are written."""
    try:
        return json.loads(
            text.removeprefix(UTF_8_MARK), parse_int=Number, parse_float=Number, parse_constant=lambda _: None
        )
    except JSONDecodeError as error:
        line += error.lineno - 1
        raise SourceError(
            f"{file}, line {line} is not valid JSON, {error.msg}: write an array of records, or a record on each line, "
            f"as `jq -c '.[]' {quote(file)} > table.jsonl` does"
        ) from error
    except (UnicodeError, RecursionError) as error:
        raise SourceError(f"{file}, line {line} is not valid JSON in UTF-8: write the table as CSV") from error


def _cell(file: str, name: str, row: int, value: Any, *, nested: bool = False) -> str:
    """Return the cell of a value; a list or a record is JSON if they may be nested."""
    if nested and isinstance(value, list | dict):
        try:
            value = json_text(value)
        except ValueError as error:
            raise SourceError(f"{file}, column {name!r}, row {row} cannot be kept, {error}: leave it out") from error
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case str():
            # A surrogate without its pair is no character.
            text = value.encode(errors="replace").decode()
        case _:
            kind = "a list" if isinstance(value, list) else "a record"
            raise SourceError(f"{file}, column {name!r}, row {row} contains {kind}: give each of its values a column")
    if "\0" in text:
        raise SourceError(f"{file}, column {name!r}, row {row} contains a null character: replace it in the table")
    return text
