import pytest

from mlops_runtime.missing import NO_VALUES, WORD_KINDS, WORDS, missing_words


@pytest.mark.parametrize(
    "word",
    ["", "NA", "N/A", "n/a", "N.A.", "n.a.", "na", "NaN", "nan", "-nan", "+NaN", "NULL", "null", "Null", "(null)",
     "<null>", "<NA>", "NaT", "#N/A", "#NA", "#DIV/0!", "#VALUE!", "#REF!", "1.#IND", "-1.#IND", "1.#QNAN", r"\N", "?",
     "inf", "-inf", "Infinity", "-INFINITY", "None", "none", "nil", "-", "--", ".", "*"],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["number", "date", "boolean", "category", "text"])
def test_a_usual_word_means_a_missing_value_in_any_column(word: str, kind: str) -> None:
    assert word in missing_words(kind)


@pytest.mark.parametrize(
    "word", ["unknown", "Unknown", "UNKNOWN", "missing", "Missing", "n.d.", "not available", "----"]
)
def test_a_word_means_a_missing_value_where_it_cannot_be_a_value(word: str) -> None:
    assert word in missing_words("integer")
    assert word not in missing_words("category")


@pytest.mark.parametrize("word", ["Nan Goldin", "nano", "info", "NAN1", "0", "Na", "+", "no", "f", "never"])
@pytest.mark.parametrize("words", [WORDS, NO_VALUES], ids=["words", "numbers"])
def test_other_words_are_values(word: str, words: frozenset[str]) -> None:
    assert (word in words) is (word == "Na" and words is NO_VALUES)


@pytest.mark.parametrize(
    ("named", "missing", "present"),
    [
        pytest.param(["NA", "-"], ["", "NA", "-"], ["None", "null", "?"], id="these-words"),
        pytest.param([], [""], ["NA", "None", "?"], id="no-word"),
        pytest.param(["auto", "-999"], ["", "NA", "None", "-999"], ["auto"], id="further-words"),
    ],
)
def test_named_words_replace_the_usual_ones_in_columns_of_words(
    named: list[str], missing: list[str], present: list[str]
) -> None:
    for kind in WORD_KINDS:
        words = missing_words(kind, named)
        assert words.issuperset(missing)
        assert words.isdisjoint(present)


def test_named_words_are_added_in_columns_of_numbers() -> None:
    assert missing_words("number", ["-999"]) == NO_VALUES | {"-999"}


def test_words_of_a_column_come_before_those_of_all_columns() -> None:
    words = missing_words("category", further=["unknown"], values=["None"])
    assert ("unknown" in words, "None" in words, "" in words) == (True, False, True)
