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
OF_NUMBERS = len(LAYOUT.numbers)


def of_strings(cities: list[str], remarks: list[str]) -> Features:
    """Return orders whose cities and remarks are these."""
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


def test_values_and_words_that_stand_on_two_rows_are_learned() -> None:
    # given: values that stand on three rows, two and one; a word that one row alone has, but twice
    features = of_strings(["b", "c", "a", "b", "c", "b", ""], ["at the", "at", "twice twice", "the", "", "", ""])
    # when
    learned = Encoding.fitted(features)
    # then: the commonest value first, words by the alphabet
    assert learned.values == (("one",), ("b", "c"))
    assert learned.terms == (("at", "the"),)


def test_of_equally_common_values_the_alphabet_decides() -> None:
    learned = Encoding.fitted(of_strings(["z", "b", "z", "b"], [""] * 4))
    assert learned.values[1] == ("b", "z")


def test_only_the_commonest_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setattr(encoding, "MAX_VALUES", 1)
    monkeypatch.setattr(encoding, "MAX_TERMS", 1)
    features = of_strings(["a", "a", "b", "b", "b"], ["aa bb", "aa bb", "bb", "", ""])
    # then
    assert Encoding.fitted(features).values[1] == ("b",)
    assert Encoding.fitted(features).terms == (("bb",),)


def test_with_many_rows_fewer_words_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_CELLS", 2 * ROWS)
    assert len(Encoding.fitted(orders.features(ROWS)).terms[0]) == 2


def test_of_no_rows_nothing_is_learned() -> None:
    learned = Encoding.fitted(orders.features(0))
    assert (learned.values, learned.terms) == (((), ()), ((),))
    assert learned.matrix(orders.features(2)).shape == (2, OF_NUMBERS + 2)


def test_columns_are_told_in_the_order_of_the_matrix(fitted: Encoding) -> None:
    columns = fitted.columns
    choice = next(place for place, number in enumerate(LAYOUT.numbers) if number.field.attribute == "size")
    assert columns[choice] == Column(ColumnKind.PLACE, len(orders.Size))
    assert all(columns[place].kind is ColumnKind.NUMBER for place in range(OF_NUMBERS) if place != choice)
    assert columns[OF_NUMBERS : OF_NUMBERS + 2] == (
        Column(ColumnKind.PLACE, len(orders.COURIERS)),
        Column(ColumnKind.PLACE, len(orders.CITIES)),
    )
    assert {column.kind for column in columns[OF_NUMBERS + 2 :]} == {ColumnKind.TERM}
    assert len(columns) == fitted.matrix(orders.features(1)).shape[1]


def test_a_category_is_its_place_and_minus_one_where_it_is_new_or_missing() -> None:
    learned = Encoding.fitted(of_strings(["b", "c", "b", "c", "b"], [""] * 5))
    matrix = learned.matrix(of_strings(["c", "b", "new", ""], [""] * 4))
    assert matrix[:, OF_NUMBERS + 1].tolist() == [1, 0, -1, -1]


def test_a_word_is_how_often_it_stands_in_the_text() -> None:
    learned = Encoding.fitted(of_strings(["", ""], ["ring twice", "ring twice"]))
    matrix = learned.matrix(of_strings([""] * 3, ["Ring, ring! Twice", "new words", ""]))
    assert matrix[:, -2:].tolist() == [[2, 1], [0, 0], [0, 0]]


@given(batch=st.lists(st.from_type(Order), max_size=5))
def test_numbers_stay_what_they_are(batch: list[Order], fitted: Encoding) -> None:
    features = LAYOUT.encode(batch)
    matrix = fitted.matrix(features)
    assert matrix.shape == (len(batch), len(fitted.columns))
    np.testing.assert_array_equal(matrix[:, :OF_NUMBERS], features.numbers)
    assert not np.isnan(matrix[:, OF_NUMBERS:]).any()
