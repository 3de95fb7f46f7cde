"""Standard output, written by a thread of its own: no request waits for whoever reads the log, or for its line."""

import os
import threading
import time
from collections import deque
from multiprocessing.util import Finalize

MAX_WAITING = 10_000
"""Texts that wait to be written: at 200 bytes each, 2 MB."""
PAUSE = 0.02
"""Seconds for which texts are gathered, so that many are written at once."""
FAREWELL = 1.0
"""Seconds that the end of the process waits for the last texts to be written."""


class Output:
    """A stream that takes texts at once and writes them a moment later.

    A reader who stalls or a disk that is full costs lines of the log, and no request: what cannot
    be written is counted. What is no text yet is made one by the thread that writes, many at a time.
    """

    def __init__(self, descriptor: int, most: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._most = most
        self._begin()
        # A thread does not follow its process through a fork, and what waits is written by the parent.
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._dropped = 0
        self._waiting: deque[object] = deque()
        self._called = threading.Event()
        self._ends = False
        # Held, for good, by the first one who writes.
        self._started = threading.Lock()

    def write(self, text: object) -> None:
        """Take a text, or what `str` makes one of, to be written in a moment."""
        if len(self._waiting) >= self._most:
            self._dropped += 1
            return
        self._waiting.append(text)
        if not self._called.is_set():
            self._called.set()
        if self._started.acquire(blocking=False):
            self._start()

    def flush(self) -> None:
        """Do nothing: the thread writes when there is something to write."""

    def dropped_since(self) -> int:
        """Return how many texts could not be written since this was asked the last time."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _start(self) -> None:
        thread = threading.Thread(target=self._write_on, name="output", daemon=True)
        thread.start()

        def finish() -> None:
            self._ends = True
            self._called.set()
            thread.join(FAREWELL)

        # Workers are processes of multiprocessing, which ends them without calling atexit.
        Finalize(None, finish, exitpriority=0)

    def _write_on(self) -> None:
        ends = False
        while not ends:
            self._called.wait()
            # In this order, whatever is called for in between is seen the next time.
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
            # There is nowhere left to say why: the count is all that can be told.
            self._dropped += len(texts)


STANDARD_OUTPUT = Output(1)
