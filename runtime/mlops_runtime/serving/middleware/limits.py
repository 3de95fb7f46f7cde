"""Limits: how often a caller may ask.

Each caller has a bucket of tokens that holds one second's worth and fills at a steady rate; a
request takes one. Kept is only the moment at which a bucket is full again, which says the same
(the generic cell rate algorithm, ITU-T I.371, annex A).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.exceptions import TooManyRequests

from mlops_runtime.serving.api.problems import problem_response
from mlops_runtime.serving.middleware.keys import OPERATOR
from mlops_runtime.serving.telemetry.logs import CALLER_KEY, PROBES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECOND = 10**9
"""In nanoseconds: whole numbers add up without rounding."""
MAX_CALLERS = 10_000
"""Buckets that are kept. Of more callers, those that have not asked for longest are forgotten."""
FILES = "/static/"
"""Where the files of the page are: to look at it once is one request for a person, and eight for the service."""
UNLIMITED = PROBES | {"/metrics"}
"""Paths that the cluster asks at a pace of its own."""


class Buckets:
    """How much each caller may still ask for."""

    def __init__(self, rate: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Give each caller a full bucket.

        Args:
            rate: requests a second, more than 0. A bucket holds as many tokens, at least one.
            clock: gives the time in nanoseconds.
        """
        self._pause = max(1, int(SECOND / rate))
        self._clock = clock
        self._full_at: OrderedDict[str, int] = OrderedDict()
        # Requests are answered in several threads.
        self._lock = Lock()

    def take(self, caller: str) -> float:
        """Take a token out of the caller's bucket; return 0, or the seconds until there is one if it is empty."""
        with self._lock:
            now = self._clock()
            full_at = max(now, self._full_at.get(caller, now))
            missing = full_at - now
            wait = missing - max(0, SECOND - self._pause)
            if wait <= 0:
                self._full_at[caller] = full_at + self._pause
            self._full_at.move_to_end(caller)
            if len(self._full_at) > MAX_CALLERS:
                self._full_at.popitem(last=False)
        return max(0, wait) / SECOND


def limited(application: "WSGIApplication", buckets: Buckets) -> "WSGIApplication":
    """Return the application, which asks a caller that asks too often to come again later.

    A caller is who shows a key, or else the address that the request comes from. The operator checks
    each pod at each deployment, however low the rate is.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        caller = environ.get(CALLER_KEY) or environ.get("REMOTE_ADDR", "")
        path = environ["PATH_INFO"]
        if caller != OPERATOR and path not in UNLIMITED and not path.startswith(FILES):
            wait = buckets.take(caller)
            if wait:
                return problem_response(too_many(wait))(environ, start_response)
        return application(environ, start_response)

    return answer


def too_many(wait: float) -> TooManyRequests:
    """Return the error for a caller that should wait for so many seconds."""
    seconds = math.ceil(wait)
    return TooManyRequests(f"Too many requests: come again in {seconds} s.", retry_after=seconds)
