"""Releases: what was deployed, when, by whom, and how it ended. Each is a ConfigMap on the cluster."""

import base64
import gzip
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from mlops_runtime.operations.champion import key_of
from mlops_runtime.operations.kubectl import Object

PREFIX = "mlops-runtime"
"""Prefix of the annotations of the Deployment."""
COMPONENT = "release"
"""Label `component` of the ConfigMaps."""
CHAMPION = "champion"
"""Last part of the name, and label `component`, of the ConfigMap that names the model which was verified last."""
MAX_RELEASES = 20
"""Releases that are kept."""


class State(StrEnum):
    """How far a release has come. docs/deploys.md draws the transitions."""

    CANARY = "canary"
    STARTED = "started"
    APPLIED = "applied"
    ROLLED_OUT = "rolled out"
    VERIFIED = "verified"
    UNDONE = "undone"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"

    @property
    def final(self) -> bool:
        """Whether a deploy that is in this state has ended."""
        return self not in (State.CANARY, State.STARTED, State.APPLIED, State.ROLLED_OUT)


@dataclass(frozen=True, kw_only=True)
class Release:
    """A version with the manifests that run it.

    Attributes:
        number: counts the releases of a project in one namespace.
        version: that /version reports.
        commit: of the project.
        image: of the web-service, by digest.
        environment: of the project.
        manifests: every object, as rendered.
        contract: of the model, as JSON; empty if it is not known.
        state: how far it has come.
        who: deployed it.
        started: time in ISO 8601.
        ended: time in ISO 8601; empty while it is not final.
        artefact: SHA-256 of the metadata of the artefact in the image; empty until it was verified.
        outcome: how it was verified, or why it failed.
        notes: how it did as a canary, and checks that were overruled, with the reasons.
        origin: number of the release that this one repeats, for a rollback; 0 otherwise.
    """

    number: int
    version: str
    commit: str
    image: str
    environment: str
    manifests: Sequence[Object]
    contract: Object
    state: State = State.STARTED
    who: str = ""
    started: str = ""
    ended: str = ""
    artefact: str = ""
    outcome: str = ""
    notes: Sequence[str] = ()
    origin: int = 0

    def to(self, state: State, outcome: str = "", artefact: str = "") -> Self:
        """Return the release in another state."""
        return replace(
            self,
            state=state,
            ended=now() if state.final else "",
            outcome=outcome or self.outcome,
            artefact=artefact or self.artefact,
        )

    def same(self, other: "Release") -> bool:
        """Return whether another release runs the same image with the same manifests."""
        return (self.version, self.image, list(self.manifests)) == (other.version, other.image, list(other.manifests))

    def cause(self) -> str:
        """Return a line for `kubernetes.io/change-cause`."""
        kind = "rollback to" if self.origin else "deploy of"
        return "; ".join([f"release {self.number}: {kind} {self.version} by {self.who}", *self.notes])

    def annotations(self) -> dict[str, str]:
        """Return the annotations of the Deployment while this release runs or is on its way."""
        return {
            f"{PREFIX}/release": str(self.number),
            f"{PREFIX}/version": self.version,
            f"{PREFIX}/commit": self.commit,
            f"{PREFIX}/environment": self.environment,
            f"{PREFIX}/deployed-by": self.who,
            f"{PREFIX}/deployed-at": self.started,
            "kubernetes.io/change-cause": self.cause(),
        }

    def verified_annotations(self) -> dict[str, str]:
        """Return the annotations of the Deployment that say how this release was verified."""
        return {
            f"{PREFIX}/verified-release": str(self.number),
            f"{PREFIX}/verification": self.outcome,
            f"{PREFIX}/artefact": self.artefact,
        }


def now() -> str:
    """Return the time in ISO 8601, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def name_of(project: str, number: int) -> str:
    """Return the name of the ConfigMap of a release."""
    return f"{project}-release-{number}"


def to_config_map(release: Release, project: str) -> Object:
    """Return the ConfigMap of a release. Manifests and contract are compressed: a ConfigMap holds at most 1 MiB."""
    facts: dict[str, Any] = asdict(release)
    content = {name: facts.pop(name) for name in ("manifests", "contract")}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name_of(project, release.number),
            "labels": {"app": project, "component": COMPONENT},
        },
        "data": {"release.json": json.dumps(facts, indent=1, ensure_ascii=False)},
        "binaryData": {
            "content.json.gz": base64.b64encode(gzip.compress(json.dumps(content).encode(), mtime=0)).decode()
        },
    }


def champion_name(project: str) -> str:
    """Return the name of the ConfigMap that a training on schedule reads: what to compare its model with."""
    return f"{project}-{CHAMPION}"


def champion_config_map(release: Release, project: str) -> Object:
    """Return the ConfigMap that names the held-out predictions of a release's model in the bucket."""
    key = key_of(release.environment, release.artefact) if release.artefact else ""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": champion_name(project), "labels": {"app": project, "component": CHAMPION}},
        "data": {"CHAMPION": key},
    }


def from_config_map(config_map: Object) -> Release:
    """Return the release that a ConfigMap holds.

    Raises:
        ValueError: if it holds none.
    """
    try:
        facts = json.loads(config_map["data"]["release.json"])
        content = json.loads(gzip.decompress(base64.b64decode(config_map["binaryData"]["content.json.gz"])))
        return _release_of(facts | content)
    except (KeyError, TypeError, ValueError, OSError, EOFError, zlib.error) as error:
        name = config_map.get("metadata", {}).get("name")
        raise ValueError(f"ConfigMap {name} holds no release ({error}): delete it if somebody has edited it") from error


def to_json(release: Release) -> str:
    """Return a release as a line of JSON."""
    return json.dumps(asdict(release))


def from_json(line: str) -> Release:
    """Return the release that a line of JSON holds.

    Raises:
        ValueError: if it holds none.
    """
    try:
        return _release_of(json.loads(line))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"a record holds no release ({error}): {line[:60]}") from error


def _release_of(facts: dict[str, Any]) -> Release:
    known = {name: facts[name] for name in Release.__dataclass_fields__ if name in facts}
    return Release(**known | {"state": State(facts["state"])})


def last_verified(releases: Sequence[Release]) -> Release | None:
    """Return the release that should run: the last that was verified."""
    return next((release for release in reversed(releases) if release.state is State.VERIFIED), None)


def rollback_target(releases: Sequence[Release], version: str = "") -> Release | None:
    """Return the release that a rollback goes to.

    Args:
        releases: ascending.
        version: to go to; empty for the last verified version before the one that runs.
    """
    current = last_verified(releases)
    if current is None:
        return None
    position = current.origin or current.number
    numbers = {release.number for release in releases}
    states = (State.VERIFIED, State.ROLLED_BACK) if version else (State.VERIFIED,)
    for release in reversed(releases):
        # A release that repeats another one stands for it when that one is no longer kept.
        repeats = release.origin in numbers
        if repeats or release.state not in states or release.version == current.version:
            continue
        if release.version == version or (not version and release.number < position):
            return release
    return None


def expendable(releases: Sequence[Release]) -> list[Release]:
    """Return the releases that need not be kept: the oldest, but neither the last verified nor the one before it."""
    kept = {release.number for release in (last_verified(releases), rollback_target(releases)) if release is not None}
    return [release for release in releases[:-MAX_RELEASES] if release.number not in kept]


def rollback_of(target: Release, number: int, who: str, started: str) -> Release:
    """Return a new release that repeats another one."""
    return replace(
        target,
        number=number,
        state=State.STARTED,
        who=who,
        started=started,
        ended="",
        outcome="",
        origin=target.origin or target.number,
        notes=(),
    )
