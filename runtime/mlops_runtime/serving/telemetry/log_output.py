"""Standard output, written by a thread of its own, so that no request waits for the reader of the log."""

import os
import threading
import time
from collections import deque
from multiprocessing.util import Finalize

MAX_WAITING = 10_000
"""Length of the queue: with 200 bytes a text, 2 MB."""
PAUSE = 0.02
"""Seconds for which texts are gathered, so that they are written together."""
EXIT_TIMEOUT = 1.0
"""Seconds for which a process that ends waits until the last texts are written."""


class Output:
    """A stream that puts texts into a queue, which a thread writes.

    If the reader stalls or the disk is full, lines of the log are lost and counted, but no request waits.
    The thread also converts objects to text.
    """

    def __init__(self, descriptor: int, most: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._most = most
        self._begin()
        # A forked process has no copy of the thread, and its parent writes the texts in the queue.
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._dropped = 0
        self._waiting: deque[object] = deque()
        self._called = threading.Event()
        self._ends = False
        # Acquired once, by the first write, and never released.
        self._started = threading.Lock()

    def write(self, text: object) -> None:
        """Put a text, or an object that `str` converts to one, into the queue."""
        if len(self._waiting) >= self._most:
            self._dropped += 1
            return
        self._waiting.append(text)
        if not self._called.is_set():
            self._called.set()
        if self._started.acquire(blocking=False):
            self._start()

    def flush(self) -> None:
        """Do nothing: the thread writes the queue by itself."""

    def dropped_since(self) -> int:
        """Return the number of texts that were lost since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _start(self) -> None:
        thread = threading.Thread(target=self._write_on, name="output", daemon=True)
        thread.start()

        def finish() -> None:
            self._ends = True
            self._called.set()
            thread.join(EXIT_TIMEOUT)

        # Workers are processes of multiprocessing, which ends them without calling atexit.
        Finalize(None, finish, exitpriority=0)

    def _write_on(self) -> None:
        ends = False
        while not ends:
            self._called.wait()
            # Cleared before the queue is read, so that a text put into it meanwhile wakes the thread again.
            self._called.clear()
            ends = self._ends
            if not ends:
                time.sleep(PAUSE)
            self._write([self._waiting.popleft() for _ in range(len(self._waiting))])

    def _write(self, texts: list[object]) -> None:
        content = "".join(map(str, texts)).encode(errors="backslashreplace")
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:
            # The log itself cannot be written, so only the count is kept.
            self._dropped += len(texts)


STANDARD_OUTPUT = Output(1)
