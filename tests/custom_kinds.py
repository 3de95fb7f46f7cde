"""Objects of kinds that Kubernetes does not have by itself, checked by the definitions of their own projects."""

import json
import os
import shutil
import subprocess
from typing import Any

from tests.conftest import missing

PACKAGES = {
    "argoproj.io": "argo-rollouts",
    "gateway.networking.k8s.io": "gateway-api",
    "monitoring.coreos.com": "prometheus-operator",
}
"""Package of npm with the definitions of a group."""
VALIDATE = """
import { readFileSync } from "node:fs";
const [folder, packages] = process.argv.slice(1);
for (const object of JSON.parse(readFileSync(0))) {
  const name = JSON.parse(packages)[object.apiVersion.split("/")[0]];
  const kinds = await import(`${folder}/@kubernetes-models/${name}/${object.apiVersion}/index.js`);
  new kinds[object.kind](object).validate();
}
"""


def assert_valid(documents: list[dict[str, Any]]) -> None:
    """Check objects by their definitions; skip the test where there are none."""
    folder = os.environ.get("TEST_KUBERNETES_MODELS", "")
    if not folder or shutil.which("node") is None:
        missing("definition", "see TEST_KUBERNETES_MODELS in CONTRIBUTING.md")
    command = ["node", "--input-type=module", "--eval", VALIDATE, folder, json.dumps(PACKAGES)]
    result = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
