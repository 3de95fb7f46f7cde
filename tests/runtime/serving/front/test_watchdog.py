import asyncio
import faulthandler
import logging
import os
import time
from unittest.mock import Mock

import pytest

from mlops_runtime.serving.front import watchdog as module
from mlops_runtime.serving.front.pool import Lane
from mlops_runtime.serving.front.request_body import BodyReader
from mlops_runtime.serving.front.watchdog import Watchdog
from mlops_runtime.serving.settings import Settings

SETTINGS = Settings(hang_timeout=30)


@pytest.fixture
def lane() -> Mock:
    lane = Mock(Lane, __len__=lambda _: 2)
    lane.hangs.return_value = False
    return lane


@pytest.fixture
def bodies() -> Mock:
    return Mock(BodyReader)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which the process would have ended."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(module, "LOG_TIMEOUT", 0)
    monkeypatch.setattr(faulthandler, "dump_traceback", lambda: None)
    return ended


def test_a_check_reports_the_requests_in_work(lane: Mock, bodies: Mock, ended: list[int]) -> None:
    reports: list[int] = []

    Watchdog(SETTINGS, bodies, [lane, lane], reports.append).check()

    assert reports == [4]
    assert ended == []


def test_a_check_refuses_late_jobs_and_bodies(lane: Mock, bodies: Mock) -> None:
    before = time.monotonic()

    Watchdog(SETTINGS, bodies, [lane], lambda _: None).check()

    for call in (lane.refuse_late, bodies.cancel_late):
        (moment,) = call.call_args.args
        assert before <= moment <= time.monotonic()


def test_a_process_with_a_request_that_hangs_ends(
    lane: Mock, bodies: Mock, ended: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    lane.hangs.return_value = True

    Watchdog(SETTINGS, bodies, [lane], lambda _: None).check()

    assert ended == [1]
    assert "HANG_TIMEOUT=30" in caplog.text
    assert caplog.records[0].levelno == logging.CRITICAL


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The timers that were set to end the process."""
    timers: list[float] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda seconds, **_: timers.append(seconds))
    return timers


def test_a_timer_ends_a_process_whose_event_loop_hangs(
    lane: Mock, bodies: Mock, timers: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a watchdog that checks often, and sets its timer less often
    monkeypatch.setattr(module, "INTERVAL", 0.001)
    monkeypatch.setattr(module, "ARM_INTERVAL", 0.1)
    checks: list[int] = []

    async def run() -> None:
        Watchdog(SETTINGS, bodies, [lane], checks.append).start(asyncio.get_running_loop())
        while len(timers) < 2:
            await asyncio.sleep(0.001)

    asyncio.run(run())

    assert len(checks) > 2
    assert timers == [30.1, 30.1]


@pytest.mark.usefixtures("timers")
def test_a_report_that_fails_does_not_end_the_checks(lane: Mock, bodies: Mock) -> None:
    # given: a report that raises
    watchdog = Watchdog(SETTINGS, bodies, [lane], Mock(side_effect=ValueError("broken")))
    loop = Mock(asyncio.AbstractEventLoop)
    loop.time.return_value = 0.0

    # when
    with pytest.raises(ValueError, match="broken"):
        watchdog.start(loop)

    # then
    loop.call_later.assert_called_once_with(module.INTERVAL, watchdog.start, loop)
