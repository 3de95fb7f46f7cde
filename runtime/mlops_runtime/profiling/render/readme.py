"""The page data/README.md: a description of the table."""

import re
from collections.abc import Iterator

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.descriptions import percent, value_description
from mlops_runtime.profiling.profile import Profile

MAX_LISTED = 100
"""Maximum number of columns, and of warnings, on the page."""

MAX_NAME_LENGTH = 80
"""Maximum number of characters of a name."""


def render(profile: Profile, file_name: str) -> str:
    """Return the text of data/README.md.

    Args:
        profile: profile of the table.
        file_name: name of the table in the folder.

    Raises:
        OSError: if the table can't be read.
    """
    about = "about " if profile.sampled else ""
    lines = [
        "# Where the data come from",
        "",
        f"{_code(file_name)} is the table from which the contract was inferred.",
        "Document here who collected the data, when and how, and who may use them.",
        "[vendor/reading.md](../vendor/reading.md) says how its cells are read: missing values, odd cells, dates.",
        "",
        "| | |",
        "|---|---|",
        f"| Rows | {about}{profile.rows} |",
        f"| Columns | {len(profile.source.header)} ({len(profile.columns)} in the contract) |",
        f"| Target | {_code(profile.target)}, {profile.task}: {_escaped(profile.reason)} |",
        f"| SHA-256 | `{profile.source.sha256()}` |",
        "",
        "## Columns of the contract",
        "",
        "| Column | Kind | Missing | Values |",
        "|---|---|---|---|",
        *map(_row, profile.columns[:MAX_LISTED]),
        *_rest(len(profile.columns), "columns"),
    ]
    if profile.excluded:
        lines += ["", "## Excluded columns", "", "| Column | Reason |", "|---|---|"]
        lines += [f"| {_code(name)} | {_escaped(reason)} |" for name, reason in profile.excluded[:MAX_LISTED]]
        lines += _rest(len(profile.excluded), "columns")
    if profile.warnings:
        lines += ["", "## Warnings", ""]
        lines += [f"- {_escaped(warning)}" for warning in profile.warnings[:MAX_LISTED]]
        lines += _rest(len(profile.warnings), "warnings")
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    missing = percent(column.missing / column.rows)
    return f"| {_code(column.name)} | {column.kind} | {missing} | {_escaped(value_description(column))} |"


def _rest(count: int, noun: str) -> Iterator[str]:
    if count > MAX_LISTED:
        yield ""
        yield f"And {count - MAX_LISTED} more {noun}."


def _code(name: str) -> str:
    """Return a name as inline code; a bar must be escaped even there, because it ends the cell of a table."""
    flat = _printable(name)
    short = flat if len(flat) <= MAX_NAME_LENGTH else f"{flat[: MAX_NAME_LENGTH - 1]}…"
    if "`" in short:
        return _escaped(short)
    return f"`{short}`".replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return a text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~$&])", r"\\\1", _printable(text))


def _printable(text: str) -> str:
    """Return a text with spaces in place of control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
