"""Make, list and remove the API keys of the service on the cluster.

The cluster holds a Secret with the SHA-256 of each key, by the caller's name. The key itself is
shown once, to whoever makes it, and stored nowhere: who loses one makes another.
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

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
FIRST = "first"
"""Name of the key that a service is given to start with."""
OPERATOR = "operator"
"""Name under which the service knows who may run commands in its pods."""
CHANGED = "api-keys-changed"
"""Annotation of the pods. A kubelet looks at the Secrets of a pod about once a minute, and whenever the pod changes."""

USE = """\
This is the API key of {name}. It is shown this once and stored nowhere: keep it where you keep passwords.
  curl --header "Authorization: Bearer KEY" …
In a browser it is the password, under any name."""
UNSEEN = "The service starts with one API key, which nobody has seen: make one to use with `make key NAME=caller`."


class KeysError(RuntimeError):
    """The keys cannot be read or changed."""


@dataclass(frozen=True)
class Cluster:
    """Where the hashes of the keys are, and which pods take them."""

    kubectl: Sequence[str]
    secret: str
    selector: str

    def run(self, *arguments: str) -> str:
        """Return what kubectl prints.

        Raises:
            KeysError: if it fails.
        """
        result = subprocess.run([*self.kubectl, *arguments], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise KeysError(f"kubectl cannot {arguments[0]} {arguments[1]}: {result.stderr.strip()}")
        return result.stdout

    def names(self) -> list[str] | None:
        """Return the names of those who have a key; None if there is no Secret yet.

        Raises:
            KeysError: if kubectl fails.
        """
        text = self.run("get", "secret", self.secret, "--ignore-not-found", "--output", "json")
        return sorted(json.loads(text).get("data", {})) if text else None

    def put(self, name: str, content: str | None) -> None:
        """Put a hash under a name, or with None take the name away; the other names stay as they are.

        Raises:
            KeysError: if kubectl fails.
        """
        encoded = None if content is None else base64.b64encode(content.encode()).decode()
        patch = json.dumps({"data": {name: encoded}})
        self.run("patch", "secret", self.secret, "--type", "merge", "--patch", patch)

    def create(self, name: str, content: str) -> None:
        """Create the Secret with the hash of the first key.

        Raises:
            KeysError: if kubectl fails.
        """
        self.run("create", "secret", "generic", self.secret, f"--from-literal={name}={content}")

    def tell_pods(self) -> None:
        """Have the pods look at the keys within seconds.

        Raises:
            KeysError: if kubectl fails.
        """
        now = datetime.now(UTC).isoformat()
        try:
            self.run("annotate", "pods", "--selector", self.selector, "--overwrite", f"{CHANGED}={now}")
        except KeysError as error:
            raise KeysError(f"the keys are changed, but the pods look only once a minute: {error}") from error


def add(cluster: Cluster, name: str) -> str:
    """Return a new key, whose hash the cluster now has under the name.

    Raises:
        KeysError: if the name cannot be used, or has a key, or kubectl fails.
    """
    if not NAME.fullmatch(name) or name == OPERATOR:
        raise KeysError(
            f"{name!r} cannot be the name of a caller: give NAME=, up to 63 small letters, digits and dashes"
            f" (and not {OPERATOR})"
        )
    names = cluster.names()
    if name in (names or ()):
        raise KeysError(f"{name} has a key: choose another name, or remove it first with make key.remove NAME={name}")
    # 256 random bits; that the hash shows in a list of processes gives nothing away.
    key = secrets.token_urlsafe(32)
    content = hashlib.sha256(key.encode()).hexdigest()
    if names is None:
        cluster.create(name, content)
    else:
        cluster.put(name, content)
    return key


def remove(cluster: Cluster, name: str) -> None:
    """Remove the key of a caller.

    Raises:
        KeysError: if there is none, if it is the last one, or if kubectl fails.
    """
    names = cluster.names() or []
    if name not in names:
        raise KeysError(f"{name!r} has no key: give NAME=, one of {', '.join(names) or 'none'}")
    if names == [name]:
        raise KeysError(f"{name} has the last key, and no pod starts without one: first make another with make key")
    cluster.put(name, None)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; return the exit status."""
    parser = argparse.ArgumentParser(prog="mlops_runtime.operations.keys", description=__doc__)
    parser.add_argument("--kubectl", required=True, type=shlex.split, help="the kubectl command, with its context")
    parser.add_argument("--secret", required=True, help="name of the Secret")
    parser.add_argument("--selector", required=True, help="labels of the pods")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--add", metavar="NAME", help="make a key for a caller and print it")
    what.add_argument("--remove", metavar="NAME", help="remove the key of a caller")
    what.add_argument("--list", action="store_true", help="print the names of the callers")
    what.add_argument("--first", action="store_true", help="make the key to start with, unless there are keys")
    arguments = parser.parse_args(argv)
    cluster = Cluster(arguments.kubectl, arguments.secret, arguments.selector)
    try:
        if arguments.list:
            print(*cluster.names() or [], sep="\n")
        elif arguments.remove is not None:
            remove(cluster, arguments.remove)
            cluster.tell_pods()
        elif arguments.add is not None:
            show(arguments.add, add(cluster, arguments.add))
            cluster.tell_pods()
        elif cluster.names() is None:
            key = add(cluster, FIRST)
            # The log of a pipeline is no place for a key.
            if sys.stdout.isatty():
                show(FIRST, key)
            else:
                print(UNSEEN)
            cluster.tell_pods()
    except KeysError as error:
        print(f"keys: {error}", file=sys.stderr)
        return 1
    return 0


def show(name: str, key: str) -> None:
    """Print a key, and how to use it: apart, so that a key can be piped to where it is kept."""
    print(USE.format(name=name), file=sys.stderr)
    print(key)


if __name__ == "__main__":
    sys.exit(main())
