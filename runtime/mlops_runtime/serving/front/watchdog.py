"""The watchdog of a process: ends it if a request hangs, and refuses requests that wait too long."""

import asyncio
import faulthandler
import logging
import math
import os
import time
from collections.abc import Callable, Sequence

from mlops_runtime.serving.front.pool import Lane
from mlops_runtime.serving.front.request_body import BodyReader
from mlops_runtime.serving.settings import Settings

INTERVAL = 0.25
"""Seconds between two checks."""
ARM_INTERVAL = 1.0
"""Seconds between two resets of the timer that ends the process; each reset starts a thread."""
LOG_TIMEOUT = 0.1
"""Seconds to write the log before the process ends."""

logger = logging.getLogger("webservice")


class Watchdog:
    """Checks the requests of a process at intervals, on its event loop."""

    def __init__(
        self, settings: Settings, bodies: BodyReader, lanes: Sequence[Lane], report: Callable[[int], None]
    ) -> None:
        """Prepare the checks; `start` runs them.

        Args:
            settings: of the service.
            bodies: reader of request bodies.
            lanes: thread pools of the process.
            report: called at each check with the number of requests in work.
        """
        self._settings = settings
        self._bodies = bodies
        self._lanes = lanes
        self._report = report
        self._armed = -math.inf

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check now, and then at each interval."""
        if loop.time() - self._armed >= ARM_INTERVAL:
            self._armed = loop.time()
            # Ends the process if the event loop hangs, or a thread that does not release the interpreter lock.
            faulthandler.dump_traceback_later(self._settings.hang_timeout + ARM_INTERVAL, exit=True)
        # Scheduled before the check: if the check raised first, the timer would end the process.
        loop.call_later(INTERVAL, self.start, loop)
        self.check()

    def check(self) -> None:
        """End the process if a request hangs; refuse jobs and cancel bodies that exceed their deadline."""
        now = time.monotonic()
        if any(lane.hangs(now, self._settings.hang_timeout) for lane in self._lanes):
            self._end()
        for lane in self._lanes:
            lane.refuse_late(now)
        self._bodies.cancel_late(now)
        self._report(sum(map(len, self._lanes)))

    def _end(self) -> None:
        logger.critical(
            "a request took more than HANG_TIMEOUT=%g s: this process ends and another one replaces it",
            self._settings.hang_timeout,
        )
        faulthandler.dump_traceback()
        time.sleep(LOG_TIMEOUT)
        os._exit(1)
