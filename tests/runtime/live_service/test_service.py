"""The service as a process that is started, called over HTTP, and stopped."""

import html
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest

from mlops_runtime.contract import Contract
from mlops_runtime.model import Predictor, agrees
from tests.runtime.live_service.conftest import COMMAND, OwnService, Service, StartService, ask_on
from tests.runtime.serving.page_parser import Page

URL = "/v1/predictions"


@pytest.fixture(scope="session")
def body(predictor: Predictor) -> bytes:
    """Return a request for the prediction of one record."""
    return predictor.golden_records[0].record.model_dump_json().encode()


def test_the_service_is_ready(service: Service) -> None:
    assert service.ask("GET", "/healthz").status == 200
    assert service.ask("GET", "/readyz").status == 200


def test_golden_records_get_their_predictions(service: Service, predictor: Predictor) -> None:
    for golden in predictor.golden_records:
        answer = service.ask("POST", URL, golden.record.model_dump_json().encode())

        assert answer.status == 200
        assert agrees(predictor.contract.prediction.model_validate_json(answer.body), golden.prediction)


def test_a_list_is_answered_in_its_order(service: Service, predictor: Predictor) -> None:
    golden = predictor.golden_records
    records = json.dumps([one.record.model_dump(mode="json") for one in golden]).encode()

    answer = service.ask("POST", URL, records)

    predictions = predictor.contract.predictions_adapter.validate_json(answer.body)
    assert len(predictions) == len(golden)
    assert all(agrees(found, one.prediction) for found, one in zip(predictions, golden, strict=True))


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="not-json"),
        pytest.param(b"{}", "application/json", 422, id="not-a-record"),
        pytest.param(b"{}", "text/plain", 415, id="not-declared-as-json"),
        pytest.param(b" " * 8_000_000, "application/json", 413, id="too-long"),
    ],
)
def test_a_request_that_cannot_be_predicted_is_a_problem(
    service: Service, body: bytes, content_type: str, status: int
) -> None:
    answer = service.ask("POST", URL, body, content_type)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["status"] == status


def test_the_service_runs_the_model_that_was_trained(service: Service, predictor: Predictor) -> None:
    running = json.loads(service.ask("GET", "/version").body)

    assert running["version"]
    assert running["model"] == predictor.metadata.model_dump(mode="json")


def test_the_interface_is_described(service: Service, contract: Contract) -> None:
    document = json.loads(service.ask("GET", "/openapi.json").body)

    assert tuple(document["components"]["schemas"]["Order"]["properties"]) == contract.features
    assert service.ask("GET", "/docs/").status == 200
    assert service.ask("GET", "/docs/swagger-ui-bundle.js").status == 200


def test_a_person_gets_a_prediction(service: Service, predictor: Predictor) -> None:
    # Given the form, with a record to start from
    form = service.ask("GET", "/")
    page = Page(form.body.decode())
    assert form.status == 200
    assert len(page.sent) == len(predictor.contract.features)

    # When it is sent as it is
    answer = service.ask("POST", "/", urlencode(page.sent).encode(), "application/x-www-form-urlencoded")

    # Then the page shows the label
    prediction = predictor.predict_one(predictor.golden_records[0].record)
    assert answer.status == 200
    assert f'<p class="headline">{prediction.label}</p>' in html.unescape(answer.body.decode())


def test_a_connection_serves_many_requests(service: Service, body: bytes) -> None:
    connection = service.connect()
    connection.connect()
    socket = connection.sock

    answers = [ask_on(connection, "POST", URL, body) for _ in range(20)]

    assert {answer.status for answer in answers} == {200}
    assert connection.sock is socket
    connection.close()


def test_a_request_in_flight_is_answered_after_a_stop(
    start_service: StartService, predictor: Predictor, body: bytes
) -> None:
    # Given a service that has the first half of a request
    service = start_service()
    connection = service.connect()
    connection.putrequest("POST", URL)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body[: len(body) // 2])
    time.sleep(0.2)

    # When it is stopped, and the second half comes later
    service.process.send_signal(signal.SIGTERM)
    time.sleep(2)
    assert service.process.poll() is None
    connection.send(body[len(body) // 2 :])
    response = connection.getresponse()

    # Then the request is answered, and the service ends with status 0
    assert response.status == 200
    assert predictor.contract.prediction.model_validate_json(response.read())
    connection.close()
    assert service.process.wait(10) == 0


def test_a_stop_without_requests_is_quick(start_service: StartService) -> None:
    service = start_service()

    started = time.monotonic()
    status, _ = service.stop()

    assert status == 0
    assert time.monotonic() - started < 5


def test_each_line_of_the_log_is_json(start_service: StartService, body: bytes) -> None:
    # Given a service that answered a request, and refused another
    service = start_service(LOG_LEVEL="debug")
    service.ask("POST", URL, body)
    service.ask("GET", "/unknown")

    # When it has stopped
    _, log = service.stop()

    # Then its log, the lines of the server included, is JSON
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"_granian", "webservice.requests"} <= {line["logger"] for line in lines}
    requests = [line for line in lines if line["logger"] == "webservice.requests" and line["level"] == "info"]
    assert [(line["path"], line["status"]) for line in requests] == [(URL, 200), ("/unknown", 404)]
    assert requests[0]["records"] == 1


def test_a_second_service_at_the_same_port_is_refused(start_service: StartService) -> None:
    service = start_service()

    second = subprocess.run(
        COMMAND,
        env=service.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert second.returncode == 1
    (line,) = second.stdout.splitlines()
    assert "cannot listen" in json.loads(line)["message"]
    assert service.ask("GET", "/readyz").status == 200


def test_a_worker_that_dies_is_replaced(start_service: StartService) -> None:
    # Given a service whose worker is killed
    service = start_service()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("this system does not say which processes belong to the service")
    for worker in children.read_text().split():
        os.kill(int(worker), signal.SIGKILL)

    # Then it answers again, by another one
    deadline = time.monotonic() + 20
    while True:
        try:
            assert service.ask("GET", "/readyz").status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def drain(service: OwnService) -> subprocess.Popen[bytes]:
    """Start the hook that runs before a stop."""
    return subprocess.Popen([sys.executable, "-m", "mlops_runtime.serving.drain"], env=service.environment)


def test_a_draining_service_closes_the_connections_of_its_clients(start_service: StartService, body: bytes) -> None:
    # Given a client with an open connection
    service = start_service(DRAIN_SECONDS="2")
    connection = service.connect()
    assert "connection" not in ask_on(connection, "POST", URL, body).headers

    # When the service drains
    with drain(service) as hook:
        time.sleep(1)
        last = ask_on(connection, "POST", URL, body)
        ready = service.ask("GET", "/readyz")
        alive = service.ask("GET", "/healthz")

    # Then the client gets its response with `Connection: close`, and the connection is closed
    assert hook.returncode == 0
    assert (last.status, last.headers["connection"]) == (200, "close")
    assert connection.sock is None
    assert (ready.status, alive.status) == (503, 200)

    # And the stop leaves no marker behind
    status, _ = service.stop()
    assert status == 0
    assert not Path(service.environment["DRAIN_MARKER"]).exists()


def test_a_service_that_starts_again_does_not_drain(start_service: StartService, tmp_path: Path) -> None:
    (tmp_path / "draining").touch()

    service = start_service()

    assert "connection" not in service.ask("GET", "/readyz").headers


def test_no_request_is_lost_when_a_busy_service_stops(start_service: StartService, body: bytes) -> None:
    # Given clients that keep their connections open and send requests without a pause
    service = start_service(DRAIN_SECONDS="2", LOG_LEVEL="error")

    def ask_until_closed(_: int) -> int:
        connection = service.connect()
        answered = 0
        while True:
            answer = ask_on(connection, "POST", URL, body)
            assert answer.status == 200
            answered += 1
            if answer.headers.get("connection") == "close":
                connection.close()
                return answered

    with ThreadPoolExecutor(8) as clients:
        answers = clients.map(ask_until_closed, range(8))
        time.sleep(0.5)

        # When it drains and stops
        with drain(service) as hook:
            hook.wait()
        status, _ = service.stop()

        # Then each of them got all its responses, the last one with `Connection: close`
        assert sum(answers) > 100
        assert status == 0
