"""A generated project at work: its make commands, its commits, and clients that count what they ask."""

import http.client
import json
import math
import re
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.conftest import environment_of_a_user

PAUSE = 0.2
"""Seconds between two requests of a client: without them, clients would leave no processor to what they watch."""
VERSION_EVERY = 8
"""Requests of a client of which one asks for the version."""
GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost")


@dataclass
class Line:
    """A line of `make history`."""

    state: str
    version: str


@dataclass
class Workbench:
    """A project folder, the environment that its commands run in, and variables that make gets each time.

    A setting in the environment has the prefix MLOPS_, as in a pipeline.
    """

    folder: Path
    environment: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def make(self, *arguments: str, given: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run make in the folder, with a text on its standard input; the result holds exit status and both outputs."""
        with self.start(*arguments, **variables) as process:
            try:
                output, errors = process.communicate(given, timeout=1200)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start make in the folder, as the leader of a process group like one of an interactive shell."""
        inherited = {name: value for name, value in environment_of_a_user().items() if not name.startswith("MAKE")}
        settings = self.variables | variables
        return subprocess.Popen(
            ["make", *arguments, *(f"{name}={value}" for name, value in settings.items())],
            cwd=self.folder,
            env=inherited | self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    @property
    def aws(self) -> tuple[str, ...]:
        """The AWS CLI of the project's environment."""
        return (str(self.folder / ".venv/bin/python"), "-m", "awscli")

    def commit(self, message: str) -> str:
        """Commit every change; return the version that it makes."""
        subprocess.run([*GIT, "add", "--all"], cwd=self.folder, check=True)
        subprocess.run([*GIT, "commit", "--quiet", "--allow-empty", "--message", message], cwd=self.folder, check=True)
        return self.version()

    def restore(self) -> str:
        """Undo the last commit with another one; return the version that it makes."""
        subprocess.run([*GIT, "revert", "--no-edit", "HEAD"], cwd=self.folder, check=True, capture_output=True)
        return self.version()

    def git(self, *arguments: str) -> str:
        """Return what git prints in the folder."""
        command = ["git", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def version(self) -> str:
        """Return what `git describe` calls the current commit."""
        return self.git("describe", "--tags", "--always")

    def history(self) -> list[Line]:
        """Return what `make history` lists, the oldest release first."""
        result = self.make("history")
        assert result.returncode == 0, result.stderr
        return [Line(*re.split(r" {2,}", line.strip())[2:4]) for line in result.stdout.splitlines()]

    def golden(self) -> list[dict[str, Any]]:
        """Return the golden records of the trained model."""
        (path,) = self.folder.glob("src/*_model/artefact/golden.json")
        records: list[dict[str, Any]] = json.loads(path.read_text())
        return records


def one_error_line(result: subprocess.CompletedProcess[str]) -> str:
    """Return the lines of standard error that are not make's own report of the failing recipe."""
    return "\n".join(line for line in result.stderr.splitlines() if not line.startswith("make"))


def agrees(prediction: dict[str, Any], golden: dict[str, Any]) -> bool:
    """Return whether a prediction has the label of the golden one, or its value."""
    if "label" in golden:
        return bool(prediction["label"] == golden["label"])
    return math.isclose(prediction["value"], golden["value"], rel_tol=1e-6)


def with_key(key: str) -> dict[str, str]:
    """Return the headers of a request from who has an API key, or has none."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def ask(address: str, path: str, payload: Any = None, key: str = "") -> tuple[int, Any]:
    """Return status and JSON answer of one request over a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        if payload is None:
            connection.request("GET", path, headers=with_key(key))
        else:
            headers = {"Content-Type": "application/json"} | with_key(key)
            connection.request("POST", path, json.dumps(payload), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@dataclass
class Load:
    """Clients that send golden records one after another and count every answer.

    Half of them keep their connection for as long as the server lets them, half open a new one
    for each request. A request without an answer, or with another answer than the golden one,
    is lost.
    """

    address: str
    golden: list[dict[str, Any]]
    key: str = ""
    clients: int = 4
    pause: float = PAUSE
    answered: int = 0
    lost: list[str] = field(default_factory=list)
    versions: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(self.clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, client: int) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=10)
        keep_alive = client % 2 == 0
        # Each asks for the version at another time, so that none is missed that runs for seconds.
        number = client * VERSION_EVERY // self.clients
        while not self._stop.wait(self.pause):
            number += 1
            problem, version = self._one_request(connection, number)
            with self._lock:
                if problem:
                    self.lost.append(problem)
                else:
                    self.answered += 1
                if version:
                    self.versions[version] += 1
            if problem or not keep_alive:
                connection.close()
        connection.close()

    def _one_request(self, connection: http.client.HTTPConnection, number: int) -> tuple[str, str]:
        """Return what was wrong with one request, if anything, and the version if it was asked for."""
        try:
            if number % VERSION_EVERY == 0:
                connection.request("GET", "/version", headers=with_key(self.key))
                response = connection.getresponse()
                content = response.read()
                return ("", json.loads(content)["version"]) if response.status == 200 else (f"{response.status}", "")
            one = self.golden[number % len(self.golden)]
            headers = {"Content-Type": "application/json"} | with_key(self.key)
            connection.request("POST", "/v1/predictions", json.dumps(one["record"]), headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                return f"{response.status} {content!r}", ""
            if not agrees(json.loads(content), one["prediction"]):
                return f"wrong prediction {content!r}", ""
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}", ""
        return "", ""
