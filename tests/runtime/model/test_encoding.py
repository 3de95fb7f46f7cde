import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.contract.features import Features
from mlops_runtime.model import encoding
from mlops_runtime.model.encoding import Column, ColumnKind, Encoding
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, Order

ROWS = 300
NUMBERS = len(LAYOUT.numbers)


def encoded_orders(cities: list[str], remarks: list[str]) -> Features:
    """Return the features of orders with these cities and remarks."""
    rows = orders.some_orders(len(cities))
    return LAYOUT.encode(
        [
            order.model_copy(update={"courier": "one", "city": city or None, "remark": remark or None})
            for order, city, remark in zip(rows, cities, remarks, strict=True)
        ]
    )


@pytest.fixture(scope="module")
def fitted() -> Encoding:
    return Encoding.fitted(orders.features(ROWS))


def test_values_and_words_of_two_rows_are_learned() -> None:
    # given: values of three rows, two and one; a word that occurs twice in a single row
    features = encoded_orders(["b", "c", "a", "b", "c", "b", ""], ["at the", "at", "twice twice", "the", "", "", ""])
    # when
    learned = Encoding.fitted(features)
    # then: the most frequent value first, equally frequent words in alphabetical order
    assert learned.values == (("one",), ("b", "c"))
    assert learned.terms == (("at", "the"),)


def test_equally_frequent_values_are_in_alphabetical_order() -> None:
    learned = Encoding.fitted(encoded_orders(["z", "b", "z", "b"], [""] * 4))
    assert learned.values[1] == ("b", "z")


def test_only_the_most_frequent_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(encoding, "MAX_VALUES", 1)
    monkeypatch.setattr(encoding, "MAX_TERMS", 1)
    features = encoded_orders(["a", "a", "b", "b", "b"], ["aa bb", "aa bb", "bb", "", ""])
    # then
    assert Encoding.fitted(features).values[1] == ("b",)
    assert Encoding.fitted(features).terms == (("bb",),)


@pytest.mark.parametrize(("limit", "value"), [("MAX_COUNTS", 8), ("MAX_TERM_CELLS", 12)])
def test_many_rows_have_fewer_words(limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # given: six rows, of which five have the most frequent word and three the next
    features = encoded_orders([""] * 6, ["aa bb cc", "aa bb cc", "aa bb", "aa", "aa aa", ""])
    # when
    monkeypatch.setattr(encoding, limit, value)
    # then
    assert Encoding.fitted(features).terms == (("aa", "bb"),)


def test_words_are_counted_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a frequent word among rare ones
    monkeypatch.setattr(encoding, "MAX_COUNTED_WORDS", 3)
    features = encoded_orders([""] * 20, [f"rare{row} common" for row in range(20)])
    # then
    assert Encoding.fitted(features).terms == (("common",),)


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        pytest.param((), 100, id="none"),
        pytest.param((Column(ColumnKind.NUMBER),) * 5, 20, id="numbers"),
        pytest.param((Column(ColumnKind.CATEGORICAL, 49), Column(ColumnKind.TERM)), 2, id="one-hot"),
        pytest.param((Column(ColumnKind.TERM),) * 1000, 1, id="more-than-fit"),
    ],
)
def test_a_wide_matrix_is_computed_for_fewer_rows_at_once(
    columns: tuple[Column, ...], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "MAX_CELLS", 100)
    monkeypatch.setattr(Encoding, "columns", columns)
    assert Encoding(LAYOUT, (), ()).rows_at_once == rows


def test_no_rows_give_an_empty_encoding() -> None:
    learned = Encoding.fitted(orders.features(0))
    assert (learned.values, learned.terms) == (((), ()), ((),))
    assert learned.matrix(orders.features(2)).shape == (2, NUMBERS + 2)


def test_columns_describe_the_matrix_in_its_order(fitted: Encoding) -> None:
    columns = fitted.columns
    choice = next(index for index, number in enumerate(LAYOUT.numbers) if number.field.attribute == "size")
    assert columns[choice] == Column(ColumnKind.CATEGORICAL, len(orders.Size))
    assert all(columns[index].kind is ColumnKind.NUMBER for index in range(NUMBERS) if index != choice)
    assert columns[NUMBERS : NUMBERS + 2] == (
        Column(ColumnKind.CATEGORICAL, len(orders.COURIERS)),
        Column(ColumnKind.CATEGORICAL, len(orders.CITIES)),
    )
    assert {column.kind for column in columns[NUMBERS + 2 :]} == {ColumnKind.TERM}
    assert len(columns) == fitted.matrix(orders.features(1)).shape[1]


def test_a_category_is_its_index_or_minus_one_if_unknown_or_missing() -> None:
    learned = Encoding.fitted(encoded_orders(["b", "c", "b", "c", "b"], [""] * 5))
    matrix = learned.matrix(encoded_orders(["c", "b", "new", ""], [""] * 4))
    assert matrix[:, NUMBERS + 1].tolist() == [1, 0, -1, -1]


def test_a_word_is_its_count_in_the_text() -> None:
    learned = Encoding.fitted(encoded_orders(["", ""], ["ring twice", "ring twice"]))
    matrix = learned.matrix(encoded_orders([""] * 3, ["Ring, ring! Twice", "new words", ""]))
    assert matrix[:, -2:].tolist() == [[2, 1], [0, 0], [0, 0]]


@given(batch=st.lists(st.from_type(Order), max_size=5))
def test_numbers_are_passed_through(batch: list[Order], fitted: Encoding) -> None:
    features = LAYOUT.encode(batch)
    matrix = fitted.matrix(features)
    assert matrix.shape == (len(batch), len(fitted.columns))
    np.testing.assert_array_equal(matrix[:, :NUMBERS], features.numbers)
    assert not np.isnan(matrix[:, NUMBERS:]).any()
