"""The project's own table, and the contract that was made for it."""

from pathlib import Path

from profiling.datamodel import render
from profiling.profile import profile

from {{cookiecutter.__package}}_model import datamodel

CONTRACT = Path(datamodel.__file__)


def test_the_contract_is_the_one_that_the_table_gives(whole_data: Path) -> None:
    # given
    existing = CONTRACT.read_text(encoding="utf-8")
    package, _, _ = datamodel.__name__.rpartition(".")
    # when
    found = profile(whole_data, datamodel.TARGET, datamodel.TASK)
    # then
    assert render(found, package, existing) == existing
