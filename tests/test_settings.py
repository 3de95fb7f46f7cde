"""Where a project's settings come from: the command line, `project.mk`, and prefixed variables of the environment."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import TEMPLATE

FOLDER = TEMPLATE / "{{cookiecutter.project_slug}}"
MAKE_FILES = [
    *(FOLDER / name for name in ("makefile", "project.mk", "platforms/eks/settings.mk", "kinds/table/model.mk")),
    *FOLDER.glob("environments/*.mk"),
    *FOLDER.glob("make/*.mk"),
]
FOREIGN = "of something else"
PREFIXED = "of a pipeline"


def names() -> list[str]:
    """Return the variables that the make files let a user set, except those of AWS."""
    text = "\n".join(path.read_text() for path in MAKE_FILES)
    defaults = set(re.findall(r"^([A-Z][A-Z0-9_]*) *\?=", text, flags=re.MULTILINE))
    tested = set(re.findall(r"\bifn?def ([A-Z_]+)", text)) | set(re.findall(r"\$\(if \$\(([A-Z_]+)\)", text))
    in_recipes = set(re.findall(r"\$\$\{([A-Z_]+):?-", text))
    made = set(re.findall(r"^([A-Z_]+) *:=", text, flags=re.MULTILINE))
    of_programs = {"PIPENV_PYTHON", "PYTHONDONTWRITEBYTECODE"}
    return sorted(name for name in (defaults | tested | in_recipes) - made - of_programs if not name.startswith("AWS_"))


def value_of(project: Path, name: str, *arguments: str, **environment: str) -> str:
    """Return the value that recipes see, as make and as the shell have it."""
    show = f'--eval=print: ; @$(info $(value {name}))printf %s "$${{{name}-}}"'
    command = ["make", "--silent", show, "print", *arguments]
    result = subprocess.run(
        command, cwd=project, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.replace("\n", "|", 1)


def test_the_settings_are_found() -> None:
    assert {
        "HOST", "PORT", "DATA", "PROJECT", "NAMESPACE", "VERSION", "WORKERS", "LOG_LEVEL", "CLUSTER", "SEED", "MODEL",
        "NAME", "TO", "ENVIRONMENT", "BUCKET", "REGISTRY", "FORCE", "LOGIN", "KUBECTL", "DOCKER", "PYTHON", "OVERRULE",
    } <= set(names()) | {"NAME", "TO"}  # fmt: skip


@pytest.mark.parametrize("name", [*names(), "TO", "CONTRACT", "ALLOW_OLDER"])
def test_a_variable_of_the_shell_is_no_setting(fresh: Path, name: str) -> None:
    assert FOREIGN not in value_of(fresh, name, **{name: FOREIGN})


@pytest.mark.parametrize(
    "name", sorted(set(names()) - {"VERSION", "MODEL", "ENVIRONMENT"} | {"TO", "CONTRACT", "ALLOW_OLDER"})
)
def test_a_variable_with_the_prefix_is_a_setting(fresh: Path, name: str) -> None:
    environment = {name: FOREIGN, f"MLOPS_{name}": PREFIXED}

    assert value_of(fresh, name, **environment) == f"{PREFIXED}|{PREFIXED}"


@pytest.mark.parametrize("name", ["SEED", "HOST", "OVERRULE", "NAME"])
def test_the_command_line_comes_first(fresh: Path, name: str) -> None:
    environment = {name: FOREIGN, f"MLOPS_{name}": PREFIXED}

    assert value_of(fresh, name, f"{name}=mine", **environment) == "mine|mine"


def test_the_prefix_chooses_the_environment(fresh: Path) -> None:
    assert value_of(fresh, "ENVIRONMENT", MLOPS_ENVIRONMENT="staging") == "staging|staging"


@pytest.mark.parametrize("value", ["$(shell touch PWNED)", "$(error PWNED)", "$HOME $$ `touch PWNED`"])
def test_a_variable_with_the_prefix_is_data(fresh: Path, value: str) -> None:
    assert value_of(fresh, "TITLE", MLOPS_TITLE=value).endswith(f"|{value}")

    assert not list(fresh.rglob("PWNED"))


@pytest.mark.parametrize("name", ["PROJECT", "PACKAGE"])
def test_a_name_is_no_part_of_a_recipe(fresh: Path, name: str) -> None:
    command = ["make", "--dry-run", "--always-make", "docker", "clean", "upload.monitoring", "ENV=", f"{name}=PWNED"]
    result = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False)

    assert "docker build" in result.stdout
    assert "PWNED" not in result.stdout


def test_the_variables_of_aws_are_those_of_aws(fresh: Path) -> None:
    assert value_of(fresh, "AWS_REGION", AWS_REGION="us-east-1") == "us-east-1|us-east-1"


@pytest.mark.parametrize("line", ["SEED = 7", "SEED := 7", "SEED ?= 7", "SEED=7"])
def test_any_assignment_in_project_mk_reaches_the_commands(fresh: Path, tmp_path: Path, line: str) -> None:
    project = tmp_path / "project"
    subprocess.run(["cp", "-R", str(fresh), str(project)], check=True)
    settings = project / "project.mk"
    settings.write_text(settings.read_text().replace("SEED ?= 0", line))

    assert value_of(project, "SEED", SEED=FOREIGN) == "7|7"


@pytest.mark.parametrize("name", ["SEED", "TITLE", "PROJECT", "NAMESPACE"])
def test_a_setting_of_two_lines_is_refused(fresh: Path, name: str) -> None:
    command, environment = ["make", "train", "status"], os.environ | {f"MLOPS_{name}": "one\ntouch PWNED"}

    result = subprocess.run(command, cwd=fresh, env=environment, capture_output=True, text=True, check=False)

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"{name} has a line break: a setting is one line" in result.stderr
    assert not list(fresh.rglob("PWNED"))


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_ENDPOINT_URL"])
@pytest.mark.parametrize("value", ["x; touch PWNED; :", "x`touch PWNED`", "x$$(touch PWNED)", "x' & touch PWNED '"])
def test_a_variable_of_aws_is_data(fresh: Path, name: str, value: str) -> None:
    # given: a command that prints what the AWS CLI would get
    show, stand_in = "--eval=print: ; @$(info $(AWS_ACCOUNT))", "AWS=bash -c 'printenv AWS_REGION AWS_ENDPOINT_URL' -"
    command = ["make", "--silent", show, "print", stand_in, f"{name}={value}"]
    # when
    result = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=True)
    # then
    assert result.stderr == ""
    assert "touchPWNED" in result.stdout
    assert not list(fresh.rglob("PWNED"))


@pytest.mark.parametrize(
    ("command", "passed"),
    [
        pytest.param("key NAME=-x", "keys --add=-x", id="key"),
        pytest.param("key.remove NAME=-x", "keys --remove=-x", id="key.remove"),
        pytest.param("upgrade TEMPLATE=-x", "upgrade -- -x", id="upgrade"),
        pytest.param("upgrade.check TEMPLATE=-x", "upgrade --check -- -x", id="upgrade.check"),
        pytest.param("rollback TO=-x", "deploy rollback", id="rollback"),
    ],
)
def test_a_value_that_begins_with_a_dash_is_no_option(fresh: Path, command: str, passed: str) -> None:
    arguments = ["make", "--silent", *command.split(), "PYTHON3=/bin/echo"]

    result = subprocess.run(arguments, cwd=fresh, capture_output=True, text=True, check=True)

    assert result.stdout == f"-m mlops_runtime.operations.{passed}\n"
