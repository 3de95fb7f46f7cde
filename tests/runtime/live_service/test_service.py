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
from tests.runtime.live_service.conftest import COMMAND, OwnService, Service, StartService, request_on
from tests.runtime.serving.page_parser import Page

URL = "/v1/predictions"


@pytest.fixture(scope="session")
def body(predictor: Predictor) -> bytes:
    """Return a request for the prediction of one record."""
    return predictor.golden_records[0].record.model_dump_json().encode()


def test_the_service_is_ready(service: Service) -> None:
    assert service.request("GET", "/healthz").status == 200
    assert service.request("GET", "/readyz").status == 200


def test_golden_records_get_their_predictions(service: Service, predictor: Predictor) -> None:
    for golden in predictor.golden_records:
        response = service.request("POST", URL, golden.record.model_dump_json().encode())

        assert response.status == 200
        assert agrees(predictor.contract.prediction.model_validate_json(response.body), golden.prediction)


def test_predictions_are_in_the_order_of_the_records(service: Service, predictor: Predictor) -> None:
    golden = predictor.golden_records
    records = json.dumps([each.record.model_dump(mode="json") for each in golden]).encode()

    response = service.request("POST", URL, records)

    predictions = predictor.contract.predictions_adapter.validate_json(response.body)
    assert len(predictions) == len(golden)
    assert all(agrees(prediction, each.prediction) for prediction, each in zip(predictions, golden, strict=True))


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
    response = service.request("POST", URL, body, content_type)

    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.body)["status"] == status


def test_the_service_reports_the_trained_model(service: Service, predictor: Predictor) -> None:
    running = json.loads(service.request("GET", "/version").body)

    assert running["version"]
    assert running["model"] == predictor.metadata.model_dump(mode="json")


def test_the_openapi_document_describes_the_contract(service: Service, contract: Contract) -> None:
    document = json.loads(service.request("GET", "/openapi.json").body)

    assert tuple(document["components"]["schemas"]["Order"]["properties"]) == (*contract.features, "Fate")
    assert service.request("GET", "/docs/").status == 200
    assert service.request("GET", "/docs/swagger-ui-bundle.js").status == 200


def test_the_page_shows_a_prediction(service: Service, predictor: Predictor) -> None:
    # Given the form, with a record to start from
    form = service.request("GET", "/")
    page = Page(form.body.decode())
    assert form.status == 200
    assert len(page.sent) == len(predictor.contract.features)

    # When it is sent unchanged
    response = service.request("POST", "/", urlencode(page.sent).encode(), "application/x-www-form-urlencoded")

    # Then the page shows the label
    prediction = predictor.predict_one(predictor.golden_records[0].record)
    assert response.status == 200
    assert f'<p class="headline">{prediction.label}</p>' in html.unescape(response.body.decode())


def test_a_connection_is_kept_alive(service: Service, body: bytes) -> None:
    connection = service.connect()
    connection.connect()
    socket = connection.sock

    responses = [request_on(connection, "POST", URL, body) for _ in range(20)]

    assert {response.status for response in responses} == {200}
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


def test_an_idle_service_stops_with_status_zero(start_service: StartService) -> None:
    service = start_service()

    status, _ = service.stop()

    assert status == 0


def test_each_line_of_the_log_is_json(start_service: StartService, body: bytes) -> None:
    # Given a service that processed one request and refused another
    service = start_service(LOG_LEVEL="debug")
    service.request("POST", URL, body)
    service.request("GET", "/unknown")

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
    assert service.request("GET", "/readyz").status == 200


def test_a_killed_worker_is_replaced(start_service: StartService) -> None:
    # Given a service whose worker is killed
    service = start_service()
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    if not children.exists():
        pytest.skip("/proc has no list of child processes on this system")
    for worker in children.read_text().split():
        os.kill(int(worker), signal.SIGKILL)

    # Then another worker processes requests
    deadline = time.monotonic() + 20
    while True:
        try:
            assert service.request("GET", "/readyz").status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def drain(service: OwnService) -> subprocess.Popen[bytes]:
    """Start the hook that runs before a stop."""
    return subprocess.Popen([sys.executable, "-m", "mlops_runtime.serving.drain"], env=service.environment)


def test_a_draining_service_closes_the_connections_of_its_clients(start_service: StartService, body: bytes) -> None:
    # Given a client with an open connection
    service = start_service(DRAIN_SECONDS="1")
    connection = service.connect()
    assert "connection" not in request_on(connection, "POST", URL, body).headers

    # When the service has drained, and is not stopped yet
    with drain(service) as hook:
        assert hook.wait() == 0
    last = request_on(connection, "POST", URL, body)
    ready = service.request("GET", "/readyz")
    alive = service.request("GET", "/healthz")

    # Then the client gets its response with `Connection: close`, and the connection is closed
    assert (last.status, last.headers["connection"]) == (200, "close")
    assert connection.sock is None
    assert (ready.status, alive.status) == (503, 200)

    # And the stop leaves no marker behind
    status, _ = service.stop()
    assert status == 0
    assert not Path(service.environment["DRAIN_MARKER"]).exists()


def test_a_restarted_service_does_not_drain(start_service: StartService, tmp_path: Path) -> None:
    (tmp_path / "draining").touch()

    service = start_service()

    assert "connection" not in service.request("GET", "/readyz").headers


def test_no_request_is_lost_when_a_busy_service_stops(start_service: StartService, body: bytes) -> None:
    # Given clients that keep their connections open and send requests without a pause
    service = start_service(DRAIN_SECONDS="2", LOG_LEVEL="error")

    def send_until_closed(_: int) -> int:
        connection = service.connect()
        answered = 0
        while True:
            response = request_on(connection, "POST", URL, body)
            assert response.status == 200
            answered += 1
            if response.headers.get("connection") == "close":
                connection.close()
                return answered

    with ThreadPoolExecutor(8) as clients:
        responses = clients.map(send_until_closed, range(8))
        time.sleep(0.5)

        # When it drains and stops
        with drain(service) as hook:
            hook.wait()
        status, _ = service.stop()

        # Then each of them got all its responses, the last one with `Connection: close`
        assert sum(responses) > 100
        assert status == 0
