import os
import re
import subprocess
import sys
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

from mlops_runtime.model import Predictor
from mlops_runtime.serving.routes import OTHER
from mlops_runtime.serving.settings import Settings
from mlops_runtime.serving.telemetry.metrics import BUCKETS, Metrics, blueprint
from tests.runtime.conftest import TEMPLATE
from tests.runtime.serving.conftest import app_of

DOCS = TEMPLATE / "{{cookiecutter.project_slug}}" / "docs"
PLAIN = "text/plain; version=0.0.4"
OPEN = "application/openmetrics-text; version=1.0.0"
PROMETHEUS = f"{OPEN.replace(' ', '')};escaping=allow-utf-8;q=0.6,{PLAIN.replace(' ', '')};q=0.5,*/*;q=0.1"
"""The Accept header of Prometheus."""

BINS = {
    "webservice_field_values", "webservice_field_baseline_share", "webservice_field_baseline_rows",
    "webservice_field_min_records",
}  # fmt: skip
"""Metrics that contracts with many fields do not have."""

Families = Callable[[str], Iterable[Any]]


@pytest.fixture
def metrics(predictor: Predictor) -> Metrics:
    return Metrics(predictor, None, "1.2.3")


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the exposed values, as `values_of` does."""
    return values_of(metrics.collect())


def values_of(families: Iterable[Any]) -> dict[tuple[str, ...], float]:
    """Return values by the name of the sample and the values of its labels, sorted by the labels' names."""
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}


def exposed(metrics: Metrics, accept: str | None = None) -> tuple[str, str]:
    """Return the content type and the text of the response at /metrics."""
    app = Flask(__name__)
    app.testing = True
    app.register_blueprint(blueprint(metrics))
    response = app.test_client().get("/metrics", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    return response.content_type, response.text


def test_responses_are_counted_by_route_method_and_status(metrics: Metrics) -> None:
    for path, method, status in [
        ("/v1/predictions", "POST", 200),
        ("/v1/predictions", "POST", 200),
        ("/v1/predictions", "POST", 422),
        ("/", "GET", 200),
    ]:
        metrics.observe_response(path, method, status, 0.001)

    counts = {key[1:]: value for key, value in samples(metrics).items() if key[0] == "webservice_requests_total"}
    assert counts == {
        ("POST", "/v1/predictions", "200"): 2,
        ("POST", "/v1/predictions", "422"): 1,
        ("GET", "/", "200"): 1,
    }


def test_durations_are_counted_in_buckets(metrics: Metrics) -> None:
    # Given durations at both ends, at a bound, and above all bounds
    durations = [0.0, 0.00005, 0.001, 0.0011, 3.0, 10.0, 11.0]
    for seconds in durations:
        metrics.observe_response("/v1/predictions", "POST", 200, seconds)
    # Then each bucket has those up to its bound
    values = samples(metrics)
    for bound in BUCKETS:
        expected = sum(seconds <= bound for seconds in durations)
        assert values["webservice_request_duration_seconds_bucket", str(bound), "/v1/predictions"] == expected
    assert values["webservice_request_duration_seconds_bucket", "+Inf", "/v1/predictions"] == len(durations)
    assert values["webservice_request_duration_seconds_count", "/v1/predictions"] == len(durations)
    assert values["webservice_request_duration_seconds_sum", "/v1/predictions"] == pytest.approx(sum(durations))


@given(st.text(), st.integers(), st.floats(0, 100))
def test_unknown_methods_and_statuses_share_a_series(
    predictor: Predictor, method: str, status: int, seconds: float
) -> None:
    # Given methods and statuses that do not exist
    metrics = Metrics(predictor, None, "1.2.3")
    metrics.observe_response(OTHER, f"no {method}", -abs(status), seconds)

    counts = {key[1:]: value for key, value in samples(metrics).items() if key[0] == "webservice_requests_total"}
    assert counts == {(OTHER, OTHER, OTHER): 1}


def test_a_route_of_a_project_is_measured_under_its_rule(predictor: Predictor, settings: Settings) -> None:
    # Given a route that a project adds
    app = app_of(predictor, settings)
    app.add_url_rule("/customers/<name>", view_func=lambda name: name)
    client = app.test_client()
    # When it is asked, and a file, and a path that does not exist
    assert client.get("/customers/ada").status_code == client.get("/customers/bob").status_code == 200
    assert client.get("/static/page.css").status_code == 200
    assert client.get("/unknown/path").status_code == 404
    # Then the rule has a series, as have all files and all unknown paths
    counts = requests_and_records(client)
    assert counts["webservice_requests_total", "GET", "/customers/<name>", "200"] == 2
    assert counts["webservice_requests_total", "GET", "/static/", "200"] == 1
    assert counts["webservice_requests_total", "GET", OTHER, "404"] == 1


def test_the_release_and_its_model_are_exposed(metrics: Metrics, predictor: Predictor) -> None:
    (build,) = (metric for metric in metrics.collect() if metric.name == "webservice_build")
    assert build.samples[0].labels == {
        "version": "1.2.3",
        "model_version": predictor.metadata.version,
        "estimator": predictor.metadata.estimator,
        "task": predictor.metadata.task,
    }


COUNTER = """
import sys
from pathlib import Path
from mlops_runtime.contract import Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.serving.telemetry.metrics import Metrics, exposition
from mlops_runtime.testing.synthetic import CONTRACTS

predictor = OnnxPredictor.load(CONTRACTS[Task.BINARY], Path(sys.argv[1]))
metrics = Metrics(predictor, Path(sys.argv[2]), "1.2.3")
metrics.observe_response("/", "GET", 200, 0.01)
metrics.set_requests_in_work(2)
metrics.add_dropped_lines(3)
records = [golden.record for golden in predictor.golden_records]
metrics.add_predictions(predictor.contract.encode(records), predictor.predict(records))
metrics.flush()
print("counted", flush=True)
sys.stdin.readline()
print(exposition(metrics, [])[0].decode(), flush=True)
"""
"""A process that counts, says so, and writes the metrics of all processes when it gets a line."""


def counting_process(artefact: Path, folder: Path) -> "subprocess.Popen[str]":
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-c", COUNTER, str(artefact), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )


def test_metrics_of_processes_are_added(predictor: Predictor, artefact: Path, tmp_path: Path) -> None:
    # Given two processes, one of which is killed with requests in work
    killed, other = processes = [counting_process(artefact, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "counted\n"
    killed.kill()
    killed.communicate()
    # When the other is asked
    text, _ = other.communicate("\n")
    # Then its metrics are those of both, except for the requests in work
    values = values_of(plain_families(text))
    assert values["webservice_requests_total", "GET", "/", "200"] == 2
    assert values["webservice_request_duration_seconds_count", "/"] == 2
    assert values["webservice_request_duration_seconds_bucket", "0.01", "/"] == 2
    assert values["webservice_log_lines_dropped_total",] == 6
    assert values["webservice_process_starts_total",] == 2
    assert values["webservice_requests_in_work",] == 2
    assert values["webservice_records_total",] == 2 * len(predictor.golden_records)
    assert values["webservice_drift_records",] == 2 * len(predictor.golden_records)


def test_a_folder_set_after_the_import_of_prometheus_client_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="set PROMETHEUS_MULTIPROC_DIR"):
        Metrics(predictor, tmp_path, "1.2.3")


def test_no_request_of_a_thread_is_lost(metrics: Metrics) -> None:
    def ask(_: int) -> None:
        for _ in range(2000):
            metrics.observe_response("/v1/predictions", "POST", 200, 0.5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    values = samples(metrics)
    assert values["webservice_requests_total", "POST", "/v1/predictions", "200"] == 16_000
    assert values["webservice_request_duration_seconds_sum", "/v1/predictions"] == 8000


def test_buffered_predictions_are_counted_when_metrics_are_read(metrics: Metrics, predictor: Predictor) -> None:
    features = predictor.contract.encode([golden.record for golden in predictor.golden_records])
    metrics.add_predictions(features, predictor.predictions(features))
    assert samples(metrics)["webservice_records_total",] == len(predictor.golden_records)


@pytest.mark.parametrize(
    ("accept", "content_type", "families"),
    [
        pytest.param(None, PLAIN, plain_families, id="anything"),
        pytest.param("*/*", PLAIN, plain_families, id="any"),
        pytest.param("text/plain;version=new", PLAIN, plain_families, id="version-without-a-number"),
        pytest.param(OPEN, OPEN, open_families, id="openmetrics"),
        pytest.param(
            "application/openmetrics-text;version=new", OPEN, open_families, id="openmetrics-without-a-version"
        ),
        pytest.param(PROMETHEUS, OPEN, open_families, id="prometheus"),
    ],
)
def test_the_format_of_metrics_follows_the_accept_header(
    metrics: Metrics, predictor: Predictor, accept: str | None, content_type: str, families: Families
) -> None:
    # Given a service that predicted more than a thousand records
    metrics.observe_response("/v1/predictions", "POST", 200, 0.01)
    features = predictor.contract.encode([golden.record for golden in predictor.golden_records])
    for _ in range(1 + 1000 // len(features)):
        metrics.add_predictions(features, predictor.predictions(features))
    # When its metrics are read
    sent_type, text = exposed(metrics, accept)
    # Then they can be parsed
    assert sent_type == f"{content_type}; charset=utf-8"
    read = values_of(families(text))
    assert read["webservice_requests_total", "POST", "/v1/predictions", "200"] == 1
    assert read["webservice_records_total",] >= 1000
    assert len(read) == text.count("\n") - sum(line.startswith("#") for line in text.splitlines())


def test_the_service_counts_responses_and_predicted_records(client: FlaskClient, record: dict[str, Any]) -> None:
    # Given the counts so far
    before = requests_and_records(client)
    # When it answers requests
    assert client.post("/v1/predictions", json=record).status_code == 200
    assert client.post("/v1/predictions", json=[record] * 3).status_code == 200
    assert client.post("/v1/predictions", json={}).status_code == 422
    assert client.get("/nowhere").status_code == 404
    # Then they are counted
    after = requests_and_records(client)
    assert {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)} == {
        ("webservice_requests_total", "POST", "/v1/predictions", "200"): 2,
        ("webservice_requests_total", "POST", "/v1/predictions", "422"): 1,
        ("webservice_requests_total", "GET", OTHER, "404"): 1,
        ("webservice_requests_total", "GET", "/metrics", "200"): 1,
        ("webservice_records_total",): 4,
    }


def requests_and_records(client: FlaskClient) -> dict[tuple[str, ...], float]:
    """Return the counts of requests and records that the service exposes."""
    values = values_of(plain_families(client.get("/metrics").text))
    return {
        key: value
        for key, value in values.items()
        if key[0] in ("webservice_requests_total", "webservice_records_total")
    }


def test_the_documentation_names_all_metrics(metrics: Metrics) -> None:
    # Given the metrics of models of all kinds
    prediction_metrics = {"webservice_predictions", "webservice_predicted_value"}
    exposed_names = {metric.name for metric in metrics.collect()} | prediction_metrics
    # When the documentation and the alert rules name metrics
    documented, alerted = (
        {
            re.sub("_(total|bucket|sum|info)$", "", name)
            for name in re.findall(r"\bwebservice_\w+", path.read_text("utf-8"))
        }
        for path in (DOCS / "monitoring.md", DOCS / "alerts.yaml")
    )
    # Then these exist, and none is missing
    assert documented >= exposed_names
    assert exposed_names | BINS >= documented
    assert documented >= alerted
