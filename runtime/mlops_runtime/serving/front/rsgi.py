"""The RSGI application that granian calls, with one coroutine per request."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.drain import CLOSE
from mlops_runtime.serving.front.environ import environ_of
from mlops_runtime.serving.front.listener import close_stalled_connections
from mlops_runtime.serving.front.pool import Lane, Worker
from mlops_runtime.serving.front.request_body import LARGE, BodyError, BodyReader, BodyTooLongError
from mlops_runtime.serving.front.response import Response, ResponseWriter
from mlops_runtime.serving.front.watchdog import Watchdog
from mlops_runtime.serving.middleware import error_responses
from mlops_runtime.serving.middleware.batch import BATCH_KEY, Batch
from mlops_runtime.serving.middleware.compression import ENCODING_KEY, declared_length
from mlops_runtime.serving.middleware.proxies import public_address
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

LISTEN_DELAY = 0.2
"""Seconds after which granian has opened the listening socket."""
MAX_QUICK = 0.005
"""Maximum average duration of quick requests in seconds; two switches of threads take a third of it."""
WEIGHT = 0.1
"""Weight of the latest request in the moving average."""
STATUSES_WITHOUT_CONTENT = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Front:
    """Reads requests, runs the WSGI application, and writes its responses."""

    def __init__(
        self,
        application: "WSGIApplication",
        settings: Settings,
        with_access_log: "Callable[[WSGIApplication], WSGIApplication]",
        report: Callable[[int], None],
        *,
        quick: bool,
    ) -> None:
        """Prepare to serve; granian calls `__rsgi_init__` before the first request.

        Args:
            application: the WSGI application to serve.
            settings: of the service.
            with_access_log: wraps the applications of error responses with the access log.
            report: called at each check of the watchdog with the number of requests in work.
            quick: whether quick requests may run on the event loop.
        """
        self._quick = quick
        self._application = application
        self._settings = settings
        self._with_access_log = with_access_log
        self._report = report
        self._complete = public_address(settings.root_path, settings.trusted_proxies)
        self._bodies = BodyReader(settings)
        self._responses = ResponseWriter()
        # Moving average; its start value sends the first quick request to a thread.
        self._quick_seconds = MAX_QUICK
        self._batch = Batch()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads."""
        settings = self._settings
        self._short = Lane("short", settings.threads, loop, settings.max_wait)
        self._large = Lane("large", min(settings.threads, settings.max_large_requests), loop)
        self._probes = Lane("probe", 1, loop)
        # granian opens the listening socket after this.
        loop.call_later(LISTEN_DELAY, close_stalled_connections)
        Watchdog(settings, self._bodies, (self._short, self._large, self._probes), self._report).start(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remove temporary files."""
        self._responses.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Process one request.

        Args:
            scope: RSGI scope with method, path and headers.
            protocol: RSGI protocol, which reads the body and writes the response.
        """
        environ = environ_of(scope, time.perf_counter())
        if self._complete is not None:
            self._complete(environ)
        try:
            body = await self._read_body(environ, protocol)
        except BodyError as error:
            self._respond(self._with_access_log(error.response), environ, protocol, close=True)
            return
        except BodyTooLongError:
            # The application refuses the request by its Content-Length.
            body = b""
            await self._run(self._short, environ, protocol, body, close=True)
            return
        route = route_of(environ["PATH_INFO"])
        packed = ENCODING_KEY in environ
        if route.probe:
            await self._run(self._probes, environ, protocol, body)
        elif (
            len(body) > LARGE or environ["REQUEST_METHOD"] in route.large or (packed and declared_length(body) > LARGE)
        ):
            if len(self._large) < self._settings.max_large_requests and not self._responses.is_full():
                await self._run(self._large, environ, protocol, body)
            else:
                self._respond(self._with_access_log(error_responses.overloaded), environ, protocol)
        elif packed or not route.quick:
            await self._run(self._short, environ, protocol, body)
        else:
            await self._predict(environ, protocol, body)

    async def _read_body(self, environ: "WSGIEnvironment", protocol: Any) -> bytes:
        """Return the body of a request, and set its length in the environment."""
        coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
        declared: str = environ.get("CONTENT_LENGTH", "")
        if coding is None and declared in ("", "0"):
            return b""
        if coding is not None and coding.lower() != "chunked":
            raise BodyError(error_responses.unsupported_transfer_encoding)
        limit = self._settings.max_body_length(table=route_of(environ["PATH_INFO"]).table)
        try:
            body = await self._bodies.read(aiter(protocol), int(declared) if coding is None else None, limit)
        except BodyTooLongError:
            environ["CONTENT_LENGTH"] = declared or str(limit + 1)
            raise
        environ["CONTENT_LENGTH"] = str(len(body))
        return body

    async def _predict(self, environ: "WSGIEnvironment", protocol: Any, body: bytes) -> None:
        """Process a quick request: on the event loop while such requests are short on average, and else in a thread."""
        if self._quick and self._quick_seconds < MAX_QUICK and not self._short:
            if not self._batch.is_open():
                self._batch = Batch()
            environ[BATCH_KEY] = self._batch
            environ["wsgi.input"] = BytesIO(body)
            response = Response()
            response.call(self._application, environ)
            # The requests whose bodies have arrived too join the batch.
            await asyncio.sleep(0)
            response.collect()
            _send(response, environ, protocol, close=False)
            seconds = response.seconds
        else:
            seconds = await self._run(self._short, environ, protocol, body)
        self._quick_seconds += WEIGHT * (seconds - self._quick_seconds)

    async def _run(
        self, lane: Lane, environ: "WSGIEnvironment", protocol: Any, body: bytes, *, close: bool = False
    ) -> float:
        """Run the application in a thread of a lane and write its response; return its duration in seconds."""
        environ["wsgi.input"] = BytesIO(body)
        response = Response()

        def run(worker: Worker) -> None:
            response.run(self._application, environ, worker.touch)
            # Sent by this thread, because the event loop may be busy with other requests.
            _send(response, environ, protocol, close=close)

        if not await lane.submit(run, len(body)):
            self._respond(self._with_access_log(error_responses.overloaded), environ, protocol, close=close)
        elif response.is_in_file:
            await self._responses.write(protocol, response)
        return response.seconds

    def _respond(
        self, application: "WSGIApplication", environ: "WSGIEnvironment", protocol: Any, *, close: bool = False
    ) -> float:
        """Run an application on the event loop and send its response; return its duration in seconds."""
        response = Response()
        response.run(application, environ)
        _send(response, environ, protocol, close=close)
        return response.seconds


def _send(response: Response, environ: "WSGIEnvironment", protocol: Any, *, close: bool) -> None:
    """Pass a response to granian, unless it is in a file."""
    if close and CLOSE not in response.headers:
        response.headers.append(CLOSE)
    if environ["REQUEST_METHOD"] == "HEAD" or response.status in STATUSES_WITHOUT_CONTENT:
        response.discard()
        protocol.response_empty(response.status, response.headers)
    elif not response.is_in_file:
        protocol.response_bytes(response.status, response.headers, response.content())
