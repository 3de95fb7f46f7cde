"""Rate limits: the number of requests per second of each caller.

Each caller has a token bucket for the requests of one second, refilled at a constant rate. A request takes one
token. Only the time at which a bucket will be full is stored (generic cell rate algorithm, ITU-T I.371,
annex A).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING

from werkzeug.exceptions import TooManyRequests

from mlops_runtime.operator_key import OPERATOR
from mlops_runtime.serving.api.problems import problem_response
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.telemetry.logs import CALLER_KEY

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECOND = 10**9
"""One second in nanoseconds: sums of integers have no rounding errors."""
MAX_CALLERS = 10_000
"""Number of buckets that are kept; the one that was used least recently is dropped first."""


class Buckets:
    """The token buckets of all callers."""

    def __init__(self, rate: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Give each caller a full bucket.

        Args:
            rate: requests per second, greater than 0; also the size of a bucket, which is at least one token.
            clock: gives the time in nanoseconds.
        """
        self._pause = max(1, int(SECOND / rate))
        self._clock = clock
        self._full_at: OrderedDict[str, int] = OrderedDict()
        # Several threads process requests.
        self._lock = Lock()

    def take(self, caller: str) -> float:
        """Take a token of a caller and return 0, or return the seconds until one is available."""
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


def with_rate_limit(application: "WSGIApplication", buckets: Buckets) -> "WSGIApplication":
    """Return the application, with status 429 for callers that exceed the rate.

    A caller is identified by its key, or without keys by its address. The operator has no limit, so that a low
    rate does not prevent the verification of a deployment.
    """

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        caller = environ.get(CALLER_KEY) or environ.get("REMOTE_ADDR", "")
        if caller != OPERATOR and route_of(environ["PATH_INFO"]).limited:
            wait = buckets.take(caller)
            if wait:
                return problem_response(too_many_requests(wait))(environ, start_response)
        return application(environ, start_response)

    return answer


def too_many_requests(wait: float) -> TooManyRequests:
    """Return the error for a caller that must wait this number of seconds."""
    seconds = math.ceil(wait)
    return TooManyRequests(f"Too many requests: try again in {seconds} s.", retry_after=seconds)
