"""Behaviour of the service under load and faults, with a few connections.

`benchmarks/faults` measures it with thousands of connections and a million requests.
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
    OwnService,
    Response,
    StartService,
    request_on,
    running_service,
    wait_until_ready,
)

URL = "/v1/predictions"
TIMEOUT = 20.0
"""Seconds to wait for an event before the test fails."""

RESET = struct.pack("ii", 1, 0)
"""Value of SO_LINGER with which closing a connection resets it."""

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
"""Makes one call of the model hang in the process that imports this code."""


@pytest.fixture
def body(predictor: Predictor) -> bytes:
    """Return a request for the prediction of one record."""
    return predictor.golden_records[0].record.model_dump_json().encode()


@pytest.fixture
def is_golden(predictor: Predictor) -> Callable[[Response], bool]:
    """Return a function that checks whether a response has the golden prediction of `body`."""
    golden, prediction = predictor.golden_records[0].prediction, predictor.contract.prediction
    return lambda response: response.status == 200 and agrees(prediction.model_validate_json(response.body), golden)


def head(length: int) -> bytes:
    """Return the request line and headers of a request for a prediction."""
    return (
        f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()
    )


def open_socket(service: OwnService) -> socket.socket:
    """Return a TCP connection to the service."""
    return socket.create_connection((service.host, service.port), timeout=TIMEOUT)


def read_to_end(connection: socket.socket) -> bytes:
    """Return the bytes received until the service closes the connection."""
    content = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            content += part
    return content


def workers(service: OwnService) -> list[int]:
    """Return the ids of the worker processes."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("/proc has no list of child processes on this system")
    return [int(worker) for worker in children.read_text().split()]


def open_files(service: OwnService) -> int:
    """Return the number of files and connections that the workers have open."""
    return sum(len(list(Path(f"/proc/{worker}/fd").iterdir())) for worker in workers(service))


def dropped_log_lines(service: OwnService) -> float:
    """Return the number of dropped log lines that the metrics report."""
    lines = service.request("GET", "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("webservice_log_lines_dropped_total"))


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; fail the test after the timeout."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {TIMEOUT:g} s: {what}")
        time.sleep(0.05)


@contextmanager
def half_sent_requests(service: OwnService, body: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Yield connections on which the first half of a request has been sent."""
    with ExitStack() as stack:
        connections = [stack.enter_context(open_socket(service)) for _ in range(count)]
        for connection in connections:
            connection.sendall(head(len(body)) + body[: len(body) // 2])
        yield connections


def send_concurrently(service: OwnService, body: bytes, connections: int, each: int) -> list[Response]:
    """Return the responses to requests on many connections at once; each connection sends its requests in sequence."""

    def send(_: int) -> list[Response]:
        with closing(service.connect()) as connection:
            return [request_on(connection, "POST", URL, body) for _ in range(each)]

    with ThreadPoolExecutor(connections) as clients:
        return [response for responses in clients.map(send, range(connections)) for response in responses]


def test_each_of_256_connections_gets_correct_predictions(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    service = start_service(LOG_LEVEL="error")

    responses = send_concurrently(service, body, connections=256, each=4)

    assert len(responses) == 256 * 4
    assert all(map(is_golden, responses))


def test_requests_beyond_the_limit_get_a_retry_after_header(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given a service that works on one large request at a time
    service = start_service(LOG_LEVEL="error", THREADS="4", MAX_LARGE_REQUESTS="1")
    table = b"[" + b",".join([body] * 1000) + b"]"

    # When many are sent at once
    responses = send_concurrently(service, table, connections=16, each=2)

    # Then each is processed, or refused with a Retry-After header
    refused = [response for response in responses if response.status != 200]
    assert {response.status for response in refused} == {503}
    assert all(int(response.headers["retry-after"]) > 0 for response in refused)
    assert all(len(json.loads(response.body)) == 1000 for response in responses if response.status == 200)

    # And the service still predicts
    assert is_golden(service.request("POST", URL, body))


def test_slow_uploads_do_not_delay_other_clients(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given many more slow uploads than there are threads
    service = start_service(LOG_LEVEL="error", THREADS="2")
    with half_sent_requests(service, body, 64) as slow:
        # Then each of them gets status 408 or 503
        assert {read_to_end(connection)[:12] for connection in slow} <= {b"HTTP/1.1 408", b"HTTP/1.1 503"}

        # And other clients get predictions afterwards
        wait_until_ready(service)
        wait_until(lambda: is_golden(service.request("POST", URL, body)), "a correct prediction")
        assert all(map(is_golden, send_concurrently(service, body, connections=8, each=10)))


def test_a_body_in_single_byte_chunks_hardly_delays_other_clients(start_service: StartService) -> None:
    # Given a client that sends a million bytes, each in a chunk of its own
    service = start_service()
    with open_socket(service) as connection, ThreadPoolExecutor(1) as sender:
        connection.sendall(head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))

        def send() -> None:
            with suppress(OSError):
                for _ in range(100):
                    connection.sendall(b"1\r\n \r\n" * 10_000)

        sending = sender.submit(send)
        time.sleep(0.5)

        # When another client sends requests, then each gets a response, and soon with status 200
        started = time.monotonic()
        statuses = []
        while statuses[-3:] != [200, 200, 200]:
            statuses.append(service.request("GET", "/version").status)
            assert time.monotonic() - started < TIMEOUT
        assert set(statuses) <= {200, 503}

        # And the slow client gets status 408, if it still reads
        response = read_to_end(connection)
        assert not response or response.startswith(b"HTTP/1.1 408 ")
        sending.result(TIMEOUT)


TABLE_LENGTH = 2 * 1024 * 1024
"""Bytes that a table on the page may have by default."""


def table_of(predictor: Predictor, *, faulty: bool) -> bytes:
    """Return a table as long as one may be, of golden records, or of rows in which every cell is faulty."""
    example = example_table(predictor.contract, predictor.golden_records).encode()
    header, *rows = example.splitlines(keepends=True)
    row = b",".join([b"?"] * len(predictor.contract.features)) + b"\r\n" if faulty else b"".join(rows)
    return header + row * ((TABLE_LENGTH - len(header)) // len(row))


@contextmanager
def uploaded_table(service: OwnService, table: bytes, receive_buffer: int = 4096) -> Iterator[socket.socket]:
    """Yield a connection on which a table was posted to the page and no response was read."""
    form = (
        b'--b\r\nContent-Disposition: form-data; name="table"; filename="orders.csv"\r\n\r\n' + table + b"\r\n--b--\r\n"
    )
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(TIMEOUT)
        connection.connect((service.host, service.port))
        connection.sendall(
            b"POST /table HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(form)
        )
        connection.sendall(form)
        yield connection


def predict_until(service: OwnService, body: bytes, happened: Callable[[], bool]) -> tuple[list[Response], list[int]]:
    """Send predictions and probes in sequence until an event; return the responses and the statuses of the probes."""
    predictions, probes = [], []
    deadline = time.monotonic() + 3 * TIMEOUT
    with closing(service.connect()) as connection:
        while not happened():
            predictions.append(request_on(connection, "POST", URL, body))
            probes.append(service.request("GET", "/healthz").status)
            assert time.monotonic() < deadline
    return predictions, probes


def test_clients_that_do_not_read_their_response_do_not_delay_others(
    start_service: StartService, predictor: Predictor, body: bytes, is_golden: Callable[[Response], bool]
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
        predictions, probes = predict_until(service, body, lambda: time.monotonic() > ended)
        assert all(map(is_golden, predictions))
        assert set(probes) == {200}
        wait_until(lambda: requests_in_work(service) <= 1, "the tables are predicted")
        with uploaded_table(service, table, receive_buffer=1 << 20) as connection:
            assert read_to_end(connection).startswith(b"HTTP/1.1 200")


def requests_in_work(service: OwnService) -> float:
    """Return the number of requests in work, which may include the request for the metrics."""
    lines = service.request("GET", "/metrics").body.decode().splitlines()
    (line,) = (line for line in lines if line.startswith("webservice_requests_in_work "))
    return float(line.split()[-1])


def test_a_slow_reader_gets_its_table_while_others_are_answered(
    start_service: StartService, predictor: Predictor, body: bytes, is_golden: Callable[[Response], bool]
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
        predictions, probes = predict_until(service, body, reading.done)

    # Then all get their responses, and the table is complete
    assert all(map(is_golden, predictions))
    assert set(probes) == {200}
    headers, _, content = reading.result().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 200")
    assert content.count(b"\n") == table.count(b"\n")


def test_a_table_of_faulty_rows_does_not_delay_predictions(
    start_service: StartService, predictor: Predictor, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given the longest table that is allowed, with a fault in every cell
    service = start_service(LOG_LEVEL="error", MAX_TABLE_LENGTH=str(TABLE_LENGTH + 1000))
    table = table_of(predictor, faulty=True)

    def upload() -> bytes:
        with uploaded_table(service, table, receive_buffer=1 << 20) as connection:
            connection.settimeout(3 * TIMEOUT)
            return read_to_end(connection)

    # When others send requests meanwhile
    with ThreadPoolExecutor(1) as client:
        uploading = client.submit(upload)
        predictions, probes = predict_until(service, body, uploading.done)

    # Then many predictions are made before the table is complete
    assert all(map(is_golden, predictions))
    assert len(predictions) > 20
    assert set(probes) == {200}
    assert uploading.result().startswith(b"HTTP/1.1 200")


def test_probes_are_answered_while_all_threads_are_busy(start_service: StartService) -> None:
    # Given a service whose only thread is busy for seconds
    service = start_service(LOG_LEVEL="error", MAX_WAIT="0.5")
    with ThreadPoolExecutor(2) as clients:
        busy = clients.submit(service.request, "GET", "/sleep/4.0")
        time.sleep(0.5)

        # When others send requests
        waiting = clients.submit(service.request, "GET", "/version")
        probes = [service.request("GET", path).status for path in ("/healthz", "/readyz", "/metrics")]

        # Then probes are answered, and a request that waits for too long is refused
        assert not busy.done()
        assert probes == [200, 200, 200]
        refused = waiting.result(TIMEOUT)
        assert not busy.done()
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert busy.result(TIMEOUT).status == 200


@pytest.mark.parametrize("content", [b",", b"\n"], ids=["commas", "blank-lines"])
def test_refused_bodies_leave_no_garbage(start_service: StartService, content: bytes) -> None:
    # Given a service, and the memory of its worker after a few such bodies
    service = start_service(LOG_LEVEL="error")
    (worker,) = workers(service)
    status = Path(f"/proc/{worker}/status")

    def resident() -> int:
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def send(count: int) -> None:
        for _ in range(count):
            assert service.request("POST", URL, content * 1024 * 1024, "text/csv").status in (400, 413, 422)

    send(5)
    before = resident()

    # When many more are sent
    send(15)

    # Then the memory does not grow
    assert resident() < before + 5 * 1024 * 1024 * 8


def test_an_upload_that_does_not_end_is_cancelled(start_service: StartService, body: bytes) -> None:
    service = start_service(LOG_LEVEL="error", BODY_TIMEOUT="1")

    with half_sent_requests(service, body, 2) as connections:
        responses = [read_to_end(connection) for connection in connections]

    assert {response[:12] for response in responses} == {b"HTTP/1.1 408"}


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "endless"])
def test_a_body_that_is_too_long_is_refused_and_discarded(start_service: StartService, *, declared: bool) -> None:
    # Given a client that never stops sending
    service = start_service(LOG_LEVEL="error", BODY_TIMEOUT="3")
    part = b" " * 65536
    kind = "Content-Length: 1000000000000" if declared else "Transfer-Encoding: chunked"
    start = f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{kind}\r\n\r\n".encode()

    # When it sends until it is stopped
    sent = 0
    with open_socket(service) as connection:
        connection.sendall(start)
        with suppress(ConnectionError):
            while sent < 1 << 30:
                connection.sendall(part if declared else b"%x\r\n%b\r\n" % (len(part), part))
                sent += len(part)
        response = read_to_end(connection)

    # Then the service stops it early, with status 413 if the response still arrives
    assert sent < 1 << 27
    assert response[:12] in (b"HTTP/1.1 413", b"")
    assert service.request("GET", "/readyz").status == 200


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["byte by byte", "one chunk"])
def test_a_body_in_chunks_is_read(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool], size: int
) -> None:
    service = start_service(LOG_LEVEL="error")
    connection = service.connect()

    parts = (body[start : start + size] for start in range(0, len(body), size))
    connection.request("POST", URL, parts, {"Content-Type": "application/json"}, encode_chunked=True)
    response = connection.getresponse()

    assert is_golden(Response(response.status, {}, response.read()))
    connection.close()


def test_request_smuggling_is_refused(start_service: StartService) -> None:
    service = start_service(LOG_LEVEL="error")

    with open_socket(service) as connection:
        connection.sendall(
            f"POST {URL} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /version HTTP/1.1\r\nHost: a\r\n\r\n".encode()
        )
        response = read_to_end(connection)

    assert response.startswith(b"HTTP/1.1 400")
    assert response.count(b"HTTP/1.1") == 1


def test_disconnected_clients_leave_no_files_open(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given a service, and the files that it has open
    service = start_service(LOG_LEVEL="error")
    running, files = workers(service), open_files(service)
    request = head(len(body)) + body

    # When clients close, reset or half-close connections within the headers or the body, or before the response
    for sent in (request[:20], request[: -len(body) // 2], request):
        for _ in range(50):
            open_socket(service).close()
            with open_socket(service) as half_closed:
                half_closed.sendall(sent)
                half_closed.shutdown(socket.SHUT_WR)
                read_to_end(half_closed)
            with open_socket(service) as closed:
                closed.sendall(sent)
            with open_socket(service) as reset:
                reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                reset.sendall(sent)

    # Then the service has the same workers and no more open files
    wait_until(lambda: open_files(service) <= files, "the connections are closed")
    assert workers(service) == running
    assert is_golden(service.request("POST", URL, body))


def test_a_killed_worker_is_replaced_while_the_other_answers(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    service = start_service(LOG_LEVEL="error", WORKERS="2")
    killed, other = workers(service)

    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: len(set(workers(service)) - {killed}) == 2, "there are two workers again")
    assert other in workers(service)
    wait_until_ready(service)
    assert all(map(is_golden, send_concurrently(service, body, connections=16, each=4)))


@pytest.mark.parametrize("records", [1, 500], ids=["one-record", "many-records"])
def test_a_worker_that_hangs_is_replaced(
    start_service: StartService, tmp_path: Path, body: bytes, is_golden: Callable[[Response], bool], records: int
) -> None:
    # Given a service of which one call of the model will hang
    (tmp_path / "sitecustomize.py").write_text(HANG)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    service = start_service(HANG_TIMEOUT="1", LOG_LEVEL="error", PYTHONPATH=path, FAULT=str(tmp_path / "fault"))
    running = workers(service)
    (tmp_path / "fault").touch()

    # When it hangs
    with pytest.raises((HTTPException, OSError)):
        service.request("POST", URL, b"[" + b",".join([body] * records) + b"]" if records > 1 else body)

    # Then another worker replaces it, and the log has the traceback of the hang
    wait_until(lambda: workers(service) not in ([], running), "another worker runs")
    wait_until_ready(service)
    assert is_golden(service.request("POST", URL, body))
    status, log = service.stop()
    assert status == 0
    assert "run_or_hang" in log


def test_a_full_disk_for_the_log_does_not_stop_the_service(
    artefact: Path, body: bytes, is_golden: Callable[[Response], bool], tmp_path: Path
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    with (
        Path("/dev/full").open("w") as full,
        running_service(
            {"ARTEFACT": str(artefact), "DRAIN_MARKER": str(tmp_path / "draining")}, output=full
        ) as service,
    ):
        responses = send_concurrently(service, body, connections=4, each=50)
        assert all(map(is_golden, responses))

        # And the lines that are lost are counted
        wait_until(lambda: dropped_log_lines(service) > 0, "lost lines are counted")
        service.process.terminate()
        assert service.process.wait(TIMEOUT) == 0


def test_an_unread_log_does_not_stop_the_service(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # The pipe that the log goes to holds less than the lines of these requests.
    service = start_service()
    responses = send_concurrently(service, body, connections=4, each=1000)

    assert all(map(is_golden, responses))
    assert is_golden(service.request("POST", URL, body))


def test_the_service_survives_more_connections_than_open_files(
    start_service: StartService, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given a worker that may open 20 more files
    service = start_service(LOG_LEVEL="error")
    (worker,) = workers(service)
    limit = open_files(service) + 20
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))

    # When more connections are opened at once
    with ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(open_socket(service))

    # Then the same worker processes requests again
    wait_until_ready(service)
    assert is_golden(service.request("POST", URL, body))
    assert workers(service) == [worker]


def test_a_damaged_artefact_gives_no_wrong_prediction(
    start_service: StartService, artefact: Path, tmp_path: Path, body: bytes, is_golden: Callable[[Response], bool]
) -> None:
    # Given a running service whose artefact is damaged on disk
    copy = shutil.copytree(artefact, tmp_path / "artefact")
    service = start_service(LOG_LEVEL="error", ARTEFACT=str(copy))
    (copy / "model.onnx").write_bytes(b"damaged")

    # Then the running worker still predicts correctly
    assert all(map(is_golden, send_concurrently(service, body, connections=4, each=10)))

    # And when it must be replaced, the service logs the reason and ends, instead of predicting wrongly
    os.kill(workers(service)[0], signal.SIGKILL)
    log, _ = service.process.communicate(timeout=TIMEOUT)
    assert service.process.returncode == 1
    assert any("model.onnx" in json.loads(line)["message"] for line in log.splitlines() if line.startswith("{"))
