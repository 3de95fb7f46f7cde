import math
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from mlops_runtime.model import Predictor
from mlops_runtime.operator_key import OPERATOR
from mlops_runtime.serving.middleware import limits
from mlops_runtime.serving.middleware.limits import SECOND, Buckets, with_rate_limit
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import CALLER_KEY
from tests.runtime.serving.conftest import app_of
from tests.runtime.serving.middleware.test_keys import KEY, OTHER_KEY, hash_of

RATES = st.floats(0.01, 1000)
PAUSES = st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=50)
"""Nanoseconds between the requests of a caller."""

ROUNDING = 1.000_01
"""By how much a rate may be exceeded: time is counted in nanoseconds."""


class Clock:
    """A clock that a test advances."""

    def __init__(self, now: int = 0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def limited_client(predictor: Predictor, tmp_path: Path) -> FlaskClient:
    """A client of a service that takes one request in a hundred seconds."""
    return app_of(predictor, Settings(rate_limit=0.01, drain_marker=tmp_path / "draining")).test_client()


@given(rate=RATES, start=st.integers(0, 10**18), pauses=PAUSES)
def test_the_rate_is_never_exceeded(rate: float, start: int, pauses: list[int]) -> None:
    # Given a caller that asks again and again
    clock = Clock(start)
    buckets = Buckets(rate, clock)
    taken = []

    # When some of its requests are accepted
    for pause in pauses:
        clock.now += pause
        if buckets.take("caller") == 0:
            taken.append(clock.now)

    # Then from any of them to any later one there are no more than the rate allows, and a second's worth at once
    for first, began in enumerate(taken):
        for last, ended in enumerate(taken[first:], first):
            assert last - first + 1 <= (max(1, rate) + rate * (ended - began) / SECOND) * ROUNDING


@given(rate=RATES, pauses=PAUSES)
def test_a_caller_that_waits_as_long_as_required_is_accepted(rate: float, pauses: list[int]) -> None:
    clock = Clock()
    buckets = Buckets(rate, clock)
    for pause in pauses:
        clock.now += pause
        wait = buckets.take("caller")
        if wait:
            # Being refused costs nothing, and asking too early is refused again
            assert buckets.take("caller") == wait
            clock.now += math.ceil(wait * SECOND)
            assert buckets.take("caller") == 0


@given(rate=st.integers(1, 1000))
def test_the_requests_of_one_second_may_come_at_once(rate: int) -> None:
    buckets = Buckets(rate, Clock())

    assert [buckets.take("caller") for _ in range(rate)] == [0] * rate
    assert buckets.take("caller") == pytest.approx(1 / rate, rel=1e-3)


def test_a_caller_within_the_rate_is_never_refused() -> None:
    clock = Clock()
    buckets = Buckets(7, clock)

    for _ in range(1000):
        clock.now += math.ceil(SECOND / 7)
        assert buckets.take("caller") == 0


def test_each_caller_has_its_own_bucket() -> None:
    buckets = Buckets(1, Clock())

    assert buckets.take("one") == 0
    assert buckets.take("one") == 1
    assert buckets.take("other") == 0


def test_the_number_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given room for three callers, of which the first keeps asking
    monkeypatch.setattr(limits, "MAX_CALLERS", 3)
    buckets = Buckets(1, Clock())
    buckets.take("first")

    # When many others ask
    for number in range(100):
        buckets.take(f"{number}")
        assert buckets.take("first") > 0

    # Then those are forgotten that have not asked for longest
    assert buckets.take("99") > 0
    assert buckets.take("1") == 0


def test_a_refused_request_gets_a_retry_after_header(limited_client: FlaskClient) -> None:
    assert limited_client.get("/version").status_code == 200

    answer = limited_client.get("/version")

    assert answer.status_code == 429
    assert answer.content_type == "application/problem+json"
    assert 98 <= int(answer.headers["Retry-After"]) <= 100
    assert answer.get_json(force=True)["detail"].endswith(f"again in {answer.headers['Retry-After']} s.")


@pytest.mark.parametrize(("wait", "seconds"), [(0.001, 1), (1, 1), (1.001, 2)])
def test_the_wait_is_rounded_up_to_seconds(wait: float, seconds: int) -> None:
    assert dict(limits.too_many_requests(wait).get_headers())["Retry-After"] == str(seconds)


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/readyz", "/static/page.css"])
def test_some_routes_have_no_limit(limited_client: FlaskClient, path: str) -> None:
    statuses = {limited_client.get(path).status_code for _ in range(5)}

    assert len(statuses) == 1
    assert 429 not in statuses


def test_each_address_is_a_caller(limited_client: FlaskClient) -> None:
    def status(address: str) -> int:
        return limited_client.get("/version", environ_base={"REMOTE_ADDR": address}).status_code

    assert [status(address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")] == [200, 429, 200]


def test_each_key_is_a_caller_whatever_its_address(predictor: Predictor, tmp_path: Path) -> None:
    # Given a service with two keys and a limit
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "one").write_text(hash_of(KEY))
    (folder / "other").write_text(hash_of(OTHER_KEY))
    settings = Settings(api_keys=folder, rate_limit=0.01, drain_marker=tmp_path / "draining")
    client = app_of(predictor, settings).test_client()

    def status(key: str, address: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return client.get("/version", headers=headers, environ_base={"REMOTE_ADDR": address}).status_code

    # When one of them asks from two addresses, then it is one caller; and without a key there is none
    assert [status(KEY, "192.0.2.1"), status(KEY, "192.0.2.2"), status(OTHER_KEY, "192.0.2.1")] == [200, 429, 200]
    assert {status("wrong", "192.0.2.1") for _ in range(3)} == {401}


@pytest.mark.parametrize(
    ("caller", "statuses"),
    [pytest.param(OPERATOR, [200, 200, 200], id="operator"), pytest.param("hospital", [200, 429, 429], id="caller")],
)
def test_the_operator_has_no_limit(caller: str, statuses: list[int]) -> None:
    # Given an application with a limit, and a caller that the keys have identified
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    client = Client(with_rate_limit(application, Buckets(1, Clock())))

    assert [client.get("/", environ_base={CALLER_KEY: caller}).status_code for _ in range(3)] == statuses


def test_there_is_no_limit_without_the_setting(client: FlaskClient) -> None:
    assert {client.get("/version").status_code for _ in range(300)} == {200}
