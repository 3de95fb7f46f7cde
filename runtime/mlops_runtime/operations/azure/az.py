"""The Azure CLI as functions: arguments in, text or JSON out."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Self

from mlops_runtime.operations.errors import AwayError, RoadError
from mlops_runtime.operations.settings import say

TIMEOUT = 300.0
"""Seconds after which a command that does not end is stopped."""
ATTEMPTS = 3
"""Attempts while Azure is away: every command that the roads use may be repeated."""
RETRY_AFTER = 2.0
"""Seconds before the first repetition; twice as many before the next one."""

AWAY = re.compile(
    r"Max retries exceeded|Failed to resolve|Failed to establish|Connection (?:aborted|refused|reset)|timed out"
    r"|(?:Too Many Requests|Internal Server Error|Bad Gateway|Service Unavailable|Gateway Time-?out)\("
    r"|ErrorCode:(?:ServerBusy|InternalError|OperationTimedOut)|another operation is in progress",
    re.IGNORECASE,
)
"""How the command says that Azure did not answer, or not now."""
CODE = re.compile(r'ErrorCode:(\w+)|"[Cc]ode": ?"(\w+)"')
"""How services name an error."""
NOT_FOUND = ("ResourceNotFound", "ResourceGroupNotFound", "NotFound")
"""Codes of a resource that is not there."""

Object = dict[str, Any]


class AzureError(RoadError):
    """Azure refuses a command.

    Attributes:
        code: that the service gives it; empty without one.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class AzureAwayError(AzureError, AwayError):
    """Azure does not answer."""


@dataclass
class Az:
    """The command, in the subscription that it is logged in to.

    Attributes:
        command: and its first arguments.
        say: receives a line about each wait.
        sleep: waits for a number of seconds.
    """

    command: Sequence[str]
    say: Callable[[str], None] = say
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the command that make's setting AZ names."""
        return cls(shlex.split(environment.get("AZ") or "az"))

    def run(self, *arguments: str, stdin: str = "") -> Any:
        """Return what a command prints, read as JSON; None if it prints nothing.

        Raises:
            AzureAwayError: if Azure does not answer.
            AzureError: if it refuses the command.
        """
        output = self.text(*arguments, "--output", "json", stdin=stdin)
        return json.loads(output) if output.strip() else None

    def text(self, *arguments: str, stdin: str = "") -> str:
        """Return what a command prints.

        Raises:
            AzureAwayError, AzureError: as `run`.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(arguments, stdin, TIMEOUT)
            except AzureAwayError:
                if attempt == ATTEMPTS:
                    raise
                self.sleep(RETRY_AFTER * attempt)
        raise AssertionError  # the last attempt returns or raises

    def once(self, *arguments: str, timeout: float) -> None:
        """Run a command that must not be repeated, also while Azure is away.

        Args:
            arguments: of the command.
            timeout: seconds after which it is stopped.

        Raises:
            AzureAwayError, AzureError: as `run`.
        """
        self._once(arguments, "", timeout)

    def rest(self, method: str, path: str, version: str, body: Object | None = None) -> Any:
        """Return the answer of Azure Resource Manager to a request; the body goes through standard input.

        Raises:
            AzureAwayError, AzureError: as `run`.
        """
        given = () if body is None else ("--body", "@-")
        url = ("--url", f"{path}?api-version={version}")
        return self.run("rest", "--method", method, *url, *given, stdin="" if body is None else json.dumps(body))

    def find(self, path: str, version: str) -> Object | None:
        """Return a resource; None if there is none.

        Raises:
            AzureAwayError, AzureError: as `run`.
        """
        try:
            found: Object = self.rest("get", path, version)
        except AzureError as error:
            if error.code in NOT_FOUND:
                return None
            raise
        return found

    def _once(self, arguments: Sequence[str], stdin: str, timeout: float) -> str:
        command = [*self.command, *arguments, "--only-show-errors"]
        try:
            # A process group of its own: Ctrl-C stops this program, which then decides what to do.
            result = subprocess.run(
                command, input=stdin, capture_output=True, encoding="utf-8", errors="replace",
                check=False, process_group=0, timeout=timeout,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise AzureAwayError(f"az {arguments[0]} does not end in {timeout:g} s") from error
        except OSError as error:
            raise AzureError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error
        if result.returncode != 0:
            raise error_of(arguments, result.stderr)
        return result.stdout


def error_of(arguments: Sequence[str], stderr: str) -> AzureError:
    """Return the error that a failed command stands for."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    line = next((each.removeprefix("ERROR: ") for each in lines if each.startswith("ERROR: ")), "no message")
    found = CODE.search(stderr)
    code = (found[1] or found[2]) if found else ""
    what = " ".join(["az", *takewhile(lambda word: not word.startswith("-"), arguments)])
    if "az login" in stderr or "AADSTS" in stderr:
        return AzureError(f"{what}: nobody is logged in to Azure: run az login", code)
    if AWAY.search(stderr):
        return AzureAwayError(f"Azure does not answer ({line[:300]})", code)
    return AzureError(f"{what}: {message_of(line)}", code)


def message_of(line: str) -> str:
    """Return the message in an error of Resource Manager or App Service, which az prints as `Reason({...})`."""
    _, opening, rest = line.partition("({")
    try:
        answer = json.loads("{" + rest.rpartition(")")[0]) if opening else {}
        return str(answer["error"]["message"] if "error" in answer else answer["Message"])
    except (ValueError, KeyError, TypeError):
        return line
