"""The contract."""

from pathlib import Path

import pytest
from hypothesis import given
from mlops_runtime.contract import FieldSpec, RecordModel
from mlops_runtime.profiling.profile import profile
from mlops_runtime.profiling.render.datamodel import render
from mlops_runtime.testing.strategies import valid_records

from {{cookiecutter.__package}}_model import datamodel
from {{cookiecutter.__package}}_model.datamodel import CONTRACT, Record


@pytest.mark.parametrize("field", CONTRACT.fields, ids=lambda field: field.attribute)
def test_every_field_has_a_description(field: FieldSpec) -> None:
    assert field.description


@given(record=valid_records(Record))
def test_a_record_survives_json(record: RecordModel) -> None:
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_the_contract_is_the_one_that_the_table_gives(data: Path) -> None:
    # Delete this test once you have changed the contract by hand.
    source = Path(datamodel.__file__).read_text(encoding="utf-8")

    found = profile(data, CONTRACT.target, CONTRACT.task)

    assert render(found, source) == source
