"""Report which tools and credentials are available, and how to get those that are missing.

Runs with the standard library alone, because it must work before anything is installed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

TIMEOUT = 15.0
"""Seconds that a check may take."""


@dataclass(frozen=True)
class Check:
    """A requirement of the project.

    Attributes:
        name: of the tool.
        command: that succeeds if the tool is available, and prints its version.
        needed_for: what does not work without it.
        remedy: how to get it.
        minimum: version.
    """

    name: str
    command: tuple[str, ...]
    needed_for: str
    remedy: str
    minimum: tuple[int, ...] = ()


@dataclass(frozen=True)
class Result:
    """The result of a check."""

    check: Check
    state: Literal["ok", "old", "missing"]
    detail: str


def checks(environment: Mapping[str, str]) -> list[Check]:
    """Return the requirements of a project, with the commands that the environment sets.

    AWS is one of them only where it logs in to the registry.
    """
    docker = tuple(shlex.split(environment.get("DOCKER") or "docker"))
    aws = tuple(shlex.split(environment.get("AWS") or "aws"))
    match environment.get("PLATFORM"):
        case "docker-host":
            platform = on_docker_host(environment)
        case "azure-container-apps" | "azure-web-app":
            platform = on_azure(environment)
        case _:
            platform = on_eks(environment)
    tools = [
        Check("python", (sys.executable, "--version"), "everything", "install Python 3.11 or later", (3, 11)),
        Check("make", ("make", "--version"), "everything", "install GNU Make 4.2 or later", (4, 2)),
        Check("git", ("git", "--version"), "versions", "install git", (2,)),
        Check("pipenv", ("pipenv", "--version"), "make install", "pipx install pipenv", (2024,)),
        Check(
            "image engine",
            (*docker, "version"),
            "make docker",
            "install and start Docker, or set DOCKER=podman in project.mk",
        ),
        *platform,
    ]
    if (environment.get("LOGIN") or "ecr") != "ecr":
        return tools
    return [
        *tools,
        Check(
            "aws",
            (*aws, "--version"),
            "make publish",
            "run make install: the AWS CLI is in the locked environment",
            (1,),
        ),
        Check(
            "AWS credentials",
            (*aws, "sts", "get-caller-identity", "--query", "Arn", "--output", "text"),
            "make publish",
            "set AWS_PROFILE, or run aws configure",
        ),
    ]


def on_eks(environment: Mapping[str, str]) -> list[Check]:
    """Return what deploys to Kubernetes require."""
    kubectl = tuple(shlex.split(environment.get("KUBECTL") or "kubectl"))
    return [
        Check("kubectl", (*kubectl, "version", "--client"), "make deploy", "install kubectl", (1, 20)),
        Check("cluster", (*kubectl, "cluster-info"), "make deploy", "run make kubeconfig, or start kind"),
    ]


def on_docker_host(environment: Mapping[str, str]) -> list[Check]:
    """Return what deploys to a machine with Docker require."""
    docker = tuple(shlex.split(environment.get("DOCKER") or "docker"))
    found = ("docker-compose",) if shutil.which("docker-compose") else (*docker, "compose")
    compose = tuple(shlex.split(environment.get("COMPOSE", ""))) or found
    host = ("--host", environment["DEPLOY_HOST"]) if environment.get("DEPLOY_HOST") else ()
    remedy = "install the plugin of Docker, or docker-compose, or set COMPOSE in project.mk"
    return [
        Check("compose", (*compose, "version"), "make deploy", remedy, (1, 29)),
        Check("machine", (*docker, *host, "version"), "make deploy", "set DEPLOY_HOST in project.mk"),
    ]


def on_azure(environment: Mapping[str, str]) -> list[Check]:
    """Return what deploys to Azure require."""
    az = tuple(shlex.split(environment.get("AZ") or "az"))
    return [
        Check("az", (*az, "--version"), "make deploy", "pipx install azure-cli, or set AZ in project.mk", (2, 60)),
        Check("Azure", (*az, "account", "show", "--query", "name"), "make deploy", "run az login"),
    ]


def run(check: Check) -> Result:
    """Run the command of a check and return the result."""
    try:
        process = subprocess.run(check.command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except OSError:
        return Result(check, "missing", f"{check.command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Result(check, "missing", f"no answer in {TIMEOUT:g} s")
    output = (process.stdout.strip() or process.stderr.strip() or "no output").splitlines()
    detail = next((line.strip() for line in output if version(line)), output[0])
    if process.returncode != 0:
        return Result(check, "missing", (process.stderr.strip().splitlines() or output)[-1])
    if check.minimum and version(detail) < check.minimum:
        return Result(check, "old", detail)
    return Result(check, "ok", detail)


def version(text: str) -> tuple[int, ...]:
    """Return the first version number in the text, empty if there is none."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def report(results: Sequence[Result]) -> str:
    """Return a line for each result, and the remedy below it where one is needed."""
    lines = []
    for result in results:
        lines.append(f"{result.state:<7}  {result.check.name:<16} {result.detail}")
        if result.state != "ok":
            lines.append(f"{'':26}for {result.check.needed_for}: {result.check.remedy}")
    return "\n".join(lines)


def not_read(names: str) -> str:
    """Return a line about environment variables that have the name of a setting; empty if there are none."""
    return f"not read {names}: in the environment, a setting has the prefix MLOPS_\n" if names else ""


def main() -> int:
    """Print the report; return 1 if a tool is missing or too old."""
    results = [run(check) for check in checks(os.environ)]
    print(report(results))
    print(not_read(os.environ.get("NOT_READ", "")), end="")
    return 0 if all(result.state == "ok" for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
