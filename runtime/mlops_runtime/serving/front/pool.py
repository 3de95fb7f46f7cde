"""The threads that run the WSGI application, in lanes: large requests and probes never wait for each other."""

import asyncio
import gc
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals for the main thread alone: Python's main thread can miss one that another thread receives."""
GARBAGE = 4 * 1024 * 1024
"""Bytes of bodies after which cyclic garbage is collected: errors in records keep theirs in reference cycles."""


class Job:
    """The work on one request.

    Attributes:
        run: does the work, in a thread.
        size: bytes of the request's body.
        done: resolved when the work is done, or refused. Its result tells whether it was done.
        submitted: time at which the job began to wait, as `time.monotonic` gives it.
        started: whether a thread has it.
    """

    __slots__ = ("done", "refused", "run", "size", "started", "submitted")

    def __init__(self, run: "Callable[[Worker], None]", size: int, done: "asyncio.Future[bool]") -> None:
        self.run = run
        self.size = size
        self.done = done
        self.submitted = time.monotonic()
        self.started = False
        self.refused = False


class Worker(threading.Thread):
    """A thread of a lane.

    Attributes:
        since: time at which its job started or last made progress, as `time.monotonic` gives it; None without one.
    """

    def __init__(
        self, name: str, jobs: "SimpleQueue[Job]", finish: Callable[[Job, BaseException | None], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.since: float | None = None
        self._jobs = jobs
        self._finish = finish

    def touch(self) -> None:
        """Note that the job makes progress: it does not hang."""
        self.since = time.monotonic()

    def run(self) -> None:
        """Do one job after the other."""
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        bodies = 0
        while True:
            job = self._jobs.get()
            job.started = True
            if job.refused:
                continue
            error: BaseException | None = None
            self.since = time.monotonic()
            try:
                job.run(self)
            except BaseException as raised:  # granian raises some that are not an Exception; the thread must go on
                error = raised
            bodies += job.size
            self._finish(job, error)
            del job, error
            if bodies > GARBAGE:
                bodies = 0
                gc.collect()
            self.since = None


class Lane:
    """Threads with a queue of their own."""

    def __init__(self, name: str, threads: int, loop: asyncio.AbstractEventLoop, max_wait: float = math.inf) -> None:
        """Start the threads.

        Args:
            name: of the threads.
            threads: their number.
            loop: on which jobs are submitted and their futures resolved.
            max_wait: seconds after which a job that no thread has started is refused.
        """
        self._loop = loop
        self._max_wait = max_wait
        self._queue: SimpleQueue[Job] = SimpleQueue()
        # In the order in which they were submitted.
        self._jobs: dict[Job, None] = {}
        self._finished: deque[tuple[Job, BaseException | None]] = deque()
        self._awake = False
        self._workers = [Worker(f"{name}-{number}", self._queue, self._finish) for number in range(threads)]
        for worker in self._workers:
            worker.start()

    def __len__(self) -> int:
        """Return the number of jobs that wait or are in work."""
        return len(self._jobs)

    def submit(self, run: Callable[[Worker], None], size: int) -> "asyncio.Future[bool]":
        """Return a future of the work: True once it is done, False if it is refused."""
        job = Job(run, size, self._loop.create_future())
        self._jobs[job] = None
        self._queue.put(job)
        return job.done

    def refuse_late(self, now: float) -> None:
        """Refuse the jobs that wait for too long at a time, as `time.monotonic` gives it."""
        for job in list(self._jobs):
            if now - job.submitted <= self._max_wait:
                break
            if not job.started:
                job.refused = True
                del self._jobs[job]
                job.done.set_result(False)

    def hangs(self, now: float, timeout: float) -> bool:
        """Return whether a job made no progress for so many seconds at a time, as `time.monotonic` gives it."""
        return any(since is not None and now - since > timeout for since in (worker.since for worker in self._workers))

    def _finish(self, job: Job, error: BaseException | None) -> None:
        """Let the event loop know, with one wake-up for many jobs."""
        self._finished.append((job, error))
        if not self._awake:
            self._awake = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._awake = False
        while self._finished:
            job, error = self._finished.popleft()
            self._jobs.pop(job, None)
            if job.done.done():
                continue
            if error is None:
                job.done.set_result(True)
            else:
                job.done.set_exception(error)
