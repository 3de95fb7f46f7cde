"""What the tests of profiling share: tables to write, and contracts to import."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest

Write = Callable[[str], Path]
Import = Callable[[str], ModuleType]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a table and return its path."""

    def write_table(text: str) -> Path:
        path = tmp_path / "table.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write_table


@pytest.fixture
def write_columns(write: Write) -> Callable[..., Path]:
    """Write a table, given the cells of each column by its name."""

    def write_table(**columns: Sequence[object]) -> Path:
        rows = [columns, *zip(*columns.values(), strict=True)]
        return write("".join(",".join(map(str, row)) + "\n" for row in rows))

    return write_table


@pytest.fixture
def import_contract() -> Iterator[Import]:
    """Import the text of a contract."""
    imported = []

    def import_text(text: str) -> ModuleType:
        # pydantic looks a class's module up by its name.
        module = ModuleType(f"rendered_contract_{len(imported)}")
        sys.modules[module.__name__] = module
        imported.append(module.__name__)
        exec(compile(text, module.__name__, "exec"), vars(module))
        return module

    yield import_text
    for name in imported:
        del sys.modules[name]
