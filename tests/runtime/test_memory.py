import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import Field, create_model

from mlops_runtime import memory
from mlops_runtime.contract import (
    Category,
    Contract,
    Entity,
    EntityPrediction,
    Integer,
    RecordModel,
    Task,
    Text,
    ValuePrediction,
)
from mlops_runtime.memory import MEGABYTE, estimated_memory, memory_limit, memory_warning
from mlops_runtime.testing import synthetic
from mlops_runtime.training.run import Listener, train
from tests.runtime.conftest import LOCK, TEMPLATE, training_settings

ROWS = 6_000
WORDS = 3_000


class Name(StrEnum):
    PERSON = "PERSON"


class NamedEntity(Entity):
    label: Name


class FoundNames(EntityPrediction):
    entities: tuple[NamedEntity, ...]


class Price(ValuePrediction):
    pass


class Note(RecordModel):
    text: Text


TRAINING = r"""
import re, sys
from pathlib import Path
from mlops_runtime.contract import Contract, Integer, RecordModel, Task, Text, ValuePrediction
from pydantic import Field
from mlops_runtime.training import Settings, importance, parity, train
from mlops_runtime.training.candidates import default_candidates
from mlops_runtime.memory import estimated_memory

class Record(RecordModel):
    title: Text = Field(alias="title")
    items: Integer = Field(alias="items")

class Prediction(ValuePrediction):
    pass

folder, data, lock = map(Path, sys.argv[1:])
settings = Settings(
    data=data, artefact=folder / "artefact", report=folder / "report.html", metrics=folder / "metrics.json",
    lock=lock, floors={"skill": -1e9}, seed=0, test_share=0.25, budget=0, version="1", commit="0",
)
contract = Contract(Record, Prediction, Task.REGRESSION, "price")
# Time, not memory, grows with these.
importance.MAX_REPEATS = importance.MIN_REPEATS = 1
parity.DRAWN_ROWS = 100
train(contract, settings, default_candidates(contract)[:1])
# Not ru_maxrss, which a process inherits from the one that started it.
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
print(peak // 1024, estimated_memory(contract, 6000) // 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc: run it on Linux")
def test_a_small_table_with_many_words_needs_little_memory(tmp_path: Path) -> None:
    # given: 200 KB of text whose dense matrix of words has 18 million cells
    draw = Random(0)
    data = tmp_path / "titles.csv"
    with data.open("w") as file:
        file.write("title,items,price\n")
        for row in range(ROWS):
            title = " ".join(f"w{draw.randrange(WORDS)}" for _ in range(4))
            file.write(f"{title},{row % 7},{row % 7 + draw.random():.3f}\n")
    # when
    command = [sys.executable, "-c", TRAINING, str(tmp_path), str(data), str(LOCK)]
    environment = {"PYTHONPATH": str(TEMPLATE / "runtime"), "MPLCONFIGDIR": str(tmp_path)}
    trained = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert trained.returncode == 0, trained.stderr
    # then: of which the libraries take more than half
    peak, estimate = map(int, trained.stdout.split())
    assert peak < 600
    assert peak < 1.25 * estimate


def test_the_estimate_grows_with_the_rows(contract: Contract) -> None:
    assert 400 * MEGABYTE < estimated_memory(contract, 1000) < 450 * MEGABYTE
    assert estimated_memory(contract, 10_000_000) > 5 * estimated_memory(contract, 1_000_000)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


@pytest.mark.parametrize(
    ("kind", "columns"),
    [pytest.param(Colour, len(Colour), id="choice"), pytest.param(Category, 20, id="category of few values")],
)
def test_the_estimate_covers_the_dense_columns_of_trees(kind: Any, columns: int) -> None:
    def estimate(type_: Any) -> int:
        fields: Any = {f"column_{index}": (type_, Field(alias=f"column {index}")) for index in range(10)}
        record = create_model("Record", __base__=RecordModel, **fields)
        return estimated_memory(Contract(record, ValuePrediction, Task.REGRESSION, "price"), 1_000_000)

    assert estimate(kind) >= estimate(Integer) + 2 * 8 * 10 * columns * 1_000_000


def test_the_estimate_grows_with_the_labels() -> None:
    binary, multiclass = (estimated_memory(synthetic.CONTRACTS[task], 10**6) for task in (Task.BINARY, Task.MULTICLASS))

    assert multiclass > binary


@pytest.mark.parametrize(
    ("texts", "limit"),
    [
        pytest.param([f"{600 * MEGABYTE}\n"], 600 * MEGABYTE, id="a-limit"),
        pytest.param([f"{1 << 62}", f"{600 * MEGABYTE}"], 600 * MEGABYTE, id="two-limits"),
        pytest.param(["max\n"], None, id="no-limit"),
        pytest.param([], None, id="no-container"),
    ],
)
def test_the_limit_is_that_of_the_container(
    texts: list[str], limit: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    files = tuple(tmp_path / str(number) for number in range(2))
    for file, text in zip(files, texts, strict=False):
        file.write_text(text)
    monkeypatch.setattr(memory, "LIMIT_FILES", files)
    # then
    if limit is None:
        assert memory_limit() > 600 * MEGABYTE
    else:
        assert memory_limit() == limit


def test_a_run_that_may_exceed_its_limit_is_warned_about_with_rows_that_fit(contract: Contract) -> None:
    limit = 2048 * MEGABYTE
    assert memory_warning(contract, 10_000, limit) == ""
    warning = memory_warning(contract, 50_000_000, limit)
    assert warning.startswith("Training on 50,000,000 rows may need ")
    rows = int(warning.partition("MAX_ROWS=")[2].partition(",")[0])
    assert 100_000 < rows < 50_000_000
    assert memory_warning(contract, rows, limit) == ""


def test_the_warning_comes_before_the_rows_are_read(
    contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr("mlops_runtime.training.run.memory_limit", lambda: 100 * MEGABYTE)
    data = synthetic.write_table(tmp_path / "orders.csv", synthetic.rows_of_table(100, contract.task))

    class ReadError(Exception):
        """Ends the run."""

    def on_read(_: object) -> None:
        raise ReadError

    warnings: list[str] = []
    # when
    with pytest.raises(ReadError):
        train(contract, training_settings(tmp_path, data), listener=Listener(warnings.append, on_read))
    # then
    assert len(warnings) == 1
    assert "and 100 MB are there" in warnings[0]


def test_what_training_keeps_of_an_annotated_text_counts() -> None:
    # given: texts whose entities are found, and texts with a value
    kinds = (Contract(Note, FoundNames, Task.ENTITIES, "entities"), Contract(Note, Price, Task.REGRESSION, "price"))
    # when
    entities, value = (estimated_memory(contract, 200_000) - estimated_memory(contract, 150_000) for contract in kinds)
    # then
    assert entities - value == pytest.approx(50_000 * FoundNames.TRAINING_BYTES, rel=0.01)
