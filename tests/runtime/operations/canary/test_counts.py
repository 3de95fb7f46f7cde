import pytest

from mlops_runtime.operations.canary.counts import WatchedPods, parsed

OK = ("responses", "/v1/predictions", "POST", "200")


def test_counts_are_read_from_json() -> None:
    text = '[["responses", "/v1/predictions", "POST", "200", 7], ["starts", 1]]\n'

    assert parsed(text) == {OK: 7, ("starts",): 1}


@pytest.mark.parametrize("text", ["", "null", "[1]", '[["starts", "many"]]', '{"starts": 1}'])
def test_what_holds_no_counts_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^these are no counts of a pod"):
        parsed(text)


def test_what_pods_have_counted_begins_with_the_first_reading_of_each() -> None:
    pods = WatchedPods()

    # Given a pod that is read from the beginning, and one that comes later
    pods.read({"a": {OK: 100}})
    assert not pods.compared
    pods.read({"a": {OK: 103}, "b": {OK: 50}})
    pods.read({"b": {OK: 55}})
    pods.read({"a": {OK: 110}, "b": {OK: 55}})

    # Then each has counted what came after its own first reading
    assert pods.increases == [{OK: 10}, {OK: 5}]
    assert pods.compared
    assert pods.restarts == 0


def test_a_container_that_starts_again_counts_from_zero() -> None:
    pods = WatchedPods()

    for count in (100, 104, 3, 5):
        pods.read({"a": {OK: count, ("starts",): 1}})

    assert pods.increases[0][OK] == 4 + 3 + 2
    assert pods.restarts == 1


def test_a_process_that_starts_again_is_noticed() -> None:
    pods = WatchedPods()

    for starts in (2, 2, 3):
        pods.read({"a": {OK: 7, ("starts",): starts}})

    assert pods.restarts == 1
