"""Create, list and remove the API keys of the service.

On a cluster, a Secret holds the SHA-256 of each key under the name of the caller. The key itself is
printed once, when it is created, and stored nowhere. A lost key is replaced by a new one.
"""

import argparse
import base64
import hashlib
import json
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from mlops_runtime.operations.errors import DeployError, RoadError
from mlops_runtime.operations.kubectl import ClusterError, ConflictError, Kubectl
from mlops_runtime.operations.verify import CONTAINER
from mlops_runtime.operator_key import OPERATOR

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Names that a caller may have: also valid as a key of a Secret."""
FIRST = "first"
"""Name of the key that is created with the service."""
HASH = re.compile(r"\S+ [0-9a-f]{64}")
CHANGED = "api-keys-changed"
"""Annotation of the pods. A kubelet reads the Secrets of a pod about once a minute, and whenever the pod changes."""

USE = """\
This is the API key of {name}. It is printed this once and stored nowhere: keep it where you keep passwords.
  curl --header "Authorization: Bearer KEY" …
In a browser, enter it as the password, with any user name."""


class KeysError(RuntimeError):
    """The keys cannot be read or changed."""


class Store(Protocol):
    """Where a platform keeps the hashes of the keys."""

    def restore(self) -> bool:
        """Make the store again if it was deleted, as far as that can be done; return whether there is one now."""

    def names(self) -> list[str] | None:
        """Return the names of the callers that have a key; None if there is no store."""

    def put(self, name: str, digest: str | None) -> None:
        """Store a hash under a name, or remove the name if the hash is None; other names do not change."""

    def create(self, digests: Mapping[str, str]) -> None:
        """Create the store with the hashes of some keys."""

    def refresh(self) -> None:
        """Make the replicas read the keys within seconds."""


READ_HASHES = 'cd /etc/webservice/keys && for name in *; do echo "$name $(cat "$name")"; done'
"""Shell script that prints name and hash of each key that a pod has mounted."""


@dataclass(frozen=True)
class Secret:
    """The Secret with the hashes of the keys, and the pods that read it.

    Attributes:
        kubectl: for the namespace.
        name: of the Secret.
        selector: labels of the pods.
    """

    kubectl: Kubectl
    name: str
    selector: str

    def names(self) -> list[str] | None:
        """Return the names of the callers that have a key; None if there is no Secret.

        Raises:
            ClusterError: if kubectl fails.
        """
        secret = self.kubectl.get("secret", self.name)
        return sorted(secret.get("data", {})) if secret else None

    def put(self, name: str, digest: str | None) -> None:
        """Store a hash under a name, or remove the name if the hash is None; other names do not change.

        Raises:
            ClusterError: if kubectl fails.
        """
        encoded = None if digest is None else base64.b64encode(digest.encode()).decode()
        patch = json.dumps({"data": {name: encoded}})
        self.kubectl.run("patch", "secret", self.name, "--type", "merge", "--patch", patch)

    def create(self, digests: Mapping[str, str]) -> None:
        """Create the Secret with the hashes of some keys.

        Raises:
            ClusterError: if kubectl fails.
        """
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.name}, "stringData": dict(digests)}
        self.kubectl.run("create", "--filename", "-", stdin=json.dumps(secret))

    def restore(self) -> bool:
        """Create the Secret again, if it was deleted, with the hashes that a running pod still has.

        Returns:
            Whether there is a Secret now.

        Raises:
            ClusterError: if kubectl fails.
        """
        if self.names() is not None:
            return True
        pods = self.kubectl.get("pods", "--selector", self.selector, "--field-selector", "status.phase=Running")
        for pod in pods.get("items", []):
            name = pod["metadata"]["name"]
            try:
                output = self.kubectl.once("exec", name, "--container", CONTAINER, "--", "sh", "-c", READ_HASHES)
            except ClusterError:
                continue  # another pod may have them
            digests = dict(line.split(" ", 1) for line in output.splitlines() if HASH.fullmatch(line))
            if digests:
                self.create(digests)
                self.kubectl.say(
                    f"the Secret {self.name} was missing: created it again with the keys that pod {name} knows"
                    f" ({', '.join(digests)})"
                )
                return True
        return False

    def refresh(self) -> None:
        """Make the pods read the keys within seconds.

        Raises:
            KeysError: if kubectl fails.
        """
        now = datetime.now(UTC).isoformat()
        try:
            self.kubectl.run("annotate", "pods", "--selector", self.selector, "--overwrite", f"{CHANGED}={now}")
        except ClusterError as error:
            raise KeysError(f"the keys have changed, but the pods notice only after a minute: {error}") from error


def ensure(store: Store) -> bool:
    """Create the store with a first key, if there is none; return whether it was created.

    The key is printed only to a terminal.

    Raises:
        RoadError: if the platform refuses a command.
    """
    if store.restore():
        return False
    key, digest = new_key()
    store.create({FIRST: digest})
    # A key must not appear in the log of a pipeline.
    if sys.stdout.isatty():
        show(FIRST, key)
    return True


def ensure_for_pod(store: Secret, caller: str, secret: str, labels: Mapping[str, str]) -> bool:
    """Make the API key of a caller that reads it from a Secret on the cluster, unless it has one.

    Args:
        store: the hashes of the keys.
        caller: its name.
        secret: name of its Secret, which holds the key itself as `key`.
        labels: of its Secret.

    Returns:
        Whether a key was made.

    Raises:
        KeysError: if the Secret has a key that was removed.
        ClusterError: if kubectl fails.
    """
    if caller in (store.names() or ()):
        return False
    key, digest = new_key()
    metadata = {"name": secret, "labels": dict(labels)}
    content = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": key}}
    try:
        store.kubectl.run("create", "--filename", "-", stdin=json.dumps(content))
    except ConflictError as error:
        raise KeysError(
            f"the Secret {secret} has a key that was removed: run kubectl delete secret {secret}"
            f" --namespace {store.kubectl.namespace}, then deploy again"
        ) from error
    store.put(caller, digest)
    return True


def new_key() -> tuple[str, str]:
    """Return a new key and its hash."""
    # 256 random bits: the hash may appear in a list of processes.
    key = secrets.token_urlsafe(32)
    return key, hashlib.sha256(key.encode()).hexdigest()


def add(store: Store, name: str) -> str:
    """Return a new key after storing its hash.

    Raises:
        KeysError: if the name is not valid, or has a key already.
        RoadError: if the platform refuses a command.
    """
    if not NAME.fullmatch(name) or name == OPERATOR:
        raise KeysError(
            f"{name!r} cannot be the name of a caller: set NAME to at most 63 lower-case letters, digits and hyphens"
            f" (but not {OPERATOR})"
        )
    there = store.restore()
    if name in (store.names() or ()):
        raise KeysError(f"{name} has a key already: choose another name, or first run make key.remove NAME={name}")
    key, digest = new_key()
    if there:
        store.put(name, digest)
    else:
        store.create({name: digest})
    return key


def remove(store: Store, name: str) -> None:
    """Remove the key of a caller.

    Raises:
        KeysError: if the caller has no key, or it is the last key.
        RoadError: if the platform refuses a command.
    """
    store.restore()
    names = store.names() or []
    if name not in names:
        raise KeysError(f"{name!r} has no key: set NAME to one of: {', '.join(names) or 'none'}")
    if names == [name]:
        raise KeysError(f"{name} has the last key, and no pod starts without one: first create another with make key")
    store.put(name, None)


def run_command(argv: Sequence[str] | None, open_store: Callable[[], Store]) -> int:
    """Run a command on the store of a platform; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.keys", description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--add", metavar="NAME", help="create a key for a caller and print it")
    action.add_argument("--remove", metavar="NAME", help="remove the key of a caller")
    action.add_argument("--list", action="store_true", help="print the names of the callers")
    arguments = parser.parse_args(argv)
    try:
        store = open_store()
        if arguments.list:
            print(*store.names() or [], sep="\n")
            return 0
        if arguments.remove is not None:
            remove(store, arguments.remove)
        else:
            show(arguments.add, add(store, arguments.add))
        store.refresh()
    except KeyError as error:
        print(f"keys: {error} is not set: run this with make", file=sys.stderr)
        return 1
    except (KeysError, RoadError, DeployError) as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


def secret_of_project() -> Secret:
    """Return the Secret that the environment names.

    Raises:
        KeyError: if a setting is missing.
        ClusterError: if kubectl is set to another cluster.
    """
    # What is said must not mix with a key that is printed.
    kubectl = Kubectl.from_environment(os.environ, partial(print, file=sys.stderr))
    kubectl.check_cluster(os.environ["CLUSTER"], os.environ["AWS_REGION"])
    return Secret(kubectl, os.environ["KEYS_SECRET"], f"app={os.environ['PROJECT']},component={CONTAINER}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command on the Secret of the cluster; return the exit status."""
    return run_command(argv, secret_of_project)


def show(name: str, key: str) -> None:
    """Print a key on standard output, so that it can be piped, and how to use it on standard error."""
    print(USE.format(name=name), file=sys.stderr)
    print(key)


if __name__ == "__main__":
    sys.exit(main())
