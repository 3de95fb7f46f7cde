import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from werkzeug.test import Client

from mlops_runtime.model.artefact import ArtefactError
from mlops_runtime.model.predictor import Predictor
from mlops_runtime.serving import server as serve
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.middleware.guard import Guard
from mlops_runtime.serving.settings import Settings


class ServerStandIn:
    """Takes the place of granian where only what happens around it matters."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = []
        self.served = False
        self.while_serving: Callable[[], None] = lambda: None

    def on_startup(self, hook: Callable[[], None]) -> None:
        self.hooks.append(hook)

    def serve(self) -> None:
        self.served = True
        self.while_serving()


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """Leave the loggers as they were: the service sets them up for its whole process."""
    names = (None, "webservice", "_granian", "granian.access")
    before = [(logger, logger.level, logger.propagate, logger.handlers[:]) for logger in map(logging.getLogger, names)]
    yield
    for logger, level, propagate, handlers in before:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def marker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int, predictor: Predictor) -> Path:
    """Set up all that the service needs to start; return the path of its drain marker."""
    monkeypatch.setenv("PORT", str(free_port))
    monkeypatch.setenv("DRAIN_MARKER", str(tmp_path / "draining"))
    # The service sets it for its workers: what is set here is put back.
    monkeypatch.setenv("METRICS_FOLDER", "")
    monkeypatch.setattr(Predictor, "load", lambda: predictor)
    return tmp_path / "draining"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """Return what the service logs."""
    output = StringIO()
    monkeypatch.setattr("mlops_runtime.serving.telemetry.log_output.STANDARD_OUTPUT", output)
    return output


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ServerStandIn:
    server = ServerStandIn()
    monkeypatch.setattr(serve, "granian_server", lambda *_: server)
    return server


def test_a_marker_that_an_earlier_process_left_is_gone_before_the_server_runs(
    marker: Path, server: ServerStandIn
) -> None:
    # Given a marker that an earlier process left
    marker.touch()
    seen: list[bool] = []
    server.while_serving = lambda: seen.append(marker.exists())

    # When the service starts
    status = serve.main()

    # Then it serves without draining, and is prepared to drain before it stops
    assert status == 0
    assert seen == [False]
    assert len(server.hooks) == 1


@pytest.mark.parametrize("status", [0, 1])
def test_no_marker_is_left_behind(marker: Path, server: ServerStandIn, status: int) -> None:
    # Given a server that drains and ends
    def drain_and_end() -> None:
        marker.touch()
        raise SystemExit(status)

    server.while_serving = drain_and_end

    # When the service runs
    with pytest.raises(SystemExit):
        serve.main()

    # Then the next one does not find its marker
    assert not marker.exists()


@pytest.mark.usefixtures("marker")
def test_the_processes_count_together_in_a_folder_that_goes_with_the_service(server: ServerStandIn) -> None:
    # Given a service without a folder for its counts
    seen: list[Path] = []

    def look() -> None:
        seen.append(Path(os.environ["METRICS_FOLDER"]))
        assert seen[0].is_dir()
        (seen[0] / "counts").touch()

    server.while_serving = look

    # When it runs, then its processes get one, which is gone afterwards
    assert serve.main() == 0
    assert not seen[0].exists()


@pytest.mark.usefixtures("marker")
def test_a_folder_for_counts_that_is_given_stays(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METRICS_FOLDER", str(tmp_path))
    seen: list[str] = []
    server.while_serving = lambda: seen.append(os.environ["METRICS_FOLDER"])

    assert serve.main() == 0
    assert seen == [str(tmp_path)]
    assert tmp_path.exists()


def refuse(reason: str) -> Callable[[], Predictor]:
    def load() -> Predictor:
        raise ArtefactError(reason)

    return load


@pytest.mark.usefixtures("marker")
def test_without_a_model_there_is_no_service(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, output: StringIO
) -> None:
    # Given an artefact that cannot be used
    monkeypatch.setattr(Predictor, "load", refuse("model.onnx is another one"))

    # When the service starts
    status = serve.main()

    # Then it ends with one line that says why
    assert status == 1
    assert not server.served
    (line,) = output.getvalue().splitlines()
    assert '"level": "critical"' in line
    assert "cannot start: model.onnx is another one" in line


@pytest.mark.usefixtures("marker")
def test_a_wrong_setting_is_refused(server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, output: StringIO) -> None:
    monkeypatch.setenv("WORKERS", "many")

    assert serve.main() == 1
    assert not server.served
    assert "WORKERS=many is not usable" in output.getvalue()


@pytest.mark.usefixtures("marker")
def test_the_operator_has_a_key_for_as_long_as_the_service_runs(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    # Given a service that wants keys, and an earlier one that was killed
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "caller").write_text("0" * 64)
    monkeypatch.setenv("API_KEYS", str(keys))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    operator_key = tmp_path / f"webservice-{free_port}.key"
    operator_key.write_text("old")
    seen: list[str] = []
    server.while_serving = lambda: seen.append(operator_key.read_text())

    # When it runs
    status = serve.main()

    # Then the operator has a new key, and none when it has ended
    assert status == 0
    assert len(seen[0]) == 43
    assert not operator_key.exists()


@pytest.mark.usefixtures("marker")
def test_a_service_that_wants_keys_and_has_none_is_refused(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: StringIO
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("API_KEYS", str(tmp_path / "missing"))

    assert serve.main() == 1
    assert not server.served
    assert "missing cannot be read" in output.getvalue()


@pytest.mark.usefixtures("marker")
def test_a_port_that_is_taken_is_refused(server: ServerStandIn, free_port: int, output: StringIO) -> None:
    # Given a service at the port, which would share it
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port))
        other.listen()

        # When a second one starts
        status = serve.main()

    # Then it does not
    assert status == 1
    assert not server.served
    assert f"cannot listen on 127.0.0.1:{free_port}" in output.getvalue()


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(OSError, match=r"cannot listen on host\.invalid:8000"):
        serve.free_address("host.invalid", 8000)


@pytest.mark.parametrize(("host", "addresses"), [("localhost", {"127.0.0.1", "::1"}), ("0.0.0.0", {"0.0.0.0"})])
def test_a_host_is_looked_up(host: str, addresses: set[str], free_port: int) -> None:
    assert serve.free_address(host, free_port) in addresses


def test_the_server_follows_the_settings() -> None:
    server = serve.granian_server(Settings(port=8123, workers=2, threads=3, log_level="error"), "127.0.0.1")

    assert (server.bind_addr, server.bind_port) == ("127.0.0.1", 8123)
    assert (server.workers, server.blocking_threads) == (2, 3)
    assert server.respawn_failed_workers
    assert server.workers_kill_timeout == serve.STOP_TIMEOUT
    assert logging.getLogger("_granian").level == logging.ERROR


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1024, 4096, 4096, 4096 - serve.OWN_FILES),
        (1024, 1 << 20, serve.MAX_FILES, serve.MAX_FILES - serve.OWN_FILES),
        (1024, resource.RLIM_INFINITY, serve.MAX_FILES, serve.MAX_FILES - serve.OWN_FILES),
        (1 << 19, 1 << 20, 1 << 19, serve.MAX_FILES - serve.OWN_FILES),
        (20, 20, 20, 1),
    ],
    ids=["little", "much", "any", "more-than-needed", "hardly-any"],
)
def test_a_process_may_open_as_many_files_as_it_has_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, connections: int
) -> None:
    # Given a system that allows so many files
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))

    # Then the limit is raised as far as it is of use, and the connections stay below it
    assert serve.connections() == connections
    assert limits == [(raised, hard)]


@pytest.mark.usefixtures("marker")
def test_a_worker_answers_and_counts_under_guard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a worker whose log lost two lines
    beats: list[Callable[[int], None]] = []
    frozen: list[bool] = []
    monkeypatch.setenv("METRICS_FOLDER", str(tmp_path))
    monkeypatch.setattr(Guard, "start", lambda _, beat: beats.append(beat))
    monkeypatch.setattr(serve.gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(serve.STANDARD_OUTPUT, "dropped_since", lambda: 2)
    client = Client(serve.application())

    # When its guard looks while there are three requests
    (beat,) = beats
    beat(3)

    # Then it tells of them
    assert client.get("/readyz").status_code == 200
    metrics = client.get("/metrics").text.splitlines()
    assert "webservice_requests_in_work 3.0" in metrics
    assert "webservice_log_lines_dropped_total 2.0" in metrics
    assert frozen


class Stop:
    """Takes the place of granian's handler of a SIGTERM."""

    def __init__(self) -> None:
        self.called = threading.Event()

    def __call__(self, *_: object) -> None:
        self.called.set()


@pytest.fixture
def stop() -> Iterator[Stop]:
    before = signal.getsignal(signal.SIGTERM)
    stop = Stop()
    signal.signal(signal.SIGTERM, stop)
    yield stop
    signal.signal(signal.SIGTERM, before)


def test_a_stop_that_nothing_prepared_drains_first(stop: Stop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that takes a moment to say goodbye
    monkeypatch.setattr(serve, "FAREWELL", 0.05)
    serve.drain_before_stop(Marker(tmp_path / "draining"))

    # When it is told to stop
    os.kill(os.getpid(), signal.SIGTERM)

    # Then it drains, and stops
    assert (tmp_path / "draining").exists()
    assert not stop.called.is_set()
    assert stop.called.wait(5)


def test_a_stop_after_draining_is_a_stop(stop: Stop, tmp_path: Path) -> None:
    marker = Marker(tmp_path / "draining")
    marker.put()
    serve.drain_before_stop(marker)

    os.kill(os.getpid(), signal.SIGTERM)

    assert stop.called.is_set()


def test_a_stop_happens_even_when_nothing_can_be_written(
    stop: Stop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serve.drain_before_stop(Marker(tmp_path / "missing" / "draining"))

    os.kill(os.getpid(), signal.SIGTERM)

    assert stop.called.is_set()
    assert "stopping without draining" in caplog.text


def test_a_server_that_handles_no_signal_is_a_mistake(tmp_path: Path) -> None:
    assert not callable(signal.getsignal(signal.SIGTERM))

    with pytest.raises(TypeError, match="has not started"):
        serve.drain_before_stop(Marker(tmp_path / "draining"))


@pytest.mark.parametrize("module", ["webservice", "mlops_runtime.serving.drain"])
def test_a_module_that_runs_ends_with_its_status(module: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PORT": "wrong"}

    result = subprocess.run(
        [sys.executable, "-m", module], env=environment, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "PORT=wrong is not usable" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_the_application_for_a_server_is_there(monkeypatch: pytest.MonkeyPatch, predictor: Predictor) -> None:
    monkeypatch.setattr(Predictor, "load", lambda: predictor)

    from webservice.wsgi import app

    assert app.test_client().get("/healthz").status_code == 200
