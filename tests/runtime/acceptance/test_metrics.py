"""Metrics of a service of several processes."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mlops_runtime.model import Predictor
from tests.runtime.live_service.conftest import OwnService, StartService, request_on

URL = "/v1/predictions"
WORKERS = 3
CONNECTIONS = 24
REQUESTS = 15
"""Requests of each connection; the last one is not valid."""
SCRAPES = 12
TIMEOUT = 20.0
"""Seconds after which a test gives up waiting."""

Samples = dict[tuple[str, ...], float]


def scraped(service: OwnService) -> Samples:
    """Return the metrics that one of the processes exposes: values by the name of the sample and its labels."""
    text = service.request("GET", "/metrics").body.decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}


def of_predictions(samples: Samples) -> dict[str, float]:
    """Return the number of responses to requests for predictions, by status, and of records."""
    responses = {
        key[3]: value for key, value in samples.items() if key[:3] == ("webservice_requests_total", "POST", URL)
    }
    return responses | {"records": samples["webservice_records_total",]}


def have_started(service: OwnService) -> float:
    """Return the number of processes that have started; 0 if the asked one is being killed."""
    try:
        return scraped(service)["webservice_process_starts_total",]
    except OSError:
        return 0


def workers(service: OwnService) -> list[int]:
    """Return the ids of the worker processes."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("needs /proc/PID/task/PID/children: Linux")
    return [int(worker) for worker in children.read_text().split()]


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition is true; fail the test if it does not become true."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {TIMEOUT:g} s: {what}")
        time.sleep(0.1)


def count_responses(service: OwnService, record: str) -> Counter[str]:
    """Send requests on many connections; return the number of responses by status, and of predicted records."""

    def send(connection_number: int) -> Counter[str]:
        size = connection_number % 3 + 1
        bodies = [json.dumps([json.loads(record)] * size)] * (REQUESTS - 1) + ["[]"]
        counted: Counter[str] = Counter()
        with closing(service.connect()) as connection:
            for body in bodies:
                status = request_on(connection, "POST", URL, body.encode()).status
                counted += Counter({str(status): 1, "records": size if status == 200 else 0})
        return counted

    with ThreadPoolExecutor(CONNECTIONS) as clients:
        return sum(clients.map(send, range(CONNECTIONS)), Counter())


def test_every_process_exposes_the_counts_of_all_processes_even_killed_ones(
    start_service: StartService, predictor: Predictor
) -> None:
    # Given a service of several processes, and clients that count the responses
    service = start_service(WORKERS=str(WORKERS), LOG_LEVEL="error")
    wait_until(lambda: have_started(service) == WORKERS, "all processes serve")
    record = predictor.golden_records[0].record.model_dump_json()
    counted = count_responses(service, record)
    assert {"200", "422"} < counted.keys()

    # Then each process soon exposes these counts
    def all_expose(expected: Counter[str]) -> bool:
        return all(of_predictions(scraped(service)) == expected for _ in range(SCRAPES))

    wait_until(lambda: all_expose(counted), "all requests are counted")

    # When one of them is killed and replaced
    os.kill(workers(service)[0], signal.SIGKILL)
    wait_until(lambda: have_started(service) == WORKERS + 1, "a process is replaced")

    # Then its counts are kept, and further requests are counted
    assert all_expose(counted)
    counted += count_responses(service, record)
    wait_until(lambda: all_expose(counted), "the requests of the new processes are counted")
