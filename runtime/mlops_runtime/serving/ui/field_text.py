"""The fields of a record as callers see them: what the contract says about each, in words."""

import json
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.serving.ui.number_format import exact, readable

MAX_LISTED = 10
"""Words that a sentence lists before it counts the others."""
MAX_NAME = 80
"""Characters of a name that an answer repeats."""


def label(field: FieldSpec) -> str:
    """Return the name of the field as a person writes it."""
    return field.name.replace("_", " ")


def bounds(field: FieldSpec) -> str:
    """Return the least and the greatest number that the field takes, in words."""
    least, most = (None if bound is None else exact(float(bound)) for bound in (field.minimum, field.maximum))
    if least and most:
        return f"from {least} to {most}"
    if least:
        return f"of at least {least}"
    return f"of at most {most}" if most else ""


def usual(field: FieldSpec) -> str:
    """Return the numbers that are usual in the field, as far as it takes them, in words."""
    if field.expected is None:
        return ""
    low, high = field.expected
    low = low if field.minimum is None else max(low, field.minimum)
    high = high if field.maximum is None else min(high, field.maximum)
    return f"usually {readable(low)} to {readable(high)}"


def takes(field: FieldSpec) -> str:
    """Return the values that the field takes, in words."""
    match field.kind:
        case Kind.NUMBER:
            return f"a number {bounds(field)}".rstrip()
        case Kind.INTEGER:
            return f"a whole number {bounds(field)}".rstrip()
        case Kind.BOOLEAN:
            return "true or false"
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
    """Return all that the field takes, in words; a missing value is null in JSON, and something else elsewhere."""
    none = f"or {missing}" if field.optional else ""
    return ", ".join(part for part in (takes(field), usual(field), none) if part)


def listed(words: Sequence[str]) -> str:
    """Return the words in a row: the first few, and how many more there are."""
    shown = ", ".join(in_a_row(shortened(word)) for word in words[:MAX_LISTED])
    return shown if len(words) <= MAX_LISTED else f"{shown} and {len(words) - MAX_LISTED} more"


def in_a_row(word: str) -> str:
    """Return a word as it may stand in a row of words: in quotes if it would not be seen where it ends."""
    return json.dumps(word, ensure_ascii=False) if "," in word or word != word.strip() else word


def nearest(word: str, known: Collection[str]) -> str | None:
    """Return the known word that a misspelt one most likely stands for, if there is one."""
    # To compare takes the product of the lengths, and the caller chooses one of them.
    if len(word) > MAX_NAME:
        return None
    by_case = {one.casefold(): one for one in known}
    found = get_close_matches(word.casefold(), by_case, n=1)
    return by_case[found[0]] if found else None


def shortened(name: str) -> str:
    """Return a name, cut when it is longer than an answer should repeat."""
    return name if len(name) <= MAX_NAME else name[:MAX_NAME] + "…"
