"""kubectl as functions: arguments in, text or JSON out, with retries while the API server is away."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlops_runtime.operations.errors import AwayError, RoadError

API_TIMEOUT = 600.0
"""Seconds for which a command is repeated while the API server is away."""
RETRY_INTERVAL = 2.0
"""Seconds between two attempts."""
PROCESS_TIMEOUT = 120.0
"""Seconds after which a kubectl process that does not end is stopped: it may ask for a code on the terminal."""
REQUEST_TIMEOUT = "20s"
"""Time that the API server has for the response to one request."""

UNREACHABLE = re.compile(
    r"connection refused|was refused|connection reset|i/o timeout|handshake timeout|no route to host"
    r"|network is unreachable|unexpected EOF"
    r"|: EOF|http2: |ServiceUnavailable|unable to handle the request|etcdserver|deadline exceeded|request canceled"
    r"|Timeout exceeded|timed out|InternalError|TooManyRequests|apiserver not ready"
)
"""Errors of kubectl that pass once the API server is back."""
UNAUTHORIZED = re.compile(r"Unauthorized|must be logged in|getting credentials|provide credentials|token.*expired")

WRITING = ("apply", "create", "delete", "patch", "replace", "set")
"""Commands that change something."""

CHECKED_BY_SERVER = "--validate=false"
"""For a command whose fields the server checks: kubectl would fetch the whole schema of a server before 1.25 first."""

Object = dict[str, Any]
"""A Kubernetes object as JSON."""


class ClusterError(RoadError):
    """The cluster refuses a command, or cannot be reached."""


class UnreachableError(ClusterError, AwayError):
    """The API server did not answer in time."""


class UnauthorizedError(ClusterError, AwayError):
    """The credentials are missing or have expired."""


class ForbiddenError(ClusterError):
    """The credentials have no right to do this."""


class ConflictError(ClusterError, AwayError):
    """The object exists already, or has changed since it was read."""


@dataclass(frozen=True)
class Kubectl:
    """kubectl with its options, for one namespace.

    Attributes:
        command: kubectl and its options.
        namespace: of the objects.
        say: receives a line about each wait.
        api_timeout: seconds for which a command is repeated while the API server is away or refuses the credentials.
        sleep: waits for a number of seconds.
        before_retry: raises if a command that changes something must not be repeated.
    """

    command: Sequence[str]
    namespace: str
    say: Callable[[str], None] = print
    api_timeout: float = API_TIMEOUT
    sleep: Callable[[float], None] = field(default=time.sleep)
    before_retry: Callable[[], None] = lambda: None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], say: Callable[[str], None] = print) -> "Kubectl":
        """Return the kubectl that make's settings KUBECTL and NAMESPACE name.

        Raises:
            ClusterError: if NAMESPACE is not set.
        """
        namespace = environment.get("NAMESPACE")
        if not namespace:
            raise ClusterError("NAMESPACE is not set: run this with make, and see project.mk")
        return cls(tuple(shlex.split(environment.get("KUBECTL") or "kubectl")), namespace, say)

    def check_cluster(self, wanted: str, region: str) -> None:
        """Check that kubectl is set to a cluster.

        Args:
            wanted: name of the cluster.
            region: of AWS, which is part of the name that EKS gives the cluster.

        Raises:
            ClusterError: if it is set to another one.
        """
        name = self.once("config", "view", "--minify", "--output", "jsonpath={.clusters[0].name}").strip()
        arn = rf"arn:[^:]*:eks:{re.escape(region)}:[^:]*:cluster/{re.escape(wanted)}"
        if name != wanted and not re.fullmatch(arn, name):
            raise ClusterError(
                f"kubectl is set to the cluster {name!r}, not to {wanted}, as CLUSTER says: change that setting, or run"
                f" make kubeconfig for a cluster of EKS in {region}, kubectl config use-context for another one"
            )

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output of a command that can be repeated; try again while the API server is away.

        Raises:
            UnreachableError, UnauthorizedError: if that lasts longer than `api_timeout`.
            ConflictError: if the object exists already, or has changed since it was read.
            ClusterError: if the cluster refuses the command for another reason.
        """
        started, said = time.monotonic(), ""
        while True:
            try:
                return self.once(*arguments, stdin=stdin)
            except (UnreachableError, UnauthorizedError) as error:
                waited = time.monotonic() - started
                if waited >= self.api_timeout:
                    raise
                if type(error).__name__ != said:
                    said = type(error).__name__
                    self.say(f"{error}; trying for {self.api_timeout:g} s")
                self.sleep(RETRY_INTERVAL)
                if arguments[0] in WRITING:
                    self.before_retry()

    def once(self, *arguments: str, stdin: str | None = None) -> str:
        """Return the output of a command.

        Raises:
            UnreachableError, UnauthorizedError, ConflictError, ClusterError: as `run`, at the first failure.
        """
        command = [*self.command, "--namespace", self.namespace, "--request-timeout", REQUEST_TIMEOUT, *arguments]
        try:
            # A process group of its own: Ctrl-C stops this program, which then decides what to do.
            result = subprocess.run(
                command, input=stdin, capture_output=True, encoding="utf-8", errors="replace", check=False,
                process_group=0, timeout=PROCESS_TIMEOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(
                f"kubectl {arguments[0]} does not end: type kubectl get pods to see whether it asks for something"
            ) from error
        except OSError as error:
            raise ClusterError(f"{command[0]} does not start: {error.strerror}; see make doctor") from error
        if result.returncode == 0:
            return result.stdout
        raise error_of(arguments, result.stderr)

    def json(self, *arguments: str, stdin: str | None = None) -> Object:
        """Return the JSON that a command prints; empty if it prints nothing.

        Raises:
            UnreachableError, UnauthorizedError, ConflictError, ClusterError: as `run`.
        """
        text = self.run(*arguments, "--output", "json", stdin=stdin)
        content: Object = json.loads(text) if text.strip() else {}
        return content

    def kinds(self, version: str) -> set[str]:
        """Return the kinds that the API server has of a version of an API; none if it does not have that version.

        Args:
            version: group and version, such as apps/v1.

        Raises:
            UnreachableError, UnauthorizedError, ClusterError: as `run`.
        """
        groups = json.loads(self.run("get", "--raw", "/apis"))["groups"]
        if version not in {item["groupVersion"] for group in groups for item in group["versions"]}:
            return set()
        return {item["kind"] for item in json.loads(self.run("get", "--raw", f"/apis/{version}"))["resources"]}

    def get(self, *arguments: str) -> Object:
        """Return an object, or a list of objects; empty if there is none.

        Raises:
            UnreachableError, UnauthorizedError, ClusterError: as `run`.
        """
        return self.json("get", *arguments, "--ignore-not-found")


def error_of(arguments: Sequence[str], stderr: str) -> ClusterError:
    """Return the error that a failed kubectl command stands for."""
    # A program in a pod says itself why it failed, before kubectl adds the last of these.
    other = ("Warning:", "E1", "E0", "I0", "command terminated with exit code")
    lines = [line for line in stderr.strip().splitlines() if not line.startswith(other)]
    reason = (lines or stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: ")
    command = " ".join(arguments[:2])
    if "denied the request" in stderr:
        return ClusterError(f"kubectl {command}: {reason}")
    if "(AlreadyExists)" in stderr or "(Conflict)" in stderr or "object has been modified" in stderr:
        return ConflictError(f"kubectl {command}: {reason}")
    if UNAUTHORIZED.search(stderr) and "(Forbidden)" not in stderr:
        return UnauthorizedError(f"the cluster does not accept the credentials ({reason}): log in again")
    if UNREACHABLE.search(stderr) and "(Forbidden)" not in stderr and "x509" not in stderr:
        return UnreachableError(f"the API server of the cluster does not answer ({reason})")
    if "(Forbidden)" in stderr and "quota" not in stderr:
        rights = "infrastructure/rbac.yaml has the rights that commands need"
        return ForbiddenError(f"kubectl {command}: {reason}; {rights}")
    return ClusterError(f"kubectl {command}: {reason}")
