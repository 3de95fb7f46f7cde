"""Python names for the columns and values of a table."""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Container

MAX_NAME_LENGTH = 40
"""Most characters of a name: a field's first line then fits the line length."""

FIELD_WORDS = frozenset(
    (
        # what a contract may import or use
        "annotated", "bool", "category", "date", "datetime", "enum", "fields", "float", "pydantic", "str", "text",
        "time", "typing",
        # attributes of pydantic's models and of their class
        "construct", "copy", "dict", "from_orm", "json", "mro", "parse_file", "parse_obj", "parse_raw", "register",
        "schema", "schema_json", "update_forward_refs", "validate",
        # letters that look like digits
        "l", "o", "i",
    )
)  # fmt: skip
"""What no field of a record may be called."""

CLASS_WORDS = frozenset(
    (
        "Annotated", "CONTRACT", "Category", "Contract", "Field", "Label", "LabelPrediction", "Prediction", "Record",
        "RecordModel", "StrEnum", "DateFormat",
        "ExpectedRange", "Integer", "TARGET", "TASK", "Task", "Text", "ValuePrediction",
        *dir(builtins),
        # letters that look like digits
        "I", "O",
    )
)  # fmt: skip
"""What no class of a contract may be called but those that it has."""

MEMBER_WORDS = frozenset(("I", "O", "L"))


def words(text: str) -> list[str]:
    """Return the words of a name in lower case, Latin letters without their marks: `PassengerId` has two."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", _transliterated(text))
    return [word.lower() for word in re.split(r"[\W_]+", split) if word]


def _transliterated(text: str) -> str:
    """Return the text with ASCII letters where it has such letters with marks on them."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return unicodedata.normalize("NFKC", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def attribute_name(text: str, place: int, taken: Container[str]) -> str:
    """Return a name for the field of a column.

    Args:
        text: name of the column.
        place: of the column, for a name that no letter is left of.
        taken: names that are given away.
    """
    name = _joined(words(text)).lower()
    if name[:1].isdigit() or name.startswith("model_"):
        name = f"column_{name}"
    if not name.isidentifier():
        name = f"column_{place}"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in FIELD_WORDS:
        name += "_"
    return _free(name, taken)


def class_name(text: str, place: int, taken: Container[str]) -> str:
    """Return a name for the class of a column's values; the arguments are those of `attribute_name`."""
    name = _cut("".join(word[:1].upper() + word[1:] for word in words(text)))
    if not name[:1].isupper():
        # Digits, and letters that have no upper case.
        name = _cut(f"Column{name}")
    if not name.isidentifier() or name == "Column":
        name = f"Column{place}"
    if keyword.iskeyword(name) or name in CLASS_WORDS:
        name += "Value"
    return _free(name, taken, joint="")


def member_name(text: str, place: int, taken: Container[str]) -> str:
    """Return a name for a value; the arguments are those of `attribute_name`."""
    name = _joined(words(text)).upper()
    if not name or name[0].isdigit():
        name = f"VALUE_{name}".rstrip("_") if name else f"VALUE_{place}"
    if not name.isidentifier():
        name = f"VALUE_{place}"
    if keyword.iskeyword(name) or name in MEMBER_WORDS:
        name += "_"
    return _free(name, taken)


def _joined(parts: list[str]) -> str:
    """Return the words as one name, cut where it is long."""
    name = ""
    for word in parts:
        longer = f"{name}_{word}" if name else word
        if _columns(longer) > MAX_NAME_LENGTH:
            break
        name = longer
    return name or _cut(parts[0] if parts else "")


def _cut(name: str) -> str:
    while _columns(name) > MAX_NAME_LENGTH:
        name = name[:-1]
    return name


def _columns(name: str) -> int:
    """Return how many columns of a line the name takes: letters of some scripts take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


def _free(name: str, taken: Container[str], joint: str = "_") -> str:
    free = name
    number = 1
    while free in taken:
        number += 1
        free = f"{name}{joint}{number}"
    return free
