from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from trainer import ranges
from trainer.ranges import draw_records, field_ranges

from {{cookiecutter.__package}}_model.datamodel import FEATURES, Record, feature_matrix


def test_there_is_a_range_for_each_feature_in_their_order() -> None:
    assert tuple(field.name for field in field_ranges()) == FEATURES


@given(record=st.from_type(Record))
def test_every_valid_record_lies_within_the_ranges(record: Record) -> None:
    for field, value in zip(field_ranges(), vars(record).values(), strict=True):
        assert (value is None and field.optional) or field.minimum <= value <= field.maximum


def test_drawn_records_reach_both_ends_and_miss_values_where_allowed() -> None:
    # when
    columns = feature_matrix(draw_records(2000, seed=0)).T
    # then
    for field, column in zip(field_ranges(), columns, strict=True):
        present = column[column == column]
        assert (present.min(), present.max()) == pytest.approx((field.minimum, field.maximum), rel=0.01)
        assert (len(present) < len(column)) is field.optional


def test_the_same_seed_draws_the_same_records() -> None:
    assert draw_records(5, seed=3) == draw_records(5, seed=3) != draw_records(5, seed=4)


def test_a_field_without_steps_is_drawn_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Continuous(BaseModel):
        length: Annotated[float, Field(ge=-1, le=2)]

    monkeypatch.setattr(ranges, "Record", Continuous)
    values = [vars(record)["length"] for record in draw_records(500, seed=0)]
    assert -1 <= min(values) < -0.9 < 1.9 < max(values) <= 2


def test_a_field_without_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unbounded(BaseModel):
        length: Annotated[float, Field(ge=0)]

    monkeypatch.setattr(ranges, "Record", Unbounded)
    with pytest.raises(ValueError, match="gives length no minimum and maximum"):
        field_ranges()
