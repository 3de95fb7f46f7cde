"""Field types, and the base classes of records and predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum, StrEnum
from types import NoneType
from typing import Annotated, Any, cast, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"
    ENTITIES = "entities"


class Kind(StrEnum):
    """Kind of a field."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class ExpectedRange:
    """Expected range of a number: the prediction for a value outside it carries a warning."""

    low: float
    high: float

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the range to the JSON schema."""
        return handler(schema) | {"x-expected-range": [self.low, self.high]}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """strftime format of a date or time in the training table; without it, the format is ISO 8601."""

    format: str


class Missing:
    """Words that mean a missing value in this column, in addition to those that do so in every column."""

    def __init__(self, *words: str) -> None:
        self.words = words


class Values:
    """Words that are values in this column, although they mean a missing value elsewhere, such as `None`."""

    def __init__(self, *words: str) -> None:
        self.words = words


@dataclass(frozen=True, slots=True)
class Words:
    """Words for true and false in the training table; a request may use them, in any case."""

    true: str
    false: str

    @property
    def pair(self) -> tuple[str, str]:
        """The word for true and the word for false."""
        return self.true, self.false

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the words to the JSON schema."""
        return handler(schema) | {"x-words": {"true": self.true, "false": self.false}}


Integer = Annotated[float, Field(multiple_of=1)]
"""An integer. As in JSON Schema, 5.0 is valid: programs that allow missing values often send integers as floats."""

Category = Annotated[str, Kind.CATEGORY, Field(min_length=1, max_length=200)]
"""One of an open set of values. A value that occurs less than twice in the training rows counts as missing."""

Text = Annotated[str, Kind.TEXT, Field(min_length=1, max_length=20_000)]
"""Free text: the model counts its words."""


_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_MONTH_OF_31_DAYS = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_MONTH_OF_30_DAYS = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(?:0[1-9]|1[0-9]|2[0-8])"
_DATE = f"(?:{_YEAR}-(?:{_MONTH_OF_31_DAYS}|{_MONTH_OF_30_DAYS}|{_FEBRUARY})|{_LEAP_YEAR}-02-29)"
_HOUR_MINUTE = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_FRACTION = r"\.[0-9]{1,9}"
_TIME = rf"{_HOUR_MINUTE}(?::[0-5][0-9](?:{_FRACTION})?)?"

DATE_PATTERNS: Mapping[str, str] = {
    "date": f"^{_DATE}$",
    "datetime": f"^{_DATE}[Tt ]{_TIME}(?:[Zz]|[+-]{_HOUR_MINUTE})?$",
    "time": f"^{_TIME}$",
}
"""Regular expressions for dates and times by type: RFC 3339 with optional seconds and offset.
A time of day has no offset because the model does not use one.

Without these patterns, pydantic reads "20241231" as seconds since 1970 and accepts "2024-12-31,13:45"."""


def _integer(value: float) -> float:
    if not value.is_integer():
        raise PydanticKnownError("multiple_of", {"multiple_of": 1})
    return value


def _exact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pydantic schema restricted to the values that its JSON schema allows.

    A date or time must match its pattern before it is parsed. An integer must be integral:
    pydantic alone also accepts 5.0000000001.
    """
    if pattern := DATE_PATTERNS.get(schema["type"]):
        parsed: Any = {**schema, "strict": False}
        matched = core_schema.custom_error_schema(
            core_schema.str_schema(pattern=pattern),
            custom_error_type="date_format",
            custom_error_message=f"Input should be a valid {schema['type']} in the format of RFC 3339",
        )
        return {**core_schema.json_or_python_schema(core_schema.chain_schema([matched, parsed]), schema)}
    if schema["type"] == "float" and schema.get("multiple_of") == 1:
        return {**core_schema.no_info_after_validator_function(_integer, schema)}
    changed = dict(schema)
    if "schema" in schema:
        changed["schema"] = _exact(schema["schema"])
    if "fields" in schema:
        changed["fields"] = {name: _exact(field) for name, field in schema["fields"].items()}
    return changed


class RecordModel(BaseModel):
    """Base class of records: immutable, without unknown fields and without conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept exactly the values that the JSON schema allows."""
        return cast("CoreSchema", _exact(handler(source)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """Specification of one field of a record.

    Attributes:
        name: name of the column in the table and of the field in JSON.
        attribute: name of the attribute in Python.
        kind: kind of its values.
        description: description for people.
        optional: whether the value may be missing.
        minimum: minimum allowed, or None.
        maximum: maximum allowed, or None.
        expected: expected range (minimum, maximum), or None.
        choices: allowed values of a choice.
        max_length: maximum number of characters of a category or text.
        date_format: strftime format of a date or time in the training table, or None for ISO 8601.
        missing: words that mean a missing value in this column, in addition to those of every column.
        values: words that are values in this column, although they mean a missing value elsewhere.
        words: words for true and false in the training table.
    """

    name: str
    attribute: str
    kind: Kind
    description: str
    optional: bool
    minimum: float | None = None
    maximum: float | None = None
    expected: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    max_length: int | None = None
    date_format: str | None = None
    missing: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    words: Words = Words("true", "false")


KINDS: Mapping[Any, Kind] = {
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    date: Kind.DATE,
    datetime: Kind.DATETIME,
    time: Kind.TIME,
}


def field_specs(record: type[RecordModel]) -> tuple[FieldSpec, ...]:
    """Return the specification of each field of a record type, in order.

    Raises:
        TypeError: if the type of a field is not supported.
    """
    return tuple(_field_spec(attribute, field) for attribute, field in record.model_fields.items())


def _field_spec(attribute: str, field: FieldInfo) -> FieldSpec:
    type_, metadata = _unwrapped(field.annotation, field.metadata)
    marks = {type(mark): mark for mark in metadata}
    if isinstance(type_, type) and issubclass(type_, Enum):
        kind = Kind.CHOICE
    elif Kind in marks:
        kind = marks[Kind]
    elif type_ in KINDS:
        kind = KINDS[type_]
        if kind is Kind.NUMBER and any(getattr(mark, "multiple_of", None) == 1 for mark in metadata):
            kind = Kind.INTEGER
    else:
        raise TypeError(f"the field {attribute} has the unsupported type {type_}: use a type of mlops_runtime.contract")
    expected = marks.get(ExpectedRange)
    return FieldSpec(
        name=field.alias or attribute,
        attribute=attribute,
        kind=kind,
        description=field.description or "",
        optional=not field.is_required(),
        minimum=marks[Ge].ge if Ge in marks else None,
        maximum=marks[Le].le if Le in marks else None,
        expected=(expected.low, expected.high) if expected else None,
        choices=tuple(type_) if kind is Kind.CHOICE else (),
        max_length=marks[MaxLen].max_length if MaxLen in marks else None,
        date_format=marks[DateFormat].format if DateFormat in marks else None,
        missing=marks[Missing].words if Missing in marks else (),
        values=marks[Values].words if Values in marks else (),
        words=marks.get(Words, Words("true", "false")),
    )


def _unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """Return the type without `None` and `Annotated`, and its metadata."""
    if get_origin(annotation) is Annotated:
        type_, *marks = get_args(annotation)
        for mark in marks:
            metadata = metadata + (list(mark.metadata) if isinstance(mark, FieldInfo) else [mark])
        return _unwrapped(type_, metadata)
    alternatives = [part for part in get_args(annotation) if part is not NoneType]
    if len(alternatives) == 1 and NoneType in get_args(annotation):
        return _unwrapped(alternatives[0], metadata)
    return annotation, metadata
