import sys

import pytest

from mlops_runtime.operations.doctor import Check, Result, checks, main, report, run, version


def python_check(program: str, minimum: tuple[int, ...] = ()) -> Check:
    return Check("python", (sys.executable, "-c", program), "everything", "install it", minimum)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("git version 2.39.5", (2, 39, 5), id="three parts"),
        pytest.param("GNU Make 4.3", (4, 3), id="two parts"),
        pytest.param("Client:", (), id="none"),
    ],
)
def test_version_is_the_first_number(text: str, expected: tuple[int, ...]) -> None:
    assert version(text) == expected


@pytest.mark.parametrize(
    ("check", "state"),
    [
        pytest.param(python_check("print('tool 3.2')", (3,)), "ok", id="new enough"),
        pytest.param(python_check("print('tool 2.9')", (3,)), "old", id="too old"),
        pytest.param(python_check("raise SystemExit('no server')"), "missing", id="fails"),
        pytest.param(Check("x", ("no-such-program",), "everything", "install it"), "missing", id="not installed"),
    ],
)
def test_a_tool_is_ok_old_or_missing(check: Check, state: str) -> None:
    assert run(check).state == state


def test_the_line_with_the_version_is_shown() -> None:
    assert run(python_check("print('Client:'); print('  Version: 28.2.2')")).detail == "Version: 28.2.2"


def test_a_tool_that_hangs_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_runtime.operations.doctor.TIMEOUT", 0.2)

    assert run(python_check("import time; time.sleep(5)")).detail == "no answer in 0.2 s"


def test_the_report_names_the_remedy_only_where_needed() -> None:
    check = python_check("")

    assert "install it" not in report([Result(check, "ok", "3.12")])
    assert "install it" in report([Result(check, "missing", "not installed")])


def test_variables_that_are_not_read_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mlops_runtime.operations.doctor.checks", lambda _: [])
    monkeypatch.setenv("NOT_READ", "HOST PORT")

    assert main() == 0

    assert "HOST PORT: in the environment, a setting has the prefix MLOPS_" in capsys.readouterr().out


def test_commands_follow_the_environment() -> None:
    commands = {check.name: check.command for check in checks({"DOCKER": "sudo podman", "KUBECTL": "kubectl -n x"})}

    assert commands["image engine"][:2] == ("sudo", "podman")
    assert commands["kubectl"][:3] == ("kubectl", "-n", "x")


@pytest.mark.parametrize(
    ("platform", "names"),
    [("", {"kubectl", "cluster"}), ("eks", {"kubectl", "cluster"}), ("docker-host", {"compose", "machine"})],
    ids=["by default", "eks", "docker-host"],
)
def test_a_platform_requires_its_own_tools(platform: str, names: set[str]) -> None:
    environment = {"PLATFORM": platform, "DEPLOY_HOST": "ssh://user@machine", "COMPOSE": "compose -x"}

    commands = {check.name: check.command for check in checks(environment)}

    assert {"kubectl", "cluster", "compose", "machine"} & commands.keys() == names
    if platform == "docker-host":
        assert commands["compose"] == ("compose", "-x", "version")
        assert commands["machine"] == ("docker", "--host", "ssh://user@machine", "version")
