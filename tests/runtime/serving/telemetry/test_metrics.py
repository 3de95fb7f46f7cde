import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from mlops_runtime.contract.features import features_of
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving.telemetry.metrics import ANSWERS_AT_ONCE, BUCKETS, OTHER, Metrics, blueprint, route_of
from tests.conftest import PROJECT

PLAIN = "text/plain; version=0.0.4"
OPEN = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = f"{OPEN.replace(' ', '')};escaping=allow-utf-8;q=0.6,{PLAIN.replace(' ', '')};q=0.5,*/*;q=0.1"
"""What Prometheus accepts."""

BINS = {"webservice_field_values", "webservice_field_baseline_share"}
"""What contracts of many fields have not."""

Families = Callable[[str], Iterable[Any]]


@pytest.fixture
def metrics(predictor: Predictor) -> Metrics:
    return Metrics(predictor, None, "1.2.3")


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return what is exposed, as `told` does."""
    return told(metrics.collect())


def told(families: Iterable[Any]) -> dict[tuple[str, ...], float]:
    """Return values by the name of the sample and the values of its labels, these by their names."""
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}


def exposed(metrics: Metrics, accept: str | None = None) -> tuple[str, str]:
    """Return media type and text of the answer at /metrics."""
    app = Flask(__name__)
    app.testing = True
    app.register_blueprint(blueprint(metrics))
    response = app.test_client().get("/metrics", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    return response.content_type, response.text


def test_answers_are_counted_by_method_route_and_status(metrics: Metrics) -> None:
    for path, method, status in [
        ("/v1/predictions", "POST", 200),
        ("/v1/predictions", "POST", 200),
        ("/v1/predictions", "POST", 422),
        ("/", "GET", 200),
    ]:
        metrics.answered(path, method, status, 0.001)

    found = {key[1:]: value for key, value in samples(metrics).items() if key[0] == "webservice_requests_total"}
    assert found == {
        ("POST", "/v1/predictions", "200"): 2,
        ("POST", "/v1/predictions", "422"): 1,
        ("GET", "/", "200"): 1,
    }


def test_durations_are_counted_in_buckets(metrics: Metrics) -> None:
    # Given durations at either end, at a bound, and beyond all
    durations = [0.0, 0.00005, 0.001, 0.0011, 3.0, 10.0, 11.0]
    for seconds in durations:
        metrics.answered("/v1/predictions", "POST", 200, seconds)
    # Then each bucket has those that took no longer than its bound
    found = samples(metrics)
    for bound in BUCKETS:
        expected = sum(seconds <= bound for seconds in durations)
        assert found["webservice_request_duration_seconds_bucket", str(bound), "/v1/predictions"] == expected
    assert found["webservice_request_duration_seconds_bucket", "+Inf", "/v1/predictions"] == len(durations)
    assert found["webservice_request_duration_seconds_count", "/v1/predictions"] == len(durations)
    assert found["webservice_request_duration_seconds_sum", "/v1/predictions"] == pytest.approx(sum(durations))


def test_of_many_answers_none_waits_to_be_counted(metrics: Metrics) -> None:
    # Given more answers than are gathered, of several threads
    def answer(_: int) -> None:
        for _ in range(ANSWERS_AT_ONCE):
            metrics.answered("/", "GET", 200, 0.5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(answer, range(4)))

    # Then each is counted once
    found = samples(metrics)
    assert found["webservice_requests_total", "GET", "/", "200"] == 4 * ANSWERS_AT_ONCE
    assert found["webservice_request_duration_seconds_sum", "/"] == 2 * ANSWERS_AT_ONCE


@given(st.text(), st.text(), st.integers(), st.floats(0, 100))
def test_whatever_callers_send_there_are_no_more_series(
    predictor: Predictor, path: str, method: str, status: int, seconds: float
) -> None:
    # Given a path, a method and a status that no route has
    metrics = Metrics(predictor, None, "1.2.3")
    metrics.answered(f"no/{path}", f"no {method}", -abs(status), seconds)

    found = {key[1:]: value for key, value in samples(metrics).items() if key[0] == "webservice_requests_total"}
    assert found == {(OTHER, OTHER, OTHER): 1}


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/", "/"),
        ("/static/page.css", "/static/"),
        ("/docs/swagger-ui.css", "/docs/"),
        ("/docs", OTHER),
        ("/v1/predictions/", OTHER),
        ("/%2e%2e/etc/passwd", OTHER),
        ("", OTHER),
    ],
)
def test_a_path_is_counted_with_its_route(path: str, route: str) -> None:
    assert route_of(path) == route


def test_every_route_of_the_service_has_a_name(app: Flask) -> None:
    # What stands below a folder is counted with it.
    paths = {rule.rule.partition("<")[0] for rule in app.url_map.iter_rules()}
    nameless = {path for path in paths if route_of(path) == OTHER}
    assert not nameless, f"name {nameless} in ROUTES of webservice/metrics.py"


def test_the_release_and_its_model_are_told(metrics: Metrics, predictor: Predictor) -> None:
    (build,) = (metric for metric in metrics.collect() if metric.name == "webservice_build")
    assert build.samples[0].labels == {
        "version": "1.2.3",
        "model_version": predictor.metadata.version,
        "estimator": predictor.metadata.estimator,
        "task": predictor.metadata.task,
    }


def test_processes_count_together(predictor: Predictor, tmp_path: Path) -> None:
    # Given two processes, of which one was killed with requests in work
    one, other = (Metrics(predictor, tmp_path, "1.2.3") for _ in range(2))
    for metrics in (one, other):
        metrics.answered("/", "GET", 200, 0.01)
        metrics.in_work(2)
        metrics.lines_dropped(3)
        metrics.flush()
    found = samples(one)
    assert found["webservice_requests_total", "GET", "/", "200"] == 2
    assert found["webservice_requests_in_work",] == 4
    assert found["webservice_log_lines_dropped_total",] == 6
    # When a third takes its place
    del other, metrics
    third = Metrics(predictor, tmp_path, "1.2.3")
    # Then its counts are gone on with, but for what it had in work
    found = samples(third)
    assert found["webservice_requests_total", "GET", "/", "200"] == 2
    assert found["webservice_requests_in_work",] == 2
    assert found["webservice_process_starts_total",] == 3


def test_threads_lose_no_request(metrics: Metrics) -> None:
    def ask(_: int) -> None:
        for _ in range(2000):
            metrics.answered("/v1/predictions", "POST", 200, 0.5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    found = samples(metrics)
    assert found["webservice_requests_total", "POST", "/v1/predictions", "200"] == 16_000
    assert found["webservice_request_duration_seconds_sum", "/v1/predictions"] == 8000


def test_predictions_are_counted_when_somebody_asks(metrics: Metrics, predictor: Predictor) -> None:
    features = features_of([golden.record for golden in predictor.golden_records])
    metrics.predicted(features, predictor.predictions(features))
    assert samples(metrics)["webservice_records_total",] == len(predictor.golden_records)


@pytest.mark.parametrize(
    ("accept", "content_type", "families"),
    [
        pytest.param(None, PLAIN, plain_families, id="anything"),
        pytest.param("*/*", PLAIN, plain_families, id="whatever"),
        pytest.param("text/plain;version=new", PLAIN, plain_families, id="version-that-is-no-number"),
        pytest.param(OPEN, OPEN, open_families, id="openmetrics"),
        pytest.param("application/openmetrics-text;version=new", OPEN, open_families, id="openmetrics-of-no-version"),
        pytest.param(PROMETHEUS, OPEN, open_families, id="prometheus"),
    ],
)
def test_metrics_are_told_in_the_format_that_is_accepted(
    metrics: Metrics, predictor: Predictor, accept: str | None, content_type: str, families: Families
) -> None:
    # Given a service that has answered, and predicted more than a thousand records
    metrics.answered("/v1/predictions", "POST", 200, 0.01)
    features = features_of([golden.record for golden in predictor.golden_records])
    for _ in range(1 + 1000 // len(features)):
        metrics.predicted(features, predictor.predictions(features))
    # When it is asked
    found, text = exposed(metrics, accept)
    # Then another program reads what was counted
    assert found == f"{content_type}; charset=utf-8"
    read = told(families(text))
    assert read["webservice_requests_total", "POST", "/v1/predictions", "200"] == 1
    assert read["webservice_records_total",] >= 1000
    assert len(read) == text.count("\n") - sum(line.startswith("#") for line in text.splitlines())


def test_the_service_counts_its_answers_and_predictions(client: FlaskClient, record: dict[str, Any]) -> None:
    # Given what it has counted so far
    before = of_service(client)
    # When it answers
    assert client.post("/v1/predictions", json=record).status_code == 200
    assert client.post("/v1/predictions", json=[record] * 3).status_code == 200
    assert client.post("/v1/predictions", json={}).status_code == 422
    assert client.get("/nowhere").status_code == 404
    # Then it has counted that
    after = of_service(client)
    assert {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)} == {
        ("webservice_requests_total", "POST", "/v1/predictions", "200"): 2,
        ("webservice_requests_total", "POST", "/v1/predictions", "422"): 1,
        ("webservice_requests_total", "GET", OTHER, "404"): 1,
        ("webservice_requests_total", "GET", "/metrics", "200"): 1,
        ("webservice_records_total",): 4,
    }


def of_service(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Return the counts of requests and records that the service tells."""
    found = told(plain_families(client.get("/metrics").text))
    return {
        key: value
        for key, value in found.items()
        if key[0] in ("webservice_requests_total", "webservice_records_total")
    }


def test_the_documentation_names_what_there_is(metrics: Metrics) -> None:
    # Given what is exposed, whatever the model predicts
    of_predictions = {"webservice_predictions", "webservice_predicted_value"}
    exposed_names = {metric.name for metric in metrics.collect()} | of_predictions
    # When the documentation and the rules for alerts name metrics
    documented, alerted = (
        {re.sub("_(total|bucket|info)$", "", name) for name in re.findall(r"\bwebservice_\w+", path.read_text("utf-8"))}
        for path in (PROJECT / "docs" / "monitoring.md", PROJECT / "docs" / "alerts.yaml")
    )
    # Then there are such, and none is left out
    assert documented >= exposed_names
    assert exposed_names | BINS >= documented
    assert documented >= alerted
