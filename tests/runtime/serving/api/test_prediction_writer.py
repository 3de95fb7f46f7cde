import csv
import json
from io import StringIO
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.model import Predictor
from mlops_runtime.serving.api.faults import MAX_FAULTS_PER_RECORD, RecordFaults
from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, fault_text, refused
from mlops_runtime.serving.api.problems import FieldError


@pytest.fixture(scope="module")
def predictions(each_predictor: Predictor) -> list[Any]:
    return each_predictor.predict([golden.record for golden in each_predictor.golden_records])


@pytest.fixture(scope="module")
def writer(each_predictor: Predictor) -> PredictionWriter:
    return PredictionWriter(each_predictor.contract)


def test_a_prediction_is_the_same_in_every_format(writer: PredictionWriter, predictions: list[Any]) -> None:
    written = {wanted: writer.write(predictions, wanted, many=True, errors=False) for wanted in FORMATS}

    # JSON and NDJSON hold everything that the model returns
    expected = [json.loads(prediction.model_dump_json()) for prediction in predictions]
    assert json.loads(written[Format.JSON]) == expected
    assert [json.loads(line) for line in written[Format.NDJSON].splitlines()] == expected

    # A table has the same numbers with all digits
    header, *rows = csv.reader(StringIO(written[Format.CSV].decode(), newline=""))
    assert header == writer.columns(errors=False)
    for row, prediction in zip(rows, predictions, strict=True):
        expected_cells = writer.cells(prediction, errors=False)
        for cell, value in zip(row, expected_cells, strict=True):
            assert (float(cell) if isinstance(value, float) else cell) == (value or "")


def test_a_stream_has_the_columns_of_a_table(writer: PredictionWriter, predictions: list[Any]) -> None:
    body = writer.write(predictions, Format.ARROW, many=True, errors=True)
    table = pyarrow.ipc.open_stream(body).read_all()
    assert table.column_names == writer.columns(errors=True)
    assert [list(row.values()) for row in table.to_pylist()] == [
        writer.cells(each, errors=True) for each in predictions
    ]


@pytest.mark.parametrize("wanted", FORMATS)
def test_a_fault_replaces_the_prediction_of_its_record(
    writer: PredictionWriter, predictions: list[Any], wanted: Format
) -> None:
    # Given a prediction, a record with more faults than are listed in its place, and another prediction
    errors = [FieldError(pointer=f"/1/{number}", field=f"field {number}", detail="is wrong") for number in range(9)]
    faulty = refused(RecordFaults(tuple(errors), len(errors)))

    # When they are written
    written = writer.write([predictions[0], faulty, predictions[1]], wanted, many=True, errors=True)

    # Then the fault is in its place, and says how many are left out
    expected = '"field 0" is wrong; "field 1" is wrong; "field 2" is wrong; and 6 more faults'
    match wanted:
        case Format.JSON | Format.NDJSON:
            outcome = json.loads(written)[1] if wanted is Format.JSON else json.loads(written.splitlines()[1])
            assert outcome["error"]["detail"] == expected
            assert len(outcome["error"]["errors"]) == MAX_FAULTS_PER_RECORD
        case Format.CSV:
            rows = list(csv.reader(StringIO(written.decode(), newline="")))
            assert [row[-1] for row in rows] == ["error", "", expected, ""]
            assert set(rows[2][:-1]) == {""}
        case Format.ARROW:
            assert pyarrow.ipc.open_stream(written).read_all()["error"].to_pylist() == [None, expected, None]


@given(name=st.text() | st.sampled_from(["=1+1", "+1", "-1", "@a", "\t=1", "\r=1"]) | st.none())
def test_a_fault_never_starts_like_a_formula(name: str | None) -> None:
    text = fault_text([FieldError(pointer="/0", field=name, detail="is wrong")], 1)

    assert text.startswith(('"', "this "))
