"""Write flat rows of a version, for dashboards: `python -m mlops_runtime.operations.trend.rows FOLDER`.

FOLDER is what `make upload.monitoring` uploads. It gets trainer/rows/rows-VERSION.csv, and, with a bucket on S3, a
manifest by which Amazon QuickSight reads the rows of all versions, in the format of
https://docs.aws.amazon.com/quicksight/latest/user/supported-manifest-file-format.html.
"""

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlops_runtime.operations.trend.versions import METRICS, MeasurementError, Version, versions_in

PREFIX = "trainer/rows/"
MANIFEST = "trainer/quicksight.json"
COLUMNS = ("version", "time", "component", "kind", "measure", "value", "low", "high")
TRAINER = "trainer"
"""Component of the metrics."""


def rows_of(version: Version) -> Iterator[tuple[str | float, ...]]:
    """Yield the rows of a version, in the order of `COLUMNS`. Coverage has no interval: low and high are its value."""
    time = version.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    for name, estimate in version.metrics.items():
        yield version.name, time, TRAINER, METRICS, name, estimate.value, estimate.low, estimate.high
    for (component, kind), percent in version.coverage.items():
        yield version.name, time, component, kind, "percent_covered", percent, percent, percent


def csv_of(version: Version) -> str:
    """Return the rows of a version as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows_of(version))
    return text.getvalue()


def manifest(bucket: str) -> dict[str, object]:
    """Return the manifest of Amazon QuickSight for the rows in a bucket."""
    return {
        "fileLocations": [{"URIPrefixes": [f"s3://{bucket}/{PREFIX}"]}],
        "globalUploadSettings": {"format": "CSV", "delimiter": ",", "textqualifier": '"', "containsHeader": "true"},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Write the rows, and the manifest; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.trend.rows", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the measurements of a version")
    folder = parser.parse_args(argv).folder
    bucket = "" if os.environ.get("PLATFORM", "").startswith("azure") else os.environ.get("BUCKET", "")
    try:
        (folder / PREFIX).mkdir(parents=True, exist_ok=True)
        for version in versions_in(folder):
            (folder / PREFIX / f"rows-{version.name}.csv").write_text(csv_of(version), encoding="utf-8")
        if bucket:
            (folder / MANIFEST).write_text(json.dumps(manifest(bucket), indent=1) + "\n", encoding="utf-8")
    except (MeasurementError, OSError) as error:
        print(f"upload.monitoring: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
