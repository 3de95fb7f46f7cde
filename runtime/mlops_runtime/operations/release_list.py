"""The releases that a platform knows, kept in the bucket at each deploy: a platform forgets old ones.

The keys are webservice/deploys/ENVIRONMENT-TIME.json. This module needs the standard library alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from mlops_runtime.operations.releases import Release, State
from mlops_runtime.operations.store import Store

PREFIX = "webservice/deploys/"
PATTERN = f"{PREFIX}*.json"
FILE = Path("build/releases.json")
FACTS = ("number", "version", "commit", "environment", "state", "who", "started", "ended", "outcome", "origin")


class ReleaseListError(ValueError):
    """A file has no list of releases."""


@dataclass(frozen=True, slots=True)
class Deploy:
    """A release as it was kept.

    Attributes:
        environment: of the project.
        number: of the release.
        version: that was deployed.
        started: time.
        state: in which it was when it was kept last.
        who: deployed it.
        outcome: how it was verified, or why it failed.
        origin: number of the release that this one repeats, for a rollback; 0 otherwise.
    """

    environment: str
    number: int
    version: str
    started: datetime
    state: State
    who: str
    outcome: str
    origin: int

    @classmethod
    def of(cls, facts: dict[str, Any]) -> Self:
        """Return the release that facts describe.

        Raises:
            KeyError, TypeError, ValueError: if they describe none.
        """
        return cls(
            environment=str(facts["environment"]),
            number=int(facts["number"]),
            version=str(facts["version"]),
            started=datetime.fromisoformat(facts["started"]),
            state=State(facts["state"]),
            who=str(facts["who"]),
            outcome=str(facts["outcome"]),
            origin=int(facts["origin"]),
        )


def keep(store: Store, releases: Sequence[Release]) -> None:
    """Keep the releases of an environment, under the time of the last one.

    Args:
        store: where to.
        releases: ascending, at least one.

    Raises:
        StoreError: if the store cannot be written.
        OSError: if the file to upload cannot be written.
    """
    last = releases[-1]
    FILE.parent.mkdir(parents=True, exist_ok=True)
    content = [{name: getattr(release, name) for name in FACTS} for release in releases]
    FILE.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    time = "".join(character for character in last.started if character.isalnum())
    store.put(f"{PREFIX}{last.environment}-{time}.json", FILE)


def deploys_in(folder: Path) -> list[Deploy]:
    """Return the releases that were kept, the oldest first, each as it was kept last.

    Args:
        folder: copy of the bucket.

    Raises:
        ReleaseListError: if a file has no list of releases.
        OSError: if a file cannot be read.
    """
    deploys: dict[tuple[str, int, datetime], Deploy] = {}
    for path in sorted(folder.glob(PATTERN)):
        try:
            kept = [Deploy.of(facts) for facts in json.loads(path.read_text(encoding="utf-8"))]
        except (KeyError, TypeError, ValueError) as error:
            raise ReleaseListError(
                f"{path.relative_to(folder)} has no list of releases: remove it from the bucket"
            ) from error
        deploys |= {(deploy.environment, deploy.number, deploy.started): deploy for deploy in kept}
    return sorted(deploys.values(), key=lambda deploy: (deploy.started, deploy.environment, deploy.number))
