"""Types of the fields of a record, and the base classes of records and predictions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum, StrEnum
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

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


class Kind(StrEnum):
    """What a field holds."""

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
    """Range in which the numbers of a field are expected: one outside it is answered with a warning, not refused."""

    low: float
    high: float

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Show the range to callers."""
        return handler(schema) | {"x-expected-range": [self.low, self.high]}


@dataclass(frozen=True, slots=True)
class DateFormat:
    """Format of a date or time in the training table, in the codes of strftime; ISO 8601 without it."""

    format: str


Integer = Annotated[float, Field(multiple_of=1)]
"""An integer. 5.0 is one, as in JSON Schema: programs that allow missing values often send 5 that way."""

Category = Annotated[str, Kind.CATEGORY, Field(min_length=1, max_length=200)]
"""One of an open set of values. A value that training has not seen at least twice counts as missing."""

Text = Annotated[str, Kind.TEXT, Field(min_length=1, max_length=20_000)]
"""Free text: the model counts the words that it knows."""


_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_LONG = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
_SHORT = "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_FEBRUARY = "02-(?:0[1-9]|1[0-9]|2[0-8])"
_DAY = f"(?:{_YEAR}-(?:{_LONG}|{_SHORT}|{_FEBRUARY})|{_LEAP_YEAR}-02-29)"
_HOUR = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_FRACTION = r"\.[0-9]{1,9}"
_CLOCK = rf"{_HOUR}(?::[0-5][0-9](?:{_FRACTION})?)?"

DATE_PATTERNS: Mapping[str, str] = {
    "date": f"^{_DAY}$",
    "datetime": f"^{_DAY}[Tt ]{_CLOCK}(?:[Zz]|[+-]{_HOUR})?$",
    "time": f"^{_CLOCK}$",
}
"""Regular expressions for dates and times, by type: as in RFC 3339, but seconds and the offset may be left out.
A time of day has no offset, because the model does not use one.

Without them pydantic would read "20241231" as seconds since 1970 and accept "2024-12-31,13:45"."""


def _integer(value: float) -> float:
    if not value.is_integer():
        raise PydanticKnownError("multiple_of", {"multiple_of": 1})
    return value


def _exact(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that accepts exactly what its JSON schema says.

    Dates and times are matched against their pattern before they are parsed. An integer is compared exactly:
    pydantic alone also accepts 5.0000000001.
    """
    if pattern := DATE_PATTERNS.get(schema["type"]):
        read: Any = {**schema, "strict": False}
        written = core_schema.custom_error_schema(
            core_schema.str_schema(pattern=pattern),
            custom_error_type="date_format",
            custom_error_message=f"Input should be a valid {schema['type']}, as RFC 3339 writes it",
        )
        texts = core_schema.chain_schema([written, read])
        return {**core_schema.json_or_python_schema(texts, schema)}
    if schema["type"] == "float" and schema.get("multiple_of") == 1:
        return {**core_schema.no_info_after_validator_function(_integer, schema)}
    changed = dict(schema)
    if "schema" in schema:
        changed["schema"] = _exact(schema["schema"])
    if "fields" in schema:
        changed["fields"] = {name: _exact(field) for name, field in schema["fields"].items()}
    return changed


class RecordModel(BaseModel):
    """Base class of records: no unknown fields, no conversion between types, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, serialize_by_alias=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept exactly what the JSON schema says."""
        schema: Any = _exact(handler(source))
        checked: CoreSchema = schema
        return checked


class LabelPrediction(BaseModel):
    """Base class of predictions of a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str = Field(description="The most probable label")
    probability: float = Field(ge=0, le=1, description="The model's probability of this label")
    probabilities: dict[str, float] = Field(description="The model's probability of each label")
    warnings: tuple[str, ...] = Field(default=(), description="Values unlike those in the training data")


class ValuePrediction(BaseModel):
    """Base class of predictions of a number, with its prediction interval."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float = Field(description="The value that the model expects")
    low: float = Field(description="Lower end of the prediction interval")
    high: float = Field(description="Upper end of the prediction interval")
    warnings: tuple[str, ...] = Field(default=(), description="Values unlike those in the training data")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """Description of one field of a record.

    Attributes:
        name: of the column, and of the field in JSON.
        attribute: of the record in Python.
        kind: what it holds.
        description: for people.
        optional: whether the value may be missing.
        minimum: least number allowed, or None.
        maximum: greatest number allowed, or None.
        expected: least and greatest number expected, or None.
        choices: values allowed, for a choice.
        max_length: maximum number of characters, for a category or text.
        date_format: format of a date or time in the training table, or None for ISO 8601.
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


KINDS: Mapping[Any, Kind] = {
    float: Kind.NUMBER,
    bool: Kind.BOOLEAN,
    date: Kind.DATE,
    datetime: Kind.DATETIME,
    time: Kind.TIME,
}


def field_specs(record: type[RecordModel]) -> tuple[FieldSpec, ...]:
    """Return the description of each field of a record type, in order.

    Raises:
        TypeError: if a field has a type that is not supported.
    """
    return tuple(_field_spec(attribute, field) for attribute, field in record.model_fields.items())


def _field_spec(attribute: str, field: FieldInfo) -> FieldSpec:
    held, metadata = _unwrapped(field.annotation, field.metadata)
    optional = not field.is_required()
    marks = {type(mark): mark for mark in metadata}
    if isinstance(held, type) and issubclass(held, Enum):
        kind = Kind.CHOICE
    elif Kind in marks:
        kind = marks[Kind]
    elif held in KINDS:
        kind = KINDS[held]
        if kind is Kind.NUMBER and any(getattr(mark, "multiple_of", None) == 1 for mark in metadata):
            kind = Kind.INTEGER
    else:
        raise TypeError(
            f"the field {attribute} has the type {held}, which is not supported: use a type of mlops_runtime.contract"
        )
    expected = marks.get(ExpectedRange)
    return FieldSpec(
        name=field.alias or attribute,
        attribute=attribute,
        kind=kind,
        description=field.description or "",
        optional=optional,
        minimum=marks[Ge].ge if Ge in marks else None,
        maximum=marks[Le].le if Le in marks else None,
        expected=(expected.low, expected.high) if expected else None,
        choices=tuple(held) if kind is Kind.CHOICE else (),
        max_length=marks[MaxLen].max_length if MaxLen in marks else None,
        date_format=marks[DateFormat].format if DateFormat in marks else None,
    )


def _unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """Return the type without None and Annotated, and all annotations."""
    if get_origin(annotation) is Annotated:
        held, *marks = get_args(annotation)
        for mark in marks:
            metadata = metadata + (list(mark.metadata) if isinstance(mark, FieldInfo) else [mark])
        return _unwrapped(held, metadata)
    alternatives = [part for part in get_args(annotation) if part is not NoneType]
    if len(alternatives) == 1 and NoneType in get_args(annotation):
        return _unwrapped(alternatives[0], metadata)
    return annotation, metadata
