"""Verification and watching at an address, against a stub of the service."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mlops_runtime.operations.azure import address
from mlops_runtime.operations.azure.address import GRACE, Address
from mlops_runtime.operations.azure.image_files import ModelFiles
from mlops_runtime.operations.golden import ServiceError, WrongPredictionError
from mlops_runtime.operations.replicas import Clock, Verified
from tests.runtime.operations import conftest

PREDICTION = {"label": "a", "probabilities": {"a": 0.75}}
FILES = ModelFiles([{"record": {"x": 1}, "prediction": PREDICTION}], "hash")


def answers(*versions: str | ServiceError) -> Iterator[str | ServiceError]:
    """Yield versions; the last one from then on."""
    yield from versions
    while True:
        yield versions[-1]


@pytest.fixture
def clock() -> Clock:
    seconds = conftest.Clock()
    return Clock(seconds, seconds.sleep, lambda _: None)


def watch(monkeypatch: pytest.MonkeyPatch, clock: Clock, *versions: str | ServiceError) -> int:
    """Watch a service that reports these versions; return how often it was asked."""
    asked, reported = 0, answers(*versions)

    def running_version(url: str, key: str) -> str:
        nonlocal asked
        asked += 1
        version = next(reported)
        if isinstance(version, ServiceError):
            raise version
        return f"{version}" if (url, key) == ("https://x", "k") else "?"

    monkeypatch.setattr(address, "running_version", running_version)
    Address().watch("https://x", "v2", "k", 5, clock)
    return asked


def test_every_golden_record_is_asked_for_twice_for_each_replica(stub_service: conftest.StubService) -> None:
    responses: conftest.Responses = {
        "/version": (200, json.dumps({"version": "v2"}).encode()),
        "/v1/predictions": (200, json.dumps(PREDICTION).encode()),
    }

    assert Address().verify(stub_service(responses, "k"), "v2", "k", FILES, 2) == Verified(1, "hash")


@pytest.mark.parametrize(
    ("version", "prediction"),
    [("v1", PREDICTION), ("v2", PREDICTION | {"label": "b"})],
    ids=["another version", "another prediction"],
)
def test_a_wrong_answer_is_found(stub_service: conftest.StubService, version: str, prediction: dict[str, Any]) -> None:
    responses: conftest.Responses = {
        "/version": (200, json.dumps({"version": version}).encode()),
        "/v1/predictions": (200, json.dumps(prediction).encode()),
    }

    with pytest.raises(WrongPredictionError):
        Address().verify(stub_service(responses, "k"), "v2", "k", FILES, 1)


def test_the_version_before_may_answer_until_the_traffic_has_moved(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    assert watch(monkeypatch, clock, "v1", "v2", "v1", "v2") > 13


def test_it_may_not_answer_afterwards(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    with pytest.raises(WrongPredictionError, match="https://x runs version v1, not v2"):
        watch(monkeypatch, clock, *["v2"] * 10, "v1")


def test_traffic_that_does_not_move_is_a_failure(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    began = clock.now()

    with pytest.raises(WrongPredictionError, match="runs version v1"):
        watch(monkeypatch, clock, "v1")
    assert clock.now() - began > GRACE


def test_an_answer_that_is_none_is_a_failure(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    with pytest.raises(ServiceError, match="status 500"):
        watch(monkeypatch, clock, "v2", ServiceError("status 500"))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        pytest.param((200, b'{"version": "v2"}'), "", id="the version"),
        pytest.param((200, b'{"version": "v1"}'), "runs version v1, not v2", id="another version"),
        pytest.param((500, b""), "HTTP Error 500", id="no answer"),
    ],
)
def test_a_service_that_does_not_answer_as_a_version_has_trouble(
    stub_service: conftest.StubService, response: tuple[int, bytes], expected: str
) -> None:
    trouble = Address().trouble(stub_service({"/version": response}, "k"), "v2", "k", 3)

    assert expected in trouble
    assert bool(trouble) is bool(expected)


def test_any_version_will_do_where_none_is_known(stub_service: conftest.StubService) -> None:
    assert Address().trouble(stub_service({"/version": (200, b'{"version": "v1"}')}, "k"), "", "k", 3) == ""
