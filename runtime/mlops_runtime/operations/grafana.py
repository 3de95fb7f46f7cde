"""The Grafana dashboard of the service: `python -m mlops_runtime.operations.grafana` prints it as JSON.

Its fields, labels and versions are those that Prometheus has, so a change of the contract needs no other dashboard.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_runtime.operations.promql import with_labels
from mlops_runtime.operations.verify import CONTAINER

SIDECAR_LABEL = {"grafana_dashboard": "1"}
"""Label of the ConfigMaps that the sidecar of Grafana's chart reads, unless it is told otherwise."""

SCHEMA_VERSION = 36
"""Of the JSON, as Grafana 9 wrote it; later versions convert it."""

WIDTH, HEIGHT = 12, 8
"""Of a panel, in cells of the grid, which is 24 wide."""

CHOSEN = {"namespace": "$namespace", "job": "$job"}
"""Labels of the series that somebody has chosen."""

SOURCE = {"type": "prometheus", "uid": "${source}"}

FAILED = 'status=~"5..", status!="503"'
REFUSED = 'status=~"429|503"'
CALLERS = 'status=~"4..", status!~"422|429"'
RESPONSES = "sum(rate(webservice_requests_total[5m]))"


def _share(selection: str) -> str:
    """Return the share of the responses with some statuses; 0 while there are none."""
    return f"(sum(rate(webservice_requests_total{{{selection}}}[5m])) or vector(0)) / {RESPONSES}"


def _latency(quantile: float) -> str:
    buckets = 'webservice_request_duration_seconds_bucket{route="/v1/predictions"}[5m]'
    return f"histogram_quantile({quantile}, sum by (le) (rate({buckets})))"


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        title: of the panel.
        queries: expressions of PromQL, by the name of their series; `{{label}}` stands for the value of a label.
        unit: of the values, as Grafana names it.
        thresholds: values from which on a series is yellow, and red.
        kind: of panel, as Grafana names it.
    """

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    thresholds: tuple[float, ...] = ()
    kind: str = "timeseries"


PANELS = (
    Panel("Requests per second", {"{{route}}": "sum by (route) (rate(webservice_requests_total[5m]))"}, "reqps"),
    Panel(
        "Share of the responses that are errors",
        {"errors of the service": _share(FAILED), "overload or limit": _share(REFUSED), "callers": _share(CALLERS)},
        "percentunit",
    ),
    Panel("Response time of predictions", {f"p{q * 100:g}": _latency(q) for q in (0.5, 0.9, 0.99)}, "s"),
    Panel(
        "Saturation: requests in work in a replica",
        {
            "mean of 5 minutes": "sum(rate(webservice_request_duration_seconds_sum[5m]))"
            " / count(webservice_process_starts_total)",
            "now": "sum(webservice_requests_in_work) / count(webservice_process_starts_total)",
        },
    ),
    Panel(
        "Records that break or stretch the contract",
        {
            "requests refused": _share('status="422"'),
            "records with a value outside the expected range": "sum(rate(webservice_records_with_warnings_total[5m]))"
            " / (sum(rate(webservice_records_total[5m])) > 0)",
        },
        "percentunit",
    ),
    Panel(
        "Predictions per second",
        {
            "{{label}}": "sum by (label) (rate(webservice_predictions_total[5m]))",
            "values": "sum(rate(webservice_predicted_value_count[5m]))",
        },
    ),
    Panel(
        "Drift of the fields, over a day",
        {
            "{{field}}": "job:webservice_field_drift_psi:1d"
            " or max by (namespace, job, field) (webservice_field_drift_psi)"
        },
        thresholds=(0.1, 0.25),
    ),
    Panel(
        "Drift of the predictions, over a day",
        {
            "predictions": "job:webservice_prediction_drift_psi:1d"
            " or max by (namespace, job) (webservice_prediction_drift_psi)"
        },
        thresholds=(0.1, 0.25),
    ),
    Panel(
        "Shares of the bins of $field, today",
        {"{{bin}}": 'job:webservice_field_values:share1d{field=~"$field"}'},
        "percentunit",
        kind="bargauge",
    ),
    Panel(
        "Shares of the bins of $field, in training",
        {"{{bin}}": 'max by (bin) (webservice_field_baseline_share{field=~"$field"})'},
        "percentunit",
        kind="bargauge",
    ),
    Panel(
        "Replicas by version",
        {"{{version}}, model {{model_version}}": "count by (version, model_version) (webservice_build_info)"},
    ),
    Panel(
        "Processes replaced, and log lines dropped, in an hour",
        {
            "processes": "sum(increase(webservice_process_starts_total[1h]))",
            "lines": "sum(increase(webservice_log_lines_dropped_total[1h]))",
        },
    ),
)
"""Every panel, in reading order."""


def dashboard(project: str, title: str) -> dict[str, Any]:
    """Return the dashboard, as Grafana imports it or provisions it from a file.

    Namespace and job can be chosen, and the source, so that it fits any Prometheus; at first they are those of the
    project, as far as Grafana finds them.

    Args:
        project: its name, which is also the UID of the dashboard.
        title: of the dashboard.
    """
    job = f"{project}-{CONTAINER}"
    builds, shares = "webservice_build_info", "webservice_field_baseline_share"
    chosen = with_labels(shares, CHOSEN)
    return {
        "uid": project,
        "title": title,
        "tags": ["mlops"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "1m",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                _variable("job", f"label_values({builds}, job)", job),
                _variable("namespace", f'label_values({builds}{{job="$job"}}, namespace)'),
                _variable("field", f"label_values({chosen}, field)"),
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _variable(name: str, query: str, value: str = "") -> dict[str, Any]:
    """Return a variable whose values Grafana asks Prometheus for, each time that the range of time changes."""
    content = {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
    }
    return content | ({"current": {"text": value, "value": value}} if value else {})


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    columns = 24 // WIDTH
    steps = [
        {"color": color, "value": value} for color, value in zip(("yellow", "red"), panel.thresholds, strict=False)
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if steps:
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "green", "value": None}, *steps]}
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    instant = {"instant": True, "range": False} if panel.kind == "bargauge" else {}
    return {
        "id": number + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"x": number % columns * WIDTH, "y": number // columns * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "legendFormat": legend, "expr": with_labels(query, CHOSEN)} | instant
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def main() -> int:
    """Print the dashboard of the project that make's settings name; return the exit status."""
    try:
        content = dashboard(os.environ["PROJECT"], os.environ["TITLE"])
    except KeyError as error:
        print(f"dashboard: {error.args[0]} is not set: run this with make, and see project.mk", file=sys.stderr)
        return 1
    print(json.dumps(content, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
