"""Say which tools and credentials are there, and how to get those that are missing.

Runs with Python alone: it must work where nothing is installed yet.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

TIMEOUT = 15.0
"""Seconds that one tool may take to answer."""


@dataclass(frozen=True)
class Check:
    """One thing to look for: a command that shows it, what it is for, and where to get it."""

    name: str
    command: tuple[str, ...]
    needed_for: str
    remedy: str
    minimum: tuple[int, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a check came to."""

    check: Check
    state: Literal["found", "old", "missing"]
    detail: str


def checks(environment: Mapping[str, str]) -> list[Check]:
    """Return what this project needs, with the commands as the environment names them."""
    docker = tuple(shlex.split(environment.get("DOCKER") or "docker"))
    kubectl = tuple(shlex.split(environment.get("KUBECTL") or "kubectl"))
    aws = tuple(shlex.split(environment.get("AWS") or "aws"))
    return [
        Check("python", (sys.executable, "--version"), "everything", "install Python 3.11 or later", (3, 11)),
        Check("make", ("make", "--version"), "everything", "install GNU Make 4", (4,)),
        Check("git", ("git", "--version"), "versions", "install git", (2,)),
        Check("pipenv", ("pipenv", "--version"), "make install", "python3 -m pip install --user pipenv", (2024,)),
        Check("image engine", (*docker, "version"), "make docker", "install and start Docker, or set DOCKER=podman"),
        Check("kubectl", (*kubectl, "version", "--client"), "make deploy", "install kubectl", (1, 20)),
        Check("cluster", (*kubectl, "cluster-info"), "make deploy", "run make kubeconfig, or start kind"),
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


def examine(check: Check) -> Finding:
    """Run the check's command and return what it shows."""
    try:
        result = subprocess.run(check.command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except OSError:
        return Finding(check, "missing", f"{check.command[0]} is not installed")
    except subprocess.TimeoutExpired:
        return Finding(check, "missing", f"no answer in {TIMEOUT:g} s")
    output = (result.stdout.strip() or result.stderr.strip() or "no output").splitlines()
    detail = next((line.strip() for line in output if version(line)), output[0])
    if result.returncode != 0:
        return Finding(check, "missing", (result.stderr.strip().splitlines() or output)[-1])
    if check.minimum and version(detail) < check.minimum:
        return Finding(check, "old", detail)
    return Finding(check, "found", detail)


def version(text: str) -> tuple[int, ...]:
    """Return the first version number in the text, empty if there is none."""
    match = re.search(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def report(findings: Sequence[Finding]) -> str:
    """Return a line for each finding, with the remedy below where one is needed."""
    lines = []
    for finding in findings:
        mark = {"found": "ok     ", "old": "old    ", "missing": "missing"}[finding.state]
        lines.append(f"{mark}  {finding.check.name:<16} {finding.detail}")
        if finding.state != "found":
            lines.append(f"{'':27}for {finding.check.needed_for}: {finding.check.remedy}")
    return "\n".join(lines)


def main() -> int:
    """Print the report; return 1 if something is missing or too old."""
    findings = [examine(check) for check in checks(os.environ)]
    print(report(findings))
    return 0 if all(finding.state == "found" for finding in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
