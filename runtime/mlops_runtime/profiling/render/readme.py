"""The page data/README.md: a description of the table."""

from collections.abc import Iterator

from mlops_runtime.profiling.columns import Column
from mlops_runtime.profiling.descriptions import percent, value_description
from mlops_runtime.profiling.profile import Profile
from mlops_runtime.profiling.render.markdown import code, escaped

MAX_LISTED = 100
"""Maximum number of columns, and of warnings, on the page."""


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
        f"{code(file_name)} is the table from which the contract was inferred.",
        "Document here who collected the data, when and how, and who may use them.",
        "[vendor/reading.md](../vendor/reading.md) says how its cells are read: missing values, odd cells, dates.",
        "",
        "| | |",
        "|---|---|",
        f"| Rows | {about}{profile.rows} |",
        f"| Columns | {len(profile.source.header)} ({len(profile.columns)} in the contract) |",
        f"| Target | {code(profile.target)}, {profile.task}: {escaped(profile.reason)} |",
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
        lines += [f"| {code(name)} | {escaped(reason)} |" for name, reason in profile.excluded[:MAX_LISTED]]
        lines += _rest(len(profile.excluded), "columns")
    if profile.warnings:
        lines += ["", "## Warnings", ""]
        lines += [f"- {escaped(warning)}" for warning in profile.warnings[:MAX_LISTED]]
        lines += _rest(len(profile.warnings), "warnings")
    return "\n".join(lines) + "\n"


def _row(column: Column) -> str:
    missing = percent(column.missing / column.rows)
    return f"| {code(column.name)} | {column.kind} | {missing} | {escaped(value_description(column))} |"


def _rest(count: int, noun: str) -> Iterator[str]:
    if count > MAX_LISTED:
        yield ""
        yield f"And {count - MAX_LISTED} more {noun}."
