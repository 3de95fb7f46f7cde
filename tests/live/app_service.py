"""App Service on this machine, as far as the road to a web app uses it: slots whose instances are containers.

A slot has a host name of its own, at which a proxy passes requests on to its instances. A swap warms the staging slot
up, exchanges what the slots run, and starts what had the traffic anew, as App Service does.
"""

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.live.azure_parts import AzureRefusesError, Json, Server, free_port, proxy_to, status_of

INSTANCES = 2
WARM_UP_SECONDS = 60.0


@dataclass
class Content:
    """What moves in a swap: configuration, app settings and containers, by their ports."""

    config: Json = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    containers: dict[str, int] = field(default_factory=dict)
    error: str = ""


@dataclass
class Slot:
    """A slot: what stays in a swap, and its content."""

    resource: Json
    state: str = "Running"
    content: Content = field(default_factory=Content)
    proxies: list[Server] = field(default_factory=list)


class Sites:
    """The web apps of a resource group.

    Attributes:
        docker: runs a command of the engine.
        context: of TLS.
        slots: by the name of the app, `/` and the name of the slot.
        swaps: number of swaps so far.
    """

    def __init__(self, docker: Callable[..., str], context: Any, label: str) -> None:
        self.docker, self.context, self.label = docker, context, label
        self.slots: dict[str, Slot] = {}
        self.swaps = 0
        self._numbers = count()
        self._operations: dict[str, str] = {}
        self._lock = threading.RLock()

    def answer(self, method: str, name: str, rest: list[str], path: str, body: bytes) -> tuple[int, Any]:
        """Return status and content of an answer; `operation` in it is the path at which the outcome is asked for."""
        slot_name, rest = (rest[1], rest[2:]) if rest[:1] == ["slots"] else ("production", rest)
        key = f"{name}/{slot_name}"
        if rest[:1] == ["operationresults"]:
            return (200, {}) if self._operations[rest[1]] == "done" else (202, {"operation": path})
        if method == "PUT" and not rest:
            return self._put(name, slot_name, path, json.loads(body))
        slot = self.slots.get(key)
        if slot is None:
            raise AzureRefusesError(404, "ResourceNotFound", f"The Resource 'sites/{key}' was not found.")
        match method, rest:
            case "GET", []:
                return 200, self._shown(slot)
            case "DELETE", []:
                self._stop(slot.content)
                for proxy in slot.proxies:
                    proxy.stop()
                del self.slots[key]
                return 200, b""
            case "POST", ["config", "appsettings", "list"]:
                return 200, {"properties": slot.content.settings}
            case "PUT", ["config", "appsettings"]:
                slot.content.settings = json.loads(body)["properties"]
                if slot.state == "Running":
                    self._start_anew(slot.content)
                return 200, {"properties": slot.content.settings}
            case "GET", ["instances"]:
                return 200, {"value": [{"name": each, "properties": {}} for each in slot.content.containers]}
            case "POST", ["containerlogs"]:
                logs = [self.docker("logs", "--tail", "50", each) for each in slot.content.containers]
                return 200, "\n".join([*logs, slot.content.error]).encode()
            case "POST", ["start" | "stop"]:
                slot.state = "Running" if rest == ["start"] else "Stopped"
                self._stop(slot.content)
                if slot.state == "Running":
                    self._start(slot.content)
                return 200, b""
            case "POST", ["slotsswap"] if json.loads(body)["targetSlot"] == "production":
                return self._swap(name, path)
        raise AzureRefusesError(400, "BadRequest", f"{method} {path} is not known")

    def _put(self, name: str, slot_name: str, path: str, body: Json) -> tuple[int, Any]:
        if slot_name != "production" and f"{name}/production" not in self.slots:
            raise AzureRefusesError(404, "ResourceNotFound", f"The Resource 'sites/{name}' was not found.")
        key = f"{name}/{slot_name}"
        slot = self.slots.get(key)
        if slot is None:
            serving = proxy_to(lambda: self._port(key))
            slot = self.slots[key] = Slot({}, proxies=[Server(serving, self.context), Server(serving)])
        properties = dict(body["properties"])
        config = dict(properties.pop("siteConfig"))
        slot.resource = body | {"id": path, "name": name, "properties": properties}
        slot.content.settings = {item["name"]: item["value"] for item in config.pop("appSettings")}
        slot.content.config = config
        if slot.state == "Running":
            self._stop(slot.content)
            self._start(slot.content)
        return 202, self._shown(slot)

    def _shown(self, slot: Slot) -> Json:
        busy = next((number for number, state in self._operations.items() if state != "done"), None)
        facts = {
            "state": slot.state,
            "siteConfig": slot.content.config | {"appSettings": None},
            "defaultHostName": f"localhost:{slot.proxies[0].port}",
            "inProgressOperationId": busy,
        }
        return slot.resource | {"properties": slot.resource["properties"] | facts}

    def _port(self, key: str) -> int | None:
        slot = self.slots[key]
        ports = list(slot.content.containers.values())
        return random.choice(ports) if ports and slot.state == "Running" else None

    def _start(self, content: Content) -> None:
        image = content.config["linuxFxVersion"].removeprefix("DOCKER|")
        assert "@sha256:" in image
        port_inside = content.settings["WEBSITES_PORT"]
        options = ["--detach", "--restart", "always", "--label", self.label]
        options += [part for item in content.settings.items() for part in ("--env", "=".join(item))]
        try:
            self.docker("pull", "--quiet", image)
            for _ in range(INSTANCES):
                name, port = f"site-{next(self._numbers):06}", free_port()
                self.docker("run", "--name", name, "--publish", f"127.0.0.1:{port}:{port_inside}", *options, image)
                content.containers[name] = port
            content.error = ""
        except AzureRefusesError as error:
            content.error = str(error)

    def _stop(self, content: Content, names: tuple[str, ...] = ()) -> None:
        stopping = list(names or content.containers)
        for name in stopping:
            content.containers.pop(name)
        if stopping:
            self.docker("stop", "--time", content.settings["WEBSITES_CONTAINER_STOP_TIME_LIMIT"], *stopping)
            self.docker("rm", "--force", *stopping)

    def _start_anew(self, content: Content) -> None:
        before = tuple(content.containers)
        self._start(content)
        self._warm_up(content)
        if before:
            self._stop(content, before)

    def _warm_up(self, content: Content) -> None:
        """Wait until every instance answers as the app settings say."""
        path = content.settings["WEBSITE_SWAP_WARMUP_PING_PATH"]
        statuses = [int(each) for each in content.settings["WEBSITE_SWAP_WARMUP_PING_STATUSES"].split(",")]
        began = time.monotonic()
        while not all(status_of(port, path) in statuses for port in content.containers.values()):
            assert time.monotonic() - began < WARM_UP_SECONDS, "the slot did not respond to http ping"
            time.sleep(0.2)

    def _swap(self, name: str, path: str) -> tuple[int, Any]:
        number = str(len(self._operations))
        self._operations[number] = "running"
        production, staging = (self.slots[f"{name}/{each}"] for each in ("production", "staging"))

        def work() -> None:
            self._warm_up(staging.content)
            production.content, staging.content = staging.content, production.content
            self.swaps += 1
            self._operations[number] = "done"
            for container in list(staging.content.containers):
                self.docker("restart", "--time", "20", container)

        threading.Thread(target=work, daemon=True).start()
        return 202, {"operation": f"{path.partition('/slots/')[0]}/operationresults/{number}"}

    def remove(self) -> None:
        """Stop the proxies."""
        for slot in self.slots.values():
            for proxy in slot.proxies:
                proxy.stop()
