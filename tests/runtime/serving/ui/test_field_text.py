from typing import Any

import pytest

from mlops_runtime.contract.features import FEATURES, FIELDS
from mlops_runtime.contract.fields import FieldSpec, Kind
from mlops_runtime.serving.ui.field_text import (
    FIELDS_BY_NAME,
    MAX_NAME,
    allowed,
    bounds,
    label,
    listed,
    nearest,
    shortened,
    takes,
    usual,
)
from tests.runtime.serving.conftest import PARCEL_FIELDS


def field(kind: Kind = Kind.NUMBER, **details: Any) -> FieldSpec:
    """Return a field of which only these details matter."""
    return FieldSpec(name="a_b", attribute="a_b", kind=kind, description="", optional=False, **details)


def test_the_fields_are_those_of_the_contract() -> None:
    assert tuple(FIELDS_BY_NAME) == FEATURES


def test_each_field_of_the_contract_has_its_words() -> None:
    for field in FIELDS:
        assert allowed(field).startswith(takes(field))
        assert allowed(field).endswith("or null") == field.optional


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Weight (kg)", "a number of at least 0, usually 0.5 to 40"),
        ("items", "a whole number from 1 to 99, or null"),
        ("express", "true or false"),
        ("insured", "true or false, or null"),
        ("size", "one of large, small"),
        ("wrapping", "one of large, small, or null"),
        ("city", "text of 1 to 200 characters"),
        ("remark", "text of 1 to 20000 characters, or null"),
        ("ordered", "a date such as 2024-12-31"),
        ("paid", "a date and time such as 2024-12-31T13:45:00, or null"),
        ('a/b~c <"&ü>', "a time such as 13:45:00"),
    ],
)
def test_what_a_field_takes_is_said_in_words(name: str, words: str) -> None:
    assert allowed(PARCEL_FIELDS[name]) == words


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        pytest.param({"minimum": 0.5, "maximum": 2}, "from 0.5 to 2", id="both"),
        pytest.param({"minimum": 0}, "of at least 0", id="least"),
        pytest.param({"maximum": 12_345_678}, "of at most 12345678", id="most"),
        pytest.param({}, "", id="none"),
    ],
)
def test_bounds_are_said_with_all_their_digits(limits: dict[str, Any], words: str) -> None:
    assert bounds(field(**limits)) == words


@pytest.mark.parametrize(
    ("details", "words"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"usual": (18, 64)}, "usually 18 to 64", id="without bounds"),
        pytest.param({"usual": (-3, 41.5), "minimum": 0}, "usually 0 to 41.5", id="below the least"),
        pytest.param({"usual": (-3, 41.5), "maximum": 40}, "usually -3 to 40", id="above the most"),
    ],
)
def test_what_is_usual_is_no_more_than_is_allowed(details: dict[str, Any], words: str) -> None:
    assert usual(field(**details)) == words


def test_text_without_a_limit_has_none_in_words() -> None:
    assert takes(field(Kind.TEXT)) == "text"


def test_a_label_is_the_name_as_a_person_writes_it() -> None:
    assert label(field()) == "a b"


def test_of_many_words_the_first_are_listed_and_the_others_counted() -> None:
    assert listed(("a", "b")) == "a, b"
    assert listed([str(number) for number in range(1, 11)]) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    assert listed([str(number) for number in range(1, 14)]) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more"


def test_words_whose_ends_would_not_be_seen_are_in_quotes() -> None:
    assert listed(["large", "medium, or so", " small", "a b"]) == 'large, "medium, or so", " small", a b'


@pytest.mark.parametrize(
    ("word", "found"),
    [
        pytest.param("larg", "Large", id="a letter too few"),
        pytest.param("LARGE", "Large", id="other case"),
        pytest.param("smal", "small", id="the other"),
        pytest.param("xyz", None, id="none is near"),
        pytest.param("", None, id="empty"),
        pytest.param("large" * 10_000, None, id="too long to compare"),
    ],
)
def test_the_nearest_word_is_found(word: str, found: str | None) -> None:
    assert nearest(word, ["Large", "small"]) == found


@pytest.mark.parametrize(
    ("length", "expected"), [(MAX_NAME, MAX_NAME), (MAX_NAME + 1, MAX_NAME + 1), (9999, MAX_NAME + 1)]
)
def test_a_name_is_cut_when_it_is_long(length: int, expected: int) -> None:
    assert len(shortened("x" * length)) == expected
