"""Folders of parts, as Spark and others write them: each file has some rows of the table."""

from pathlib import Path

from mlops_runtime.tables.encodings import SourceError

MAX_PARTS = 10_000


def files_of(folder: Path) -> list[Path]:
    """Return the data files in a folder and its folders, without hidden files and markers such as _SUCCESS.

    Raises:
        SourceError: if there is none, or too many.
    """
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = [path for path in paths if not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)]
    if not files:
        raise SourceError(f"{folder} is an empty folder: give the path of a table")
    if len(files) > MAX_PARTS:
        raise SourceError(f"{folder} is a folder of more than {MAX_PARTS:,} files: give the path of a table")
    return files


def partition_of(folder: Path, file: Path) -> dict[str, str]:
    """Return the values that folders named `column=value` give to all rows of a part."""
    pairs = (part.partition("=") for part in file.relative_to(folder).parts[:-1] if "=" in part)
    return {name: "" if value == "__HIVE_DEFAULT_PARTITION__" else value for name, _, value in pairs}


def require_equal_columns(folder: Path, headers: list[tuple[Path, tuple[str, ...]]]) -> None:
    """Refuse a folder whose files have different columns."""
    first, expected = headers[0]
    for file, header in headers:
        if header != expected:
            raise SourceError(
                f"{folder} is a folder of tables with different columns, such as {first.name} and {file.name}: "
                "give the path of one table"
            )
