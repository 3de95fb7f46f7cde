"""Try out a release on a second Deployment behind the same Service, and compare its pods with the old ones.

The old Deployment and everything that it uses stay as they are: a canary gets new objects alone. It is removed when
its release was rolled out, when it has failed, and by the next command if its deploy was killed.
"""

import math
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from mlops_runtime.operations.canary.counts import Counts, WatchedPods, parsed
from mlops_runtime.operations.canary.judgement import ALPHA, Judgement, judge
from mlops_runtime.operations.cluster import (
    APPLY,
    ProjectCluster,
    as_list,
    completed,
    identity,
    is_adopted,
    is_deployment,
    progress_of,
)
from mlops_runtime.operations.errors import DeployError, RolloutError
from mlops_runtime.operations.kubectl import ClusterError, Object
from mlops_runtime.operations.lease import block_stop_signals
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.replicas import counted, verify_replicas, wait_until_complete
from mlops_runtime.operations.road import Progress
from mlops_runtime.operations.settings import Settings
from mlops_runtime.operations.verify import CONTAINER, CONTAINER_PORT, OPERATOR_KEY

ROLLING, CANARY = "rolling", "canary"
STRATEGIES = (ROLLING, CANARY)

MAX_SHARE = 0.5
"""Greatest share of the pods: beyond it, the canary would be the majority."""
SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")

LOOK_INTERVAL = 10.0
"""Seconds between two readings of the metrics: a reading takes about a quarter of a second of each pod's processor."""
MAX_PODS = 8
"""Pods that are read of each side: more tell little more, and each is a process here."""

PROGRAM = Path(__file__).with_name("inside.py")
USED_BY_PODS = ("ConfigMap", "Secret", "ServiceAccount", "PersistentVolumeClaim")
"""Kinds of objects that a pod needs to start. Others of a release are applied when it is rolled out."""


@dataclass(frozen=True)
class CanarySettings:
    """When and how a canary is used.

    Attributes:
        enabled: whether a deploy begins with one.
        share: of the canary's pods among all.
        seconds: for which it is compared with the old pods.
    """

    enabled: bool
    share: float
    seconds: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of a project.

        Raises:
            DeployError: if one is not usable.
        """
        strategy = settings.optional("STRATEGY") or ROLLING
        if strategy not in STRATEGIES:
            raise DeployError(f"STRATEGY={strategy} is not usable: set it to {' or '.join(STRATEGIES)}")
        text = settings.optional("CANARY") or "10%"
        match = SHARE.fullmatch(text)
        share = float(match.group(1)) / 100 if match else math.nan
        if not 0 < share <= MAX_SHARE:
            raise DeployError(f"CANARY={text} is not usable: set it to a share of at most {MAX_SHARE:.0%}, as in 10%")
        seconds = settings.seconds("CANARY_FOR", 120)
        if seconds < LOOK_INTERVAL:
            raise DeployError(f"CANARY_FOR={seconds:g} is not usable: set it to at least {LOOK_INTERVAL:g} seconds")
        return cls(strategy == CANARY, share, seconds)


@dataclass(frozen=True)
class Fleet:
    """The pods of one moment: those of the canary, and the old ones."""

    canary: Progress
    old: Progress


class ClusterCanary:
    """The canary of a project in one namespace.

    Attributes:
        cluster: with the project.
        settings: of the canary.
        name: of its Deployment.
    """

    def __init__(self, cluster: ProjectCluster, settings: CanarySettings) -> None:
        self.cluster = cluster
        self.settings = settings
        self.name = f"{cluster.deployment}-canary"

    @property
    def enabled(self) -> bool:
        """Whether a deploy begins with a canary."""
        return self.settings.enabled

    def try_out(self, release: Release, base: Release) -> str:
        """Run a canary, verify it, and compare it with the old pods; return how it did.

        Args:
            release: to try out.
            base: release that runs.

        Raises:
            RolloutError: if it does not become ready, predicts wrongly, or is worse than the old pods.
            ClusterError: if it cannot be made, or the pods cannot be listed.
        """
        if is_adopted(base):
            return f"none, as {base.version} ran before releases were recorded"
        old = len(self._fleet().old.ready)
        if not old:
            return f"none, as no pod of {base.version} is ready"
        replicas = canary_replicas(self.settings.share, old)
        content = [*own_objects(release, base), canary_deployment(release, self.name, replicas)]
        self.cluster.kubectl.run(*APPLY, "--filename", "-", stdin=as_list(content))
        self.cluster.say(
            f"  {counted(replicas, 'canary pod')} beside {old}: about {replicas / (replicas + old):.0%}"
            " of new connections"
        )
        self._wait()
        verify_replicas(
            self.cluster.unit,
            lambda: self._fleet().canary,
            lambda pod: self.cluster.verified(pod, release.version),
            self.cluster.verify_timeout,
            self.cluster.clock,
        )
        judgement = self._watch()
        self._wait()
        return judgement.findings()

    def remove(self) -> None:
        """Remove the Deployment of a canary, if there is one; its pods end as others do.

        Raises:
            ClusterError: if it cannot be removed.
        """
        self.cluster.kubectl.run("delete", "deployment", self.name, "--ignore-not-found")

    def discard(self, failed: Release, base: Release) -> None:
        """Remove the Deployment of a canary, and the objects that it alone has used.

        Raises:
            ClusterError: if one cannot be removed.
        """
        self.remove()
        for item in own_objects(failed, base):
            self.cluster.kubectl.run("delete", *identity(item), "--ignore-not-found")

    def _wait(self) -> None:
        wait_until_complete(lambda: self._fleet().canary, self.cluster.rollout_timeout, self.cluster.clock)

    def _fleet(self) -> Fleet:
        """Return the pods as they are.

        Raises:
            ClusterError: if they cannot be listed.
        """
        kinds = "deployments,replicasets,pods"
        items = self.cluster.kubectl.get(kinds, "--selector", self.cluster.selector).get("items", [])
        return Fleet(progress_of(items, self.name), progress_of(items, self.cluster.deployment))

    def _watch(self) -> Judgement:
        """Compare the canary with the old pods until the time is over.

        Raises:
            RolloutError: if it is worse, or cannot be compared.
            ClusterError: if the pods cannot be listed.
        """
        clock = self.cluster.clock
        end = clock.now() + self.settings.seconds
        looks = max(math.ceil(self.settings.seconds / LOOK_INTERVAL), 1)
        canary, old = WatchedPods(), WatchedPods()
        while True:
            trouble = self._look(canary, old)
            judgement = judge(canary.increases, old.increases, ALPHA / looks)
            self._check(judgement, canary.restarts, old.restarts)
            left = end - clock.now()
            if left <= 0:
                break
            requests = f"{judgement.requests} requests to the canary, {judgement.old_requests} to old pods"
            clock.say(f"  {requests}, {left:.0f} s left")
            clock.sleep(min(LOOK_INTERVAL, left))
        for pods, which in ((canary, "canary"), (old, "old")):
            if not pods.compared:
                raise RolloutError(
                    f"the metrics of no {which} pod could be read twice{trouble}; STRATEGY={ROLLING} deploys without"
                )
        return judgement

    def _check(self, judgement: Judgement, restarts: int, old_restarts: int) -> None:
        """Check that a canary is not worse.

        Raises:
            RolloutError: if it is.
        """
        if restarts and not old_restarts:
            raise RolloutError(
                f"the service in the canary ended and started again {counted(restarts, 'time')}, in the old pods never"
            )
        if judgement.worse:
            raise RolloutError("worse than the old pods: " + "; ".join(map(str, judgement.worse)))

    def _look(self, canary: WatchedPods, old: WatchedPods) -> str:
        """Read the metrics of the pods; return what kept one from being read, as the end of a sentence.

        Raises:
            RolloutError: if the canary's pods have failed.
            ClusterError: if the pods cannot be listed.
        """
        fleet = self._fleet()
        if fleet.canary.failure:
            raise RolloutError(fleet.canary.failure)
        own, own_trouble = self._read(fleet.canary.ready)
        others, old_trouble = self._read(fleet.old.ready)
        canary.read(own)
        old.read(others)
        return own_trouble or old_trouble

    def _read(self, ready: Mapping[str, str]) -> tuple[dict[str, Counts], str]:
        """Return the counts of pods by their key, and what kept one from being read, as the end of a sentence.

        Args:
            ready: names of pods by their key.
        """
        pods = dict(islice(sorted(ready.items()), MAX_PODS))
        with ThreadPoolExecutor(max_workers=MAX_PODS, initializer=block_stop_signals) as pool:
            found = dict(zip(pods, pool.map(self._counts, pods.values()), strict=True))
        trouble = next((f": {text}" for text in found.values() if isinstance(text, str)), "")
        return {key: counts for key, counts in found.items() if not isinstance(counts, str)}, trouble

    def _counts(self, pod: str) -> Counts | str:
        """Return the counts of a pod, or why it cannot be read: perhaps it has just ended."""
        python = ("python", "-", f"http://127.0.0.1:{CONTAINER_PORT}", str(OPERATOR_KEY))
        program = PROGRAM.read_text(encoding="utf-8")
        try:
            return parsed(
                self.cluster.kubectl.once(
                    "exec", pod, "--container", CONTAINER, "--stdin", "--", *python, stdin=program
                )
            )
        except (ClusterError, ValueError) as error:
            return str(error)


def canary_replicas(share: float, old: int) -> int:
    """Return the number of a canary's pods.

    Args:
        share: of the canary's pods among all.
        old: number of old pods.
    """
    return max(round(old * share / (1 - share)), 1)


def canary_deployment(release: Release, name: str, replicas: int) -> Object:
    """Return the Deployment of a canary: that of its release, with a label that its selector asks for.

    Its pods have the labels of the Service as well. They are not the old Deployment's, as each pod has one owner.
    """
    manifest = next(item for item in release.manifests if is_deployment(item))
    item = completed(manifest, release.image, replicas)
    item["metadata"] |= {"name": name, "annotations": release.annotations()}
    template = item["spec"]["template"]["metadata"]
    for labels in (item["metadata"]["labels"], item["spec"]["selector"]["matchLabels"], template["labels"]):
        labels["track"] = CANARY
    return item


def own_objects(release: Release, base: Release) -> list[Object]:
    """Return the objects that a release brings for its pods and its predecessor has not."""
    existing = {identity(item) for item in base.manifests}
    return [item for item in release.manifests if item["kind"] in USED_BY_PODS and identity(item) not in existing]
