"""Descriptions of fields in words: which values a field accepts."""

import json
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from mlops_runtime.contract import FieldSpec, Kind
from mlops_runtime.number_format import exact, readable

MAX_LISTED = 10
"""Maximum number of words in a list; the others are counted."""
MAX_NAME_LENGTH = 80
"""Maximum number of characters of a name in a response."""


def label(field: FieldSpec) -> str:
    """Return the name of the field with spaces instead of underscores."""
    return field.name.replace("_", " ")


def bounds(field: FieldSpec) -> str:
    """Return the minimum and the maximum of the field, in words."""
    minimum, maximum = (None if bound is None else exact(float(bound)) for bound in (field.minimum, field.maximum))
    if minimum and maximum:
        return f"from {minimum} to {maximum}"
    if minimum:
        return f"of at least {minimum}"
    return f"of at most {maximum}" if maximum else ""


def expected(field: FieldSpec) -> str:
    """Return the expected range of the field within its bounds, in words."""
    if field.expected is None:
        return ""
    low, high = field.expected
    low = low if field.minimum is None else max(low, field.minimum)
    high = high if field.maximum is None else min(high, field.maximum)
    return f"usually {readable(low)} to {readable(high)}"


def accepted(field: FieldSpec) -> str:
    """Return the values that the field accepts, in words."""
    match field.kind:
        case Kind.NUMBER:
            return f"a number {bounds(field)}".rstrip()
        case Kind.INTEGER:
            return f"a whole number {bounds(field)}".rstrip()
        case Kind.BOOLEAN:
            words = "" if field.words.true.casefold() == "true" else f", or {field.words.true} or {field.words.false}"
            return f"true or false{words}"
        case Kind.CHOICE:
            return f"one of {listed(field.choices)}"
        case Kind.CATEGORY | Kind.TEXT:
            return f"text of 1 to {field.max_length} characters" if field.max_length else "text"
        case Kind.DATE:
            return "a date such as 2024-12-31"
        case Kind.DATETIME:
            return "a date and time such as 2024-12-31T13:45:00"
        case Kind.TIME:
            return "a time such as 13:45:00"


def allowed(field: FieldSpec, missing: str = "null") -> str:
    """Return the values that the field accepts, its expected range, and how a missing value is written, in words.

    Args:
        field: of the contract.
        missing: notation of a missing value in the format of the request, such as null in JSON.
    """
    optional = f"or {missing}" if field.optional else ""
    return ", ".join(part for part in (accepted(field), expected(field), optional) if part)


def listed(words: Sequence[str]) -> str:
    """Return the words separated by commas: the first few, and how many more there are."""
    shown = ", ".join(quoted(shortened(word)) for word in words[:MAX_LISTED])
    return shown if len(words) <= MAX_LISTED else f"{shown} and {len(words) - MAX_LISTED} more"


def quoted(word: str) -> str:
    """Return a word of a list, in quotation marks if it has a comma or starts or ends with a space."""
    return json.dumps(word, ensure_ascii=False) if "," in word or word != word.strip() else word


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that is most similar to a misspelt word; None if none is similar."""
    # The time grows with the product of the lengths, and the caller chooses the length of the word.
    if len(word) > MAX_NAME_LENGTH:
        return None
    by_lower_case = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(word.casefold(), by_lower_case, n=1)
    return by_lower_case[matches[0]] if matches else None


def shortened(name: str) -> str:
    """Return a name, cut to the maximum length of a name in a response."""
    return name if len(name) <= MAX_NAME_LENGTH else name[:MAX_NAME_LENGTH] + "…"
