"""Request predictions from the service of a project, by the API and by the form of the page."""

import json
import math
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

START_TIMEOUT = 120.0
"""Maximum seconds until the service is ready."""

ANSWER_TIMEOUT = 60.0
FLAGS = {"true": True, "yes": True, "y": True, "t": True, "false": False, "no": False, "n": False, "f": False}
MISSING = frozenset({"", "NA", "NaN", "nan", "NULL", "?"})


class ServiceError(RuntimeError):
    """The service did not start, or gave a wrong answer."""


@contextmanager
def service(project: Path) -> Iterator[str]:
    """Run the service of the project and yield its URL.

    Raises:
        ServiceError: if the service does not become ready.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["make", "-C", str(project), "serve", "HOST=127.0.0.1", f"PORT={port}"]
    log = project / "build" / "serve.log"
    with log.open("w") as output:
        # The signal to a new session stops make and the processes of make only.
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url, process, log)
            yield url
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait_until_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            status, _ = answer(f"{url}/readyz")
        except ServiceError:
            status = 0
        if status == 200:
            return
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text().strip().splitlines() or ["no output"]
            raise ServiceError(f"the service did not become ready: {lines[-1][:200]}")
        time.sleep(0.1)


def answer(url: str, body: bytes | None = None, media_type: str = "application/json") -> tuple[int, bytes]:
    """Send a request, and return status and body of the answer.

    Raises:
        ServiceError: if there is no answer.
    """
    request = urllib.request.Request(url, data=body, headers={"Content-Type": media_type} if body is not None else {})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        raise ServiceError(f"{url} does not answer: {error}") from error


def record_schema(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the schema of each field of a record in an OpenAPI document."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    record: Mapping[str, Mapping[str, Any]] = schemas["Record"]["properties"]
    return {name: _merged(field, schemas) for name, field in record.items()}


def _merged(field: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a field merged with the schemas that it refers to, without null."""
    merged = dict(field)
    if "$ref" in field:
        merged |= _merged(schemas[field["$ref"].rpartition("/")[2]], schemas)
    for part in (*field.get("anyOf", ()), *field.get("allOf", ())):
        if part.get("type") != "null":
            merged |= _merged(part, schemas)
    return merged


def json_value(cell: str, schema: Mapping[str, Any], decimal: str, written: str | None) -> Any:
    """Return the JSON value of a cell, or None for a missing value."""
    cell = cell.strip()
    if cell in MISSING:
        return None
    match schema.get("type"), schema.get("format"):
        case (("number" | "integer"), _):
            return float(cell.replace(decimal, "."))
        case "boolean", _:
            return FLAGS[cell.lower()]
        case "string", ("date" | "date-time" | "time" as kind) if written:
            moment = datetime.strptime(cell, written)  # noqa: DTZ007 (most tables have no time zones)
            parts = {"date": moment.date().isoformat(), "time": moment.time().isoformat()}
            return parts.get(kind, moment.isoformat())
        case _:
            return cell


class _Form(HTMLParser):
    """The values of the first form of a page without input."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.action = "/"
        self._choice: str | None = None
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        name = attributes.get("name") or ""
        match tag:
            case "form":
                self.action = attributes.get("action") or "/"
            case "input" if name and attributes.get("type") not in ("submit", "button"):
                if attributes.get("type") not in ("radio", "checkbox") or "checked" in attributes:
                    self.values[name] = attributes.get("value") or ""
            case "select" if name:
                self._choice = name
            case "option" if self._choice:
                if self._choice not in self.values or "selected" in attributes:
                    self.values[self._choice] = attributes.get("value") or ""
            case "textarea" if name:
                self._area = name
                self.values[name] = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._choice = None
        if tag == "textarea":
            self._area = None


def check_page(url: str) -> None:
    """Open the page, submit its form without changes, and check the status.

    Raises:
        ServiceError: if the status of an answer is not 200.
    """
    status, page = answer(f"{url}/")
    if status != 200:
        raise ServiceError(f"GET / answers {status}")
    form = _Form()
    form.feed(page.decode())
    body = urllib.parse.urlencode(form.values).encode()
    status, page = answer(urllib.parse.urljoin(url, form.action), body, "application/x-www-form-urlencoded")
    if status != 200:
        raise ServiceError(f"the unchanged form of the page answers {status}")


def numbers_of(prediction: Any) -> Iterator[float]:
    """Return every number in a prediction."""
    match prediction:
        case bool() | str() | None:
            return
        case int() | float():
            yield float(prediction)
        case dict():
            for part in prediction.values():
                yield from numbers_of(part)
        case list():
            for part in prediction:
                yield from numbers_of(part)


def answered(
    url: str, header: Sequence[str], rows: Sequence[Sequence[str]], decimal: str, dates: Mapping[str, str]
) -> tuple[int, int, list[str]]:
    """Send each row as a record.

    Returns:
        The number of predictions with finite numbers, the number of these with warnings, and the first problems.

    Raises:
        ServiceError: if the OpenAPI document cannot be read.
    """
    status, body = answer(f"{url}/openapi.json")
    if status != 200:
        raise ServiceError(f"GET /openapi.json answers {status}")
    schema = record_schema(json.loads(body))
    good, warned, problems = 0, 0, []
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        values = {name: json_value(cells[name], field, decimal, dates.get(name)) for name, field in schema.items()}
        record = {name: value for name, value in values.items() if value is not None}
        status, body = answer(f"{url}/v1/predictions", json.dumps(record).encode())
        if status != 200:
            problems.append(f"{status}: {body.decode()[:300]}")
            continue
        prediction = json.loads(body)
        if not all(map(math.isfinite, numbers_of(prediction))):
            problems.append(f"not finite: {body.decode()[:300]}")
            continue
        good += 1
        warned += bool(prediction.get("warnings"))
    return good, warned, problems[:3]
