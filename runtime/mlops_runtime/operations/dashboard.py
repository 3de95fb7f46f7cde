"""Roll the dashboard out on the cluster, once the service is verified: apply, wait, let it ask the service; or undo.

The dashboard is no part of a release of the service: it speaks to the API of whichever version runs.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.operations.cluster import APPLY, as_list, progress_of, revision_of
from mlops_runtime.operations.errors import DeployError, RoadError, RolloutError
from mlops_runtime.operations.keys import KeysError, Secret, ensure_for_pod
from mlops_runtime.operations.kubectl import ClusterError, Kubectl, Object
from mlops_runtime.operations.replicas import Clock, wait_until_complete
from mlops_runtime.operations.road import Progress
from mlops_runtime.operations.settings import Settings, printable, say
from mlops_runtime.operations.verify import CONTAINER

NAME = "dashboard"
"""Name of the component, and of the caller that has its API key."""
RENDERED = Path("build/k8s/dashboard.json")
ASK = ("python", "-m", "mlops_runtime.dashboard")
"""Command in a pod that asks the service for its version, with the pod's own address and key."""
ASK_INTERVAL = 2.0
"""Seconds between two attempts: pods of the service need some time to read a new key."""


class Dashboard:
    """The dashboard of a project in its namespace.

    Attributes:
        settings: of the project.
        kubectl: for the namespace.
        clock: by which it waits.
    """

    def __init__(self, settings: Settings, kubectl: Kubectl) -> None:
        self.settings = settings
        self.kubectl = kubectl
        self.clock = Clock(sleep=kubectl.sleep, say=kubectl.say)
        self.deployment = f"{settings.project}-{NAME}"
        self.secret = dashboard_key(settings.project)
        self.selector = f"app={settings.project},component={NAME}"

    def deploy(self, manifests: Sequence[Object]) -> None:
        """Bring the dashboard to its manifests, and check that it reaches the service.

        Raises:
            DeployError: if it does not; the one before runs again, if there was one.
            KeysError, ClusterError: if the cluster refuses a command.
        """
        new_key_made = self._ensure_key()
        before = self.kubectl.get("deployment", self.deployment)
        self.kubectl.run(*APPLY, "--filename", "-", stdin=as_list(manifests))
        if new_key_made and before:
            # A pod reads its variables when it starts.
            self.kubectl.run("rollout", "restart", f"deployment/{self.deployment}")
        try:
            wait_until_complete(self._progress, self.settings.rollout_timeout, self.clock)
            version = self._ask()
        except RolloutError as error:
            raise DeployError(f"{error}; {self._undo(before)}; the service is not affected") from error
        say(f"the dashboard runs, and reaches version {version} of the service")
        kubectl = " ".join([*self.kubectl.command, "--namespace", self.kubectl.namespace])
        say(f"reach it: {kubectl} port-forward service/{self.deployment} 8501:80, then http://127.0.0.1:8501")

    def _ensure_key(self) -> bool:
        """Make the API key of the dashboard, unless it has one; return whether it was made."""
        store = Secret(
            self.kubectl, self.settings.required("KEYS_SECRET"), f"app={self.settings.project},component={CONTAINER}"
        )
        labels = {"app": self.settings.project, "component": NAME}
        made = ensure_for_pod(store, NAME, self.secret, labels)
        if made:
            store.refresh()
        return made

    def _progress(self) -> Progress:
        items = self.kubectl.get("deployments,replicasets,pods", "--selector", self.selector).get("items", [])
        return progress_of(items, self.deployment)

    def _ask(self) -> str:
        """Return the version of the service that a new pod reaches.

        Raises:
            RolloutError: if it reaches none within `VERIFY_TIMEOUT`.
        """
        reason, started = "it has no pod", self.clock.now()
        while self.clock.now() - started <= self.settings.verify_timeout:
            for pod in self._progress().ready.values():
                try:
                    return self.kubectl.once("exec", pod, "--container", NAME, "--", *ASK).strip()
                except ClusterError as error:
                    reason = str(error)
            self.clock.sleep(ASK_INTERVAL)
        raise RolloutError(f"the dashboard does not reach the service: {reason}")

    def _undo(self, before: Object) -> str:
        """Go back to the Deployment as it was; return what runs now."""
        if not before:
            return f"kubectl describe deployment {self.deployment} says more"
        revision = revision_of(before)
        if revision_of(self.kubectl.get("deployment", self.deployment)) == revision:
            return "it was not changed by this deploy"
        self.kubectl.run("rollout", "undo", f"deployment/{self.deployment}", f"--to-revision={revision}")
        return "the dashboard before runs again"


def dashboard_key(project: str) -> str:
    """Return the name of the Secret with the API key of the dashboard."""
    return f"{project}-{NAME}-key"


def main() -> int:
    """Deploy the dashboard as `mlops_runtime.operations.manifests` has rendered it; return the exit status."""
    try:
        settings = Settings(os.environ)
        kubectl = Kubectl.from_environment(os.environ, say)
        kubectl.check_cluster(settings.required("CLUSTER"), settings.required("AWS_REGION"))
        Dashboard(settings, kubectl).deploy(json.loads(RENDERED.read_text(encoding="utf-8")))
    except (DeployError, KeysError, RoadError, OSError) as error:
        print(printable(f"dashboard: {error}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
