import asyncio
import gzip
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from mlops_runtime.serving.front import rsgi
from mlops_runtime.serving.front.request_body import LARGE
from mlops_runtime.serving.front.rsgi import Front
from mlops_runtime.serving.middleware.batch import BATCH_KEY, Batch
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.front.fakes import Parts, Protocol, Scope

SETTINGS = Settings(max_content_length=2 * LARGE, max_table_length=4 * LARGE, max_large_requests=1)


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer with the name of the thread, the declared length and the length of the body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{threading.current_thread().name} {environ.get('CONTENT_LENGTH')} {len(body)}".encode()]


def served(*requests: tuple[Scope, Protocol], application: Any = echo, settings: Settings = SETTINGS) -> list[Protocol]:
    """Return the protocols of requests that arrive at the same time."""

    async def run() -> None:
        front = Front(application, settings, lambda prepared: prepared, lambda _: None, quick=True)
        front.__rsgi_init__(asyncio.get_running_loop())
        try:
            await asyncio.gather(*(front.__rsgi__(scope, protocol) for scope, protocol in requests))
        finally:
            front.__rsgi_del__(asyncio.get_running_loop())

    asyncio.run(run())
    return [protocol for _, protocol in requests]


@pytest.fixture(autouse=True)
def quiet_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the checks, which are tested apart: their timer would end the process of the tests."""
    monkeypatch.setattr(rsgi.Watchdog, "start", lambda *_: None)
    monkeypatch.setattr(rsgi, "close_stalled_connections", lambda: None)


def post(path: str, *parts: bytes, length: int | None = None) -> tuple[Scope, Protocol]:
    """Return a request with a body of a declared length, by default the right one."""
    declared = sum(map(len, parts)) if length is None else length
    return Scope("POST", path, header_items=[("content-length", str(declared))]), Protocol(Parts(*parts))


@pytest.mark.parametrize(
    ("request_", "thread"),
    [
        pytest.param((Scope(path="/healthz"), Protocol()), "probe-0", id="probe"),
        pytest.param((Scope(path="/version"), Protocol()), "short-0", id="short"),
        pytest.param((Scope(path="/of/a/project"), Protocol()), "short-0", id="own route"),
        pytest.param(post("/", b"form"), "large-0", id="large route"),
        pytest.param((Scope(path="/"), Protocol()), "short-0", id="another method of a large route"),
        pytest.param(post("/v1/predictions", b"x" * (LARGE + 1)), "large-0", id="large body"),
        pytest.param(post("/v1/predictions", b"x"), "short-0", id="first prediction"),
    ],
)
def test_each_request_runs_in_the_lane_of_its_route(request_: tuple[Scope, Protocol], thread: str) -> None:
    (protocol,) = served(request_)

    assert protocol.status == 200
    assert protocol.content.decode().startswith(thread)


def contents_of_two_predictions(*, quick: bool, application: Any = echo) -> list[str]:
    """Return the content of two predictions at the same time, after one that goes to a thread."""

    async def run() -> list[str]:
        front = Front(application, SETTINGS, lambda prepared: prepared, lambda _: None, quick=quick)
        front.__rsgi_init__(asyncio.get_running_loop())
        await front.__rsgi__(*post("/v1/predictions", b"x"))
        requests = [post("/v1/predictions", b"x"), post("/v1/predictions", b"x")]
        await asyncio.gather(*(front.__rsgi__(*request) for request in requests))
        front.__rsgi_del__(asyncio.get_running_loop())
        return [protocol.content.decode().split()[0] for _, protocol in requests]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("quick", "thread"),
    [
        pytest.param(True, threading.main_thread().name, id="quick"),
        pytest.param(False, "short-0", id="predictor of a project"),
    ],
)
def test_predictions_run_on_the_event_loop_while_they_are_short(*, quick: bool, thread: str) -> None:
    assert contents_of_two_predictions(quick=quick) == [thread, thread]


def test_predictions_that_arrive_together_are_read_before_the_first_response() -> None:
    # Given an application that responds with the number of requests that it has read
    read: list[Batch | None] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        batch: Batch | None = environ.get(BATCH_KEY)
        read.append(batch)

        def respond() -> Iterator[bytes]:
            start_response("200 OK", [])
            yield f"{read.count(batch)}".encode()

        return respond()

    assert contents_of_two_predictions(quick=True, application=application) == ["2", "2"]


def test_requests_that_are_not_quick_run_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsgi, "MAX_QUICK", 0)

    first, second = served(post("/v1/predictions", b"x"), post("/v1/predictions", b"x"))

    assert first.content == second.content == b"short-0 1 1"


@pytest.mark.parametrize(
    ("unpacked", "lane"),
    [pytest.param(LARGE, "short-0", id="short"), pytest.param(LARGE + 1, "large-0", id="large when it is unpacked")],
)
def test_a_packed_body_is_unpacked_in_a_thread_of_its_length(unpacked: int, lane: str) -> None:
    scope, protocol = post("/v1/predictions", gzip.compress(bytes(unpacked)))
    scope.header_items = [*scope.header_items, ("content-encoding", "gzip")]

    served((scope, protocol))

    assert protocol.content.decode().startswith(lane)


def test_a_prefix_does_not_change_the_lane() -> None:
    settings = SETTINGS.model_copy(update={"root_path": "/models"})

    (protocol,) = served((Scope(path="/models/healthz"), Protocol()), settings=settings)

    assert protocol.content.decode().startswith("probe-0")


def test_a_chunked_body_gets_a_content_length() -> None:
    scope = Scope("POST", "/v1/predictions", header_items=[("transfer-encoding", "chunked")])

    (protocol,) = served((scope, Protocol(Parts(b"he", b"llo", b""))))

    assert protocol.content == b"short-0 5 5"


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/predictions", 2 * LARGE), ("/of/a/project", 2 * LARGE), ("/table", 4 * LARGE)]
)
def test_a_body_that_is_too_long_is_not_passed_to_the_application(path: str, limit: int) -> None:
    # Given a body that is as long as it may be, and a longer one
    allowed, refused = served(post(path, b"x" * limit), post(path, b"x" * (limit + 1)))

    # Then the application gets the first one, and of the other only the length
    assert allowed.content == f"large-0 {limit} {limit}".encode()
    assert "Connection" not in allowed.headers
    assert refused.content == f"short-0 {limit + 1} 0".encode()
    assert refused.headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("headers", "parts", "status"),
    [
        pytest.param([("transfer-encoding", "gzip, chunked")], [b"x", b""], 501, id="unknown coding"),
        pytest.param([("content-length", "5")], [b"x", b"", b""], 400, id="incomplete"),
    ],
)
def test_a_request_whose_body_is_not_read_closes_its_connection(
    headers: Sequence[tuple[str, str]], parts: list[bytes], status: int
) -> None:
    (protocol,) = served((Scope("POST", "/", header_items=headers), Protocol(Parts(*parts))))

    assert protocol.status == status
    assert protocol.headers["Connection"] == "close"


def test_excess_large_requests_are_refused_while_short_ones_are_answered() -> None:
    # Given an application that works on large requests until a short one has been answered
    short_done = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/table":
            assert short_done.wait(20)
        else:
            short_done.set()
        start_response("200 OK", [])
        return []

    first, second, short = served(
        post("/table", b"x"), post("/table", b"x"), (Scope(path="/version"), Protocol()), application=application
    )

    assert (first.status, second.status, short.status) == (200, 503, 200)
    assert second.headers["Retry-After"] == "1"


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_response_to_head_or_without_content_has_no_body(method: str, status: int) -> None:
    def application(_: Any, start_response: Any) -> list[bytes]:
        start_response(f"{status} Status", [("ETag", "x")])
        return [b"x" * 100_000]

    (protocol,) = served((Scope(method, "/version"), Protocol()), application=application)

    assert (protocol.status, protocol.content, protocol.headers) == (status, b"", {"ETag": "x"})
    assert protocol.responses == 1


def failing(_: Any, __: Any) -> Iterator[bytes]:
    raise OSError("broken")


def test_an_exception_of_the_application_is_raised_to_granian() -> None:
    with pytest.raises(OSError, match="broken"):
        served((Scope(path="/version"), Protocol()), application=failing)


def test_refused_requests_are_logged() -> None:
    logged: list[Callable[..., Any]] = []

    async def run() -> None:
        front = Front(echo, SETTINGS, lambda prepared: logged.append(prepared) or prepared, lambda _: None, quick=True)
        front.__rsgi_init__(asyncio.get_running_loop())
        scope = Scope("POST", "/", header_items=[("transfer-encoding", "gzip")])
        await front.__rsgi__(scope, Protocol())
        front.__rsgi_del__(asyncio.get_running_loop())

    asyncio.run(run())

    assert len(logged) == 1
