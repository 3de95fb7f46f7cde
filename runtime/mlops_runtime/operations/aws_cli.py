"""Calls of the AWS CLI, by the command in the environment variable AWS. Needs the standard library alone."""

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

CODE = re.compile(r"\((\w+)\) when calling")
"""How the AWS CLI names the error of a service."""


class AwsError(RuntimeError):
    """AWS refuses a call, or the AWS CLI does not start.

    Attributes:
        code: of the error that a service names; empty if none does.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = CODE.search(message)
        self.code = found[1] if found else ""


class AwsCli:
    """The AWS CLI, with the credentials of whoever runs the command."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._command = shlex.split(environment.get("AWS") or "aws")

    def run(self, *arguments: str) -> Any:
        """Return what a call answers, read from JSON; None if it answers nothing.

        Raises:
            AwsError: if it fails.
        """
        command = [*self._command, *arguments, "--output", "json"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise AwsError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error
        if result.returncode != 0:
            lines = [line for line in result.stderr.splitlines() if line.strip()]
            raise AwsError(lines[-1].strip() if lines else f"aws {arguments[0]} ended with {result.returncode}")
        try:
            return json.loads(result.stdout) if result.stdout.strip() else None
        except ValueError as error:
            raise AwsError(f"aws {' '.join(arguments[:2])} answers no JSON: {error}") from error
