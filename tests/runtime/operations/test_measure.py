import os
import subprocess
import sys

import pytest

from mlops_runtime.operations.golden import ServiceError
from mlops_runtime.operations.measure import MEBIBYTE, Measured, cpu_seconds, descendants, measure, peak_memory
from mlops_runtime.serving.settings import Settings
from tests.runtime.operations.conftest import StubService

BUSY = f"""
import subprocess, sys, time
held = bytearray({64 * MEBIBYTE})
while time.process_time() < 0.3:
    pass
del held
subprocess.run([sys.executable, "-c", "print(1, flush=True); input()"])
"""
ANSWERS = {"/v1/predictions": (200, b"{}"), "/table": (200, b"x,y\n1,2\n")}
ENDED = 2**22 + 1
"""More than Linux gives a process."""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def test_requests_and_limits_follow_from_what_was_measured() -> None:
    measured = Measured(
        requests=2000, cpu_seconds=3.1, large_requests=30, records=1000, table=2_000_000, peak=150 * MEBIBYTE, workers=1
    )

    assert measured.resources == {
        "requests": {"cpu": "350m", "memory": "160Mi"},
        "limits": {"cpu": '"1"', "memory": "320Mi"},
    }
    lines = measured.text().splitlines()
    assert lines[0] == "# 2,000 requests of one record took 1.55 ms of processor time each."
    assert "    memory: 320Mi" in lines


def test_a_process_and_its_own_are_measured() -> None:
    # Given a process that has held 64 MiB and computed for 0.3 s, and has started another one
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()

        pids = descendants(os.getpid())

        assert process.pid in pids
        assert len(descendants(process.pid)) == 1
        assert set(descendants(process.pid)) < set(pids)
        assert cpu_seconds(process.pid) == pytest.approx(0.35, abs=0.15)
        assert 64 * MEBIBYTE < peak_memory(process.pid) < 128 * MEBIBYTE
        process.communicate(b"\n")


def test_a_process_that_has_ended_uses_nothing() -> None:
    assert (cpu_seconds(ENDED), peak_memory(ENDED)) == (0, 0)


def test_records_are_sent_one_by_one_and_together(stub_service: StubService) -> None:
    url = stub_service(ANSWERS)

    measured = measure(url, [os.getpid()], [{"x": 1}, {"x": 2}], Settings(max_records=7), seconds=0.1)

    assert measured.requests >= 8
    assert measured.large_requests >= Settings().max_large_requests
    assert measured.records == 7
    assert 0.9 * Settings().max_table_length < measured.table <= Settings().max_table_length
    assert measured.cpu_seconds > 0
    assert measured.peak > MEBIBYTE


def test_large_requests_fit_the_limit_of_a_body(stub_service: StubService) -> None:
    url = stub_service(ANSWERS)

    measured = measure(url, [], [{"x": "y" * 989}], Settings(max_content_length=10_000), seconds=0)

    assert measured.records == 9


def test_a_request_that_fails_ends_the_measurement(stub_service: StubService) -> None:
    url = stub_service({"/v1/predictions": (503, b"")})

    with pytest.raises(ServiceError, match="/v1/predictions does not answer"):
        measure(url, [], [{"x": 1}], Settings(), seconds=0.1)
