"""What the Prometheus Operator needs to watch the web-service, and Grafana to show it.

Names are complete here: kustomize does not know these kinds, and completes none inside them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_runtime.operations.errors import ManifestError
from mlops_runtime.operations.grafana import SIDECAR_LABEL, dashboard
from mlops_runtime.operations.promql import with_labels
from mlops_runtime.operations.verify import CONTAINER

API_VERSION = "monitoring.coreos.com/v1"
CALLER = "service-monitor"
"""Name of the caller whose API key Prometheus has."""


def monitoring_objects(environment: Mapping[str, str], groups: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the ServiceMonitor, the PrometheusRule and the dashboard that SERVICE_MONITOR turns on.

    Args:
        environment: with the settings of the project.
        groups: groups of rules, as in a rule file of Prometheus.

    Raises:
        ManifestError: if a setting cannot be used.
    """
    setting = environment["SERVICE_MONITOR"]
    if setting != "1":
        raise ManifestError(f"SERVICE_MONITOR={setting} is not usable: set it to 1, or to nothing")
    specs = {"ServiceMonitor": service_monitor(environment["PROJECT"]), "PrometheusRule": rules(environment, groups)}
    watched = [
        {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {"name": CONTAINER, "labels": {"component": CONTAINER} | selected_labels(environment)},
            "spec": spec,
        }
        for kind, spec in specs.items()
    ]
    return [*watched, dashboard_config_map(environment)]


def dashboard_config_map(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the ConfigMap that the sidecar of Grafana reads the dashboard from."""
    content = json.dumps(dashboard(environment["PROJECT"], environment["TITLE"]), ensure_ascii=False)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{CONTAINER}-grafana", "labels": {"component": CONTAINER} | SIDECAR_LABEL},
        # The sidecar writes the files of all projects into one folder.
        "data": {f"{environment['NAMESPACE']}-{environment['PROJECT']}.json": content},
    }


def selected_labels(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of MONITOR_LABELS, by which a Prometheus selects what it watches.

    Raises:
        ManifestError: if one has no name or no value.
    """
    labels = {}
    for pair in environment.get("MONITOR_LABELS", "").split():
        name, _, value = pair.partition("=")
        if not name or not value:
            raise ManifestError(f"MONITOR_LABELS has {pair}, which is no label: give one such as release=prometheus")
        labels[name] = value
    return labels


def service_monitor(project: str) -> dict[str, Any]:
    """Return the specification of the ServiceMonitor: /metrics of each pod, with the API key of Prometheus."""
    credentials = {"name": monitor_key(project), "key": "key"}
    return {
        "selector": {"matchLabels": {"app": project, "component": CONTAINER}},
        "endpoints": [
            {"port": "http", "path": "/metrics", "authorization": {"type": "Bearer", "credentials": credentials}}
        ],
    }


def monitor_key(project: str) -> str:
    """Return the name of the Secret with the API key of Prometheus."""
    return f"{project}-{CALLER}-key"


def rules(environment: Mapping[str, str], groups: Sequence[Any]) -> dict[str, Any]:
    """Return the specification of the PrometheusRule.

    Each rule sees the series of this project alone, because a Prometheus has the rules of all projects that it
    watches. An alert has the team as label, unless the rule has one of its own.

    Args:
        environment: with NAMESPACE, PROJECT and TEAM.
        groups: groups of rules, as in a rule file of Prometheus.
    """
    labels = {"namespace": environment["NAMESPACE"], "job": f"{environment['PROJECT']}-{CONTAINER}"}
    return {
        "groups": [
            group | {"rules": [_rule(rule, labels, environment["TEAM"]) for rule in group["rules"]]} for group in groups
        ]
    }


def _rule(rule: Mapping[str, Any], labels: Mapping[str, str], team: str) -> dict[str, Any]:
    content = {**rule, "expr": with_labels(str(rule["expr"]), labels)}
    if "alert" in rule:
        content["labels"] = {"team": team} | rule.get("labels", {})
    return content
