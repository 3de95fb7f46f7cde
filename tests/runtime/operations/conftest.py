"""Stubs: a service with the responses that a test sets, and kubectl for a cluster in memory."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Protocol

import pytest

from mlops_runtime.operations.kubectl import ClusterError, ConflictError, Kubectl, Object

Responses = dict[str, tuple[int, bytes]]
"""Status and body by path."""


class StubService(Protocol):
    """Starts a stub and returns its URL. With a key, requests without it get status 401."""

    def __call__(self, responses: Responses, key: str = "") -> str: ...


@pytest.fixture
def stub_service() -> Iterator[StubService]:
    """Return the function that starts a stub."""
    with ExitStack() as running:

        def start(responses: Responses, key: str = "") -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    self.rfile.read(int(self.headers.get("Content-Length", 0)))
                    shown = self.headers.get("Authorization", "")
                    status, body = responses[self.path] if shown == (key and f"Bearer {key}") else (401, b"")
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

                def do_POST(self) -> None:
                    self.do_GET()

                def log_message(self, *_: object) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            running.callback(server.server_close)
            running.callback(server.shutdown)
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass(frozen=True)
class KubectlInMemory(Kubectl):
    """kubectl for a cluster that keeps objects in memory, and refuses to replace one that has changed.

    Attributes:
        objects: by kind in lower case and name.
        outputs: what a command in a pod prints, by name of the pod.
        failures: errors of the next commands; None for one that succeeds.
        commands: arguments of each command so far.
        contents: standard input of each command that had one.
        said: lines about waits.
        cluster: that kubectl is set to.
        apis: kinds by group and version.
    """

    command: Sequence[str] = ("kubectl",)
    namespace: str = "1234"
    objects: dict[tuple[str, str], Object] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    failures: list[ClusterError | None] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    cluster: str = "arn:aws:eks:eu-central-1:1:cluster/hospital"
    apis: dict[str, list[str]] = field(default_factory=lambda: {"apps/v1": ["Deployment"]})

    def put(self, *items: Object) -> None:
        """Put objects on the cluster, whatever was there."""
        for item in items:
            self._write(item)

    def once(self, *arguments: str, stdin: str | None = None) -> str:
        self.commands.append(arguments)
        if stdin is not None:
            self.contents.append(stdin)
        if self.failures and (failure := self.failures.pop(0)):
            raise failure
        match arguments:
            case ["config", "view", *_]:
                return self.cluster
            case ["get", "--raw", "/apis"]:
                return json.dumps({"groups": [{"versions": [{"groupVersion": version} for version in self.apis]}]})
            case ["get", "--raw", path]:
                kinds = self.apis[path.removeprefix("/apis/")]
                return json.dumps({"resources": [{"kind": kind} for kind in kinds]})
            case ["get", "--filename", "-", *_]:
                found = [self.objects[key] for item in items_of(stdin) if (key := key_of(item)) in self.objects]
                return json.dumps({"kind": "List", "items": found})
            case ["get", wanted, *options] if "--selector" in options:
                return json.dumps({"kind": "List", "items": self._selected(wanted, options)})
            case ["get", kind, name, *_]:
                item = self.objects.get((kind, name))
                return json.dumps(item) if item else ""
            case ["create", *_]:
                (item,) = items_of(stdin)
                if key_of(item) in self.objects:
                    raise ConflictError(f"{key_of(item)} exists")
                self._write(item)
            case ["replace", *_]:
                (item,) = items_of(stdin)
                if item["metadata"].get("resourceVersion") != self.objects[key_of(item)]["metadata"]["resourceVersion"]:
                    raise ConflictError("the object has been modified")
                self._write(item)
            case ["apply", *options]:
                if "--dry-run=server" not in options:
                    self.put(*items_of(stdin))
                return json.dumps({"kind": "List", "items": items_of(stdin)})
            case ["patch", kind, name, "--type", "merge", "--patch", patch]:
                if (kind, name) not in self.objects:
                    raise ClusterError(f"{kind} {name} is missing")
                self._write(merged(self.objects[kind, name], json.loads(patch)))
            case ["exec", pod, *_]:
                if pod not in self.outputs:
                    raise ClusterError(f"kubectl exec {pod}: no such pod")
                return self.outputs[pod]
            case ["delete", kinds, *options] if "--selector" in options:
                return self._delete(*map(key_of, self._selected(kinds.lower(), options)))
            case ["delete", kind, *names]:
                return self._delete(*((kind.lower(), name) for name in names))
            case ["annotate" | "set" | "rollout", *_]:
                pass
            case _:
                raise AssertionError(f"unknown command: {arguments}")
        return ""

    def _write(self, item: Object) -> None:
        item = json.loads(json.dumps(item))
        before = self.objects.get(key_of(item), {"metadata": {"resourceVersion": "0"}})
        item["metadata"]["resourceVersion"] = str(int(before["metadata"]["resourceVersion"]) + 1)
        self.objects[key_of(item)] = item

    def _delete(self, *keys: tuple[str, str]) -> str:
        return "".join(f"{'/'.join(key)}\n" for key in keys if self.objects.pop(key, None))

    def _selected(self, kinds: str, options: Sequence[str]) -> list[Object]:
        wanted = [kind.removesuffix("s") for kind in kinds.split(",")]
        pairs = [pair.split("=") for pair in options[options.index("--selector") + 1].split(",")]
        labels = {name: value for name, value in pairs if not name.endswith("!")}
        excluded = {(name[:-1], value) for name, value in pairs if name.endswith("!")}
        running = "status.phase=Running" in options
        return [
            item
            for (kind, _), item in self.objects.items()
            if kind in wanted
            and labels.items() <= item["metadata"].get("labels", {}).items()
            and excluded.isdisjoint(item["metadata"].get("labels", {}).items())
            and not (running and item["status"]["phase"] != "Running")
        ]


def key_of(item: Object) -> tuple[str, str]:
    return item["kind"].lower(), item["metadata"]["name"]


def items_of(content: str | None) -> list[Object]:
    """Return the objects in the standard input of kubectl."""
    item = json.loads(content or "")
    items: list[Object] = item["items"] if item["kind"] == "List" else [item]
    return items


def merged(value: Any, patch: Any) -> Any:
    """Return a value after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    before = value if isinstance(value, dict) else {}
    after = before | {name: merged(before.get(name), inner) for name, inner in patch.items()}
    return {name: inner for name, inner in after.items() if inner is not None}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kubectl(clock: Clock) -> KubectlInMemory:
    """kubectl for an empty cluster; waiting takes no time."""
    said: list[str] = []
    return KubectlInMemory(say=said.append, said=said, sleep=clock.sleep)
