"""The form on the page: an input for each field of the contract, and the texts in the inputs."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import quote

from mlops_runtime.contract import Contract, FieldSpec, Kind, RecordModel
from mlops_runtime.model.baseline import Baseline, ValueBaseline
from mlops_runtime.number_format import exact
from mlops_runtime.serving.api.table_values import field_reader
from mlops_runtime.serving.ui import field_text
from mlops_runtime.tables.cells import PLAIN_NUMBER

MAX_SUGGESTIONS = 200
"""Maximum number of suggestions of an input."""
MAX_SUGGESTIONS_OF_PAGE = 4000
"""Maximum number of suggestions of all inputs, which are most of the bytes of a page with many fields."""

INPUT_TYPES = {
    Kind.NUMBER: "number",
    Kind.INTEGER: "number",
    Kind.CATEGORY: "text",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime-local",
    Kind.TIME: "time",
}
"""Type of the HTML input, for the kinds that have neither a list of options nor a text area."""

BOOLEAN_OPTIONS = (("true", "yes"), ("false", "no"))
ZERO_OR_ONE_OPTIONS = (("0", "0"), ("1", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of the form.

    Attributes:
        id: of the HTML element: numbered, because the name of a column may have any character.
        name: of the HTML element: percent-encoded to be ASCII.
        spec: of the field.
        element: select, textarea or input.
        attributes: of the HTML element, by name.
        options: of a select: value and text of each.
        suggestions: known values of a category.
    """

    id: str
    name: str
    spec: FieldSpec
    element: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Label of the input."""
        return field_text.label(self.spec)

    @property
    def hint(self) -> str:
        """Bounds and expected range, in words."""
        bounds = "" if self.options else field_text.bounds(self.spec).removeprefix("of ")
        return ", ".join(part for part in (bounds, field_text.expected(self.spec)) if part)

    @property
    def advice(self) -> str:
        """Message for a value that the contract does not accept."""
        if self.spec.kind is Kind.BOOLEAN:
            advice = f"Choose {' or '.join(text for _, text in self.options)}"
        elif self.options:
            advice = f"Choose {field_text.accepted(self.spec)}"
        else:
            advice = f"Enter {field_text.accepted(self.spec)}"
        return f"{advice}, or leave it empty." if self.spec.optional else f"{advice}."


def form_inputs(specs: Sequence[FieldSpec], baseline: Baseline) -> tuple[Input, ...]:
    """Return an input for each field, in their order."""
    categories = sum(spec.kind is Kind.CATEGORY for spec in specs)
    limit = min(MAX_SUGGESTIONS, MAX_SUGGESTIONS_OF_PAGE // (categories or 1))
    return tuple(
        Input(
            id=f"field-{number}",
            name=quote(spec.name, safe=""),
            spec=spec,
            element=_element(spec),
            attributes=_attributes(spec),
            options=_options(spec),
            suggestions=suggestions(spec, baseline, limit) if spec.kind is Kind.CATEGORY else (),
        )
        for number, spec in enumerate(specs)
    )


def _element(spec: FieldSpec) -> str:
    if _options(spec):
        return "select"
    return "textarea" if spec.kind is Kind.TEXT else "input"


def _attributes(spec: FieldSpec) -> dict[str, str]:
    if _options(spec):
        return {}
    attributes = {"type": INPUT_TYPES[spec.kind]} if spec.kind in INPUT_TYPES else {}
    if spec.max_length is not None:
        attributes["maxlength"] = str(spec.max_length)
    if spec.kind in (Kind.NUMBER, Kind.INTEGER):
        attributes["step"] = "1" if spec.kind is Kind.INTEGER else "any"
        if spec.minimum is not None:
            attributes["min"] = exact(float(spec.minimum))
            if spec.minimum >= 0:
                # The numeric keyboard of some phones has no minus sign.
                attributes["inputmode"] = "numeric" if spec.kind is Kind.INTEGER else "decimal"
        if spec.maximum is not None:
            attributes["max"] = exact(float(spec.maximum))
    return attributes


def _options(spec: FieldSpec) -> tuple[tuple[str, str], ...]:
    """Return the value and the text of each option; none if the value is typed."""
    if spec.kind is Kind.BOOLEAN:
        return (("true", spec.words.true), ("false", spec.words.false)) if has_words(spec) else BOOLEAN_OPTIONS
    if spec.kind is Kind.CHOICE:
        return tuple((with_line_feeds(choice), str(choice)) for choice in spec.choices)
    if spec.kind is Kind.INTEGER and (spec.minimum, spec.maximum) == (0, 1):
        return ZERO_OR_ONE_OPTIONS
    return ()


def has_words(spec: FieldSpec) -> bool:
    """Return whether the table has words of its own for true and false."""
    return spec.words.true.casefold() != "true"


def suggestions(spec: FieldSpec, baseline: Baseline, limit: int) -> tuple[str, ...]:
    """Return the most common values of a category in the training rows, at most `limit` of them."""
    known = baseline.fields.get(spec.name)
    shares = known.shares if isinstance(known, ValueBaseline) else {}
    return tuple(sorted(shares, key=lambda value: -shares[value])[:limit])


def texts_of(record: RecordModel) -> dict[str, str]:
    """Return the values of a record as texts of the form, by the fields' names."""
    return {name: text_of(value) for name, value in record.model_dump().items()}


def text_of(value: Any) -> str:
    """Return a value of a record as the text of its input; a missing value is an empty text."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return exact(value)
        case datetime():
            return _without_offset(value).isoformat(timespec=_precision(value))
        case date():
            return value.isoformat()
        case time():
            return value.replace(tzinfo=None).isoformat(timespec=_precision(value))
        case _:
            return with_line_feeds(str(value))


def _precision(moment: datetime | time) -> str:
    """Return the smallest unit to show; an HTML input has no more than milliseconds."""
    if moment.microsecond:
        return "milliseconds"
    return "seconds" if moment.second else "minutes"


def _without_offset(moment: datetime) -> datetime:
    """Return a date and time in UTC without its offset, which an HTML input cannot hold; the model uses UTC as well."""
    # At either end of the calendar, UTC may be in the year 0 or 10000.
    with suppress(OverflowError):
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.replace(tzinfo=None)


def with_line_feeds(text: str) -> str:
    """Return a text in which each line ends with a line feed: browsers send CR LF for all of them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def submitted_texts(inputs: Sequence[Input], sent: Mapping[str, str]) -> dict[str, str]:
    """Return the submitted text of each field by name; an empty text if it is missing."""
    texts = {}
    for input_ in inputs:
        text = with_line_feeds(sent.get(input_.name, ""))
        # The spaces of an option are part of its value; those around typed text are not.
        texts[input_.spec.name] = text if input_.options else text.strip()
    return texts


ReadForm = Callable[[Mapping[str, str]], dict[str, str]]
"""Returns the values for the validation in the submitted texts, by field; a missing value is left out."""


def form_reader(contract: Contract, inputs: Sequence[Input]) -> ReadForm:
    """Return a function that reads submitted texts as cells of the table, but for options and plain numbers."""
    readers = {input_.spec.name: _reader(contract, input_) for input_ in inputs}

    def read(texts: Mapping[str, str]) -> dict[str, str]:
        values = ((name, read_text(texts[name])) for name, read_text in readers.items())
        return {name: value for name, value in values if value}

    return read


def _reader(contract: Contract, input_: Input) -> Callable[[str], str]:
    spec = input_.spec
    read = field_reader(contract, spec, contract.decimal)
    if spec.kind in (Kind.NUMBER, Kind.INTEGER):
        # Browsers send a decimal point in any language, whatever the table has.
        return lambda text: text if PLAIN_NUMBER["."].fullmatch(text) else read(text)
    originals = {with_line_feeds(choice): str(choice) for choice in spec.choices}
    return lambda text: originals.get(text) or read(text)
