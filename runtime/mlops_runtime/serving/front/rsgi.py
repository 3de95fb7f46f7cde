"""The RSGI application that granian calls: one coroutine for each request."""

import asyncio
import time
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from mlops_runtime.serving.drain import CLOSE
from mlops_runtime.serving.front.environ import environ_of
from mlops_runtime.serving.front.pool import Lane, Worker
from mlops_runtime.serving.front.request_body import LARGE, BodyError, BodyReader, BodyTooLongError
from mlops_runtime.serving.front.response import Response, ResponseWriter
from mlops_runtime.serving.front.watchdog import Watchdog
from mlops_runtime.serving.middleware import error_responses
from mlops_runtime.serving.routes import route_of
from mlops_runtime.serving.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

NO_CONTENT = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Front:
    """Reads requests, runs the WSGI application in threads, and writes its responses."""

    def __init__(
        self,
        application: "WSGIApplication",
        settings: Settings,
        logged: "Callable[[WSGIApplication], WSGIApplication]",
        report: Callable[[int], None],
    ) -> None:
        """Prepare to serve: granian calls `__rsgi_init__` before the first request.

        Args:
            application: to serve.
            settings: of the service.
            logged: adds the access log to the responses that the application does not make.
            report: is called several times a second with the number of requests in work.
        """
        self._application = application
        self._settings = settings
        self._logged = logged
        self._report = report
        self._bodies = BodyReader(settings)
        self._responses = ResponseWriter()

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads."""
        settings = self._settings
        self._short = Lane("short", settings.threads, loop, settings.max_wait)
        self._large = Lane("large", min(settings.threads, settings.max_large_requests), loop)
        self._probes = Lane("probe", 1, loop)
        Watchdog(settings, (self._short, self._large, self._probes), self._report).start(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Remove temporary files."""
        self._responses.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request.

        Args:
            scope: of RSGI: what the request asks for.
            protocol: of RSGI: its body and its response.
        """
        environ = environ_of(scope, time.perf_counter())
        route = route_of(environ["PATH_INFO"])
        settings = self._settings
        declared: str = environ.get("CONTENT_LENGTH", "")
        coding = environ.pop("HTTP_TRANSFER_ENCODING", None)
        close = False
        body = b""
        try:
            if coding is not None and coding.lower() != "chunked":
                raise BodyError(error_responses.unknown_coding)
            if coding or declared not in ("", "0"):
                limit = settings.max_table_length if route.table else settings.max_content_length
                body = await self._bodies.read(aiter(protocol), None if coding else int(declared), limit)
                environ["CONTENT_LENGTH"] = str(len(body))
        except BodyTooLongError:
            # The application answers from the length alone.
            environ["CONTENT_LENGTH"] = declared or str(limit + 1)
            close = True
        except BodyError as error:
            self._refuse(error.response, environ, protocol, close=True)
            return
        environ["wsgi.input"] = BytesIO(body)
        lane = self._short
        if route.probe:
            lane = self._probes
        elif len(body) > LARGE or environ["REQUEST_METHOD"] in route.large:
            lane = self._large
            if len(lane) >= settings.max_large_requests or self._responses.is_full():
                self._refuse(error_responses.overloaded, environ, protocol, close=close)
                return
        await self._answer(lane, environ, protocol, len(body), close=close)

    async def _answer(self, lane: Lane, environ: "WSGIEnvironment", protocol: Any, size: int, *, close: bool) -> None:
        """Run the application in a thread of a lane, and write its response."""
        response = Response()

        def run(worker: Worker) -> None:
            response.run(self._application, environ, worker.touch)
            _finish_headers(response, close=close)
            # Without a way back over the event loop: that comes when its turn is.
            _send_buffered(response, environ, protocol)

        if not await lane.submit(run, size):
            self._refuse(error_responses.overloaded, environ, protocol, close=close)
        elif response.is_in_file:
            await self._responses.write(protocol, response)

    def _refuse(
        self, application: "WSGIApplication", environ: "WSGIEnvironment", protocol: Any, *, close: bool
    ) -> None:
        """Answer with a prepared response, which needs no thread."""
        response = Response()
        response.run(self._logged(application), environ)
        _finish_headers(response, close=close)
        _send_buffered(response, environ, protocol)


def _finish_headers(response: Response, *, close: bool) -> None:
    if close and CLOSE not in response.headers:
        response.headers.append(CLOSE)


def _send_buffered(response: Response, environ: "WSGIEnvironment", protocol: Any) -> None:
    """Hand a response that is in memory to granian; it may have been answered in the meantime."""
    if environ["REQUEST_METHOD"] == "HEAD" or response.status in NO_CONTENT:
        protocol.response_empty(response.status, response.headers)
    elif not response.is_in_file:
        protocol.response_bytes(response.status, response.headers, response.content())
