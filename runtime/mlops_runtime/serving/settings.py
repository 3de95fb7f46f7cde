"""Settings of the service, read from environment variables."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from mlops_runtime.operator_key import operator_key_file


class SettingsError(RuntimeError):
    """An environment variable has an invalid value."""


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
    max_records: int = Field(default=1000, ge=1, description="Records of one request")
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
    rate_limit: float = Field(
        default=0, ge=0, description="Requests a second of one caller in each process; 0 is no limit"
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

    @property
    def marker(self) -> Path:
        """The drain marker; by default one per port, so that services on one machine drain independently."""
        return self.drain_marker or Path(tempfile.gettempdir()) / f"webservice-{self.port}.draining"

    @property
    def operator_key(self) -> Path:
        """The file with the operator's key of this service."""
        return operator_key_file(Path(tempfile.gettempdir()), self.port)
