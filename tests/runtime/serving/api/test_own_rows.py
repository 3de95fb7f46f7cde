"""Every row that training used is read as training read it, in each way in which a caller sends it."""

import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.datastructures import FileStorage

from mlops_runtime.serving.api.negotiation import Format
from mlops_runtime.serving.api.records import RecordReader, all_valid
from mlops_runtime.serving.ui.tables import TablePrediction, uploaded
from mlops_runtime.tables.source import open_source
from mlops_runtime.training.table import read_table
from tests.runtime.serving.own_tables import TABLES, contract_of, write_table

if TYPE_CHECKING:
    from mlops_runtime.contract import RecordModel

MAX_RECORDS = 1000
MAX_LENGTH = 1_000_000


class Case:
    """A table, its contract, and its rows as training reads them."""

    def __init__(self, path: Path) -> None:
        self.contract = contract_of(path)
        self.content = path.read_bytes()
        self.records = list(read_table(self.contract, path).records.values())
        self.reader = RecordReader(self.contract, MAX_RECORDS)
        source = open_source(path)
        self.rows = [dict(zip(source.header, cells, strict=True)) for _, cells in source.raw_rows()]


@pytest.fixture(scope="module", params=TABLES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(write_table(request.param, tmp_path_factory.mktemp("own")))


def test_rows_of_words_are_read_as_in_training(case: Case) -> None:
    body = json.dumps(case.rows).encode()

    assert all_valid(case.reader.read(body, Format.JSON).results) == case.records


def test_lines_of_words_are_read_as_in_training(case: Case) -> None:
    body = "\n".join(map(json.dumps, case.rows)).encode()

    assert all_valid(case.reader.read(body, Format.NDJSON).results) == case.records


def test_rows_of_values_are_read_as_in_training(case: Case) -> None:
    # Given typed values, with the columns that are no fields
    others = set(case.rows[0]) - set(case.contract.features)
    rows = [
        {name: row[name] for name in others} | record.model_dump(mode="json")
        for row, record in zip(case.rows, case.records, strict=True)
    ]

    assert all_valid(case.reader.read(json.dumps(rows).encode(), Format.JSON).results) == case.records


def test_the_file_is_read_as_in_training(case: Case) -> None:
    assert all_valid(case.reader.read(case.content, Format.CSV).results) == case.records


def test_the_page_reads_the_file_as_in_training(case: Case) -> None:
    read: list[RecordModel] = []

    def predict(records: Any) -> list[Any]:
        read.extend(records)
        return list(records)

    with uploaded(case.contract, FileStorage(BytesIO(case.content), "own.csv")) as source:
        prediction = TablePrediction(case.contract, source, case.reader, predict)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prediction, "_writer", SilentWriter())
            batches = list(prediction.run(MAX_RECORDS, MAX_LENGTH))

    assert [batch.faults for batch in batches if batch.faults] == []
    assert read == case.records


class SilentWriter:
    """Writes no predictions."""

    def cells(self, _: Any, *, errors: bool) -> list[Any]:
        return [errors]

    def label_counts(self, _: Any) -> Counter[str]:
        return Counter()
