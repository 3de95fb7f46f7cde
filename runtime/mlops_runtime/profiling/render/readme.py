"""The page data/README.md of a table: what it holds, and what was left out of it."""

import re
from collections.abc import Iterator

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.descriptions import percent, values_seen
from mlops_runtime.profiling.profile import Profile

LISTED = 100
"""Most columns that the page lists; the rest are counted."""

MAX_NAME_LENGTH = 80
"""Characters of a name that the page shows."""


def render(profile: Profile, file_name: str) -> str:
    """Return the text of data/README.md.

    Args:
        profile: of the table.
        file_name: that the table has in the folder.

    Raises:
        OSError: if the table can't be read.
    """
    about = "about " if profile.sampled else ""
    lines = [
        "# Where the data come from",
        "",
        f"{_code(file_name)} is the table that the contract was made for.",
        "Say here who collected its rows, when and how, and who may use them.",
        "",
        "| | |",
        "|---|---|",
        f"| Rows | {about}{profile.rows} |",
        f"| Columns | {len(profile.source.header)}, of which the contract takes {len(profile.columns)} |",
        f"| Target | {_code(profile.target)}, {profile.task}: {_escaped(profile.reason)} |",
        f"| SHA-256 | `{profile.source.sha256()}` |",
        "",
        "## What is in it",
        "",
        "| Column | Kind | Missing | In the table |",
        "|---|---|---|---|",
        *map(_row, profile.columns[:LISTED]),
        *_rest(len(profile.columns), "columns"),
    ]
    if profile.left_out:
        lines += ["", "## What is left out", "", "| Column | Reason |", "|---|---|"]
        lines += [f"| {_code(name)} | {_escaped(reason)} |" for name, reason in profile.left_out[:LISTED]]
        lines += _rest(len(profile.left_out), "columns")
    if profile.warnings:
        lines += ["", "## What to keep in mind", ""]
        lines += [f"- {_escaped(warning)}" for warning in profile.warnings[:LISTED]]
        lines += _rest(len(profile.warnings), "warnings")
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    missing = percent(column.missing / column.rows)
    return f"| {_code(column.name)} | {column.kind} | {missing} | {_escaped(values_seen(column))} |"


def _rest(count: int, of: str) -> Iterator[str]:
    if count > LISTED:
        yield ""
        yield f"And {count - LISTED} {of} more."


def _code(name: str) -> str:
    """Return a name as code, whatever it holds; a table's cell ends at a bar even there."""
    flat = "".join(letter if letter.isprintable() else " " for letter in name)
    cut = flat if len(flat) <= MAX_NAME_LENGTH else f"{flat[: MAX_NAME_LENGTH - 1]}…"
    if "`" in cut:
        return _escaped(cut)
    return f"`{cut}`".replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return a text without a meaning to Markdown."""
    flat = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([\\`*_{}\[\]<>#|!~$&])", r"\\\1", flat)
