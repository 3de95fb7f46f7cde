import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from numpy.typing import NDArray
from werkzeug.test import Client

from mlops_runtime.contract import Features
from mlops_runtime.model import ArtefactError, BasePredictor, OnnxPredictor, Predictor
from mlops_runtime.serving import server as serve
from mlops_runtime.serving.drain import Marker
from mlops_runtime.serving.settings import Settings
from tests.runtime.serving.conftest import app_of

FACTORY = f"{__name__}:create_project_app"


class Project:
    """What the factory of a project serves, or the error that it raises."""

    predictor: Predictor
    error: Exception | None = None


def create_project_app() -> Flask:
    """Return the application of a project."""
    if Project.error:
        raise Project.error
    return app_of(Project.predictor, Settings.from_environment())


class ServerStandIn:
    """Replaces granian in tests of what happens around it."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[], None]] = []
        self.served = False
        self.while_serving: Callable[[], None] = lambda: None

    def on_startup(self, hook: Callable[[], None]) -> None:
        self.hooks.append(hook)

    def serve(self, **_: Any) -> None:
        self.served = True
        self.while_serving()


@pytest.fixture(autouse=True)
def unchanged_logging() -> Iterator[None]:
    """Restore the loggers, which the service configures for its whole process."""
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
    """The drain marker of a service that can start."""
    monkeypatch.setenv("PORT", str(free_port))
    monkeypatch.setenv("DRAIN_MARKER", str(tmp_path / "draining"))
    # The service sets it for its workers: it is restored after the test.
    monkeypatch.setenv(serve.METRICS_FOLDER, "")
    monkeypatch.setattr(Project, "predictor", predictor, raising=False)
    # Making an application in a process of its own is tested apart.
    monkeypatch.setattr(serve, "can_start", lambda _: True)
    return tmp_path / "draining"


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """The log of the service."""
    output = StringIO()
    monkeypatch.setattr("mlops_runtime.serving.telemetry.log_output.STANDARD_OUTPUT", output)
    return output


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ServerStandIn:
    server = ServerStandIn()
    monkeypatch.setattr(serve, "granian_server", lambda *_: server)
    return server


def test_the_marker_of_an_earlier_process_is_removed_at_start(marker: Path, server: ServerStandIn) -> None:
    # Given a marker that an earlier process left
    marker.touch()
    seen: list[bool] = []
    server.while_serving = lambda: seen.append(marker.exists())

    # When the service starts
    status = serve.main(FACTORY)

    # Then it serves without draining, and is prepared to drain before it stops
    assert status == 0
    assert seen == [False]
    assert serve.let_forks_end_on_sigterm in server.hooks
    assert len(server.hooks) == 2


@pytest.mark.parametrize("status", [0, 1])
def test_the_marker_is_removed_at_the_end(marker: Path, server: ServerStandIn, status: int) -> None:
    # Given a server that drains and ends
    def drain_and_end() -> None:
        marker.touch()
        raise SystemExit(status)

    server.while_serving = drain_and_end

    # When the service runs
    with pytest.raises(SystemExit):
        serve.main(FACTORY)

    # Then the next one does not find its marker
    assert not marker.exists()


@pytest.mark.usefixtures("marker")
def test_the_folder_of_the_metrics_is_removed_with_the_service(server: ServerStandIn) -> None:
    # Given a service without a folder for its counts
    seen: list[Path] = []

    def look() -> None:
        seen.append(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        assert seen[0].is_dir()
        (seen[0] / "counts").touch()

    server.while_serving = look

    # When it runs, then its processes get one, which is gone afterwards
    assert serve.main(FACTORY) == 0
    assert not seen[0].exists()


@pytest.mark.usefixtures("marker")
def test_a_given_folder_of_the_metrics_is_kept(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    seen: list[str] = []
    server.while_serving = lambda: seen.append(os.environ["PROMETHEUS_MULTIPROC_DIR"])

    assert serve.main(FACTORY) == 0
    assert seen == [str(tmp_path)]
    assert tmp_path.exists()


@pytest.mark.parametrize("error", [None, ArtefactError("model.onnx has changed")], ids=["usable", "unusable"])
def test_a_service_can_start_if_its_application_can_be_made(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def create_app() -> Flask:
        if error:
            raise error
        return Flask("project")

    monkeypatch.setattr(sys.modules[__name__], "create_project_app", create_app)

    assert serve.can_start(FACTORY) == (error is None)


@pytest.mark.parametrize("error", [ArtefactError("model.onnx has changed"), serve.SettingsError("PORT=x is wrong")])
def test_the_reason_why_an_application_cannot_be_made_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    # Given an artefact or a setting that cannot be used
    monkeypatch.setenv(serve.METRICS_FOLDER, "")
    monkeypatch.setattr(Project, "error", error)

    # When the application is made on trial
    with pytest.raises(SystemExit) as ended:
        serve.try_application(FACTORY)

    # Then one line has the reason
    assert ended.value.code == 1
    (line,) = caplog.records
    assert (line.levelname, line.getMessage()) == ("CRITICAL", f"cannot start: {error}")


def test_a_repeated_route_is_refused(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    # Given a project that repeats a route
    def create_app() -> Flask:
        app = Flask("project")
        app.add_url_rule("/healthz", "health", lambda: "alive")
        app.add_url_rule("/healthz", "own_health", lambda: "fine")
        return app

    monkeypatch.setenv(serve.METRICS_FOLDER, "")
    monkeypatch.setattr(sys.modules[__name__], "create_project_app", create_app)

    # When the application is made on trial
    with pytest.raises(SystemExit, match="1"):
        serve.try_application(FACTORY)

    # Then the log says which route to change
    message = caplog.records[-1].getMessage()
    assert message.startswith("cannot start: GET /healthz is registered twice")
    assert message.endswith("give the route in app.py another path")


@pytest.mark.parametrize("error", [KeyError("CONTACT"), SystemExit(0)], ids=["error", "exit"])
def test_a_factory_that_fails_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    monkeypatch.setenv(serve.METRICS_FOLDER, "")
    monkeypatch.setattr(Project, "error", error)

    with pytest.raises(SystemExit, match="1"):
        serve.try_application(FACTORY)

    (line,) = caplog.records
    assert line.getMessage().startswith(f"cannot start: {FACTORY} failed with {type(error).__name__}: ")
    assert line.exc_info


def test_a_factory_that_cannot_be_imported_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert not serve.can_start("no_such_module:create_app")

    assert caplog.records[-1].getMessage().startswith("cannot start: no_such_module:create_app failed with ")


@pytest.mark.usefixtures("marker")
def test_a_service_without_an_application_does_not_start(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "can_start", lambda _: False)

    assert serve.main(FACTORY) == 1
    assert not server.served


@pytest.mark.usefixtures("marker")
def test_a_wrong_setting_is_refused(server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, output: StringIO) -> None:
    monkeypatch.setenv("WORKERS", "many")

    assert serve.main(FACTORY) == 1
    assert not server.served
    assert "WORKERS=many is not usable" in output.getvalue()


@pytest.mark.usefixtures("marker")
def test_the_operators_key_exists_while_the_service_runs(
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
    status = serve.main(FACTORY)

    # Then the operator has a new key, and none when it has ended
    assert status == 0
    assert len(seen[0]) == 43
    assert not operator_key.exists()


@pytest.mark.usefixtures("marker")
def test_keys_of_the_environment_are_a_folder_while_the_service_runs(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free_port: int
) -> None:
    # Given a platform that gives hashes of keys, and the operator's key, as variables
    monkeypatch.setenv("API_KEYS", "")
    monkeypatch.setenv("API_KEY_HASHES", f"hospital:{'1' * 64} ../ward:{'2' * 64}")
    monkeypatch.setenv("OPERATOR_KEY", "the operator's")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[dict[str, str]] = []

    def look() -> None:
        folder = Path(os.environ["API_KEYS"])
        operator_key = tmp_path / f"webservice-{free_port}.key"
        seen.append({path.name: path.read_text() for path in (*folder.iterdir(), operator_key)})

    server.while_serving = look

    # When the service runs
    status = serve.main(FACTORY)

    # Then it has a file for each, in its own folder, which is gone when it has ended
    assert status == 0
    assert seen == [{"hospital": "1" * 64, "ward": "2" * 64, f"webservice-{free_port}.key": "the operator's"}]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("marker")
def test_an_empty_list_of_keys_lets_nobody_in(
    server: ServerStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("API_KEYS", "")
    monkeypatch.setenv("API_KEY_HASHES", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folders: list[str] = []
    server.while_serving = lambda: folders.append(os.environ["API_KEYS"])

    serve.main(FACTORY)

    # The application refuses to start with a folder that holds no key.
    assert folders[0].startswith(str(tmp_path))


@pytest.mark.usefixtures("marker")
def test_a_port_in_use_is_refused(server: ServerStandIn, free_port: int, output: StringIO) -> None:
    # Given a service at the port, which would share it
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port))
        other.listen()

        # When a second one starts
        status = serve.main(FACTORY)

    # Then it does not
    assert status == 1
    assert not server.served
    assert f"cannot listen on 127.0.0.1:{free_port}" in output.getvalue()


def test_an_unknown_host_is_refused() -> None:
    with pytest.raises(OSError, match=r"cannot listen on host\.invalid:8000"):
        serve.available_address("host.invalid", 8000)


@pytest.mark.parametrize(("host", "addresses"), [("localhost", {"127.0.0.1", "::1"}), ("0.0.0.0", {"0.0.0.0"})])
def test_a_host_is_resolved(host: str, addresses: set[str], free_port: int) -> None:
    assert serve.available_address(host, free_port) in addresses


def test_the_server_follows_the_settings() -> None:
    server = serve.granian_server(Settings(port=8123, workers=2, log_level="error"), "127.0.0.1")

    assert (server.bind_addr, server.bind_port) == ("127.0.0.1", 8123)
    assert server.workers == 2
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
def test_the_limit_of_open_files_is_raised_for_the_connections(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, raised: int, connections: int
) -> None:
    # Given a system that allows so many files
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))

    # Then the limit is raised as far as it is of use, and the connections stay below it
    assert serve.max_connections() == connections
    assert limits == [(raised, hard)]


@pytest.mark.usefixtures("marker")
def test_a_worker_reports_to_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a worker whose log lost two lines
    fronts: list[tuple[Any, ...]] = []
    frozen: list[bool] = []
    monkeypatch.setattr(serve, "Front", lambda *arguments, **_: fronts.append(arguments))
    monkeypatch.setattr(serve.gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(serve.STANDARD_OUTPUT, "take_dropped", lambda: 2)
    threshold, interval = gc.get_threshold(), sys.getswitchinterval()
    serve.worker(FACTORY)
    ((application, _, _, report),) = fronts

    # When it reports three requests in work
    report(3)

    # Then the metrics have both
    metrics = Client(application).get("/metrics").text
    assert "webservice_requests_in_work 3.0" in metrics
    assert "webservice_log_lines_dropped_total 2.0" in metrics
    assert frozen
    gc.set_threshold(*threshold)
    sys.setswitchinterval(interval)


def test_only_predictions_of_the_runtime_run_on_the_event_loop(predictor: OnnxPredictor) -> None:
    class Renamed(OnnxPredictor):
        """A predictor as a new project has it."""

    class Own(OnnxPredictor):
        """A predictor with code of a project."""

        def outputs(self, features: Features) -> NDArray[np.float64]:
            return super().outputs(features)

    class AnotherKind(BasePredictor):
        """A predictor without outputs."""

        def load_model(self, files: Mapping[str, bytes]) -> None:
            pass

        def predictions(self, features: Features) -> list[Any]:
            return [None] * len(features)

    assert serve.may_run_on_event_loop(Renamed(predictor.artefact))
    assert not serve.may_run_on_event_loop(Own(predictor.artefact))
    assert not serve.may_run_on_event_loop(AnotherKind(predictor.artefact))


@pytest.mark.usefixtures("marker")
def test_a_worker_whose_artefact_has_changed_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Project, "error", ArtefactError("model.onnx has changed"))

    with pytest.raises(ArtefactError):
        serve.worker(FACTORY)

    assert "cannot start a worker: model.onnx has changed" in caplog.text


class Stop:
    """Replaces granian's handler of a SIGTERM."""

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


def test_a_stop_without_a_drain_hook_drains_first(stop: Stop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a server that drains for a moment before it stops
    monkeypatch.setattr(serve, "DRAIN_BEFORE_STOP", 0.05)
    serve.drain_before_stop(Marker(tmp_path / "draining"))

    # When it receives a SIGTERM
    os.kill(os.getpid(), signal.SIGTERM)

    # Then it drains, and stops
    assert (tmp_path / "draining").exists()
    assert not stop.called.is_set()
    assert stop.called.wait(5)


def test_a_stop_after_draining_is_immediate(stop: Stop, tmp_path: Path) -> None:
    marker = Marker(tmp_path / "draining")
    marker.create()
    serve.drain_before_stop(marker)

    os.kill(os.getpid(), signal.SIGTERM)

    assert stop.called.is_set()


def test_a_stop_happens_even_without_a_marker(stop: Stop, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    serve.drain_before_stop(Marker(tmp_path / "missing" / "draining"))

    os.kill(os.getpid(), signal.SIGTERM)

    assert stop.called.is_set()
    assert "stopping without draining" in caplog.text


def test_a_server_that_handles_no_signal_is_an_error(tmp_path: Path) -> None:
    assert not callable(signal.getsignal(signal.SIGTERM))

    with pytest.raises(TypeError, match="has not started"):
        serve.drain_before_stop(Marker(tmp_path / "draining"))


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("import sys; from mlops_runtime.serving.server import main; sys.exit(main())", id="server"),
        pytest.param("import sys; from mlops_runtime.serving.drain import main; sys.exit(main())", id="drain"),
    ],
)
def test_a_command_ends_with_its_status(command: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PORT": "wrong"}

    result = subprocess.run(
        [sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=False
    )

    assert result.returncode == 1
    assert "PORT=wrong is not usable" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_the_drain_hook_starts_without_the_application() -> None:
    code = "import sys, mlops_runtime.serving.drain; sys.exit('onnxruntime' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


FORKS = """
import os, signal, time
from mlops_runtime.serving.server import let_forks_end_on_sigterm

for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
let_forks_end_on_sigterm()
for _ in range(50):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(1)
    os.kill(child, signal.SIGINT)
    os.kill(child, signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
"""


def test_a_worker_that_has_just_been_forked_ends_on_sigterm() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FORKS]

    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


def test_ctrl_c_while_the_service_starts_ends_it_without_a_traceback(
    server: ServerStandIn, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: str) -> bool:
        signal.raise_signal(signal.SIGINT)
        return True

    monkeypatch.setattr(serve, "can_start", interrupt)

    assert serve.main(FACTORY) == serve.INTERRUPTED
    assert not server.served
    assert not marker.exists()
