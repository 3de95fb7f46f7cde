"""Fixtures that write tables and import contracts."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

Write = Callable[[str], Path]
Import = Callable[[str], ModuleType]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a table and returns its path."""

    def write_table(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write_table


@pytest.fixture
def write_columns(write: Write) -> Callable[..., Path]:
    """Return a function that writes a table from the cells of each column, by name."""

    def write_table(**columns: Sequence[object]) -> Path:
        rows = [columns, *zip(*columns.values(), strict=True)]
        return write("".join(",".join(map(str, row)) + "\n" for row in rows))

    return write_table


@pytest.fixture
def import_contract() -> Iterator[Import]:
    """Return a function that imports the source code of a contract."""
    imported = []

    def import_text(text: str) -> ModuleType:
        # pydantic looks up the module of a class by name.
        module = ModuleType(f"rendered_contract_{len(imported)}")
        sys.modules[module.__name__] = module
        imported.append(module.__name__)
        exec(compile(text, module.__name__, "exec"), vars(module))
        return module

    yield import_text
    for name in imported:
        del sys.modules[name]
