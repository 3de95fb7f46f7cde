"""The Grafana dashboard: a real Prometheus scrapes the text of two replicas, and has data for each panel."""

import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import yaml

from mlops_runtime.model import Predictor
from mlops_runtime.operations.grafana import PANELS, dashboard, main
from mlops_runtime.serving.telemetry.metrics import Metrics, exposition
from mlops_runtime.testing import synthetic as orders
from tests.runtime.operations.conftest import StubService
from tests.runtime.serving.telemetry.test_alert_rules import RULES

JOB = "zebra-webservice"
QUERIES = {query for panel in PANELS for query in panel.queries.values()}


def test_each_panel_has_a_place_of_its_own() -> None:
    panels = dashboard("zebra", "Zebra")["panels"]

    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_every_query_sees_what_somebody_has_chosen() -> None:
    for panel in dashboard("zebra", "Zebra")["panels"]:
        for target in panel["targets"]:
            metrics = re.findall(r"webservice_[\w:]+", target["expr"])
            assert target["expr"].count('{namespace="$namespace", job="$job"') == len(metrics) > 0


def test_the_dashboard_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT", "zebra")
    monkeypatch.setenv("TITLE", "Zèbra")

    assert main() == 0
    assert json.loads(capsys.readouterr().out) == dashboard("zebra", "Zèbra")

    monkeypatch.delenv("TITLE")
    assert main() == 1
    assert capsys.readouterr().err == "dashboard: TITLE is not set: run this with make, and see project.mk\n"


def replica(predictor: Predictor) -> tuple[Metrics, Callable[[], None]]:
    """Return the metrics of a replica that has answered nothing, and what lets it answer 100 requests."""
    metrics = Metrics(predictor, None, "1.2.3")
    records = orders.some_orders(500)

    def answer() -> None:
        features = predictor.contract.layout.encode(records)
        metrics.add_predictions(features, predictor.predictions(features))
        for status, count in ((200, 80), (422, 10), (401, 5), (500, 3), (503, 2)):
            for _ in range(count):
                metrics.observe_response("/v1/predictions", "POST", status, 0.002)

    return metrics, answer


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[Callable[[str], list[Any]]]:
    """Run Prometheus with the rules of a project, evaluated each second; yield a function that asks it a query."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group["interval"] = "1s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    jobs = [{"targets": [target.removeprefix("http://") for target in targets], "labels": {"namespace": "zoo"}}]
    settings = {
        "global": {"scrape_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": JOB, "static_configs": jobs}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={address}",
    ]  # fmt: skip

    def ask(query: str) -> list[Any]:
        with urlopen(f"http://{address}/api/v1/query?{urlencode({'query': query})}", timeout=5) as response:
            return list(json.load(response)["data"]["result"])

    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield ask
        finally:
            process.terminate()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if condition():
                return
        except OSError:
            pass  # it does not answer yet
        time.sleep(0.2)
    pytest.fail(f"there is no {what}")


@pytest.mark.skipif(
    shutil.which("prometheus") is None,
    reason="no prometheus: apt-get install --no-install-recommends prometheus, to have the panels asked",
)
def test_prometheus_has_data_for_each_panel(tmp_path: Path, predictor: Predictor, stub_service: StubService) -> None:
    # Given two replicas that Prometheus has scraped, and that answer as many requests again then
    responses: list[dict[str, tuple[int, bytes]]] = [{}, {}]
    replicas = [replica(predictor), replica(predictor)]

    def answer_and_expose() -> None:
        for response, (metrics, answer) in zip(responses, replicas, strict=True):
            answer()
            response["/metrics"] = (200, exposition(metrics, [])[0])

    answer_and_expose()
    with prometheus(tmp_path, [stub_service(response) for response in responses]) as ask:
        wait_for(lambda: bool(ask("count(webservice_process_starts_total) == 2")), "scrape of both")
        answer_and_expose()
        wait_for(lambda: bool(ask("sum(rate(webservice_requests_total[5m])) > 0")), "second scrape")
        wait_for(lambda: bool(ask("job:webservice_field_drift_psi:1d")), "index of drift")

        # When the queries of the panels are asked, then each panel has data
        values = {}
        for panel in dashboard("zebra", "Zebra")["panels"]:
            results = []
            for target in panel["targets"]:
                query = target["expr"].replace("$namespace", "zoo").replace("$job", JOB).replace("$field", ".*")
                results += (found := ask(query))
                values[target["legendFormat"]] = [float(item["value"][1]) for item in found]
            assert results, panel["title"]
        # And the shares are those of the statuses
        shares = [
            values[name] for name in ("errors of the service", "overload or limit", "callers", "requests refused")
        ]
        assert np.ravel(shares) == pytest.approx([0.03, 0.02, 0.05, 0.1])
        assert values["p50"][0] == pytest.approx(0.00175, rel=0.01)
        assert values["{{version}}, model {{model_version}}"] == [2]
        # And the index of every field is there under its name
        fields = {item["metric"]["field"] for item in ask("job:webservice_field_drift_psi:1d")}
        metrics, _ = replicas[0]
        indices = next(metric for metric in metrics.collect() if metric.name == "webservice_field_drift_psi")
        assert fields == {sample.labels["field"] for sample in indices.samples}
        # And no alert has an expression that Prometheus cannot evaluate
        assert "err=" not in (tmp_path / "log").read_text()


def test_each_query_names_metrics_that_the_service_has(predictor: Predictor) -> None:
    # Given the names of what a model of any kind exposes, and of what the rules record
    exposed = {sample.name for metric in Metrics(predictor, None, "1").collect() for sample in metric.samples}
    exposed |= {"webservice_predictions_total", "webservice_predicted_value_count"}
    groups = yaml.safe_load(RULES.read_text())["groups"]
    recorded = {rule["record"] for group in groups for rule in group["rules"] if "record" in rule}
    # Those of requests and of drift have samples only later
    later = {
        "webservice_requests_total", "webservice_request_duration_seconds_bucket",
        "webservice_request_duration_seconds_sum", "webservice_field_drift_psi", "webservice_prediction_drift_psi",
    }  # fmt: skip

    named = {name for query in QUERIES for name in re.findall(r"(?:job:)?webservice_[\w:]+", query)}

    assert named <= exposed | recorded | later
