from collections.abc import Callable
from pathlib import Path

import pytest

from trainer.ranges import draw_records
from trainer.table import MINIMUM_ROWS, Table, read_table

from {{cookiecutter.__package}}_model.datamodel import FEATURES, TARGET, Label

Rows = list[list[str]]


@pytest.fixture(scope="session")
def table(data: Path) -> Table:
    return read_table(data)


@pytest.fixture
def rows() -> Rows:
    """A small valid table: a header, then the fewest rows of each label that training takes."""
    body = []
    records = iter(draw_records(len(Label) * MINIMUM_ROWS * 2, seed=1))
    for _ in range(MINIMUM_ROWS * 2):
        for label in Label:
            values = next(records).model_dump(exclude_none=True)
            body.append([*(f"{values[name]:g}" if name in values else "" for name in FEATURES), label.value])
    return [[*FEATURES, TARGET], *body]


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[[Rows], Path]:
    def write(rows: Rows) -> Path:
        path = tmp_path / "table.csv"
        path.write_text("".join(",".join(cells) + "\n" for cells in rows), encoding="utf-8")
        return path

    return write
