"""Python names for columns and values of a table."""

import builtins
import itertools
import keyword
import re
import unicodedata
from collections.abc import Container

MAX_NAME_LENGTH = 40
"""Maximum width of a name: the first line of a field then fits the line length."""

FIELD_WORDS = frozenset(
    (
        # names that a contract may import or use
        "annotated", "bool", "category", "date", "datetime", "enum", "fields", "float", "pydantic", "str", "text",
        "time", "typing",
        # attributes of pydantic's BaseModel and its metaclass
        "construct", "copy", "dict", "from_orm", "json", "mro", "parse_file", "parse_obj", "parse_raw", "register",
        "schema", "schema_json", "update_forward_refs", "validate",
        # letters that are easily confused with digits
        "l", "o", "i",
    )
)  # fmt: skip
"""Names that a field of a record must not have."""

CLASS_WORDS = frozenset(
    (
        "Annotated", "CONTRACT", "Category", "Contract", "Field", "Label", "LabelPrediction", "Prediction", "Record",
        "RecordModel", "StrEnum", "DateFormat",
        "ExpectedRange", "Integer", "KEY", "LEFT_OUT", "MISSING", "Missing", "TARGET", "TASK",
        "Task", "Text", "ValuePrediction", "Values", "Words",
        *dir(builtins),
        # letters that are easily confused with digits
        "I", "O",
    )
)  # fmt: skip
"""Names that the class of a choice must not have."""

MEMBER_WORDS = frozenset(("I", "O", "L"))
"""Names that a member of an enum must not have."""


def words(text: str) -> list[str]:
    """Return the words of a name in lower case and without accents: `PassengerId` gives `passenger` and `id`."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", _transliterated(text))
    return [word.lower() for word in re.split(r"[\W_]+", split) if word]


def _transliterated(text: str) -> str:
    """Return the text with accents removed."""
    letters = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return unicodedata.normalize("NFKC", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def attribute_name(text: str, position: int, taken: Container[str]) -> str:
    """Return a name for the field of a column.

    Args:
        text: name of the column.
        position: position of the column, for a text without letters or digits.
        taken: names in use.
    """
    name = _joined(words(text)).lower()
    if name[:1].isdigit() or name.startswith("model_"):
        name = f"column_{name}"
    if not name.isidentifier():
        name = f"column_{position}"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in FIELD_WORDS:
        name += "_"
    return _unique(name, taken)


def class_name(text: str, position: int, taken: Container[str]) -> str:
    """Return a name for the enum of a choice; the arguments are those of `attribute_name`."""
    name = _cut("".join(word[:1].upper() + word[1:] for word in words(text)))
    if not name[:1].isupper():
        # The first character is a digit, or a letter without upper case.
        name = _cut(f"Column{name}")
    if not name.isidentifier() or name == "Column":
        name = f"Column{position}"
    if keyword.iskeyword(name) or name in CLASS_WORDS:
        name += "Value"
    return _unique(name, taken, separator="")


def member_name(text: str, position: int, taken: Container[str]) -> str:
    """Return a name for the enum member of a value; the arguments are those of `attribute_name`."""
    name = _joined(words(text)).upper()
    if not name or name[0].isdigit():
        name = f"VALUE_{name}".rstrip("_") if name else f"VALUE_{position}"
    if not name.isidentifier():
        name = f"VALUE_{position}"
    if keyword.iskeyword(name) or name in MEMBER_WORDS:
        name += "_"
    return _unique(name, taken)


def _joined(parts: list[str]) -> str:
    """Return the words joined by underscores, without those that exceed the maximum width."""
    name = ""
    for word in parts:
        longer = f"{name}_{word}" if name else word
        if _width(longer) > MAX_NAME_LENGTH:
            break
        name = longer
    return name or _cut(parts[0] if parts else "")


def _cut(name: str) -> str:
    while _width(name) > MAX_NAME_LENGTH:
        name = name[:-1]
    return name


def _width(name: str) -> int:
    """Return the width of a name in a line: East Asian wide characters count twice."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in name)


def _unique(name: str, taken: Container[str], separator: str = "_") -> str:
    numbered = (f"{name}{separator}{number}" for number in itertools.count(2))
    return next(unique for unique in itertools.chain([name], numbered) if unique not in taken)
