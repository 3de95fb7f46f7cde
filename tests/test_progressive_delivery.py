"""The overlays for controllers in docs/progressive-delivery.md, rendered in a project."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import TEMPLATE, Bakery
from tests.custom_kinds import assert_valid
from tests.test_bake import manifests

PAGE = (TEMPLATE / "docs/progressive-delivery.md").read_text()


def rendered(bakery: Bakery, folder: Path, section: str) -> dict[str, dict[str, Any]]:
    """Return the objects of a project with the overlay of a section of the page, by kind."""
    baked = bakery.copy(folder)
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0] + PAGE.partition("\n## ")[0]
    for code in re.findall(r"^```(?:yaml|make)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        path = baked / code.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    return {each["kind"]: each for each in manifests(baked, "manifests.webservice", "ENVIRONMENT=progressive")}


def queries(value: Any) -> list[str]:
    """Return the queries in an object."""
    if isinstance(value, dict):
        own = [value["query"]] if isinstance(value.get("query"), str) else []
        return own + [query for inner in value.values() for query in queries(inner)]
    return [query for inner in value for query in queries(inner)] if isinstance(value, list) else []


def assert_prometheus_reads(expressions: list[str], folder: Path) -> None:
    """Check that expressions are PromQL, and that the service has their metrics."""
    known = set(
        re.findall(r"webservice_\w+", (TEMPLATE / "{{cookiecutter.project_slug}}/docs/alerts.yaml").read_text())
    )
    filled = [re.sub(r"\{\{ ?[\w.]+ ?\}\}", "5m", expression) for expression in expressions]
    assert filled
    assert {name for query in filled for name in re.findall(r"webservice_\w+", query)} <= known
    if shutil.which("promtool") is None:
        pytest.skip("no promtool: install Prometheus to have the queries read")
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(filled)]
    (folder / "rules.yaml").write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    subprocess.run(["promtool", "check", "rules", folder / "rules.yaml"], check=True, capture_output=True)


def test_a_rollout_takes_the_pods_of_the_deployment(bakery: Bakery, tmp_path: Path) -> None:
    found = rendered(bakery, tmp_path, "Argo Rollouts")

    deployment, rollout, template = (found[kind] for kind in ("Deployment", "Rollout", "AnalysisTemplate"))
    assert deployment["spec"]["replicas"] == 0
    assert rollout["spec"]["workloadRef"]["name"] == deployment["metadata"]["name"]
    assert rollout["spec"]["selector"] == deployment["spec"]["selector"]
    assert rollout["metadata"]["namespace"] == deployment["metadata"]["namespace"] == "oncology-progressive"
    (analysis,) = (step["analysis"] for step in rollout["spec"]["strategy"]["canary"]["steps"] if "analysis" in step)
    assert analysis["templates"] == [{"templateName": template["metadata"]["name"]}]
    assert [each["name"] for each in analysis["args"]] == [each["name"] for each in template["spec"]["args"]]
    assert_prometheus_reads(queries(template), tmp_path)
    assert_valid([rollout, template])


def test_flagger_takes_the_deployment_and_its_service(bakery: Bakery, tmp_path: Path) -> None:
    found = rendered(bakery, tmp_path, "Flagger")

    deployment, service, canary, template = (
        found[kind] for kind in ("Deployment", "Service", "Canary", "MetricTemplate")
    )
    assert canary["spec"]["targetRef"]["name"] == deployment["metadata"]["name"] == service["metadata"]["name"]
    (port,) = service["spec"]["ports"]
    assert canary["spec"]["service"] == {"port": port["port"], "targetPort": port["targetPort"]}
    assert "component" in deployment["spec"]["selector"]["matchLabels"]
    (metric,) = canary["spec"]["analysis"]["metrics"]
    assert metric["templateRef"] == {"name": template["metadata"]["name"]}
    assert_prometheus_reads(queries(template), tmp_path)
