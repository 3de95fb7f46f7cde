"""Tables for people: a CSV file sent from the page comes back with the predictions as further columns.

A browser with JavaScript sends the table to the interface for programs, slice by slice. This is for
those without: the file is sent at once, and comes back batch by batch.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from http import HTTPStatus
from io import BytesIO, StringIO, TextIOWrapper
from itertools import islice
from pathlib import PurePath
from typing import Any

from flask import Response

from mlops_runtime.contract.features import FIELDS
from mlops_runtime.contract.fields import Kind
from mlops_runtime.model.golden import GoldenRecord
from mlops_runtime.serving.api.formats import RefusedRecord, cells_of, columns, refused, text_record
from mlops_runtime.serving.api.predictions import Predict
from mlops_runtime.serving.api.problems import FieldError, InvalidRequestError, broken_contract
from mlops_runtime.serving.ui.field_text import FIELDS_BY_NAME, listed, shortened
from mlops_runtime.serving.ui.form import text_of

MEDIA_TYPE = "text/csv"
SEPARATORS = ",;\t"
QUOTED = re.compile(r'"[^"]*"')
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
UNSAFE = re.compile(r"[^\w. -]+")


def example_table(golden_records: Sequence[GoldenRecord]) -> str:
    """Return a table that can be sent as it is: the golden records."""
    records = [golden.record.model_dump() for golden in golden_records]
    rows = [[text_of(record[field.name]) for field in FIELDS] for record in records]
    return "".join(line(row, ",") for row in [[field.name for field in FIELDS], *rows])


def download(content: str | Iterator[str], name: str) -> Response:
    """Return a table as an answer that a browser stores under a name."""
    response = Response(content, mimetype=MEDIA_TYPE)
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def name_of_answer(name: str) -> str:
    """Return the name for the answer to a file with this name."""
    return f"{UNSAFE.sub('_', PurePath(name).stem)}-predictions.csv"


class Table:
    """A table as a person sends it.

    Attributes:
        separator: of the cells: a comma, a semicolon or a tab.
        header: names of the columns.
        columns: the place of each field of the contract that has a column.
    """

    def __init__(self, content: bytes) -> None:
        """Take a CSV file.

        Raises:
            InvalidRequestError: if it is no text, or its columns do not fit the contract.
        """
        try:
            first = content.decode("utf-8-sig").lstrip("\r\n").partition("\n")[0]
        except UnicodeDecodeError as error:
            raise InvalidRequestError(
                HTTPStatus.BAD_REQUEST, "The file is not in UTF-8: save it as CSV UTF-8."
            ) from error
        unquoted = QUOTED.sub("", first)
        self.separator = max(SEPARATORS, key=unquoted.count)
        self._reader = csv.reader(TextIOWrapper(BytesIO(content), "utf-8-sig", newline=""), delimiter=self.separator)
        self.header = [name.strip() for name in next(self.rows(), [])]
        self.columns = {name: self.header.index(name) for name in FIELDS_BY_NAME if name in self.header}
        missing = [field.name for field in FIELDS if not field.optional and field.name not in self.columns]
        twice = [name for name in self.columns if self.header.count(name) > 1]
        if missing or not self.columns:
            fault = f"The first line must name the columns. It lacks {listed(missing or list(FIELDS_BY_NAME))}."
        elif twice:
            fault = f"The column {shortened(twice[0])} is there twice: take one of them away."
        else:
            return
        raise InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, fault)

    def rows(self) -> Iterator[list[str]]:
        """Return the cells of each row that is left; a blank line is none."""
        return (cells for cells in self._reader if cells)

    def record_cells(self, cells: Sequence[str]) -> list[str]:
        """Return the cells of the fields, as the contract reads them."""
        return [self._text(name, cells[place].strip()) for name, place in self.columns.items()]

    def _text(self, name: str, cell: str) -> str:
        field = FIELDS_BY_NAME[name]
        if field.date_format is not None:
            return iso(cell, field.kind, field.date_format)
        # Where a comma separates no cells, it may be that of a number.
        number = field.kind in (Kind.NUMBER, Kind.INTEGER) and self.separator != ","
        return cell.replace(",", ".") if number and DECIMAL_COMMA.fullmatch(cell) else cell


def iso(cell: str, kind: Kind, written: str) -> str:
    """Return a date or time, written as in the training table, as the contract reads it; anything else as it is."""
    try:
        moment = datetime.strptime(cell, written)  # noqa: DTZ007 - the table says of no moment where it was
    except ValueError:
        return cell
    match kind:
        case Kind.DATE:
            return moment.date().isoformat()
        case Kind.TIME:
            return moment.time().isoformat()
        case _:
            return moment.isoformat()


def predicted(table: Table, predict: Predict, most: int) -> Iterator[str]:
    """Yield the lines of a table with its predictions, so many rows at a time."""
    names = columns(errors=True)
    yield line([*table.header, *new_names(names, table.header)], table.separator)
    rows = table.rows()
    while batch := list(islice(rows, most)):
        yield "".join(line(row, table.separator) for row in predicted_batch(table, batch, predict))


def predicted_batch(table: Table, batch: Sequence[list[str]], predict: Predict) -> Iterator[list[Any]]:
    """Yield each row of a batch with the cells of its prediction."""
    records = {}
    refusals: dict[int, RefusedRecord] = {}
    for number, cells in enumerate(batch):
        try:
            if len(cells) != len(table.header):
                detail = f"has {len(cells)} cells, and the header {len(table.header)}"
                raise broken_contract([FieldError(pointer="", detail=detail)], 1)
            records[number] = text_record((list(table.columns), table.record_cells(cells)), number, False)
        except InvalidRequestError as error:
            refusals[number] = refused(error)
    answered = dict(zip(records, predict(list(records.values())) if records else [], strict=True))
    for number, cells in enumerate(batch):
        outcome = answered.get(number) or refusals[number]
        # Whatever the row has, its prediction stands in the right columns.
        width = len(table.header)
        own = [*cells[:width], *[""] * (width - len(cells))]
        yield [*own, *cells_of(outcome, errors=True)]


def new_names(names: Sequence[str], header: Sequence[str]) -> list[str]:
    """Return the names of further columns, changed where the table has one of that name."""
    found: list[str] = []
    for name in names:
        free = name
        while free in header or free in found:
            free = f"predicted_{free}"
        found.append(free)
    return found


def line(cells: Sequence[Any], separator: str) -> str:
    """Return cells as a line of CSV."""
    file = StringIO()
    csv.writer(file, delimiter=separator).writerow(cells)
    return file.getvalue()
