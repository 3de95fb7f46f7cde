"""Converts values that are written as in the training table to values of the contract.

Cells of a table and values in JSON are converted by the same functions as in training: texts are stripped, words for
a missing value become missing, and numbers, dates and truth values may have the notation of the table.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self

from mlops_runtime.contract import Contract, FieldSpec, Kind
from mlops_runtime.number_format import MAX_INTEGER_LENGTH, exact
from mlops_runtime.tables.cells import PLAIN_NUMBER, cell_reader

TRUTH_VALUES: Mapping[str, bool] = {"true": True, "false": False}
ZERO_OR_ONE: Mapping[str, str] = {"true": "1", "false": "0"}
WRITTEN_WITH_DIGITS = frozenset({Kind.CHOICE, Kind.DATE, Kind.DATETIME, Kind.TIME})
"""Kinds of text that may be digits alone, which programs send as a number: 20241231."""

ReadCells = Callable[[Sequence[str]], dict[str, str]]
"""Returns the texts of the fields in the cells of a row; a missing value is left out."""


class TableValues:
    """Converts the values of records to those that the contract validates.

    Attributes:
        ignored: columns that a record may have and that are not validated.
    """

    def __init__(self, contract: Contract) -> None:
        self.ignored = contract.ignored
        self._contract = contract
        self._converters = {field.name: _json_converter(contract, field) for field in contract.fields}

    def ignoring(self, name: str) -> Self:
        """Return the same conversion, with a further column that is ignored unless it is a field."""
        values = copy(self)
        values.ignored = self.ignored.union({name}.difference(self._converters))
        return values

    def of_json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a JSON object for validation, without columns that are ignored.

        A value that cannot be converted, and the value of an unknown name, is returned unchanged.
        """
        ignored, converters = self.ignored, self._converters
        return {
            name: converters[name](value) if name in converters else value
            for name, value in values.items()
            if name not in ignored
        }

    def cell_reader(self, header: Sequence[str], decimal: str) -> ReadCells:
        """Return a function that reads the cells of a row.

        Args:
            header: names of the columns; those that are no field are ignored.
            decimal: decimal mark of the table.
        """
        positions = {name: position for position, name in enumerate(header)}
        contract = self._contract
        columns = [
            (field.name, positions[field.name], field_reader(contract, field, decimal))
            for field in contract.fields
            if field.name in positions
        ]

        def read(cells: Sequence[str]) -> dict[str, str]:
            texts = ((name, read_cell(cells[position])) for name, position, read_cell in columns)
            return {name: text for name, text in texts if text}

        return read


def field_reader(contract: Contract, field: FieldSpec, decimal: str) -> Callable[[str], str]:
    """Return a function that converts a text to a value of a field, for validation; "" stands for a missing value.

    Args:
        contract: of the field.
        field: of the contract.
        decimal: decimal mark of numbers.
    """
    if field.name in contract.verbatim:
        return str
    missing = contract.missing[field.name]
    read = cell_reader(field.kind.value, decimal, field.date_format, missing, field.words.pair)
    if field.kind not in (Kind.NUMBER, Kind.INTEGER):
        return read

    def read_number(cell: str) -> str:
        # pydantic takes underscores between digits.
        return read(cell).replace("_", " ")

    if not is_zero_or_one(field):
        return read_number
    return lambda cell: ZERO_OR_ONE.get(cell.strip().casefold()) or read_number(cell)


def is_zero_or_one(field: FieldSpec) -> bool:
    """Return whether a field is a truth value that the table writes as 0 and 1."""
    return field.kind is Kind.INTEGER and (field.minimum, field.maximum) == (0, 1)


def _json_converter(contract: Contract, field: FieldSpec) -> Callable[[Any], Any]:
    """Return a function that converts a JSON value of a field; None stands for a missing value."""
    read_cell = field_reader(contract, field, contract.decimal)

    def convert(value: Any) -> Any:
        match value:
            case str():
                text = read_cell(value)
                return _typed(field, text) if text else None
            case bool():
                return float(value) if is_zero_or_one(field) else value
            case float() if math.isnan(value):
                return None
            case int() | float() if field.kind is Kind.BOOLEAN and value in (0, 1):
                return bool(value)
            case int() | float() if field.kind in WRITTEN_WITH_DIGITS and abs(value) < MAX_INTEGER_LENGTH:
                text = read_cell(exact(float(value)))
                return text if text in field.choices or field.kind is not Kind.CHOICE else value
        return value

    return convert


def _typed(field: FieldSpec, text: str) -> Any:
    """Return a text as a number or a truth value, if the field takes one."""
    if field.kind in (Kind.NUMBER, Kind.INTEGER):
        return float(text) if PLAIN_NUMBER["."].fullmatch(text) else text
    return TRUTH_VALUES.get(text, text) if field.kind is Kind.BOOLEAN else text
