import asyncio
import gc
import math
import signal
import threading
import time
from collections.abc import Callable

import pytest

from mlops_runtime.serving.front import pool
from mlops_runtime.serving.front.pool import STOP_SIGNALS, Lane, Worker


def nothing(_: Worker) -> None:
    """Do nothing."""


class Gate:
    """Work that waits until it is let go on."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: Worker) -> None:
        self.entered.set()
        assert self.opened.wait(20)


def test_a_job_runs_in_a_thread_of_the_lane() -> None:
    names: list[str] = []

    async def run() -> bool:
        lane = Lane("short", 1, asyncio.get_running_loop())
        return await lane.submit(lambda _: names.append(threading.current_thread().name), 0)

    assert asyncio.run(run())
    assert names == ["short-0"]


def test_an_error_of_a_job_is_raised_and_the_thread_continues() -> None:
    def fail(_: Worker) -> None:
        # granian raises errors of this kind.
        raise BaseException("broken")

    async def run() -> bool:
        lane = Lane("short", 1, asyncio.get_running_loop())
        with pytest.raises(BaseException, match="broken"):
            await lane.submit(fail, 0)
        assert len(lane) == 0
        return await lane.submit(nothing, 0)

    assert asyncio.run(run())


def test_jobs_run_in_their_order() -> None:
    order: list[int] = []

    async def run() -> None:
        lane = Lane("short", 1, asyncio.get_running_loop())
        await asyncio.gather(*(lane.submit(lambda _, number=number: order.append(number), 0) for number in range(50)))

    asyncio.run(run())

    assert order == list(range(50))


def in_a_busy_lane(check: Callable[[Lane, "asyncio.Future[bool]"], None], max_wait: float = math.inf) -> bool:
    """Return whether a job was done that waited behind another one during a check."""

    async def run() -> bool:
        gate = Gate()
        lane = Lane("short", 1, asyncio.get_running_loop(), max_wait)
        first = lane.submit(gate, 0)
        await asyncio.to_thread(gate.entered.wait, 20)
        waiting = lane.submit(nothing, 0)
        assert len(lane) == 2
        check(lane, waiting)
        gate.opened.set()
        assert await first
        return await waiting

    return asyncio.run(run())


def test_a_job_that_waits_for_too_long_is_refused_and_never_run() -> None:
    assert not in_a_busy_lane(lambda lane, _: lane.refuse_late(time.monotonic() + 2.1), max_wait=2)


def test_a_job_that_waits_for_less_is_run() -> None:
    assert in_a_busy_lane(lambda lane, _: lane.refuse_late(time.monotonic() + 1), max_wait=2)


def test_a_job_in_work_hangs_after_its_timeout() -> None:
    def check(lane: Lane, _: "asyncio.Future[bool]") -> None:
        assert not lane.hangs(time.monotonic(), 30)
        assert lane.hangs(time.monotonic() + 31, 30)

    assert in_a_busy_lane(check)


def test_a_job_that_makes_progress_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a job that began long ago, and made progress since
    now = time.monotonic()

    async def run() -> None:
        lane = Lane("large", 1, asyncio.get_running_loop())
        gate = Gate()

        def work(worker: Worker) -> None:
            monkeypatch.setattr(pool.time, "monotonic", lambda: now + 100)
            worker.touch()
            gate(worker)

        done = lane.submit(work, 0)
        await asyncio.to_thread(gate.entered.wait, 20)
        assert not lane.hangs(now + 110, 30)
        assert lane.hangs(now + 131, 30)
        monkeypatch.undo()
        gate.opened.set()
        await done

    asyncio.run(run())


def test_the_threads_block_stop_signals() -> None:
    masks: list[set[signal.Signals | int]] = []

    async def run() -> None:
        lane = Lane("short", 1, asyncio.get_running_loop())
        await lane.submit(lambda _: masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, []))), 0)

    asyncio.run(run())

    assert masks[0] >= STOP_SIGNALS


def test_garbage_is_collected_after_large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = threading.Event()
    monkeypatch.setattr(pool, "GC_BYTES", 100)
    monkeypatch.setattr(gc, "collect", collected.set)

    async def run(size: int) -> None:
        lane = Lane("large", 1, asyncio.get_running_loop())
        await lane.submit(nothing, size)
        await lane.submit(nothing, size)
        # The collection comes after the response.
        await lane.submit(nothing, 0)

    asyncio.run(run(50))
    assert not collected.is_set()
    asyncio.run(run(51))
    assert collected.wait(20)
