"""Drift over time: samples of the drift that the service measures, kept in files or while the dashboard runs."""

import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from mlops_runtime.dashboard.client import ClientError

PREDICTIONS = "predictions"
"""Name of the drift of the predictions, beside those of fields."""
SAMPLE = re.compile(
    r'^webservice_(?:field_drift_psi\{field="(?P<field>(?:[^"\\]|\\.)*)"\}|(?P<own>prediction_drift_psi)'
    r"|(?P<records>drift_records)) (?P<value>\S+)$",
    re.MULTILINE,
)
RELEASE = re.compile(r'^webservice_build_info\{(?:.*,)?version="((?:[^"\\]|\\.)*)"', re.MULTILINE)
ESCAPED = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
INTERVAL = 60.0
"""Seconds between two samples."""
MAX_SAMPLES = 24 * 60


@dataclass(frozen=True)
class Drift:
    """The drift that the service has measured over its last day.

    Attributes:
        time: of the sample.
        records: of that day.
        index: population stability index by field, and of the predictions; those with too few records are missing.
        version: that measured it; empty if it is not known.
    """

    time: datetime
    records: int
    index: dict[str, float]
    version: str = ""


def drift_of(metrics: str) -> Drift:
    """Return the drift in the metrics of a replica of the service.

    Args:
        metrics: in the format of Prometheus.
    """
    index, records = {}, 0
    for match in SAMPLE.finditer(metrics):
        value = float(match["value"])
        if match["records"]:
            records = int(value)
        else:
            index[PREDICTIONS if match["own"] else _unescaped(match["field"])] = value
    release = RELEASE.search(metrics)
    return Drift(datetime.now(UTC), records, index, _unescaped(release[1]) if release else "")


def _unescaped(text: str) -> str:
    """Return the value of a label."""
    return re.sub(r"\\.", lambda part: ESCAPED.get(part[0], part[0]), text)


def write_sample(drift: Drift, folder: Path) -> Path:
    """Write a sample into a file of its own, which its time names; return the path.

    Raises:
        OSError: if it cannot be written.
    """
    path = folder / f"drift-{drift.time:%Y%m%dT%H%M%SZ}.json"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "time": drift.time.isoformat(),
        "version": drift.version,
        "records": drift.records,
        "index": drift.index,
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    return path


def samples_in(folder: Path) -> list[Drift]:
    """Return the samples that `write_sample` has written into a folder, oldest first; none if there is no folder.

    Raises:
        ClientError: if a file is not one of them.
    """
    samples = []
    for path in sorted(folder.glob("drift-*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            index = {str(name): float(value) for name, value in content["index"].items()}
            # Samples of an earlier runtime do not name a version.
            time, version = datetime.fromisoformat(content["time"]), str(content.get("version", ""))
            samples.append(Drift(time, int(content["records"]), index, version))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClientError(f"{path} is no sample of the drift: remove it.") from error
    return samples


class DriftHistory:
    """Samples of the drift: earlier ones, then one a minute, of the last day at most."""

    def __init__(self, read_metrics: Callable[[], str], earlier: Sequence[Drift] = ()) -> None:
        self._read_metrics = read_metrics
        self._earlier = tuple(earlier)
        self._samples: deque[Drift] = deque(maxlen=MAX_SAMPLES)

    def start(self) -> Self:
        """Take samples in a thread of its own, as long as the process runs."""
        threading.Thread(target=self._run, name="drift", daemon=True).start()
        return self

    def samples(self) -> list[Drift]:
        """Return the samples, oldest first."""
        return [*self._earlier, *self._samples]

    def sample(self) -> Drift:
        """Take a sample and return it.

        Raises:
            ClientError: if the service does not answer.
        """
        drift = drift_of(self._read_metrics())
        self._samples.append(drift)
        return drift

    def _run(self) -> None:
        while True:
            # The page says so when somebody looks, and the next sample may succeed.
            with suppress(ClientError):
                self.sample()
            time.sleep(INTERVAL)
