"""Values as Python source code, in the style of the ruff formatter."""

import unicodedata
from collections.abc import Sequence

LINE_LENGTH = 120
INDENT = 4


def string(text: str) -> str:
    """Return a string literal, in double quotation marks unless single ones need fewer escapes."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    return f"{mark}{''.join(_escaped(character, mark) for character in text)}{mark}"


def _escaped(character: str, mark: str) -> str:
    if character in (mark, "\\"):
        return f"\\{character}"
    return character if character.isprintable() else repr(character)[1:-1]


def number(value: float) -> str:
    """Return the literal of a finite number: an integer literal if it is integral."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value)).replace("e+", "e")


def assignment(name: str, text: str, indent: int = 0) -> str:
    """Return the assignment of a string to a name, on one line or three."""
    literal = string(text)
    space = " " * indent
    line = f"{space}{name} = {literal}"
    inner = f"{space}{' ' * INDENT}{literal}"
    if width(line) > LINE_LENGTH >= width(inner):
        return f"{space}{name} = (\n{inner}\n{space})"
    return line


def strings(name: str, texts: Sequence[str]) -> str:
    """Return the assignment of a tuple of strings to a name, on one line or one per string."""
    literals = [string(text) for text in texts]
    line = f"{name} = ({', '.join(literals)}{',' if len(literals) == 1 else ''})"
    if width(line) <= LINE_LENGTH:
        return line
    return "\n".join([f"{name} = (", *(f"{' ' * INDENT}{literal}," for literal in literals), ")"])


def prose(text: str, max_length: int = 80) -> str:
    """Return a text for a docstring: on one line, truncated, without quotation marks and backslashes."""
    plain = "".join(character if character.isprintable() and character not in '"\\' else " " for character in text)
    flat = " ".join(plain.split())
    return flat if len(flat) <= max_length else f"{flat[: max_length - 1]}…"


def width(line: str) -> int:
    """Return the display width of a line: East Asian wide characters count twice, combining ones do not count."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in line
    )
