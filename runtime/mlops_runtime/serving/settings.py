"""Settings of the service, read from environment variables."""

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mlops_runtime.operator_key import operator_key_file

PATH_PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
"""A path that is a link to no other host and needs no escape in HTML, JSON or a header."""
ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(:(?P<port>[0-9]{1,5}))?")
ANY_ORIGIN = "*"
MAX_COUNT = 2**31 - 1
"""Maximum number of records that a setting may allow: what reads them counts no further."""
MIN_RATE = 1e-6
"""Minimum limit of the requests a second, if there is one: a request in 12 days."""
DEFAULT_PORTS = {"http": "80", "https": "443"}


class SettingsError(RuntimeError):
    """An environment variable has an invalid value."""


def path_prefix(text: str) -> str:
    """Return a path prefix without a slash at its end.

    Raises:
        ValueError: if it is no plain path.
    """
    prefix = text.rstrip("/")
    if prefix and not PATH_PREFIX.fullmatch(prefix):
        raise ValueError("write a path such as /models/churn, of letters, digits and the signs - . _ ~")
    return prefix


def origins(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return the origins of a list with commas or spaces, as browsers send them.

    Raises:
        ValueError: if one of them is no origin.
    """
    listed = value.replace(",", " ").split() if isinstance(value, str) else value
    return tuple(map(origin, listed))


def origin(text: str) -> str:
    """Return an origin in lower case, without the default port of its scheme.

    Raises:
        ValueError: if it is no origin.
    """
    match = ORIGIN.fullmatch(text.lower())
    if text != ANY_ORIGIN and not match:
        raise ValueError(f"write {text} as scheme://host or scheme://host:port without a path, or * for all origins")
    if not match:
        return text
    scheme, host, port = match["scheme"], match["host"], match["port"]
    return f"{scheme}://{host}" if port in (None, DEFAULT_PORTS.get(scheme)) else f"{scheme}://{host}:{port}"


def rate(limit: float) -> float:
    """Return a limit of the requests a second, which is 0 if there is none.

    Raises:
        ValueError: if it is so low that no second request would be answered.
    """
    if 0 < limit < MIN_RATE:
        raise ValueError(f"use 0 for no limit, or at least {MIN_RATE:g}")
    return limit


class Settings(BaseModel):
    """The settings. Each is read from the environment variable with its name in upper case."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=8000, ge=1, le=65535)
    workers: int = Field(default=1, ge=1, le=64, description="Processes; on Kubernetes add pods instead")
    threads: int = Field(default=1, ge=1, le=256, description="Threads for ordinary requests in each process")
    log_level: Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(str.lower)] = "info"
    version: str = Field(default="development", description="The release that /version reports")
    max_content_length: int = Field(default=1024 * 1024, ge=1, description="Bytes of a request body")
    max_records: int = Field(default=1000, ge=1, le=MAX_COUNT, description="Records of one request")
    max_explanations: int = Field(default=20, ge=1, le=MAX_COUNT, description="Records of one request for explanations")
    max_table_length: int = Field(default=2 * 1024 * 1024, ge=1, description="Bytes of a table on the page")
    max_large_requests: int = Field(
        default=3, ge=1, description="Large requests in work or waiting; one more is refused"
    )
    max_wait: float = Field(
        default=2, gt=0, le=600, description="Seconds that a request waits for a thread before it is refused"
    )
    body_timeout: float = Field(
        default=15, gt=0, le=600, description="Seconds in which the body of a request must arrive"
    )
    hang_timeout: float = Field(
        default=30, ge=1, le=600, description="Seconds after which a process with a request that hangs is replaced"
    )
    api_keys: Path | None = Field(
        default=None, description="Folder with the hashes of the API keys; without it none is required"
    )
    rate_limit: Annotated[float, AfterValidator(rate)] = Field(
        default=0, ge=0, description="Requests a second of one caller in each process; 0 is no limit"
    )
    root_path: Annotated[str, BeforeValidator(path_prefix)] = Field(
        default="", description="Path under which a proxy publishes the service, such as /models/churn"
    )
    trusted_proxies: int = Field(
        default=0, ge=0, le=9, description="Proxies in front that set X-Forwarded-For, -Proto, -Host and -Prefix"
    )
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(origins)] = Field(
        default=(), description="Origins whose pages may call the service from a browser; * for all"
    )
    reload: Path | None = Field(
        default=None, description="Folder of the project; the processes are replaced when a file in it changes"
    )
    prometheus_multiproc_dir: Path | None = Field(
        default=None, description="Folder with the metrics that the processes share"
    )
    drain_marker: Path | None = Field(default=None, description="File that exists while the service drains")
    drain_seconds: float = Field(
        default=8, ge=0, le=600, description="Seconds for which the service drains before it stops"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the settings of the environment; a missing or empty variable means the default.

        Raises:
            SettingsError: if a value is invalid; the message names the variable.
        """
        given = {name: environment[name.upper()] for name in cls.model_fields if environment.get(name.upper())}
        try:
            return cls.model_validate_strings(given)
        except ValidationError as error:
            fault = error.errors()[0]
            name = str(fault["loc"][0]).upper()
            raise SettingsError(f"{name}={environment[name]} is not usable: {fault['msg']}") from error

    def max_body_length(self, *, table: bool) -> int:
        """Return the maximum number of bytes of a request body, which is another one for a table on the page."""
        return self.max_table_length if table else self.max_content_length

    @property
    def marker(self) -> Path:
        """The drain marker; by default one per port, so that services on one machine drain independently."""
        return self.drain_marker or Path(tempfile.gettempdir()) / f"webservice-{self.port}.draining"

    @property
    def operator_key(self) -> Path:
        """The file with the operator's key of this service."""
        return operator_key_file(Path(tempfile.gettempdir()), self.port)
