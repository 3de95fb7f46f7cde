"""Names and sentences of a user's data in Markdown."""

import re

MAX_NAME_LENGTH = 80
"""Maximum number of characters of a name."""


def code(name: str) -> str:
    """Return a name as inline code; a bar must be escaped even there, because it ends the cell of a table."""
    flat = _printable(name)
    short = flat if len(flat) <= MAX_NAME_LENGTH else f"{flat[: MAX_NAME_LENGTH - 1]}…"
    if "`" in short:
        return escaped(short)
    return f"`{short}`".replace("|", "\\|")


def escaped(text: str) -> str:
    """Return a text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$&])", r"\\\1", _printable(text))


def _printable(text: str) -> str:
    """Return a text with spaces in place of control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
