import json
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from mlops_runtime.contract import Contract, Features, RecordModel
from mlops_runtime.model import Predictor
from mlops_runtime.serving import app as app_module
from mlops_runtime.serving import create_app
from mlops_runtime.serving.api.problems import Problem
from mlops_runtime.serving.middleware.batch import BATCH_KEY, Batch
from mlops_runtime.serving.middleware.fastpath import PATH, is_plain, with_fast_path
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.logs import JsonFormatter
from mlops_runtime.serving.telemetry.metrics import Metrics
from mlops_runtime.testing.synthetic import Order
from tests.runtime.serving.conftest import TITLE, request_log

DIFFERENT_EACH_TIME = {"time", "duration_ms"}


@dataclass(frozen=True)
class Seen:
    """Response, log line and metrics of a request."""

    status: str
    headers: list[tuple[str, str]]
    content: bytes
    line: dict[str, Any]
    metrics: list[str]


class Service:
    """A service whose responses, log lines and metrics are collected."""

    def __init__(self, predictor: Predictor, settings: Settings) -> None:
        self._counts = Metrics(predictor, None, settings.version)
        self._client = create_app(predictor, settings, title=TITLE, metrics=self._counts).test_client()

    def seen(self, body: bytes, headers: dict[str, str]) -> Seen:
        """Return response, log line and metrics of a request."""
        with request_log() as log:
            response = self._client.post(PATH, data=body, headers={"X-Request-ID": "same"} | headers, buffered=True)
        line = {name: value for name, value in json.loads(log.getvalue()).items() if name not in DIFFERENT_EACH_TIME}
        metrics = [
            f"{sample.name} {sample.labels} {sample.value}"
            for metric in self._counts.collect()
            for sample in metric.samples
            if "duration" not in metric.name
        ]
        return Seen(response.status, sorted(response.headers), response.data, line, metrics)


@dataclass(frozen=True)
class Services:
    """Two services, of which only one has the short path."""

    short: Service
    long: Service


@pytest.fixture(scope="module")
def services(predictor: Predictor, settings: Settings) -> Services:
    short = Service(predictor, settings)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "with_fast_path", lambda application, *_: application)
        long = Service(predictor, settings)
    return Services(short, long)


some_space = st.text(" \t\r\n", max_size=2).map(str.encode)
records = st.from_type(Order).flatmap(
    # Missing values are written as null, or not at all.
    lambda record: st.sampled_from([False, True]).map(
        lambda exclude_none: record.model_dump_json(exclude_none=exclude_none).encode()
    )
)
lists = st.lists(records, max_size=4).map(lambda records: b"[" + b", ".join(records) + b"]")
valid_bodies = st.tuples(some_space, records | lists, some_space).map(b"".join)


@st.composite
def damaged_bodies(draw: st.DrawFn) -> bytes:
    """Return a body with a part that is removed, repeated or replaced."""
    body = draw(valid_bodies)
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 20)))
    return body[:start] + draw(st.sampled_from([b"", body[start:end] * 2]) | st.binary(max_size=5)) + body[end:]


@st.composite
def repeated_names(draw: st.DrawFn) -> bytes:
    """Return a record, alone or in a list, with a repeated name."""
    pairs = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in json.loads(draw(records)).items()]
    place = draw(st.integers(0, len(pairs)))
    record = "{" + ", ".join([*pairs[:place], draw(st.sampled_from(pairs)), *pairs[place:]]) + "}"
    return draw(st.sampled_from([record, f"[{record}]"])).encode()


any_bodies = valid_bodies | damaged_bodies() | repeated_names() | st.binary(max_size=40)
any_headers = st.fixed_dictionaries(
    {
        "Content-Type": st.sampled_from(
            ["application/json", "application/JSON; charset=utf-8", "application/x-ndjson", "text/plain", ""]
        )
    },
    optional={
        "Accept": st.sampled_from(["*/*", "application/json", "text/csv", "application/json;q=0.5, */*", "image/png"]),
        "Prefer": st.sampled_from(["handling=lenient", "handling=strict"]),
        "Content-Encoding": st.sampled_from(["gzip", "identity"]),
    },
)


@given(body=valid_bodies)
def test_a_plain_request_has_the_same_response_log_line_and_metrics(services: Services, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    assert services.short.seen(body, headers) == services.long.seen(body, headers)


@given(body=any_bodies, headers=any_headers)
def test_any_other_request_has_the_same_response_log_line_and_metrics(
    services: Services, body: bytes, headers: dict[str, str]
) -> None:
    assert services.short.seen(body, headers) == services.long.seen(body, headers)


@pytest.mark.parametrize("excess", [-1, 0, 1])
def test_lists_and_bodies_around_their_limits_have_the_same_response_log_line_and_metrics(
    services: Services, settings: Settings, record: dict[str, Any], excess: int
) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (
        json.dumps([record] * (settings.max_records + excess)).encode(),
        json.dumps(record).encode().ljust(settings.max_content_length + excess),
    ):
        short = services.short.seen(body, headers)

        assert short == services.long.seen(body, headers)
        assert short.status[:3] == ("413" if excess > 0 else "200")


# Which requests take the short path.


def environ(**special: Any) -> dict[str, Any]:
    """Return the WSGI environment of a plain request, with these changes."""
    request = {
        "PATH_INFO": PATH,
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "0",
        "wsgi.input": BytesIO(),
    }
    return request | special


@pytest.mark.parametrize(
    "special",
    [
        {},
        {"CONTENT_TYPE": "application/json; charset=utf-8"},
        {"CONTENT_TYPE": "application/JSON;charset=UTF-8"},
        {"HTTP_ACCEPT": "*/*"},
        {"HTTP_ACCEPT": "application/json"},
        {"HTTP_USER_AGENT": "curl/8", "HTTP_X_REQUEST_ID": "a", "QUERY_STRING": "a=b"},
    ],
    ids=str,
)
def test_a_plain_request_takes_the_short_path(special: dict[str, str]) -> None:
    assert is_plain(environ(**special))


@pytest.mark.parametrize(
    "special",
    [
        {"PATH_INFO": "/v1/predictions/"},
        {"REQUEST_METHOD": "GET"},
        {"CONTENT_TYPE": ""},
        {"CONTENT_TYPE": "text/csv"},
        {"CONTENT_TYPE": "application/json; charset=latin-1"},
        {"HTTP_ACCEPT": "text/csv"},
        {"HTTP_ACCEPT": "application/json, text/csv"},
        {"HTTP_ACCEPT": ""},
        {"HTTP_PREFER": "handling=lenient"},
        {"HTTP_CONTENT_ENCODING": "gzip"},
        {"CONTENT_LENGTH": ""},
        {"CONTENT_LENGTH": "-1"},
    ],
    ids=str,
)
def test_any_other_request_takes_the_flask_route(special: dict[str, str]) -> None:
    assert not is_plain(environ(**special))


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the body of the request that arrives here instead of taking the short path."""
    start_response("299 Long", [])
    return [environ["wsgi.input"].read()]


def client_of(contract: Contract, predict: Any, max_content_length: int = 10_000) -> Client:
    """Return a client of an application with the short path."""
    return Client(with_fast_path(application, contract, predict, 1, max_content_length))


def test_a_valid_request_takes_the_short_path(predictor: Predictor, record: dict[str, Any]) -> None:
    client = client_of(predictor.contract, predictor.predict)

    for sent in (record, [record]):
        assert client.post(PATH, json=sent).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[", b"null"])
def test_an_invalid_body_is_passed_to_flask(predictor: Predictor, body: bytes) -> None:
    client = client_of(predictor.contract, predictor.predict)

    response = client.post(PATH, data=body, content_type="application/json")

    assert (response.status_code, response.data) == (299, body)


def test_a_body_over_the_limit_is_passed_to_flask(predictor: Predictor, record: dict[str, Any]) -> None:
    body = json.dumps(record).encode()
    client = client_of(predictor.contract, predictor.predict, len(body) - 1)

    response = client.post(PATH, data=body, content_type="application/json")

    assert (response.status_code, response.data) == (299, body)


def test_a_failing_prediction_is_passed_to_flask(contract: Contract, record: dict[str, Any]) -> None:
    def fail(_: Sequence[RecordModel]) -> list[Any]:
        raise RuntimeError("the reason")

    response = client_of(contract, fail).post(PATH, json=record)

    assert (response.status_code, json.loads(response.data)) == (299, record)


def test_a_failing_model_is_logged_and_answered_with_a_problem(
    predictor: Predictor,
    settings: Settings,
    record: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a service whose model fails
    def fail(_: Features) -> list[Any]:
        raise RuntimeError("the reason")

    client = create_app(predictor, settings, title=TITLE).test_client()
    monkeypatch.setattr(predictor, "predictions", fail)

    # When a valid request is sent
    response = client.post(PATH, json=record, headers={"X-Request-ID": "abc"})

    # Then the response is a problem that does not give the reason
    assert response.status_code == 500
    assert Problem.model_validate_json(response.data).status == 500
    assert "reason" not in response.text

    # And the log has the reason once
    (line,) = [entry for entry in caplog.records if entry.exc_info]
    assert "RuntimeError: the reason" in JsonFormatter().format(line)


# Requests that arrive together.


def test_requests_of_a_batch_are_predicted_at_once(predictor: Predictor, record: dict[str, Any]) -> None:
    # Given three requests that arrive together, of which one has a list
    calls: list[int] = []

    def predict(records: Sequence[RecordModel]) -> list[Any]:
        calls.append(len(records))
        return predictor.predict(records)

    other = record | {"Items": None}
    sent = [record, [other], other]
    answer = with_fast_path(application, predictor.contract, predict, 1, 10_000)
    alone = [client_of(predictor.contract, predictor.predict).post(PATH, json=body).data for body in sent]

    # When all are read before the first response is iterated
    together = contents(answer, sent)

    # Then they have the same predictions, but for the last digit that a processor may round in another way
    for content, expected in zip(together, alone, strict=True):
        (prediction,), (single,) = (np.atleast_1d(json.loads(each)) for each in (content, expected))
        assert prediction["label"] == single["label"]
        assert prediction["probabilities"] == pytest.approx(single["probabilities"], abs=1e-9)

    # And the model has run once for the records, and once for the list
    assert calls == [2, 1]


def test_a_batch_that_cannot_be_predicted_is_passed_to_flask(predictor: Predictor, record: dict[str, Any]) -> None:
    # Given a model that fails if there are several records
    def predict(records: Sequence[RecordModel]) -> list[Any]:
        if len(records) > 1:
            raise RuntimeError("the reason")
        return predictor.predict(records)

    answer = with_fast_path(application, predictor.contract, predict, 1, 10_000)

    assert list(map(json.loads, contents(answer, [record, record]))) == [record, record]


def contents(answer: Any, sent: list[Any]) -> list[bytes]:
    """Return the contents of the responses to requests that are in one batch."""
    batch = Batch()
    bodies = [json.dumps(content).encode() for content in sent]
    responses = [
        answer(
            environ(**{BATCH_KEY: batch, "CONTENT_LENGTH": str(len(body)), "wsgi.input": BytesIO(body)}),
            lambda *_: None,
        )
        for body in bodies
    ]
    return [b"".join(response) for response in responses]
