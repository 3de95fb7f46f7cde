"""What the service promises under load and fault: each promise with a small proof of its own service.

The figures, with thousands of connections and a million requests, come from a benchmark of the template.
"""

import json
import os
import resource
import shutil
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

import pytest

from mlops_runtime.model import Predictor
from mlops_runtime.model.golden import agrees
from mlops_runtime.serving.ui.tables import example_table
from tests.runtime.live_service.conftest import (
    Answer,
    OwnService,
    StartService,
    ask_on,
    running_service,
    wait_until_ready,
)

URL = "/v1/predictions"
PATIENCE = 20.0
"""Seconds after which something that should happen does not happen any more."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""

HANG = """
import os, pathlib, time
from onnxruntime.capi.onnxruntime_inference_collection import Session

fault, run = pathlib.Path(os.environ["FAULT"]), Session.run

def run_or_hang(*arguments, **options):
    if fault.exists():
        fault.unlink()
        time.sleep(1000)
    return run(*arguments, **options)

Session.run = run_or_hang
"""
"""Makes one call of the model hang, in the process that imports it."""


@pytest.fixture
def body(predictor: Predictor) -> bytes:
    """Return a request for the prediction of one record."""
    return predictor.golden_records[0].record.model_dump_json().encode()


@pytest.fixture
def is_right(predictor: Predictor) -> Callable[[Answer], bool]:
    """Return a function that says whether an answer to that request is the golden prediction."""
    golden, prediction = predictor.golden_records[0].prediction, predictor.contract.prediction
    return lambda answer: answer.status == 200 and agrees(prediction.model_validate_json(answer.body), golden)


def head(length: int) -> bytes:
    """Return the head of a request for a prediction."""
    return (
        f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def raw(service: OwnService) -> socket.socket:
    """Return a connection without any HTTP."""
    return socket.create_connection((service.host, service.port), timeout=PATIENCE)


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the service closes the connection."""
    content = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            content += part
    return content


def workers(service: OwnService) -> list[int]:
    """Return the processes that answer."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not say which processes belong to the service")
    return [int(worker) for worker in children.read_text().split()]


def open_files(service: OwnService) -> int:
    """Return how many files and connections the workers have open."""
    return sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in workers(service))


def lines_dropped(service: OwnService) -> float:
    """Return how many lines of the log the service says are lost."""
    lines = service.ask("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("webservice_log_lines_dropped_total"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fail the test when it does not get there."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.05)


@contextmanager
def uploads_that_pause(service: OwnService, body: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Yield connections on which the first half of a request has been sent."""
    with ExitStack() as stack:
        connections = [stack.enter_context(raw(service)) for _ in range(count)]
        for connection in connections:
            connection.sendall(head(len(body)) + body[: len(body) // 2])
        yield connections


def asked_at_once(service: OwnService, body: bytes, connections: int, each: int) -> list[Answer]:
    """Return the answers to requests of many connections, each sending one request after the other."""

    def ask(_: int) -> list[Answer]:
        with closing(service.connect()) as connection:
            return [ask_on(connection, "POST", URL, body) for _ in range(each)]

    with ThreadPoolExecutor(connections) as clients:
        return [answer for answers in clients.map(ask, range(connections)) for answer in answers]


def test_each_of_256_connections_is_answered_rightly(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    service = start_service(LOG_LEVEL="error")

    answers = asked_at_once(service, body, connections=256, each=4)

    assert len(answers) == 256 * 4
    assert all(map(is_right, answers))


def test_requests_beyond_the_limit_are_asked_to_come_again(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given a service that works on one large request at a time
    service = start_service(LOG_LEVEL="error", THREADS="4", MAX_LARGE_REQUESTS="1")
    table = b"[" + b",".join([body] * 1000) + b"]"

    # When many of them come
    answers = asked_at_once(service, table, connections=16, each=2)

    # Then each is answered, or told when to come again
    refused = [answer for answer in answers if answer.status != 200]
    assert {answer.status for answer in refused} == {503}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert all(len(json.loads(answer.body)) == 1000 for answer in answers if answer.status == 200)

    # And nothing of it stays
    assert is_right(service.ask("POST", URL, body))


def test_slow_uploads_hold_nobody_up(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given many more slow uploads than there are threads
    service = start_service(LOG_LEVEL="error", THREADS="2")
    with uploads_that_pause(service, body, 64) as slow:
        # Then each of them is told that it took too long, or to come again
        assert {received(connection)[:12] for connection in slow} <= {b"HTTP/1.1 408", b"HTTP/1.1 503"}

        # And others are answered, once the rush is over
        wait_until_ready(service)
        wait_until(lambda: is_right(service.ask("POST", URL, body)), "an answer")
        assert all(map(is_right, asked_at_once(service, body, connections=8, each=10)))


def test_a_body_in_the_smallest_pieces_holds_nobody_up_for_long(start_service: StartService) -> None:
    # Given a client that sends a million bytes, each in a chunk of its own
    service = start_service()
    with raw(service) as connection, ThreadPoolExecutor(1) as sender:
        connection.sendall(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))

        def send() -> None:
            with suppress(OSError):
                for _ in range(100):
                    connection.sendall(b"1\r\n \r\n" * 10_000)

        sending = sender.submit(send)
        time.sleep(0.5)

        # When others ask, then none is left without an answer, and soon each gets what it asked for
        started = time.monotonic()
        statuses = []
        while statuses[-3:] != [200, 200, 200]:
            statuses.append(service.ask("GET", "/version").status)
            assert time.monotonic() - started < PATIENCE
        assert set(statuses) <= {200, 503}

        # And that client is given up, if it still listens with an answer
        answer = received(connection)
        assert not answer or answer.startswith(b"HTTP/1.1 408 ")
        sending.result(PATIENCE)


TABLE_LENGTH = 2 * 1024 * 1024
"""Bytes that a table on the page may have by default."""


def table_of(predictor: Predictor, *, faulty: bool) -> bytes:
    """Return a table as long as one may be, of golden records, or of rows in which every cell is at fault."""
    example = example_table(predictor.contract, predictor.golden_records).encode()
    header, *rows = example.splitlines(keepends=True)
    row = b",".join([b"?"] * len(predictor.contract.features)) + b"\r\n" if faulty else b"".join(rows)
    return header + row * ((TABLE_LENGTH - len(header)) // len(row))


@contextmanager
def uploaded_table(service: OwnService, table: bytes, receive_buffer: int = 4096) -> Iterator[socket.socket]:
    """Yield a connection on which a table has been sent to the page, and nothing was read."""
    form = (
        b'--b\r\nContent-Disposition: form-data; name="table"; filename="orders.csv"\r\n\r\n' + table + b"\r\n--b--\r\n"
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect((service.host, service.port))
        connection.sendall(
            b"POST /table HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(form)
        )
        connection.sendall(form)
        yield connection


def answers_until(service: OwnService, body: bytes, happened: Callable[[], bool]) -> tuple[list[Answer], list[int]]:
    """Return the predictions and the statuses of probes that a client gets, one after the other, until an event."""
    predictions, probes = [], []
    deadline = time.monotonic() + 3 * PATIENCE
    with closing(service.connect()) as connection:
        while not happened():
            predictions.append(ask_on(connection, "POST", URL, body))
            probes.append(service.ask("GET", "/healthz").status)
            assert time.monotonic() < deadline
    return predictions, probes


def test_clients_that_do_not_read_their_table_hold_nobody_up(
    start_service: StartService, predictor: Predictor, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given clients that send a table each and do not read the response
    service = start_service(LOG_LEVEL="error", MAX_TABLE_LENGTH=str(TABLE_LENGTH + 1000))
    table = table_of(predictor, faulty=False)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(uploaded_table(service, table))
            time.sleep(0.5)

        # Then predictions, probes and another table are answered
        ended = time.monotonic() + 2
        predictions, probes = answers_until(service, body, lambda: time.monotonic() > ended)
        assert all(map(is_right, predictions))
        assert set(probes) == {200}
        wait_until(lambda: requests_in_work(service) <= 1, "the tables are predicted")
        with uploaded_table(service, table, receive_buffer=1 << 20) as connection:
            assert received(connection).startswith(b"HTTP/1.1 200")


def requests_in_work(service: OwnService) -> float:
    """Return how many requests are in work, that for the metrics possibly included."""
    lines = service.ask("GET", "/metrics").body.decode().splitlines()
    (line,) = (line for line in lines if line.startswith("webservice_requests_in_work "))
    return float(line.split()[-1])


def test_a_slow_reader_gets_its_table_while_others_are_answered(
    start_service: StartService, predictor: Predictor, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given a client that reads the response to a table at about 1 MB/s
    service = start_service(LOG_LEVEL="error", MAX_TABLE_LENGTH=str(TABLE_LENGTH + 1000))
    table = table_of(predictor, faulty=False)

    def read_slowly() -> bytes:
        content = b""
        with uploaded_table(service, table, receive_buffer=128 * 1024) as connection:
            while part := connection.recv(64 * 1024):
                content += part
                time.sleep(0.06)
        return content

    # When others send requests meanwhile
    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read_slowly)
        predictions, probes = answers_until(service, body, reading.done)

    # Then all get their responses, and the table is complete
    assert all(map(is_right, predictions))
    assert set(probes) == {200}
    headers, _, content = reading.result().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200")
    assert content.count(b"\n") == table.count(b"\n")


def test_a_table_of_faulty_rows_gives_way_to_predictions(
    start_service: StartService, predictor: Predictor, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given the longest table that is allowed, every cell of it at fault
    service = start_service(LOG_LEVEL="error", MAX_TABLE_LENGTH=str(TABLE_LENGTH + 1000))
    table = table_of(predictor, faulty=True)

    def upload() -> bytes:
        with uploaded_table(service, table, receive_buffer=1 << 20) as connection:
            connection.settimeout(3 * PATIENCE)
            return received(connection)

    # When others send requests meanwhile
    with ThreadPoolExecutor(1) as client:
        uploading = client.submit(upload)
        predictions, probes = answers_until(service, body, uploading.done)

    # Then many of them are answered before the table is
    assert all(map(is_right, predictions))
    assert len(predictions) > 20
    assert set(probes) == {200}
    assert uploading.result().startswith(b"HTTP/1.1 200")


def test_probes_are_answered_while_all_threads_are_busy(start_service: StartService) -> None:
    # Given a service whose only thread works on a request for long
    service = start_service(LOG_LEVEL="error", MAX_WAIT="0.5")
    with ThreadPoolExecutor(2) as clients:
        busy = clients.submit(service.ask, "GET", "/sleep/4.0")
        time.sleep(0.5)

        # When others send requests
        waiting = clients.submit(service.ask, "GET", "/version")
        probes = [service.ask("GET", path).status for path in ("/healthz", "/readyz", "/metrics")]

        # Then probes are answered, and a request that waits for too long is refused
        assert not busy.done()
        assert probes == [200, 200, 200]
        refused = waiting.result(PATIENCE)
        assert not busy.done()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert busy.result(PATIENCE).status == 200


@pytest.mark.parametrize("content", [b",", b"\n"], ids=["commas", "blank-lines"])
def test_bodies_that_are_refused_leave_no_garbage(start_service: StartService, content: bytes) -> None:
    # Given a service, and the memory of its worker after a few such bodies
    service = start_service(LOG_LEVEL="error")
    (worker,) = workers(service)
    status = Path(f"/proc/{worker}/status")

    def resident() -> int:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def send(count: int) -> None:
        for _ in range(count):
            assert service.ask("POST", URL, content * 1024 * 1024, "text/csv").status in (400, 413, 422)

    send(5)
    before = resident()

    # When many more come
    send(15)

    # Then the memory does not grow with them
    assert resident() < before + 5 * 1024 * 1024 * 8


def test_an_upload_that_does_not_end_is_given_up(start_service: StartService, body: bytes) -> None:
    service = start_service(LOG_LEVEL="error", BODY_TIMEOUT="1")

    with uploads_that_pause(service, body, 2) as connections:
        answers = [received(connection) for connection in connections]

    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 408"}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "endless"])
def test_a_body_that_is_too_long_is_refused_without_being_kept(start_service: StartService, *, declared: bool) -> None:
    # Given a client that never stops sending
    service = start_service(LOG_LEVEL="error", BODY_TIMEOUT="3")
    part = b" " * 65536
    kind = "Content-Length: 1000000000000" if declared else "Transfer-Encoding: chunked"
    start = f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{kind}\r\n\r\n".encode()

    # When it sends until it is stopped
    sent = 0
    with raw(service) as connection:
        connection.sendall(start)
        with suppress(ConnectionError):
            while sent < 1 << 30:
                connection.sendall(part if declared else b"%x\r\n%b\r\n" % (len(part), part))
                sent += len(part)
        answer = received(connection)

    # Then that is soon, and the answer, where it still arrives, says why
    assert sent < 1 << 27
    assert answer[:12] in (b"HTTP/1.1 413", b"")
    assert service.ask("GET", "/readyz").status == 200


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["byte by byte", "one chunk"])
def test_a_body_in_chunks_is_read(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool], size: int
) -> None:
    service = start_service(LOG_LEVEL="error")
    connection = service.connect()

    parts = (body[start : start + size] for start in range(0, len(body), size))
    connection.request("POST", URL, parts, {"Content-Type": "application/json"}, encode_chunked=True)
    response = connection.getresponse()

    assert is_right(Answer(response.status, {}, response.read()))
    connection.close()


def test_a_request_that_hides_another_is_refused(start_service: StartService) -> None:
    service = start_service(LOG_LEVEL="error")

    with raw(service) as connection:
        connection.sendall(
            f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        )
        answer = received(connection)

    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


def test_clients_that_go_leave_nothing_behind(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given a service, and the files that it has open
    service = start_service(LOG_LEVEL="error")
    running, files = workers(service), open_files(service)
    request = head(len(body)) + body

    # When clients close, reset or half-close their connections in the middle of a head or a body, or before the answer
    for sent in (request[:20], request[: -len(body) // 2], request):
        for _ in range(50):
            raw(service).close()
            with raw(service) as half_closed:
                half_closed.sendall(sent)
                half_closed.shutdown(socket.SHUT_WR)
                received(half_closed)
            with raw(service) as closed:
                closed.sendall(sent)
            with raw(service) as reset:
                reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                reset.sendall(sent)

    # Then all is as it was
    wait_until(lambda: open_files(service) <= files, "the connections are closed")
    assert workers(service) == running
    assert is_right(service.ask("POST", URL, body))


def test_a_killed_worker_is_replaced_while_the_other_answers(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    service = start_service(LOG_LEVEL="error", WORKERS="2")
    killed, other = workers(service)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: len(set(workers(service)) - {killed}) == 2, "there are two workers again")
    assert other in workers(service)
    wait_until_ready(service)
    assert all(map(is_right, asked_at_once(service, body, connections=16, each=4)))


@pytest.mark.parametrize("records", [1, 500], ids=["one-record", "many-records"])
def test_a_worker_that_hangs_is_replaced(
    start_service: StartService, tmp_path: Path, body: bytes, is_right: Callable[[Answer], bool], records: int
) -> None:
    # Given a service of which one call of the model will hang
    (tmp_path / "sitecustomize.py").write_text(HANG)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    service = start_service(HANG_TIMEOUT="1", LOG_LEVEL="error", PYTHONPATH=path, FAULT=str(tmp_path / "fault"))
    running = workers(service)
    (tmp_path / "fault").touch()

    # When it does
    with pytest.raises((HTTPException, OSError)):
        service.ask("POST", URL, b"[" + b",".join([body] * records) + b"]" if records > 1 else body)

    # Then another worker takes over, and the log says where it hung
    wait_until(lambda: workers(service) not in ([], running), "another worker runs")
    wait_until_ready(service)
    assert is_right(service.ask("POST", URL, body))
    status, log = service.stop()
    assert status == 0
    assert "run_or_hang" in log


def test_a_full_disk_for_the_log_stops_nobody(
    artefact: Path, body: bytes, is_right: Callable[[Answer], bool], tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    with (
        Path("/dev/full").open("w") as full,
        running_service(
            {"ARTEFACT": str(artefact), "DRAIN_MARKER": str(tmp_path / "draining")}, output=full
        ) as service,
    ):
        answers = asked_at_once(service, body, connections=4, each=50)
        assert all(map(is_right, answers))

        # And the lines that are lost are counted
        wait_until(lambda: lines_dropped(service) > 0, "lost lines are counted")
        service.process.terminate()
        assert service.process.wait(PATIENCE) == 0


def test_a_log_that_nobody_reads_stops_nobody(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # The pipe that the log goes to holds less than the lines of these requests.
    service = start_service()
    answers = asked_at_once(service, body, connections=4, each=1000)

    assert all(map(is_right, answers))
    assert is_right(service.ask("POST", URL, body))


def test_more_connections_than_open_files_are_survived(
    start_service: StartService, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given a worker that may open some twenty files more
    service = start_service(LOG_LEVEL="error")
    (worker,) = workers(service)
    limit = open_files(service) + 20
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))

    # When more connections than that are there at once
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(raw(service))

    # Then it answers again as soon as they have gone
    wait_until_ready(service)
    assert is_right(service.ask("POST", URL, body))
    assert workers(service) == [worker]


def test_an_artefact_that_is_damaged_on_disk_serves_no_wrong_answer(
    start_service: StartService, artefact: Path, tmp_path: Path, body: bytes, is_right: Callable[[Answer], bool]
) -> None:
    # Given a service that runs on a copy of the artefact, which is damaged then
    copy = shutil.copytree(artefact, tmp_path / "artefact")
    service = start_service(LOG_LEVEL="error", ARTEFACT=str(copy))
    (copy / "model.onnx").write_bytes(b"damaged")

    # Then the worker that runs goes on rightly
    assert all(map(is_right, asked_at_once(service, body, connections=4, each=10)))

    # And when it is replaced, the service ends and says why, instead of answering wrongly
    os.kill(workers(service)[0], signal.SIGKILL)
    log, _ = service.process.communicate(timeout=PATIENCE)
    assert service.process.returncode == 1
    assert any("model.onnx" in json.loads(line)["message"] for line in log.splitlines() if line.startswith("{"))
