import json
import os
import stat
from pathlib import Path

import pytest

from mlops_runtime.operations.docker_host.engine import Engine, EngineAwayError, EngineError, error_of, name_of

PROGRAM = """#!/bin/sh
echo "$DOCKER_HOST|$IMAGE|$0 $*" >>"${0%/*}/calls"
case "$1" in
  compose) exit PLUGIN;;
  ps) echo a; echo gone; echo b;;
  inspect) [ "$4" != gone ] || { echo "Error: No such container: gone" >&2; exit 1; }
    printf '[{"Name": "/x_%s", "Config": {"Labels": {"com.docker.compose.service": "%s"}}}]' "$4" "$4";;
  logs) echo out; echo err >&2;;
  volume) echo x-keys; echo x-keys-old;;
esac
"""


def engine_in(folder: Path, *, plugin: bool = False, **environment: str) -> Engine:
    """Return an engine whose docker and docker-compose write down how they were called."""
    for name in ("docker", "docker-compose"):
        program = folder / name
        program.write_text(PROGRAM.replace("PLUGIN", "0" if plugin else "1"))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return Engine.from_environment({"PATH": path, "NAMESPACE": "x", "DOCKER": str(folder / "docker"), **environment})


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_commands_go_to_the_machine(tmp_path: Path) -> None:
    engine = engine_in(tmp_path, DEPLOY_HOST="ssh://user@machine")

    engine.run("version")

    assert calls(tmp_path) == [f"ssh://user@machine||{tmp_path}/docker version"]
    assert engine.name == "ssh://user@machine"


@pytest.mark.parametrize(
    ("plugin", "setting", "expected"),
    [(True, "", "docker compose"), (False, "", "docker-compose"), (True, "docker-compose -x", "docker-compose -x")],
    ids=["the plugin", "docker-compose", "the setting"],
)
def test_compose_is_found(tmp_path: Path, plugin: bool, setting: str, expected: str) -> None:
    engine = engine_in(tmp_path, plugin=plugin, COMPOSE=setting)

    engine.run_compose("services: {}", {"IMAGE": "image@1"}, "up", "proxy")

    last = calls(tmp_path)[-1]
    assert last.startswith("|image@1|")
    assert last.endswith(f"{expected} --project-name x --file - up proxy")


def test_an_engine_without_compose_says_so(tmp_path: Path) -> None:
    engine = engine_in(tmp_path, PATH=str(tmp_path))
    (tmp_path / "docker-compose").unlink()

    with pytest.raises(EngineError, match="there is no Docker Compose: install its plugin"):
        engine.run_compose("", {}, "up")


def test_a_namespace_is_required() -> None:
    with pytest.raises(EngineError, match="NAMESPACE is not set"):
        Engine.from_environment({})


def test_containers_that_are_removed_meanwhile_are_left_out(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)

    assert [name_of(item) for item in engine.containers()] == ["x_a", "x_b"]
    assert [name_of(item) for item in engine.containers("b")] == ["x_b"]


def test_a_volume_is_found_by_its_whole_name(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)

    assert engine.has_volume("x-keys")
    assert not engine.has_volume("keys")


def test_a_log_has_both_streams(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)

    assert engine.run("logs", with_errors=True) == "out\nerr\n"
    assert engine.run("logs") == "out\n"


@pytest.mark.parametrize(
    ("stderr", "away"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?", True),
        ("error during connect: Get http://docker/v1.41/version: command [ssh user@machine] has exited", True),
        ("ssh: Could not resolve hostname machine: Name or service not known", True),
        ("user@machine: Permission denied (publickey).", True),
        ("Error response from daemon: manifest for x@sha256:0 not found", False),
        ("Error response from daemon: Get https://registry.example.org/v2/: dial tcp: connection refused", False),
        ("Error: sending configuration to instance: dial tcp [::1]:2019: connect: connection refused", False),
        ("Error response from daemon: driver failed: Bind for 0.0.0.0:80 failed: port is already allocated", False),
        ("", False),
    ],
)
def test_an_engine_that_is_away_is_told_from_one_that_refuses(stderr: str, away: bool) -> None:
    error = error_of("run", stderr)

    assert isinstance(error, EngineAwayError) is away
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "stderr",
    [
        pytest.param("x\nError response from daemon: no such image\n", id="pull"),
        pytest.param(
            "docker: Error response from daemon: no such image\n\nRun 'docker run --help' for more information\n",
            id="run",
        ),
        pytest.param(
            "docker: Error response from daemon: no such image.\nSee 'docker run --help'.\n", id="run of Docker 20.10"
        ),
    ],
)
def test_an_error_is_the_last_line_that_says_why(stderr: str) -> None:
    assert str(error_of("pull", stderr)).removesuffix(".") == "docker pull: no such image"


def test_what_inspect_says_is_json(tmp_path: Path) -> None:
    assert json.loads(engine_in(tmp_path).run("inspect", "--type", "container", "a"))[0]["Name"] == "/x_a"
