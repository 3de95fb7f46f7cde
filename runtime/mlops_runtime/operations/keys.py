"""Create, list and remove the API keys of the service on the cluster.

A Secret on the cluster holds the SHA-256 of each key under the name of the caller. The key itself is
printed once, when it is created, and stored nowhere. A lost key is replaced by a new one.
"""

import argparse
import base64
import hashlib
import json
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mlops_runtime.operator_key import OPERATOR

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Names that a caller may have: also valid as a key of a Secret."""
FIRST = "first"
"""Name of the key that is created with the service."""
CHANGED = "api-keys-changed"
"""Annotation of the pods. A kubelet reads the Secrets of a pod about once a minute, and whenever the pod changes."""

USE = """\
This is the API key of {name}. It is printed this once and stored nowhere: keep it where you keep passwords.
  curl --header "Authorization: Bearer KEY" …
In a browser, enter it as the password, with any user name."""
UNSEEN = "The service starts with an API key that was not printed. Create one to use: make key NAME=caller"


class KeysError(RuntimeError):
    """The keys cannot be read or changed."""


@dataclass(frozen=True)
class Cluster:
    """A Secret with the hashes of the keys, and the pods that read it.

    Attributes:
        kubectl: command, with context and namespace.
        secret: name of the Secret.
        selector: labels of the pods.
    """

    kubectl: Sequence[str]
    secret: str
    selector: str

    def run(self, *arguments: str) -> str:
        """Return the output of kubectl.

        Raises:
            KeysError: if it fails.
        """
        result = subprocess.run([*self.kubectl, *arguments], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise KeysError(f"kubectl cannot {arguments[0]} {arguments[1]}: {result.stderr.strip()}")
        return result.stdout

    def names(self) -> list[str] | None:
        """Return the names of the callers that have a key; None if there is no Secret yet.

        Raises:
            KeysError: if kubectl fails.
        """
        text = self.run("get", "secret", self.secret, "--ignore-not-found", "--output", "json")
        return sorted(json.loads(text).get("data", {})) if text else None

    def put(self, name: str, digest: str | None) -> None:
        """Store a hash under a name, or remove the name if the hash is None; other names do not change.

        Raises:
            KeysError: if kubectl fails.
        """
        encoded = None if digest is None else base64.b64encode(digest.encode()).decode()
        patch = json.dumps({"data": {name: encoded}})
        self.run("patch", "secret", self.secret, "--type", "merge", "--patch", patch)

    def create(self, name: str, digest: str) -> None:
        """Create the Secret with the hash of the first key.

        Raises:
            KeysError: if kubectl fails.
        """
        self.run("create", "secret", "generic", self.secret, f"--from-literal={name}={digest}")

    def refresh_pods(self) -> None:
        """Make the pods read the keys within seconds.

        Raises:
            KeysError: if kubectl fails.
        """
        now = datetime.now(UTC).isoformat()
        try:
            self.run("annotate", "pods", "--selector", self.selector, "--overwrite", f"{CHANGED}={now}")
        except KeysError as error:
            raise KeysError(f"the keys have changed, but the pods notice only after a minute: {error}") from error


def add(cluster: Cluster, name: str) -> str:
    """Return a new key after storing its hash on the cluster.

    Raises:
        KeysError: if the name is not valid, if it has a key already, or if kubectl fails.
    """
    if not NAME.fullmatch(name) or name == OPERATOR:
        raise KeysError(
            f"{name!r} cannot be the name of a caller: set NAME to at most 63 lower-case letters, digits and hyphens"
            f" (but not {OPERATOR})"
        )
    names = cluster.names()
    if name in (names or ()):
        raise KeysError(f"{name} has a key already: choose another name, or first run make key.remove NAME={name}")
    # 256 random bits: the hash may appear in a list of processes.
    key = secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    if names is None:
        cluster.create(name, digest)
    else:
        cluster.put(name, digest)
    return key


def remove(cluster: Cluster, name: str) -> None:
    """Remove the key of a caller.

    Raises:
        KeysError: if the caller has no key, if it is the last key, or if kubectl fails.
    """
    names = cluster.names() or []
    if name not in names:
        raise KeysError(f"{name!r} has no key: set NAME to one of: {', '.join(names) or 'none'}")
    if names == [name]:
        raise KeysError(f"{name} has the last key, and no pod starts without one: first create another with make key")
    cluster.put(name, None)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.keys", description=__doc__)
    parser.add_argument("--kubectl", required=True, type=shlex.split, help="kubectl command with its options")
    parser.add_argument("--secret", required=True, help="name of the Secret")
    parser.add_argument("--selector", required=True, help="labels of the pods")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--add", metavar="NAME", help="create a key for a caller and print it")
    action.add_argument("--remove", metavar="NAME", help="remove the key of a caller")
    action.add_argument("--list", action="store_true", help="print the names of the callers")
    action.add_argument("--first", action="store_true", help="create a first key, unless there is a Secret already")
    arguments = parser.parse_args(argv)
    cluster = Cluster(arguments.kubectl, arguments.secret, arguments.selector)
    try:
        if arguments.list:
            print(*cluster.names() or [], sep="\n")
        elif arguments.remove is not None:
            remove(cluster, arguments.remove)
            cluster.refresh_pods()
        elif arguments.add is not None:
            show(arguments.add, add(cluster, arguments.add))
            cluster.refresh_pods()
        elif cluster.names() is None:
            key = add(cluster, FIRST)
            # A key must not appear in the log of a pipeline.
            if sys.stdout.isatty():
                show(FIRST, key)
            else:
                print(UNSEEN)
            cluster.refresh_pods()
    except KeysError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


def show(name: str, key: str) -> None:
    """Print a key on standard output, so that it can be piped, and how to use it on standard error."""
    print(USE.format(name=name), file=sys.stderr)
    print(key)


if __name__ == "__main__":
    sys.exit(main())
