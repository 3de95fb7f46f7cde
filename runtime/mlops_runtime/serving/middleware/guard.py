"""The guard of a process: it sees what is stuck, and who waits too long.

A thread of its own looks four times a second at what the others are at. It frees those that wait for the
rest of a body, has requests refused when too many wait, and ends a process that is stuck, so that
the server starts another one.
"""

import faulthandler
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from werkzeug.wsgi import ClosingIterator

from mlops_runtime.serving.middleware import connections
from mlops_runtime.serving.middleware.error_responses import closing_unread, overloaded
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOK_EVERY = 0.25
"""Seconds between two looks."""
PATIENCE = 1.0
"""Seconds that a body may take while half of the threads wait for bodies, and other requests for a thread."""
MIN_RATE = 4.0
"""Answers a second that are expected where none has been given since the last look."""
LARGE = 64 * 1024
"""Bytes of a body from which on a request is a large one."""
LARGE_PATHS = frozenset({"/", "/table"})
"""Paths of which each form is a large request: to tell what drove a prediction takes thousands of others."""
QUESTIONS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths of what the cluster asks: a rush of requests is no reason to leave it without an answer."""
STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
"""Signals that are for the main thread alone."""
LAST_WORDS = 0.1
"""Seconds for the log to be written before a stuck process ends."""

logger = logging.getLogger("webservice")


class Wait:
    """The wait of a thread for a body: a context that lasts as long as the wait does.

    Attributes:
        since: it waits, on the monotonic clock.
        cut_short: whether the guard may have ended it.
    """

    __slots__ = ("_answering", "_thread", "_waits", "cut_short", "since")

    def __init__(self, waits: dict[int, "Wait"], answering: dict[int, float]) -> None:
        self._waits = waits
        self._answering = answering
        self._thread = threading.get_ident()
        self.since = time.monotonic()
        self.cut_short = False

    def __enter__(self) -> Self:
        """Begin to wait."""
        self._waits[self._thread] = self
        return self

    def __exit__(self, *_: object) -> None:
        """Wait no longer: the work on the request begins now."""
        self._answering[self._thread] = time.monotonic()
        del self._waits[self._thread]


class Guard:
    """What the threads of this process are at."""

    def __init__(self, settings: Settings) -> None:
        """Know of nothing yet: `start` begins to look."""
        self._settings = settings
        self._large = threading.BoundedSemaphore(settings.max_large_requests)
        # By thread: one and the same thread answers a request from its beginning to its end.
        self._answering: dict[int, float] = {}
        self._waits: dict[int, Wait] = {}
        self._answers = 0
        self._busy = False
        self._overloaded = False
        # Segments that had come from each client that waits, when it was first seen to.
        self._seen: dict[tuple[str, int], int] = {}
        # Clients that were silent and were cut short, while any wait was late.
        self._cut: set[tuple[str, int]] = set()

    def guarded(self, application: "WSGIApplication") -> "WSGIApplication":
        """Return the application, under guard."""

        def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
            thread = threading.get_ident()
            self._answering[thread] = time.monotonic()
            try:
                if not (self._overloaded or is_large(environ)) or environ["PATH_INFO"] in QUESTIONS:
                    return application(environ, start_response)
                if self._overloaded:
                    return overloaded(environ, closing_unread(environ, start_response))
                return self._one_of_few(application, environ, start_response)
            finally:
                del self._answering[thread]
                self._answers += 1

        return answer

    def _one_of_few(
        self, application: "WSGIApplication", environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        if not self._large.acquire(blocking=False):
            return overloaded(environ, closing_unread(environ, start_response))
        try:
            body = application(environ, start_response)
        except BaseException:
            self._large.release()
            raise
        # A table is predicted while its answer is sent.
        return ClosingIterator(body, self._large.release)

    def receiving(self) -> Wait:
        """Return the wait of this thread for a body."""
        return Wait(self._waits, self._answering)

    def start(self, beat: Callable[[int], None]) -> None:
        """Begin to look.

        Args:
            beat: is called with each look, with the number of requests in work.
        """
        threading.Thread(target=self._look_on, args=(beat,), name="guard", daemon=True).start()

    def _look_on(self, beat: Callable[[int], None]) -> None:
        # The timer below is a new thread each time, and whoever starts one may take a signal to stop.
        # Python's main thread, asleep, would not hear of it.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        while True:
            # Whatever holds the interpreter may hold this thread too: then the timer ends the process.
            faulthandler.dump_traceback_later(self._settings.hang_timeout, exit=True)
            self.look()
            beat(len(self._answering))
            time.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Look once, and do what there is to do."""
        now = time.monotonic()
        # In this order, a wait that ends in between is no hang.
        waits, answering = dict(self._waits), dict(self._answering)
        answers, self._answers = self._answers, 0
        if any(now - answering[thread] > self._settings.hang_timeout for thread in answering.keys() - waits.keys()):
            self._end()
        pressed = len(waits) * 2 >= self._settings.threads
        patience = min(PATIENCE, self._settings.body_timeout) if pressed else self._settings.body_timeout
        late = [wait for wait in waits.values() if now - wait.since > patience]
        # Before the last look there may have been nothing to answer: then what was answered since tells of no pace.
        was_busy, self._busy = self._busy, len(answering) >= self._settings.threads
        if not late and not self._busy:
            self._overloaded, self._seen, self._cut = False, {}, set()
            return
        found = connections.waiting(self._settings.port)
        if len(found) <= len(waits):
            # Nobody else waits: there is time.
            patience = self._settings.body_timeout
            late = [wait for wait in waits.values() if now - wait.since > patience]
        # One body that comes late, while few others ask, is no rush.
        rate = max(answers / LOOK_EVERY, MIN_RATE)
        self._overloaded = was_busy and self._busy and len(found) > rate * self._settings.max_wait
        if late:
            slow = [one for one in found if one.unanswered > patience and one.peer in self._seen]
            # A request of which something still comes does not wait for its turn.
            sending = [one for one in slow if one.segments > self._seen[one.peer]]
            # Where they do not explain what is late, those on which nothing has come for longest were first.
            explained = 0 if any(wait.cut_short for wait in late) else len(sending)
            silent = [one for one in slow if one.silent > patience and one.peer not in self._cut]
            # If nothing came of it, others were meant, and twice as many are next.
            stalled = sorted(silent, key=by_silence)[: max(0, len(late) + len(self._cut) - explained)]
            self._cut |= {one.peer for one in stalled}
            for wait in late:
                wait.cut_short = True
            # A wait that goes on all the same is for a client whom an earlier answer hides.
            in_vain = any(now - wait.since > patience + 3 * LOOK_EVERY for wait in late)
            resting = connections.resting(self._settings.port) if in_vain else []
            hidden = [one for one in resting if min(one.silent, one.unanswered) > patience]
            connections.stop_reading(sending + stalled + hidden)
        if not late:
            self._cut = set()
        self._seen = {
            # What comes after an answer belongs to another request.
            one.peer: self._seen.get(one.peer, one.segments) if one.unanswered > LOOK_EVERY else one.segments
            for one in found
        }

    def _end(self) -> None:
        logger.critical(
            "a request took more than HANG_TIMEOUT=%g s: this process ends, and another one takes its place",
            self._settings.hang_timeout,
        )
        faulthandler.dump_traceback()
        time.sleep(LAST_WORDS)
        os._exit(1)


def by_silence(connection: connections.Connection) -> float:
    """Return a key that sorts those first on which nothing has come for longest."""
    return -connection.silent


def is_large(environ: "WSGIEnvironment") -> bool:
    """Return whether a request is one of those that few may be in work of."""
    length = environ.get("CONTENT_LENGTH")
    if not length:
        return "HTTP_TRANSFER_ENCODING" in environ
    return int(length) > LARGE or (environ["PATH_INFO"] in LARGE_PATHS and environ["REQUEST_METHOD"] == "POST")
