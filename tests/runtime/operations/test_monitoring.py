"""The objects for the Prometheus Operator; promtool evaluates the rules in them."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mlops_runtime.operations.errors import ManifestError
from mlops_runtime.operations.grafana import dashboard
from mlops_runtime.operations.monitoring import monitoring_objects
from tests.runtime.serving.telemetry.test_alert_rules import RULES, evaluate, needs_promtool, selector

ENVIRONMENT = {"PROJECT": "zebra", "NAMESPACE": "zoo", "TEAM": "keepers", "TITLE": "Zèbra", "SERVICE_MONITOR": "1"}
OWN = {"namespace": "zoo", "job": "zebra-webservice"}
GROUPS = yaml.safe_load(RULES.read_text())["groups"]

DURATION = {
    "type": "string",
    "pattern": "^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$",
}
TEXT = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": TEXT}


def structure(required: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": fields}


def array(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


RULE = structure(("expr",), alert=TEXT, record=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS, **{"for": DURATION})
CREDENTIALS = structure(("key",), name=TEXT, key=TEXT)
ENDPOINT = structure(port=TEXT, path=TEXT, authorization=structure(type=TEXT, credentials=CREDENTIALS))
SPECS = {
    "PrometheusRule": structure(groups=array(structure(("name",), name=TEXT, interval=DURATION, rules=array(RULE)))),
    "ServiceMonitor": structure(
        ("endpoints", "selector"), endpoints=array(ENDPOINT), selector=structure(matchLabels=TEXTS)
    ),
}
"""The fields of the operator's definitions that are used here."""


def objects(**settings: str) -> dict[str, Any]:
    """Return the objects by kind."""
    return {item["kind"]: item for item in monitoring_objects(ENVIRONMENT | settings, GROUPS)}


def test_the_objects_are_as_the_operator_defines_them() -> None:
    made = objects()

    for kind, specification in SPECS.items():
        assert made[kind]["apiVersion"] == "monitoring.coreos.com/v1"
        jsonschema.validate(made[kind]["spec"], specification)


def test_prometheus_asks_each_pod_with_its_key() -> None:
    spec = objects()["ServiceMonitor"]["spec"]

    (endpoint,) = spec["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "zebra-service-monitor-key", "key": "key"}
    assert spec["selector"] == {"matchLabels": {"app": "zebra", "component": "webservice"}}


def test_both_have_the_labels_by_which_they_are_selected() -> None:
    made = objects(MONITOR_LABELS="release=prometheus tier=ml")

    for kind in SPECS:
        assert made[kind]["metadata"]["labels"] == {"component": "webservice", "release": "prometheus", "tier": "ml"}


def test_an_alert_has_the_team_and_its_own_labels() -> None:
    rule = {"alert": "A", "expr": "webservice_x > 1"}
    group = {"name": "g", "rules": [rule, rule | {"labels": {"team": "lions", "severity": "page"}}]}

    ours, theirs = monitoring_objects(ENVIRONMENT, [group])[1]["spec"]["groups"][0]["rules"]

    assert ours["labels"] == {"team": "keepers"}
    assert theirs["labels"] == {"team": "lions", "severity": "page"}


def test_the_sidecar_of_grafana_finds_the_dashboard() -> None:
    config_map = objects()["ConfigMap"]

    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config_map["data"]["zoo-zebra.json"]) == dashboard("zebra", "Zèbra")


@needs_promtool
def test_the_rules_of_a_project_see_its_own_series(tmp_path: Path) -> None:
    # Given the rules of a project, and two projects and another namespace where all requests fail
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(objects()["PrometheusRule"]["spec"], allow_unicode=True))
    labels = {"route": "/v1/predictions", "method": "POST", "status": "500"}
    places = [("zoo", "zebra-webservice"), ("zoo", "lion-webservice"), ("wild", "zebra-webservice")]
    failing = [
        (selector("webservice_requests_total", namespace=namespace, job=job, **labels), "0+10x60")
        for namespace, job in places
    ]

    # When promtool evaluates them, then one alert fires: that of the project itself
    alert = {"alertname": "ServiceFails", "alertstate": "firing", "team": "keepers", **OWN}
    firing = {
        "expr": 'ALERTS{alertstate="firing"}',
        "eval_time": "30m",
        "exp_samples": [{"labels": selector("ALERTS", **alert), "value": 1}],
    }
    evaluate(tmp_path, failing, "1m", path, promql_expr_test=[firing])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"SERVICE_MONITOR": "yes"}, "SERVICE_MONITOR=yes is not usable: set it to 1, or to nothing"),
        ({"MONITOR_LABELS": "release="}, "MONITOR_LABELS has release=, which is no label: give one such as"),
        ({"MONITOR_LABELS": "prometheus"}, "MONITOR_LABELS has prometheus, which is no label"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)):
        objects(**settings)
