from typing import Any

import pytest

from mlops_runtime.serving.middleware.batch import MAX_RECORDS, Batch


def batch_of(*records: Any) -> Batch:
    """Return a batch with these records."""
    batch = Batch()
    assert [batch.add(record) for record in records] == list(range(len(records)))
    return batch


def upper(records: Any) -> list[Any]:
    """Return a prediction for each record."""
    return [record.upper() for record in records]


def test_each_record_gets_its_prediction() -> None:
    batch = batch_of("a", "b")

    assert [batch.prediction(position, upper) for position in (1, 0)] == ["B", "A"]


@pytest.mark.parametrize(("records", "is_open"), [(0, True), (MAX_RECORDS - 1, True), (MAX_RECORDS, False)])
def test_a_batch_is_open_until_it_is_full(records: int, *, is_open: bool) -> None:
    assert batch_of(*["a"] * records).is_open() == is_open


def test_a_predicted_batch_is_closed() -> None:
    batch = batch_of("a")
    batch.prediction(0, upper)

    assert not batch.is_open()


def test_a_failed_batch_is_not_predicted_again() -> None:
    calls: list[int] = []

    def fail(records: Any) -> list[Any]:
        calls.append(len(records))
        raise ValueError("the reason")

    # Given a batch whose prediction fails
    batch = batch_of("a", "b")
    with pytest.raises(ValueError, match="the reason"):
        batch.prediction(0, fail)

    # When the second request asks for its prediction
    with pytest.raises(RuntimeError, match="together"):
        batch.prediction(1, fail)

    # Then the model has run once
    assert calls == [2]
