"""Thread pools that run the WSGI application: short requests, large requests and probes have one lane each."""

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
"""Signals that other threads block, because Python's main thread can miss a signal that another thread receives."""
GC_BYTES = 4 * 1024 * 1024
"""Bytes of request bodies between two garbage collections: errors in records keep bodies in reference cycles."""


class Job:
    """The work on one request.

    Attributes:
        run: does the work, in a thread.
        size: bytes of the request's body.
        done: future with the result True if the job was run, and False if it was refused.
        submitted: time of its submission, from `time.monotonic`.
        started: whether a thread has taken it.
        refused: whether it must not be run, because it waited too long.
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
        since: time of the last progress of its job, from `time.monotonic`; None without a job.
    """

    def __init__(
        self, name: str, jobs: "SimpleQueue[Job]", finish: Callable[[Job, BaseException | None], None]
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.since: float | None = None
        self._jobs = jobs
        self._finish = finish

    def touch(self) -> None:
        """Record that the job makes progress."""
        self.since = time.monotonic()

    def run(self) -> None:
        """Run the jobs of the queue in sequence."""
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
            except BaseException as raised:  # granian raises BaseException; the thread must continue
                error = raised
            bodies += job.size
            self._finish(job, error)
            del job, error
            if bodies > GC_BYTES:
                bodies = 0
                gc.collect()
            self.since = None


class Lane:
    """A pool of threads with its own queue."""

    def __init__(self, name: str, threads: int, loop: asyncio.AbstractEventLoop, max_wait: float = math.inf) -> None:
        """Start the threads.

        Args:
            name: of the threads.
            threads: their number.
            loop: event loop that submits jobs and resolves their futures.
            max_wait: seconds after which a job that no thread has started is refused.
        """
        self._loop = loop
        self._max_wait = max_wait
        self._queue: SimpleQueue[Job] = SimpleQueue()
        # In order of submission.
        self._jobs: dict[Job, None] = {}
        self._finished: deque[tuple[Job, BaseException | None]] = deque()
        self._wakeup_scheduled = False
        self._workers = [Worker(f"{name}-{number}", self._queue, self._finish) for number in range(threads)]
        for worker in self._workers:
            worker.start()

    def __len__(self) -> int:
        """Return the number of jobs that wait or run."""
        return len(self._jobs)

    def submit(self, run: Callable[[Worker], None], size: int) -> "asyncio.Future[bool]":
        """Submit a job; the future has the result True once it was run, and False if it was refused."""
        job = Job(run, size, self._loop.create_future())
        self._jobs[job] = None
        self._queue.put(job)
        return job.done

    def refuse_late(self, now: float) -> None:
        """Refuse the jobs that have waited too long at the time `now`, from `time.monotonic`."""
        for job in list(self._jobs):
            if now - job.submitted <= self._max_wait:
                break
            if not job.started:
                job.refused = True
                del self._jobs[job]
                job.done.set_result(False)

    def hangs(self, now: float, timeout: float) -> bool:
        """Return whether a job has made no progress for `timeout` seconds at the time `now`, from `time.monotonic`."""
        return any(since is not None and now - since > timeout for since in (worker.since for worker in self._workers))

    def _finish(self, job: Job, error: BaseException | None) -> None:
        """Notify the event loop, once for several jobs."""
        self._finished.append((job, error))
        if not self._wakeup_scheduled:
            self._wakeup_scheduled = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._wakeup_scheduled = False
        while self._finished:
            job, error = self._finished.popleft()
            self._jobs.pop(job, None)
            if job.done.done():
                continue
            if error is None:
                job.done.set_result(True)
            else:
                job.done.set_exception(error)
