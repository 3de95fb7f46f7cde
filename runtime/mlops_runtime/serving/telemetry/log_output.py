"""Standard output with a queue and a writing thread, so that no request waits for the reader of the log."""

import os
import threading
import time
from collections import deque
from multiprocessing.util import Finalize

MAX_WAITING = 10_000
"""Maximum length of the queue: 2 MB at 200 bytes a text."""
PAUSE = 0.02
"""Seconds to wait for further texts, which are then written together."""
EXIT_TIMEOUT = 1.0
"""Seconds to wait at exit until the last texts are written."""


class Output:
    """A stream that queues texts, which a thread writes.

    If the reader stalls or the disk is full, texts are dropped and counted, but no request waits.
    The thread also converts objects to text.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._reset()
        # A forked process has no copy of the thread; its parent writes the queued texts.
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._dropped = 0
        self._waiting: deque[object] = deque()
        self._wakeup = threading.Event()
        self._stopping = False
        # The first write acquires it and starts the thread; it is never released.
        self._started = threading.Lock()

    def write(self, text: object) -> None:
        """Queue a text, or an object that `str` converts to a text."""
        if len(self._waiting) >= self._max_waiting:
            self._dropped += 1
            return
        self._waiting.append(text)
        if not self._wakeup.is_set():
            self._wakeup.set()
        if self._started.acquire(blocking=False):
            self._start()

    def flush(self) -> None:
        """Do nothing: the thread writes the queue."""

    def take_dropped(self) -> int:
        """Return the number of texts dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    def _start(self) -> None:
        thread = threading.Thread(target=self._write_forever, name="output", daemon=True)
        thread.start()

        def finish() -> None:
            self._stopping = True
            self._wakeup.set()
            thread.join(EXIT_TIMEOUT)

        # multiprocessing does not call atexit handlers in workers.
        Finalize(None, finish, exitpriority=0)

    def _write_forever(self) -> None:
        ends = False
        while not ends:
            self._wakeup.wait()
            # Cleared before reading the queue, so that a text added meanwhile wakes the thread again.
            self._wakeup.clear()
            ends = self._stopping
            if not ends:
                time.sleep(PAUSE)
            self._write([self._waiting.popleft() for _ in range(len(self._waiting))])

    def _write(self, texts: list[object]) -> None:
        content = "".join(map(str, texts)).encode(errors="backslashreplace")
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except OSError:
            # This error cannot be logged either, so the texts are counted.
            self._dropped += len(texts)


STANDARD_OUTPUT = Output(1)
