from typing import Any

import pytest

from mlops_runtime.contract import FieldSpec, Kind
from mlops_runtime.serving.ui.field_text import (
    MAX_NAME_LENGTH,
    accepted,
    allowed,
    bounds,
    expected,
    label,
    listed,
    nearest,
    shortened,
)
from tests.runtime.serving.conftest import PARCEL_FIELDS


def field(kind: Kind = Kind.NUMBER, **details: Any) -> FieldSpec:
    """Return a field of which only these details matter."""
    return FieldSpec(name="a_b", attribute="a_b", kind=kind, description="", optional=False, **details)


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
def test_accepted_values_are_described(name: str, words: str) -> None:
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
def test_bounds_have_all_their_digits(limits: dict[str, Any], words: str) -> None:
    assert bounds(field(**limits)) == words


@pytest.mark.parametrize(
    ("details", "words"),
    [
        pytest.param({}, "", id="none"),
        pytest.param({"expected": (18, 64)}, "usually 18 to 64", id="without bounds"),
        pytest.param({"expected": (-3, 41.5), "minimum": 0}, "usually 0 to 41.5", id="below the least"),
        pytest.param({"expected": (-3, 41.5), "maximum": 40}, "usually -3 to 40", id="above the most"),
    ],
)
def test_the_expected_range_is_within_the_bounds(details: dict[str, Any], words: str) -> None:
    assert expected(field(**details)) == words


def test_text_without_a_maximum_length() -> None:
    assert accepted(field(Kind.TEXT)) == "text"


def test_a_label_has_spaces_instead_of_underscores() -> None:
    assert label(field()) == "a b"


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    assert listed(("a", "b")) == "a, b"
    assert listed([str(number) for number in range(1, 11)]) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    assert listed([str(number) for number in range(1, 14)]) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 3 more"


def test_words_with_commas_or_outer_spaces_are_quoted() -> None:
    assert listed(["large", "medium, or so", " small", "a b"]) == 'large, "medium, or so", " small", a b'


@pytest.mark.parametrize(
    ("word", "expected_word"),
    [
        pytest.param("larg", "Large", id="a letter too few"),
        pytest.param("LARGE", "Large", id="other case"),
        pytest.param("smal", "small", id="another word"),
        pytest.param("xyz", None, id="no similar word"),
        pytest.param("", None, id="empty"),
        pytest.param("large" * 10_000, None, id="too long to compare"),
    ],
)
def test_the_nearest_word(word: str, expected_word: str | None) -> None:
    assert nearest(word, ["Large", "small"]) == expected_word


@pytest.mark.parametrize(
    ("length", "shortened_length"), [(MAX_NAME_LENGTH, MAX_NAME_LENGTH), (9999, MAX_NAME_LENGTH + 1)]
)
def test_a_long_name_is_cut(length: int, shortened_length: int) -> None:
    assert len(shortened("x" * length)) == shortened_length
