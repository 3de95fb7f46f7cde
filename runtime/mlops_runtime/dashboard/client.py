"""A client of the service: its description, its model card, explained predictions, tables, metrics."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

JSON = "application/json"
MAX_LISTED = 5
"""Maximum number of faults in a message."""
DEFAULT_URL = "http://127.0.0.1:8000"
NONE: Mapping[str, str] = {}


class ClientError(RuntimeError):
    """The service does not answer, or refuses a request; the message is for people."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The predictions of a part of a table.

    Attributes:
        csv: lines of the table, with predictions.
        progress: share of the table that is done, from 0 to 1.
        rows: number so far.
        faulty: number of these that are refused.
        faults: of this part, each with the row in the file; not all if there are many.
        problem: why the rest of the table was not read; empty without a reason.
    """

    csv: str
    progress: float
    rows: int
    faulty: int
    faults: list[tuple[int, str]]
    problem: str


@dataclass(frozen=True)
class Client:
    """A client of the service.

    Attributes:
        url: of the service.
        key: to be sent to it; empty for a service that requires none.
        timeout: seconds without an answer, or without the next part of one.
    """

    url: str
    key: str = ""
    timeout: float = 60.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the client of the service that SERVICE_URL and SERVICE_KEY name."""
        return cls((environment.get("SERVICE_URL") or DEFAULT_URL).rstrip("/"), environment.get("SERVICE_KEY", ""))

    def description(self) -> dict[str, Any]:
        """Return the OpenAPI document of the service.

        Raises:
            ClientError: if the service does not answer.
        """
        return self._json("/openapi.json")

    def release(self) -> dict[str, Any]:
        """Return the release of the service and its model.

        Raises:
            ClientError: if the service does not answer.
        """
        return self._json("/version")

    def report(self) -> str:
        """Return the model card, as HTML.

        Raises:
            ClientError: if the service does not answer, or has none.
        """
        return self._text("/report")

    def metrics(self) -> str:
        """Return the metrics, in the format of Prometheus.

        Raises:
            ClientError: if the service does not answer.
        """
        return self._text("/metrics")

    def explain(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the prediction of a record with the contribution of each field.

        Raises:
            ClientError: if the service refuses the record, or does not answer.
        """
        return self._json("/v1/explanations", json.dumps(record).encode(), {"Content-Type": JSON})

    def score(self, name: str, table: bytes) -> Iterator[Scored]:
        """Yield the predictions of a table part by part.

        Args:
            name: of the file.
            table: its content.

        Raises:
            ClientError: if the service refuses the table, or does not answer to the end.
        """
        boundary = uuid.uuid4().hex
        safe = "".join(character if character.isprintable() and character not in '"\\' else "_" for character in name)
        start = f'--{boundary}\r\nContent-Disposition: form-data; name="table"; filename="{safe}"\r\n\r\n'
        body = start.encode() + table + f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Accept": "application/x-ndjson",
        }
        part = None
        with self._response("/table", body, headers) as response:
            for line in response:
                part = json.loads(line)
                yield Scored(**{name: part[name] for name in Scored.__slots__})
        if part is None or not part["done"]:
            raise ClientError("The service stopped before the end of the table: send it again.")

    def _json(self, path: str, body: bytes | None = None, headers: Mapping[str, str] = NONE) -> dict[str, Any]:
        with self._response(path, body, headers) as response:
            content: dict[str, Any] = json.loads(response.read())
            return content

    def _text(self, path: str) -> str:
        with self._response(path, None, NONE) as response:
            return response.read().decode()

    @contextmanager
    def _response(self, path: str, body: bytes | None, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
        request = Request(self.url + path, body, dict(headers))  # noqa: S310 - the address is a setting
        if self.key:
            # Another host, to which an answer may redirect, does not get the key.
            request.add_unredirected_header("Authorization", f"Bearer {self.key}")
        try:
            with urlopen(request, timeout=self.timeout) as response:  # noqa: S310 - the address is a setting
                yield response
        except HTTPError as error:
            with error:
                raise ClientError(self._reason(error)) from error
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", "") or error
            raise ClientError(
                f"The service at {self.url} does not answer ({reason}): start it, or set SERVICE_URL."
            ) from error

    def _reason(self, error: HTTPError) -> str:
        """Return what an answer with an error says."""
        if error.code == HTTPStatus.UNAUTHORIZED:
            return "The service does not accept the API key: set SERVICE_KEY to one that `make key` has printed."
        try:
            problem = json.loads(error.read())
            faults = problem.get("errors", [])
            listed = [f"{fault.get('field') or 'The request'} {fault['detail']}" for fault in faults[:MAX_LISTED]]
            return f"{'; '.join(listed)}." if listed else str(problem["detail"])
        except (OSError, HTTPException, ValueError, KeyError, TypeError, AttributeError):
            return f"The service at {self.url} answered with status {error.code}: see its log."
