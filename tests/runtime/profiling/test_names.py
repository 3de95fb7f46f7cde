import builtins
import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mlops_runtime.profiling.names import MAX_NAME_LENGTH, attribute_name, class_name, member_name, words


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param("Clump_thickness", "clump_thickness", id="snake-case"),
        pytest.param("PassengerId", "passenger_id", id="camel-case"),
        pytest.param("HTTPCode", "http_code", id="abbreviation"),
        pytest.param("Weight (kg)", "weight_kg", id="punctuation"),
        pytest.param("größe", "grosse", id="accents"),
        pytest.param("大小", "大小", id="another-script"),
        pytest.param("2nd value", "column_2nd_value", id="digit-first"),
        pytest.param("%", "column_7", id="punctuation-alone"),
        pytest.param("class", "class_", id="keyword"),
        pytest.param("Match", "match_", id="soft-keyword"),
        pytest.param("copy", "copy_", id="attribute-of-a-model"),
        pytest.param("date", "date_", id="imported"),
        pytest.param("l", "l_", id="looks-like-a-digit"),
        pytest.param("model_dump", "column_model_dump", id="reserved-by-pydantic"),
        pytest.param("_hidden", "hidden", id="underscore-first"),
        pytest.param("a" * 99, "a" * MAX_NAME_LENGTH, id="long-word"),
        pytest.param(
            "how sure are you on the whole of this answer", "how_sure_are_you_on_the_whole_of_this", id="long"
        ),
    ],
)
def test_a_column_becomes_an_attribute(column: str, expected: str) -> None:
    assert attribute_name(column, 7, set()) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [("size class", "SizeClass"), ("2 sizes", "Column2Sizes"), ("大小", "Column大小"), ("!", "Column7"),
     ("record", "RecordValue"), ("value error", "ValueErrorValue"), ("none", "NoneValue"), ("ID", "Id")],
)  # fmt: skip
def test_a_column_becomes_a_class(column: str, expected: str) -> None:
    assert class_name(column, 7, set()) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("large", "LARGE"), ("South-East", "SOUTH_EAST"), ("1st", "VALUE_1ST"), ("+", "VALUE_7"), ("o", "O_"),
     ("男", "男"), (">50K", "VALUE_50K")],
)  # fmt: skip
def test_a_value_becomes_a_member(value: str, expected: str) -> None:
    assert member_name(value, 7, set()) == expected


@pytest.mark.parametrize(
    ("make", "expected"),
    [(attribute_name, "a_b_3"), (class_name, "AB3"), (member_name, "A_B_3")],
    ids=["attribute", "class", "member"],
)
def test_a_name_in_use_gets_a_number(make: type, expected: str) -> None:
    assert make("a-b", 7, {"a_b", "a_b_2", "AB", "AB2", "A_B", "A_B_2"}) == expected


@given(text=st.text(max_size=60), position=st.integers(1, 9999))
def test_any_text_becomes_a_valid_identifier(text: str, position: int) -> None:
    for make in (attribute_name, class_name, member_name):
        name = make(text, position, set())
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not name.startswith("_")
    assert attribute_name(text, position, set()) == attribute_name(text, position, set()).lower()
    assert class_name(text, position, set())[0].isupper()


@pytest.mark.parametrize(
    "name",
    sorted(
        {name for owner in (BaseModel, type(BaseModel)) for name in dir(owner) if not name.startswith("_")}
        | {"float", "bool", "date", "datetime", "time"}
    ),
)
def test_no_field_shadows_a_name_that_a_contract_uses(name: str) -> None:
    assert attribute_name(name, 7, set()) != name


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in dir(builtins) if name[0].isupper() and name.isalpha()),
        *("Annotated", "Category", "Field", "Text", "Task", "ExpectedRange", "Integer", "DateFormat", "StrEnum"),
        *("Record", "RecordModel", "Label", "LabelPrediction", "Prediction", "ValuePrediction"),
    ],
)
def test_no_class_shadows_a_name_that_a_contract_uses(name: str) -> None:
    assert class_name(name, 7, set()) != name


def test_a_name_is_split_into_words() -> None:
    assert words("Sample_code-number of HTTPRequests2Go") == [
        "sample", "code", "number", "of", "http", "requests2go",
    ]  # fmt: skip
