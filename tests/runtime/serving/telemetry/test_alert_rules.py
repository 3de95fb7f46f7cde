"""The rules for Prometheus in a project's docs/alerts.yaml, evaluated by promtool."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_runtime.contract import Task
from mlops_runtime.serving.telemetry.drift import Drift
from mlops_runtime.serving.telemetry.psi import NOTICE
from mlops_runtime.testing import synthetic as orders
from mlops_runtime.testing.synthetic import LAYOUT, PREDICTIONS
from tests.runtime.conftest import TEMPLATE
from tests.runtime.serving.telemetry.test_drift import (
    ROWS,
    count_in_batches,
    samples,
    some_outputs,
    training_baseline,
)

RULES = TEMPLATE / "{{cookiecutter.project_slug}}/docs/alerts.yaml"
TOLERANCE = 1e-9
"""Of an index: the sums are added in another order."""

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="no promtool: apt-get install --no-install-recommends prometheus, to have the rules evaluated",
)
pytestmark = needs_promtool


def evaluate(
    tmp_path: Path, series: Sequence[tuple[str, str]], interval: str, rules: Path = RULES, **tests: Any
) -> None:
    """Let promtool compare what the rules make of series with what a test expects."""
    content = {
        "rule_files": [str(rules)],
        "evaluation_interval": interval,
        "tests": [
            {
                "interval": interval,
                "input_series": [{"series": name, "values": values} for name, values in series],
                **tests,
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    result = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yaml")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def selector(name: str, **labels: str) -> str:
    """Return a series as PromQL names it."""
    pairs = ", ".join(f"{label}={json.dumps(value, ensure_ascii=False)}" for label, value in labels.items())
    return f"{name}{{{pairs}}}"


def scraped(drift: Drift, instance: str) -> list[tuple[str, str]]:
    """Return the series of a replica over a day: counters from 0, with all records in the second hour."""
    series = []
    for metric in drift.collect():
        for sample in metric.samples:
            labels = {"job": "zebra", "instance": instance} | sample.labels
            last = float(sample.value)
            first = 0 if metric.type == "counter" else last
            series.append((selector(sample.name, **labels), f"_ {first} {last}+0x22"))
    return series


@pytest.mark.parametrize("task", orders.TASKS)
def test_the_rules_give_the_index_that_one_replica_has_for_all_records(tmp_path: Path, task: Task) -> None:
    # Given two replicas with records of which one half has changed, and one replica with the records of both
    one, other, both = (
        Drift(LAYOUT, PREDICTIONS[task], training_baseline(task), ROWS, None, lambda: 1e9) for _ in range(3)
    )
    usual = orders.some_orders(500, seed=1)
    changed = [order.model_copy(update={"weight": order.weight and order.weight * 3}) for order in usual]
    for records, replica in ((usual, one), (changed, other)):
        count_in_batches(7, replica, records, some_outputs(task, 1, len(records)), task)
        count_in_batches(7, both, records, some_outputs(task, 1, len(records)), task)
    expected = {key: value for key, value in samples(both).items() if key[0].endswith("_drift_psi")}
    assert expected["webservice_field_drift_psi", "Weight (kg)"] > NOTICE
    assert ("webservice_prediction_drift_psi",) in expected

    # When the rules add the counts of the two, then their index is that of the one
    checks = []
    for (name, *field), value in expected.items():
        labels = {"field": field[0]} if field else {}
        index = selector(f"job:{name}:1d", job="zebra", **labels)
        checks.append(
            {
                "expr": f"abs({index} - {float(value)!r}) < bool {TOLERANCE}",
                "eval_time": "24h",
                "exp_samples": [{"labels": selector("", job="zebra", **labels), "value": 1}],
            }
        )
    evaluate(tmp_path, [*scraped(one, "a"), *scraped(other, "b")], "1h", promql_expr_test=checks)


def test_too_few_records_of_all_replicas_have_no_index(tmp_path: Path) -> None:
    task = Task.BINARY
    one = Drift(LAYOUT, PREDICTIONS[task], training_baseline(task), ROWS, None, lambda: 1e9)
    count_in_batches(1, one, orders.some_orders(5), some_outputs(task, 1, 5), task)
    names = ("field", "prediction")

    none = [{"expr": f"job:webservice_{name}_drift_psi:1d", "eval_time": "24h"} for name in names]

    evaluate(tmp_path, scraped(one, "a"), "1h", promql_expr_test=none)


def requests(status: int, minute: int) -> tuple[str, str]:
    labels = {"job": "zebra", "route": "/v1/predictions", "method": "POST", "status": str(status)}
    return selector("webservice_requests_total", **labels), f"0+{minute}x60"


def index(instance: str, value: float) -> tuple[str, str]:
    return selector("webservice_field_drift_psi", job="zebra", field="x", instance=instance), f"{value}x120"


WORK = selector("webservice_request_duration_seconds_sum", job="zebra", route="/v1/predictions")
STARTS = selector("webservice_process_starts_total", job="zebra", instance="a")
REPLACED = selector("webservice_process_starts_total", job="zebra", instance="a"), "1+1x60"
DROPPED = selector("webservice_log_lines_dropped_total", job="zebra", instance="a"), "0+1x60"
PREDICTIONS_INDEX = selector("webservice_prediction_drift_psi", job="zebra", instance="a"), "0.3x120"
BUCKETS = [
    (selector("webservice_request_duration_seconds_bucket", job="zebra", route="/v1/predictions", le=le), f"0+{n}x60")
    for le, n in (("0.25", 98), ("0.5", 100), ("+Inf", 100))
]


@pytest.mark.parametrize(
    ("series", "alert"),
    [
        pytest.param([requests(200, 98), requests(500, 2)], "ServiceFails", id="errors"),
        pytest.param([requests(200, 90), requests(503, 10)], "ServiceRefusesRequests", id="overload"),
        pytest.param([requests(200, 80), requests(401, 20)], "CallersAreRefused", id="other status of 4xx"),
        pytest.param([requests(200, 90), requests(422, 10)], "RecordsBreakTheContract", id="contract"),
        pytest.param([requests(200, 98), requests(422, 2), requests(401, 2)], "", id="a few refusals"),
        pytest.param(BUCKETS, "ServiceIsSlow", id="latency"),
        pytest.param([(WORK, "0+90x60"), (STARTS, "1x60")], "ServiceIsSaturated", id="saturation"),
        pytest.param([(WORK, "0+30x60"), (STARTS, "1x60")], "", id="half of the time idle"),
        pytest.param([index("a", 0.1), index("b", 0.3)], "RecordsDrift", id="an index of a replica without bins"),
        pytest.param([PREDICTIONS_INDEX], "PredictionsDrift", id="an index of the predictions"),
        pytest.param([REPLACED], "ProcessesAreReplaced", id="processes that end"),
        pytest.param([DROPPED], "LogLinesDropped", id="a full disk"),
    ],
)  # fmt: skip
def test_an_alert_fires_for_its_cause_alone(tmp_path: Path, series: list[tuple[str, str]], alert: str) -> None:
    names = [
        rule["alert"]
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    minutes = 70 if alert.endswith("Drift") else 30

    firing = [
        {
            "expr": f'count by (alertname) (ALERTS{{alertstate="firing", alertname="{name}"}})',
            "eval_time": f"{minutes}m",
            "exp_samples": [{"labels": selector("", alertname=name), "value": 1}] if name == alert else [],
        }
        for name in names
    ]

    evaluate(tmp_path, series, "1m", promql_expr_test=firing)


def test_each_alert_says_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert "record" in rule or {"summary", "runbook"} <= rule["annotations"].keys()
