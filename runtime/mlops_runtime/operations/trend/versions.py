"""What `make upload.monitoring` has kept of each version, read from a copy of the bucket.

The keys are COMPONENT/KIND/KIND-VERSION.json: metrics.json of training, and the reports of coverage.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_runtime.model.metadata import Estimate

METRICS = "metrics"
COVERAGE = "-coverage"
"""End of the kinds that are coverage, such as unittest-coverage."""
KINDS = (METRICS, f"unittest{COVERAGE}", f"test{COVERAGE}")
PATTERNS = tuple(f"*/{kind}/{kind}-*.json" for kind in KINDS)
"""The keys of what is kept of a version."""


class MeasurementError(ValueError):
    """A file is none that `make upload.monitoring` has made."""


@dataclass(frozen=True, slots=True)
class Version:
    """What was measured of a version.

    Attributes:
        name: of the version.
        time: when its model was trained; without metrics, when its coverage was reported. In UTC.
        task: of the model; empty without metrics.
        floors: minimum of metrics, by their name.
        metrics: on the held-out rows, by their name.
        coverage: branch coverage in percent, by component and kind.
    """

    name: str
    time: datetime
    task: str = ""
    floors: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    coverage: Mapping[tuple[str, str], float] = field(default_factory=dict)


def versions_in(folder: Path) -> list[Version]:
    """Return what is kept of each version, the oldest first.

    Args:
        folder: copy of the bucket.

    Raises:
        MeasurementError: if a file is none that `make upload.monitoring` has made.
        OSError: if a file cannot be read.
    """
    found: dict[str, dict[tuple[str, str], Any]] = {}
    for name, component, kind, content in _contents(folder):
        found.setdefault(name, {})[component, kind] = content
    versions = [version_of(name, contents) for name, contents in found.items()]
    return sorted(versions, key=lambda version: (version.time, version.name))


def version_of(name: str, contents: Mapping[tuple[str, str], Any]) -> Version:
    """Return what was measured of a version.

    Args:
        name: of the version.
        contents: of its files, by component and kind.

    Raises:
        MeasurementError: if one is none that `make upload.monitoring` has made.
    """
    times: list[tuple[bool, datetime]] = []
    origin: dict[str, Any] = {"task": "", "floors": {}, "metrics": {}}
    coverage = {}
    for (component, kind), content in contents.items():
        try:
            if kind == METRICS:
                metrics = {key: Estimate.model_validate(value) for key, value in content["metrics"].items()}
                origin = {"task": str(content["task"]), "floors": dict(content["floors"]), "metrics": metrics}
                times.append((False, _time(content["trained_at"])))
            else:
                coverage[component, kind] = float(content["totals"]["percent_covered"])
                times.append((True, _time(content["meta"]["timestamp"])))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            key = f"{component}/{kind}/{kind}-{name}.json"
            raise MeasurementError(f"{key} is none that make upload.monitoring has made: remove it") from error
    return Version(name, min(times)[1], **origin, coverage=dict(sorted(coverage.items())))


def _contents(folder: Path) -> Iterator[tuple[str, str, str, Any]]:
    """Yield version, component, kind and content of each file."""
    for kind in KINDS:
        for path in sorted(folder.glob(f"*/{kind}/{kind}-*.json")):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except ValueError as error:
                raise MeasurementError(f"{path.relative_to(folder)} is no JSON: remove it from the bucket") from error
            yield path.stem.removeprefix(f"{kind}-"), path.parts[-3], kind, content


def _time(text: str) -> datetime:
    """Return a time in UTC. That of a report of coverage has no time zone: make asks for it in UTC."""
    time = datetime.fromisoformat(text)
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
