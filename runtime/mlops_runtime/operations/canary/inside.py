"""Print the counts of a pod as JSON. This program is sent into pods, whose image has `prometheus_client`.

It runs with the image's own packages, which may be of an older version of the project. So it imports nothing of ours.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.request import ProxyHandler, Request, build_opener

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TIMEOUT = 10.0
"""Seconds that the response may take."""

SAMPLES = {
    "webservice_requests_total": ("responses", "route", "method", "status"),
    "webservice_request_duration_seconds_bucket": ("durations", "route", "le"),
    "webservice_prediction_values_total": ("predictions", "bin"),
    "webservice_process_starts_total": ("starts",),
}
"""The samples that a canary is judged by: a name for what they count, and their labels."""


def metrics(url: str, key_file: Path) -> str:
    """Return the metrics of the service at a URL, in Prometheus' format."""
    headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"} if key_file.exists() else {}
    request = Request(f"{url}/metrics", headers=headers)  # noqa: S310 - the service in this pod
    with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as response:
        content: bytes = response.read()
    return content.decode()


def counts(text: str) -> list[list[object]]:
    """Return the counts in metrics, each as its name, the values of its labels, and the count."""
    found = Counter[tuple[str, ...]]()
    for sample in samples(text):
        if sample.name in SAMPLES:
            name, *labels = SAMPLES[sample.name]
            found[name, *(sample.labels[label] for label in labels)] += int(sample.value)
    return [[*key, count] for key, count in found.items()]


def samples(text: str) -> Iterator[Sample]:
    """Yield the samples in metrics."""
    for family in text_string_to_metric_families(text):
        yield from family.samples


if __name__ == "__main__":
    print(json.dumps(counts(metrics(sys.argv[1], Path(sys.argv[2])))))
