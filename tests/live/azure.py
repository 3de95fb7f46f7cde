"""Azure on this machine, as far as the roads use it, for the real Azure CLI: a cloud of its own.

One HTTPS endpoint is directory and Resource Manager. A container app runs as containers of the local engine, behind
a proxy for each revision and one that shares the traffic by the weights of the app. Blobs are those of azurite.
"""

import base64
import json
import os
import random
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.live.app_service import Sites
from tests.live.azure_parts import AzureRefusesError, Handler, Json, Server, free_port, proxy_to, status_of

TENANT, SUBSCRIPTION, CLIENT = (f"{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "123")
ACCOUNT = "devstoreaccount1"
"""The storage account of azurite."""
KINDS = ("managedEnvironments", "containerApps", "serverFarms", "sites")
LABEL = "mlops-template-tests.azure"


def merged(old: Any, new: Any) -> Any:
    """Return a JSON document after a JSON merge patch (RFC 7396)."""
    if not isinstance(new, dict):
        return new
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@dataclass
class Revision:
    """A revision and its containers, by their ports."""

    name: str
    template: Json
    active: bool = True
    error: str = ""
    containers: dict[str, int] = field(default_factory=dict)
    proxy: Server | None = None


@dataclass
class App:
    """A container app."""

    resource: Json
    revisions: dict[str, Revision] = field(default_factory=dict)
    polls_left: int = 0
    proxies: list[Server] = field(default_factory=list)


class Azure:
    """The resources of the subscription.

    Attributes:
        engine: command that runs the containers.
        apps: container apps by name.
        resources: everything else, by path in lower case.
        assertions: tokens of others that the directory was given.
        registry_token: that the container registry gives for a login at the directory.
        environment: of the engine, with its login at the registry.
        context: of TLS.
    """

    def __init__(self, engine: str, context: ssl.SSLContext) -> None:
        self.engine, self.context = engine, context
        self.apps: dict[str, App] = {}
        self.resources: dict[str, Json] = {}
        self.assertions: list[str] = []
        self.registry_token = ""
        self.environment = dict(os.environ)
        self._lock = threading.RLock()
        self._numbers = count()
        azure = self

        class Management(Handler):
            def answer(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                path = urlsplit(self.path).path
                try:
                    status, content = azure.answer(self.command, path, body)
                except AzureRefusesError as error:
                    status, content = error.status, {"error": {"code": error.code, "message": str(error)}}
                operation = content.pop("operation", "") if isinstance(content, dict) else ""
                text = content if isinstance(content, bytes) else json.dumps(content).encode()
                challenge = f'Bearer realm="{azure.url}/oauth2/token",service="localhost"'
                headers = [("Content-Type", "application/json"), ("Www-Authenticate", challenge)]
                if operation:
                    headers += [("Location", f"{azure.url}{operation}"), ("Retry-After", "1")]
                return status, headers, text

        self.server = Server(Management, context)
        self.url = f"https://localhost:{self.server.port}"
        self.label = f"{LABEL}={self.server.port}"
        self.sites = Sites(self.docker, context, self.label)

    def docker(self, *arguments: str) -> str:
        command = [self.engine, *arguments]
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise AzureRefusesError(400, "Failed", result.stderr.strip().splitlines()[-1])
        return result.stdout.strip()

    def find(self, end: str) -> Json:
        """Return the resource whose path has an end."""
        return next(resource for path, resource in self.resources.items() if path.endswith(end))

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and content of an answer."""
        parts = path.strip("/").split("/")
        match [part.lower() for part in parts]:
            case ["metadata", "endpoints"]:
                return 200, self._endpoints()
            case [_, "v2.0", ".well-known", "openid-configuration"]:
                issuer = {"issuer": f"{self.url}/{TENANT}/v2.0", "token_endpoint": f"{self.url}/{TENANT}/oauth2/token"}
                return 200, issuer | {"authorization_endpoint": f"{self.url}/{TENANT}/oauth2/authorize"}
            case [_, "oauth2", "token"]:
                self.assertions += parse_qs(body.decode()).get("client_assertion", [])
                return 200, token()
            case ["subscriptions"]:
                named = {"id": f"/subscriptions/{SUBSCRIPTION}", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT}
                return 200, {"value": [named | {"displayName": "tests", "state": "Enabled"}]}
            case ["subscriptions", _, "resourcegroups", _, "containerapps", _, "revisions", _, "replicas", name, *_]:
                return 200, self.docker("logs", "--tail", "50", name).encode()
            case ["subscriptions", _, "providers", _, "checknameavailability"]:
                named = json.loads(body)["name"].lower()
                taken = any(key.endswith(f"/storageaccounts/{named}") for key in self.resources)
                return 200, {"nameAvailable": not taken} | ({"reason": "AlreadyExists"} if taken else {})
            case ["v1.0", "directoryobjects", "getbyids"]:
                return 200, {"value": []}
            case [*_, "providers", "microsoft.authorization", "roleassignments"] if method == "GET":
                scope = path.lower()
                return 200, {"value": [each for key, each in self.resources.items() if key.startswith(f"{scope}/")]}
            case ["subscriptions", _, "resources"]:
                found = [each for key, each in self.resources.items() if key.partition("/registries/")[2].isalnum()]
                return 200, {"value": found}
            case ["v2"]:
                raise AzureRefusesError(401, "UNAUTHORIZED", "authentication required")
            case ["oauth2", "exchange"]:
                return 200, {"refresh_token": self.registry_token}
            case [*_, "providers", "microsoft.authorization", "roledefinitions"]:
                return 200, {"value": [{"id": f"{path}/{TENANT}", "name": TENANT}]}
            case ["subscriptions", _, "providers", namespace]:
                kinds = [{"resourceType": name, "locations": ["West Europe"]} for name in KINDS]
                return 200, {"namespace": namespace, "registrationState": "Registered", "resourceTypes": kinds}
            case ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.app", "containerapps", name, *rest]:
                with self._lock:
                    return self._app(method, name, rest, path, body)
            case ["subscriptions", _, "resourcegroups", _, "providers", "microsoft.web", "sites", name, *rest]:
                return self.sites.answer(method, name, rest, path, body)
            case _:
                return self._resource(method, path, body)

    def _endpoints(self) -> Json:
        names = ("portal", "resourceManager", "graphAudience", "graph", "microsoftGraphResourceId")
        suffixes = {"storage": "localhost", "acrLoginServer": "localhost", "keyVaultDns": "", "sqlServerHostname": ""}
        login = {"loginEndpoint": self.url, "audiences": [self.url], "tenant": "common", "identityProvider": "AAD"}
        return {"name": "tests", "authentication": login, "suffixes": suffixes} | dict.fromkeys(names, self.url)

    def _resource(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        key = path.lower()
        if method == "PUT":
            given = json.loads(body or b"{}")
            if "/roleassignments/" in key and self._is_granted(key, given):
                raise AzureRefusesError(409, "RoleAssignmentExists", "The role assignment already exists.")
            facts: Json = {
                "id": path,
                "name": path.rpartition("/")[2],
                "properties": {"provisioningState": "Succeeded"},
            }
            if "userassignedidentities" in key:
                facts["properties"] = {"principalId": TENANT, "clientId": CLIENT}
            if key.partition("/registries/")[2].isalnum():
                facts["properties"]["loginServer"] = self.url.removeprefix("https://")
            if "/roleassignments/" in key:
                facts["properties"] = {"scope": path.partition("/providers/Microsoft.Authorization/")[0]}
            self.resources[key] = merged(facts, given)
            return 200, self.resources[key]
        if method == "DELETE":
            self.resources.pop(key, None)
            return 200, {}
        if key not in self.resources:
            raise AzureRefusesError(404, "ResourceNotFound", f"The Resource '{path}' was not found.")
        return 200, self.resources[key]

    def _is_granted(self, path: str, given: Json) -> bool:
        """Return whether somebody has the role already."""
        scope = path.rpartition("/")[0]
        wanted = [given["properties"][name] for name in ("principalId", "roleDefinitionId")]
        return wanted in [
            [each["properties"][name] for name in ("principalId", "roleDefinitionId")]
            for key, each in self.resources.items()
            if key.rpartition("/")[0] == scope
        ]

    def _app(self, method: str, name: str, rest: list[str], path: str, body: bytes) -> tuple[int, Any]:
        app = self.apps.get(name)
        if app is None and (method != "PUT" or rest):
            raise AzureRefusesError(404, "ResourceNotFound", f"The Resource 'containerApps/{name}' was not found.")
        match method, rest:
            case (("PUT" | "PATCH"), []):
                return self._change(name, app, path, json.loads(body))
            case "GET", []:
                assert app is not None
                return 200, self._shown(app)
            case "DELETE", []:
                assert app is not None
                for revision in app.revisions.values():
                    self._stop(revision)
                for proxy in app.proxies:
                    proxy.stop()
                del self.apps[name]
                return 202, b""
            case "POST", ["listsecrets"]:
                assert app is not None
                return 200, {"value": app.resource["properties"]["configuration"].get("secrets", [])}
            case "POST", ["getauthtoken"]:
                return 200, {"properties": {"token": "t"}}
            case "GET", ["revisions"]:
                assert app is not None
                return 200, {"value": [self._shown_revision(app, each) for each in app.revisions.values()]}
            case _, ["revisions", revision, action]:
                assert app is not None
                if revision not in app.revisions:
                    raise AzureRefusesError(404, "RevisionNotFound", f"Revision '{revision}' was not found.")
                return 200, self._act(app, app.revisions[revision], action)
        raise AzureRefusesError(400, "BadRequest", f"{method} {path} is not known")

    def _change(self, name: str, app: App | None, path: str, body: Json) -> tuple[int, Any]:
        if app is not None and app.polls_left:
            raise AzureRefusesError(409, "ContainerAppOperationInProgress", f"'{name}' has an operation in progress")
        if app is None:
            app = self.apps[name] = App({"id": path, "name": name, "type": "Microsoft.App/containerApps"})
            serving = proxy_to(lambda: self._port_by_weight(name))
            app.proxies = [Server(serving, self.context), Server(serving)]
        app.resource = merged(app.resource, body)
        app.polls_left = 1
        template = body.get("properties", {}).get("template")
        if template:
            revision = f"{name}--{app.resource['properties']['template']['revisionSuffix']}"
            if revision in app.revisions:
                raise AzureRefusesError(400, "ContainerAppInvalidRevisionSuffix", f"{revision} exists already")
            app.revisions[revision] = Revision(revision, app.resource["properties"]["template"])
            self._start(app, app.revisions[revision])
        return 202, self._shown(app)

    def _start(self, app: App, revision: Revision) -> None:
        """Start the replicas of a revision."""
        if revision.proxy is None:
            turn = count()

            def next_port() -> int | None:
                ports = list(revision.containers.values())
                return ports[next(turn) % len(ports)] if ports else None

            revision.proxy = Server(proxy_to(next_port), self.context)
        container = revision.template["containers"][0]
        secrets = {item["name"]: item["value"] for item in app.resource["properties"]["configuration"]["secrets"]}
        variables = [
            f"{item['name']}={secrets[item['secretRef']] if 'secretRef' in item else item.get('value', '')}"
            for item in container["env"]
        ]
        options = ["--detach", "--restart", "always", "--label", self.label]
        options += [part for variable in variables for part in ("--env", variable)]
        try:
            self.docker("pull", "--quiet", container["image"])
            for _ in range(int(revision.template["scale"]["minReplicas"])):
                name, port = f"{revision.name}-{next(self._numbers):06}", free_port()
                self.docker("run", "--name", name, "--publish", f"127.0.0.1:{port}:8000", *options, container["image"])
                revision.containers[name] = port
        except AzureRefusesError as error:
            revision.error = str(error)

    def _stop(self, revision: Revision, names: tuple[str, ...] = ()) -> None:
        stopping = list(names or revision.containers)
        for name in stopping:
            revision.containers.pop(name)
        if stopping:
            self.docker("stop", "--time", "20", *stopping)
            self.docker("rm", "--force", *stopping)

    def _act(self, app: App, revision: Revision, action: str) -> Json:
        match action:
            case "replicas":
                return {"value": [self._shown_replica(*each) for each in revision.containers.items()]}
            case "activate":
                revision.active = True
                if not revision.containers:
                    self._start(app, revision)
            case "deactivate":
                revision.active = False
                self._stop(revision)
            case "restart":
                before = tuple(revision.containers)
                self._start(app, revision)
                began = time.monotonic()
                while not all(map(is_ready, revision.containers.values())) and time.monotonic() - began < 60:
                    time.sleep(0.2)
                self._stop(revision, before)
        return {}

    def _port_by_weight(self, name: str) -> int | None:
        """Return the port of a replica that the traffic of an app goes to."""
        app = self.apps[name]
        rules = app.resource["properties"]["configuration"]["ingress"]["traffic"]
        weights = {rule["revisionName"]: rule["weight"] for rule in rules if rule["weight"]}
        chosen = app.revisions.get(random.choices(list(weights), list(weights.values()))[0])
        ports = list(chosen.containers.values()) if chosen else []
        return random.choice(ports) if ports else None

    def _shown(self, app: App) -> Json:
        state = "InProgress" if app.polls_left else "Succeeded"
        app.polls_left = max(0, app.polls_left - 1)
        ingress = {"fqdn": f"localhost:{app.proxies[0].port}"}
        stream = f"{self.url}/subscriptions/{SUBSCRIPTION}/eventstream"
        shown: Json = merged(
            app.resource,
            {"properties": {
                "provisioningState": state, "configuration": {"ingress": ingress}, "eventStreamEndpoint": stream,
                "latestRevisionName": list(app.revisions)[-1] if app.revisions else "",
            }},
        )  # fmt: skip
        configuration = shown["properties"]["configuration"]
        configuration["secrets"] = [{"name": each["name"]} for each in configuration.get("secrets", [])]
        return shown

    def _shown_revision(self, app: App, revision: Revision) -> Json:
        assert revision.proxy is not None
        rules = app.resource["properties"]["configuration"]["ingress"]["traffic"]
        return {
            "name": revision.name,
            "properties": {
                "active": revision.active, "template": revision.template, "fqdn": f"localhost:{revision.proxy.port}",
                "trafficWeight": sum(each["weight"] for each in rules if each["revisionName"] == revision.name),
                "provisioningState": "Failed" if revision.error else "Provisioned",
                "provisioningError": revision.error, "replicas": len(revision.containers),
            },
        }  # fmt: skip

    def _shown_replica(self, name: str, port: int) -> Json:
        state = json.loads(self.docker("inspect", name))[0]
        running = state["State"]["Status"] == "running" and not state["State"]["Restarting"]
        ready = running and is_ready(port)
        facts = {"name": "webservice", "ready": ready, "restartCount": state["RestartCount"]}
        return {
            "name": name,
            "properties": {"containers": [facts | {"runningState": "Running" if running else "Waiting"}]},
        }


def is_ready(port: int) -> bool:
    """Return whether a replica answers its readiness probe."""
    return status_of(port, "/readyz") == 200


def token() -> Json:
    """Return a token as the directory gives one; azurite reads its audience and issuer."""
    now = int(time.time())
    times = {"nbf": now - 60, "iat": now, "exp": now + 3600}
    issuer = f"https://sts.windows.net/{TENANT}/"
    claims = times | {"aud": "https://storage.azure.com", "iss": issuer, "tid": TENANT, "ver": "1.0"}
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none", "typ": "JWT"}, claims)
    )
    return {"token_type": "Bearer", "expires_in": 3600, "access_token": f"{head}.{body}.c2lnbmF0dXJl"}


@dataclass
class Cloud:
    """A cloud of its own, and the Azure CLI that is logged in to it.

    Attributes:
        azure: the endpoint.
        az: the command.
        environment: of the command.
        own: the part of the environment that names the cloud.
    """

    azure: Azure
    az: Path
    environment: dict[str, str]
    own: dict[str, str]

    def run(self, *arguments: str) -> str:
        command = [str(self.az), *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout


@contextmanager
def imported_once(az: Path, folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Yield a program that does what the Azure CLI does, without a start of its own for each command.

    Args:
        az: the Azure CLI; one that is no script of Python is yielded itself.
        folder: for the program.
        environment: of the Azure CLI.
    """
    python = az.read_bytes().partition(b"\n")[0].removeprefix(b"#!").decode(errors="replace").strip()
    if "python" not in python:
        yield az
        return
    module, path, program = Path(__file__).with_name("az_server.py"), folder / "az.socket", folder / "az-command"
    program.write_text(f'#!/bin/sh\nexec {python} -IS "{module}" ask "{path}" "$@"\n')
    program.chmod(0o755)
    with subprocess.Popen([python, "-I", module, "serve", path], env=environment) as server:
        try:
            while not path.exists():
                assert server.poll() is None, "the Azure CLI cannot be imported"
                time.sleep(0.1)
            yield program
        finally:
            server.terminate()


@contextmanager
def cloud(folder: Path, az: Path, azurite: Path, engine: str, environment: dict[str, str]) -> Iterator[Cloud]:
    """Run the endpoint and azurite, and log the Azure CLI in with a federated token.

    Args:
        folder: for the state of all of them.
        az: the Azure CLI.
        azurite: the program azurite-blob.
        engine: that runs the container apps.
        environment: that the Azure CLI gets.
    """
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "30", "-subj", "/CN=localhost", "-addext", names],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    azure = Azure(engine, context)
    port = free_port()
    command: list[str | Path] = [
        azurite,
        "--silent",
        "--disableTelemetry",
        "--location",
        folder / "blobs",
        "--blobPort",
        str(port),
    ]
    command += ["--cert", certificate, "--key", key, "--oauth", "basic", "--skipApiVersionCheck"]
    settings = {
        "AZURE_CONFIG_DIR": str(folder / "az"),
        "AZURE_CORE_COLLECT_TELEMETRY": "0",
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_STORAGE_ACCOUNT_URL": f"https://localhost:{port}/{ACCOUNT}",
        "REQUESTS_CA_BUNDLE": str(certificate),
        "SSL_CERT_FILE": str(certificate),
    }
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as storage,
        imported_once(az, folder, environment | settings) as az,
    ):
        try:
            made = Cloud(azure, az, environment | settings, settings)
            made.run("cloud", "register", "--name", "tests", "--endpoint-resource-manager", azure.url)
            made.run("cloud", "set", "--name", "tests")
            login = ("--service-principal", "--username", CLIENT, "--tenant", TENANT, "--federated-token", "token")
            made.run("login", *login)
            yield made
        finally:
            storage.terminate()
            azure.server.stop()
            azure.sites.remove()
            for name in azure.docker("ps", "--all", "--quiet", "--filter", f"label={azure.label}").split():
                azure.docker("rm", "--force", name)
