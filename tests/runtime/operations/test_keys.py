import hashlib
import json
import os
import pty
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from stat import S_IXUSR

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations import keys
from mlops_runtime.operations.keys import main

RUNTIME = Path(keys.__file__).parents[2]
KUBECTL = """
# Keeps a Secret in secret.json, and a line for each command in commands.txt.
import base64, json, pathlib, sys
here = pathlib.Path(__file__).parent
secret = here / "secret.json"
with (here / "commands.txt").open("a") as file:
    print(*sys.argv[1:], file=file)
if (here / "broken").exists():
    sys.exit("Error from server (Forbidden)")
data = json.loads(secret.read_text()).get("data", {}) if secret.exists() else {}
match sys.argv[1:]:
    case ["get", "secret", "keys", "--ignore-not-found", "--output", "json"]:
        print(secret.read_text() if secret.exists() else "", end="")
        sys.exit()
    case ["create", "secret", "generic", "keys", literal]:
        name, content = literal.removeprefix("--from-literal=").split("=")
        data[name] = base64.b64encode(content.encode()).decode()
    case ["patch", "secret", "keys", "--type", "merge", "--patch", patch]:
        data |= json.loads(patch)["data"]
    case ["annotate", "pods", "--selector", "app=x", "--overwrite", _]:
        pass
    case command:
        sys.exit(f"unknown command: {command}")
kept = dict((name, content) for name, content in data.items() if content is not None)
# The API server leaves out what is empty.
secret.write_text(json.dumps(dict(data=kept) if kept else dict()))
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A stub of kubectl, for a cluster with nothing but a Secret."""
    program = tmp_path / "kubectl"
    script = tmp_path / "kubectl.py"
    script.write_text(KUBECTL)
    # The path of a program in the first line of a script may have no space.
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    program.chmod(program.stat().st_mode | S_IXUSR)
    return program


def put(kubectl: Path, *names: str) -> None:
    """Put keys of callers on the cluster."""
    data = {name: b64encode(name.encode()).decode() for name in names}
    kubectl.with_name("secret.json").write_text(json.dumps({"data": data} if data else {}))


def on_cluster(kubectl: Path) -> dict[str, str]:
    """Return the content of the Secret."""
    data = json.loads(kubectl.with_name("secret.json").read_text()).get("data", {})
    return {name: b64decode(content).decode() for name, content in data.items()}


def commands(kubectl: Path) -> str:
    return kubectl.with_name("commands.txt").read_text()


def arguments(kubectl: Path, *command: str) -> list[str]:
    return ["--kubectl", f"'{kubectl}'", "--secret", "keys", "--selector", "app=x", *command]


@pytest.mark.parametrize("names", [None, [], ["other"]], ids=["no Secret", "an empty Secret", "another key"])
def test_a_new_key_is_printed_and_its_hash_is_on_the_cluster(
    kubectl: Path, capsys: pytest.CaptureFixture[str], names: list[str] | None
) -> None:
    # Given a cluster with some keys
    if names is not None:
        put(kubectl, *names)

    # When a key is created
    status = main(arguments(kubectl, "--add", "hospital"))

    # Then it is all of standard output, so that it can be piped
    assert status == 0
    key, instructions = capsys.readouterr()
    assert len(key.strip()) == 43  # 256 bits in base64
    assert "Bearer" in instructions
    # And the cluster has its hash beside those of the other keys, and never got the key itself
    assert on_cluster(kubectl)["hospital"] == hashlib.sha256(key.strip().encode()).hexdigest()
    assert sorted(on_cluster(kubectl)) == sorted([*(names or []), "hospital"])
    assert key.strip() not in commands(kubectl)


def test_keys_are_different(kubectl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "other"):
        main(arguments(kubectl, "--add", name))

    first, second = capsys.readouterr().out.split()
    assert first != second


@pytest.mark.parametrize("command", [["--first"], ["--add", "laboratory"], ["--remove", "hospital"]])
def test_running_pods_are_made_to_read_the_keys(kubectl: Path, command: list[str]) -> None:
    if command != ["--first"]:
        put(kubectl, "hospital", "other")

    main(arguments(kubectl, *command))

    assert commands(kubectl).splitlines()[-1].startswith("annotate pods --selector app=x --overwrite api-keys-changed=")


def test_a_key_is_printed_when_the_pods_cannot_be_annotated(kubectl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Given a cluster on which pods may not be changed
    put(kubectl, "other")

    # When a key is created
    status = main(["--kubectl", f"'{kubectl}'", "--secret", "keys", "--selector", "app=y", "--add", "hospital"])

    # Then it is printed, because it is on the cluster, and the error says what follows
    key, errors = capsys.readouterr()
    assert status == 1
    assert on_cluster(kubectl)["hospital"] == hashlib.sha256(key.strip().encode()).hexdigest()
    assert "the pods notice only after a minute: kubectl cannot annotate pods" in errors


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(["--add", ""], "cannot be the name of a caller: set NAME", id="no name"),
        pytest.param(["--add", "Zoë"], "'Zoë' cannot be the name", id="a letter outside ASCII"),
        pytest.param(["--add", "../x"], "cannot be the name", id="a path"),
        pytest.param(["--add", "x" * 64], "cannot be the name", id="too long"),
        pytest.param(["--add", "operator"], "not operator", id="reserved"),
        pytest.param(["--add", "hospital"], "hospital has a key already: choose another name", id="taken"),
        pytest.param(["--remove", ""], "set NAME to one of: hospital, laboratory", id="removing no name"),
        pytest.param(["--remove", "nobody"], "'nobody' has no key", id="removing an unknown name"),
    ],
)
def test_a_refused_command_changes_nothing(
    kubectl: Path, capsys: pytest.CaptureFixture[str], command: list[str], message: str
) -> None:
    put(kubectl, "hospital", "laboratory")

    assert main(arguments(kubectl, *command)) == 1
    shown, errors = capsys.readouterr()
    assert shown == ""
    assert message in errors
    assert errors.count("\n") == 1
    assert set(on_cluster(kubectl)) == {"hospital", "laboratory"}


def test_removing_a_key_keeps_the_others(kubectl: Path) -> None:
    put(kubectl, "hospital", "laboratory")

    assert main(arguments(kubectl, "--remove", "hospital")) == 0
    assert set(on_cluster(kubectl)) == {"laboratory"}


def test_the_last_key_is_not_removed(kubectl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(kubectl, "hospital")

    assert main(arguments(kubectl, "--remove", "hospital")) == 1
    assert "first create another" in capsys.readouterr().err
    assert set(on_cluster(kubectl)) == {"hospital"}


@pytest.mark.parametrize("names", [[], ["b", "a"]], ids=["none", "two"])
def test_the_callers_are_listed(kubectl: Path, capsys: pytest.CaptureFixture[str], names: list[str]) -> None:
    put(kubectl, *names)

    assert main(arguments(kubectl, "--list")) == 0
    assert capsys.readouterr().out.split() == sorted(names)


def test_the_first_key_is_not_printed_into_a_pipeline(kubectl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # When a pipeline, whose log is kept, sets up a service
    status = main(arguments(kubectl, "--first"))

    # Then a key exists, so that the pods start, and the log says how to create one to use
    assert status == 0
    assert list(on_cluster(kubectl)) == ["first"]
    assert "make key NAME=" in capsys.readouterr().out


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the one to read at, and the one to write to."""
    ends = pty.openpty()
    yield ends
    for end in ends:
        os.close(end)


def test_the_first_key_is_printed_on_a_terminal(kubectl: Path, terminal: tuple[int, int]) -> None:
    # When a person sets up a service
    reading, writing = terminal
    command = [sys.executable, "-m", keys.__name__, *arguments(kubectl, "--first")]
    subprocess.run(command, stdout=writing, stderr=subprocess.DEVNULL, check=True, env={"PYTHONPATH": str(RUNTIME)})

    # Then the key is printed
    key = os.read(reading, 1000).decode().strip()
    assert on_cluster(kubectl) == {"first": hashlib.sha256(key.encode()).hexdigest()}


def test_a_service_with_keys_gets_no_first_key(kubectl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(kubectl, "hospital")

    assert main(arguments(kubectl, "--first")) == 0
    assert capsys.readouterr().out == ""
    assert list(on_cluster(kubectl)) == ["hospital"]


@pytest.mark.parametrize("command", [["--add", "x"], ["--remove", "x"], ["--list"], ["--first"]])
def test_a_failing_kubectl_is_an_error(kubectl: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    kubectl.with_name("broken").touch()

    assert main(arguments(kubectl, *command)) == 1
    assert capsys.readouterr().err == "keys: kubectl cannot get secret: Error from server (Forbidden)\n"


@given(name=st.from_regex(keys.NAME, fullmatch=True))
def test_a_valid_name_is_a_valid_key_of_a_secret(name: str) -> None:
    # Kubernetes allows these characters, and up to 253 of them
    assert len(name) <= 63
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
