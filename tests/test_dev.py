"""`make dev`: an edit is visible at the next request. tests/live/test_dev.py runs the same tests in a container."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mlops_runtime.operations.predict import free_port
from tests.conftest import bake, share_environment
from tests.test_project import make, wait_for_group

TIMEOUT = 60.0
"""Seconds after which an edit counts as not visible."""
APP = "src/webservice/app.py"
PAGE = "src/webservice/templates/page.html"
CONTRACT = "src/oncology_model/datamodel.py"
ARTEFACT = "src/oncology_model/artefact"


@dataclass
class Development:
    """A project whose service runs by `make dev`.

    Attributes:
        folder: of the project.
        port: of the service.
        process: of make, the leader of a process group.
        log: file with what it prints.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a response."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
                return response.status, response.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def wait_for(self, path: str, status: int, text: str, timeout: float = TIMEOUT) -> str:
        """Wait until a response has a status and a text; return its body."""
        deadline = time.monotonic() + timeout
        latest: object = None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                latest = self.get(path)
            except (OSError, HTTPException) as error:
                latest = error
            else:
                if latest[0] == status and text in latest[1]:
                    return latest[1]
            time.sleep(0.05)
        pytest.fail(f"{path} has neither {status} nor {text}: {latest}\n{self.log.read_text()}")

    def wait_for_line(self, text: str) -> None:
        """Wait until the log has a text: what a container prints comes through its engine, after the response."""
        deadline = time.monotonic() + TIMEOUT
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, f"no line with {text}:\n{self.log.read_text()}"
            time.sleep(0.05)

    def replace(self, file: str, old: str, new: str) -> None:
        """Replace a text that occurs in a file."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))


@contextmanager
def development(folder: Path, command: str, log: Path, timeout: float = TIMEOUT) -> Iterator[Development]:
    """Yield a service that runs by a command of make and is ready in time; it has ended after the block."""
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["make", command, f"PORT={port}"], cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    service = Development(folder, port, process, log)
    try:
        service.wait_for("/readyz", 200, "", timeout)
        yield service
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(60)


@pytest.fixture(scope="module")
def trained(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose training takes seconds."""
    folder = share_environment(bake(tmp_path_factory.mktemp("dev")), project)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_BUDGET", "0")
        patch.setenv("MLOPS_FLOORS", "accuracy=0.5")
        result = make(folder, "train")
        assert result.returncode == 0, result.stderr
        yield folder


@pytest.fixture(scope="module")
def command() -> str:
    """The command under test."""
    return "dev.local"


@pytest.fixture(scope="module")
def service(trained: Path, command: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Development]:
    with development(trained, command, tmp_path_factory.mktemp("log") / "log") as service:
        yield service


def test_an_edit_of_the_application_is_visible(service: Development) -> None:
    service.replace(APP, 'TITLE = "Oncology"', 'TITLE = "Edited"')
    service.wait_for("/", 200, "<title>Edited</title>")

    # The same size, soon afterwards: as an editor saves it.
    service.replace(APP, 'TITLE = "Edited"', 'TITLE = "eDITED"')
    service.wait_for("/", 200, "<title>eDITED</title>")


def test_a_page_that_comes_changes_and_goes_is_visible(service: Development) -> None:
    page = service.folder / PAGE
    page.parent.mkdir()
    for footer in ("One", "Two"):
        page.write_text(f'{{% extends "runtime/page.html" %}}{{% block footer %}}<p>{footer}</p>{{% endblock %}}')
        service.wait_for("/", 200, f"<p>{footer}</p>")
    shutil.rmtree(page.parent)
    service.wait_for("/", 200, "/docs")


def test_an_edit_of_the_contract_is_visible(service: Development) -> None:
    service.replace(CONTRACT, "How much the cells differ in size", "Difference of the sizes")

    service.wait_for("/openapi.json", 200, "Difference of the sizes")


def test_a_new_artefact_is_visible(service: Development) -> None:
    service.replace("project.mk", "SEED ?= 0", "SEED ?= 1")
    result = make(service.folder, "train", "VERSION=2.0.0")
    assert result.returncode == 0, result.stderr

    service.wait_for("/version", 200, "2.0.0")


def syntax_error(service: Development) -> None:
    service.replace(APP, "def create_app(", "def create_app((")


def unknown_name(service: Development) -> None:
    service.replace(APP, "import load", "import load, no_such_name")


def exception(service: Development) -> None:
    service.replace(APP, "TEMPLATES =", "1 / 0\nTEMPLATES =")


def contract_without_a_field(service: Development) -> None:
    text = (service.folder / CONTRACT).read_text()
    shorter = re.sub(r"    mitoses: .*?\n    \)\n", "", text, flags=re.DOTALL)
    assert shorter != text
    (service.folder / CONTRACT).write_text(shorter)


def no_artefact(service: Development) -> None:
    (service.folder / ARTEFACT).rename(service.folder / "build/artefact")


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        pytest.param(syntax_error, "SyntaxError: ", id="syntax error"),
        pytest.param(unknown_name, "ImportError: cannot import name 'no_such_name'", id="import"),
        pytest.param(exception, "ZeroDivisionError: ", id="exception"),
        pytest.param(contract_without_a_field, "make train", id="contract that does not fit the artefact"),
        pytest.param(no_artefact, "make train", id="no artefact"),
        pytest.param(
            lambda service: (service.folder / APP).unlink(),
            "ModuleNotFoundError: No module named 'webservice.app'",
            id="deleted file",
        ),
    ],
)
def test_a_broken_edit_is_explained_until_it_is_mended(
    service: Development, break_it: Callable[[Development], None], reason: str
) -> None:
    # Given a service that answers
    contents = {file: (service.folder / file).read_text() for file in (APP, CONTRACT)}
    service.wait_for("/readyz", 200, "")

    # When an edit breaks it
    break_it(service)
    try:
        # Then each request is told why, in a few lines of the project alone, and so is who made the edit
        answer = service.wait_for("/", 503, reason)
        assert len(answer.splitlines()) <= 5
        assert "vendor" not in answer
        service.wait_for_line(reason)
    finally:
        for file, text in contents.items():
            (service.folder / file).write_text(text)
        if (service.folder / "build/artefact").exists():
            (service.folder / "build/artefact").rename(service.folder / ARTEFACT)

    # And the next edit is taken
    service.wait_for("/readyz", 200, "")


def test_no_request_is_refused_while_edits_follow_one_another(service: Development) -> None:
    # Given a caller that asks all the time
    service.wait_for("/readyz", 200, "")
    stop = threading.Event()
    statuses: list[int] = []
    errors: list[str] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                statuses.append(service.get("/version")[0])
            except (OSError, HTTPException) as error:
                errors.append(repr(error))

    caller = threading.Thread(target=ask)
    caller.start()

    # When the application is edited again and again
    title = re.search(r'TITLE = ".*"', (service.folder / APP).read_text())
    assert title
    before = title[0]
    for number in range(20):
        # As editors save a file: by a new one that takes its place.
        text = (service.folder / APP).read_text().replace(before, before := f'TITLE = "Title {number}"')
        (service.folder / "src/webservice/.app.py").write_text(text)
        (service.folder / "src/webservice/.app.py").rename(service.folder / APP)
        if number % 5 == 0:
            service.wait_for("/", 200, f"Title {number}")
    service.wait_for("/", 200, "Title 19")

    # Then no request was refused or got an error; a connection may be closed before its request is read
    stop.set()
    caller.join()
    assert set(statuses) == {200}
    assert not [error for error in errors if "refused" in error]


def test_a_second_one_at_the_same_port_is_refused(service: Development, command: str) -> None:
    (service.folder / "build/trained").touch()
    result = make(service.folder, command, f"PORT={service.port}")

    assert result.returncode != 0
    assert f"cannot listen on 127.0.0.1:{service.port}: Address already in use" in result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    service.wait_for("/readyz", 200, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_during_an_edit_leaves_nothing(trained: Path, command: str, tmp_path: Path, number: int) -> None:
    # Given a service that takes an edit; its model needs no training
    (trained / "build/trained").touch()
    with development(trained, command, tmp_path / "log") as service:
        (trained / APP).touch()

        # When it is stopped, by Ctrl-C in a terminal or by a signal to make
        if number == signal.SIGINT:
            os.killpg(service.process.pid, number)
        else:
            service.process.send_signal(number)
        service.process.wait(60)

    # Then it ends without a traceback, and each of its processes
    assert "Traceback" not in service.log.read_text()
    with pytest.raises(ProcessLookupError):
        wait_for_group(service.process.pid)
    with pytest.raises(OSError, match="refused"):
        service.get("/readyz")


def test_without_an_engine_the_service_runs_on_this_machine(trained: Path) -> None:
    result = make(trained, "--dry-run", "dev", "DOCKER=no-such-engine")

    assert result.returncode == 0, result.stderr
    assert "no-such-engine does not answer: the service runs on this machine, without a container" in result.stdout
    assert "RELOAD=src" in result.stdout
