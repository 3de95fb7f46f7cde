"""Values as they stand in Python code, written as the formatter writes them."""

import unicodedata

LINE_LENGTH = 120
INDENT = 4


def string(text: str) -> str:
    """Return the literal of a string: in double quotation marks unless that needs more escapes."""
    mark = "'" if text.count('"') > text.count("'") else '"'
    return f"{mark}{''.join(_letter(letter, mark) for letter in text)}{mark}"


def _letter(letter: str, mark: str) -> str:
    if letter in (mark, "\\"):
        return f"\\{letter}"
    return letter if letter.isprintable() else repr(letter)[1:-1]


def number(value: float) -> str:
    """Return the literal of a finite number, without a point where it is whole."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value)).replace("e+", "e")


def assignment(name: str, text: str, indent: int = 0) -> str:
    """Return the line, or lines, that give a name to a string."""
    literal = string(text)
    space = " " * indent
    line = f"{space}{name} = {literal}"
    inner = f"{space}{' ' * INDENT}{literal}"
    if width(line) > LINE_LENGTH >= width(inner):
        return f"{space}{name} = (\n{inner}\n{space})"
    return line


def prose(text: str, longest: int = 80) -> str:
    """Return a text as it may stand in a docstring: on one line, not too long, without quotation marks."""
    plain = "".join(letter if letter.isprintable() and letter not in '"\\' else " " for letter in text)
    flat = " ".join(plain.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def width(line: str) -> int:
    """Return how many columns of a screen the line takes: letters of some scripts take two, marks on letters none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in line
    )
