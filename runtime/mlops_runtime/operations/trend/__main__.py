"""Write the trend of a project: `python -m mlops_runtime.operations.trend PAGE`.

Metrics, coverage, drift and deploys come from the bucket, whose copy in build/trend/ is brought up to date first.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlops_runtime.dashboard import ClientError, samples_in
from mlops_runtime.operations import release_list
from mlops_runtime.operations.release_list import ReleaseListError, deploys_in
from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.operations.trend.page import render_trend
from mlops_runtime.operations.trend.versions import PATTERNS, MeasurementError, versions_in

COPY = Path("build/trend")
DRIFT = "webservice/drift"
SAMPLES = f"{DRIFT}/drift-*.json"


def write_trend(store: Store, page: Path, title: str, environment: str) -> str:
    """Write the page; return a sentence about it.

    Args:
        store: where the measurements are.
        page: path of the HTML file.
        title: of the project.
        environment: whose deploys the figures mark.

    Raises:
        StoreError: if the store cannot be read.
        MeasurementError: if nothing was measured, or a file has no measurements.
        ReleaseListError, ClientError: if a file is not what its key says.
        OSError: if a file cannot be read or written.
    """
    folder = COPY / store.name
    folder.mkdir(parents=True, exist_ok=True)
    store.copy([*PATTERNS, SAMPLES, release_list.PATTERN], folder)
    versions = versions_in(folder)
    if not versions:
        raise MeasurementError(f"{store.url('')} has no measurements: run make upload.monitoring for a version first")
    samples, deploys = samples_in(folder / DRIFT), deploys_in(folder)
    page.write_text(render_trend(title, versions, samples, deploys, environment), encoding="utf-8")
    return f"{page} has {len(versions)} versions, {len(samples)} samples of drift and {len(deploys)} deploys"


def main(argv: Sequence[str] | None = None) -> int:
    """Write the trend; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.trend", description=__doc__)
    parser.add_argument("page", type=Path, help="path of the HTML file")
    page = parser.parse_args(argv).page
    title, environment = os.environ.get("TITLE", ""), os.environ.get("ENVIRONMENT", "production")
    try:
        said = write_trend(Store.of_project(), page, title, environment)
    except (StoreError, MeasurementError, ReleaseListError, ClientError, OSError) as error:
        print(f"report.trend: {error}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
