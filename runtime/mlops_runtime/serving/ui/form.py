"""The form for people: an input for each field of the contract, and the texts that stand in them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import quote

from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.model.baseline import Baseline, ValueBaseline
from mlops_runtime.serving.ui import field_text as fields
from mlops_runtime.serving.ui.number_format import exact

MAX_SUGGESTIONS = 200
"""Known values that an input suggests."""
SUGGESTIONS_OF_PAGE = 4000
"""Known values that a whole page suggests: they are most of what a wide page weighs."""

TYPES = {
    Kind.NUMBER: "number",
    Kind.INTEGER: "number",
    Kind.CATEGORY: "text",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime-local",
    Kind.TIME: "time",
}
"""Types of the inputs for those fields that are neither chosen from a list nor words."""

FLAGS = (("true", "yes"), ("false", "no"))
FEW_NUMBERS = (("0", "0"), ("1", "1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input of the form.

    Attributes:
        id: of the element. It is numbered, as the name of a column may hold any character.
        name: under which a browser sends the text: ASCII, so that it arrives as it is.
        spec: of the field.
        element: select, textarea or input.
        attributes: of the element, by name.
        options: of a select: what is sent and what is shown.
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
        """What the input is called."""
        return fields.label(self.spec)

    @property
    def hint(self) -> str:
        """The numbers to type, in words."""
        words = "" if self.options else fields.bounds(self.spec).removeprefix("of ")
        return ", ".join(part for part in (words, fields.usual(self.spec)) if part)

    @property
    def advice(self) -> str:
        """What to do about a value that the contract does not allow."""
        if self.spec.kind is Kind.BOOLEAN:
            advice = "Choose yes or no"
        elif self.options:
            advice = f"Choose {fields.takes(self.spec)}"
        else:
            advice = f"Enter {fields.takes(self.spec)}"
        return f"{advice}, or leave it empty." if self.spec.optional else f"{advice}."


def form_inputs(specs: Sequence[FieldSpec], baseline: Baseline) -> tuple[Input, ...]:
    """Return an input for each field, in their order."""
    categories = sum(spec.kind is Kind.CATEGORY for spec in specs)
    most = min(MAX_SUGGESTIONS, SUGGESTIONS_OF_PAGE // (categories or 1))
    return tuple(
        Input(
            id=f"field-{number}",
            name=sent_name(spec),
            spec=spec,
            element=element(spec),
            attributes=attributes(spec),
            options=options(spec),
            suggestions=suggestions(spec, baseline, most) if spec.kind is Kind.CATEGORY else (),
        )
        for number, spec in enumerate(specs)
    )


def sent_name(spec: FieldSpec) -> str:
    """Return the name under which a browser sends the text of a field."""
    return quote(spec.name, safe="")


def element(spec: FieldSpec) -> str:
    """Return the HTML element in which the value of a field is given."""
    if options(spec):
        return "select"
    return "textarea" if spec.kind is Kind.TEXT else "input"


def attributes(spec: FieldSpec) -> dict[str, str]:
    """Return what is special about the element of a field."""
    if options(spec):
        return {}
    found = {"type": TYPES[spec.kind]} if spec.kind in TYPES else {}
    if spec.max_length is not None:
        found["maxlength"] = str(spec.max_length)
    if spec.kind in (Kind.NUMBER, Kind.INTEGER):
        found["step"] = "1" if spec.kind is Kind.INTEGER else "any"
        if spec.minimum is not None:
            found["min"] = exact(float(spec.minimum))
            if spec.minimum >= 0:
                # A telephone's keys for numbers may lack the minus sign.
                found["inputmode"] = "numeric" if spec.kind is Kind.INTEGER else "decimal"
        if spec.maximum is not None:
            found["max"] = exact(float(spec.maximum))
    return found


def options(spec: FieldSpec) -> tuple[tuple[str, str], ...]:
    """Return what there is to choose from, as pairs of what is sent and what is shown; nothing if it is to be typed."""
    if spec.kind is Kind.BOOLEAN:
        return FLAGS
    if spec.kind is Kind.CHOICE:
        return tuple((unbroken(choice), str(choice)) for choice in spec.choices)
    if spec.kind is Kind.INTEGER and (spec.minimum, spec.maximum) == (0, 1):
        return FEW_NUMBERS
    return ()


def suggestions(spec: FieldSpec, baseline: Baseline, most: int) -> tuple[str, ...]:
    """Return the commonest values of a category, at most so many."""
    known = baseline.fields.get(spec.name)
    shares = known.shares if isinstance(known, ValueBaseline) else {}
    return tuple(sorted(shares, key=lambda value: -shares[value])[:most])


def text_of(value: Any) -> str:
    """Return a value of a record as the text of its input; a missing one is an empty text."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return exact(value)
        case datetime():
            return in_utc(value).isoformat(timespec=precision(value))
        case date():
            return value.isoformat()
        case time():
            return value.replace(tzinfo=None).isoformat(timespec=precision(value))
        case _:
            return unbroken(str(value))


def precision(moment: datetime | time) -> str:
    """Return the parts of a time that are worth showing; an input holds no more than milliseconds."""
    if moment.microsecond:
        return "milliseconds"
    return "seconds" if moment.second else "minutes"


def in_utc(moment: datetime) -> datetime:
    """Return a moment without an offset, as the input holds none: what has one is in UTC then, as for the model."""
    # At either end of the calendar there is no room for an offset.
    with suppress(OverflowError):
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.replace(tzinfo=None)


def unbroken(text: str) -> str:
    """Return a text with its line ends as one kind: a browser sends them all as another."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def sent_texts(inputs: Sequence[Input], sent: Mapping[str, str]) -> dict[str, str]:
    """Return the text that was sent for each field, by the field's name; empty where there is none."""
    texts = {one.spec.name: unbroken(sent.get(one.name, "")) for one in inputs}
    # A choice is sent as it is; of what a person types, space at the ends means nothing.
    chosen = {one.spec.name for one in inputs if one.options}
    return {name: text if name in chosen else text.strip() for name, text in texts.items()}


def values_of(inputs: Sequence[Input], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts that are values of a record, as the contract reads them; an empty text is none."""
    values = {name: text for name, text in texts.items() if text}
    for one in inputs:
        name = one.spec.name
        if one.spec.kind is Kind.CHOICE and name in values:
            originals = {unbroken(choice): str(choice) for choice in one.spec.choices}
            values[name] = originals.get(values[name], values[name])
    return values
