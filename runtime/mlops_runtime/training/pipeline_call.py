"""The call that starts a pipeline with the model that a training on schedule has uploaded.

It is a POST of JSON. PIPELINE_URL, PIPELINE_AUTHORIZATION and PIPELINE_BODY are its address, its header `Authorization`
and its body; a Secret has them. In address and body, ${VERSION} stands for the version of the model.
"""

from collections.abc import Mapping
from http.client import HTTPException
from string import Template
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

TIMEOUT = 60.0
"""Seconds without an answer."""
UNUSABLE = "its answer is not HTTP, or PIPELINE_URL or PIPELINE_AUTHORIZATION has a character that HTTP does not take"


class PipelineError(RuntimeError):
    """The pipeline was not started."""


def call_pipeline(version: str, environment: Mapping[str, str]) -> str:
    """Start the pipeline; return its host, empty if the environment names no pipeline.

    Args:
        version: of the model.
        environment: with the address, the header and the body.

    Raises:
        PipelineError: if the call cannot be made, or is refused. The message has neither header nor body.
    """
    # A file of which a Secret is made mostly ends with a line break.
    url = _filled(environment.get("PIPELINE_URL", "").strip(), version)
    if not url:
        return ""
    host = _host(url)
    if not host:
        raise PipelineError("PIPELINE_URL is no address of a pipeline: it begins with https://")
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "mlops-runtime"}
    request = Request(url, _filled(environment.get("PIPELINE_BODY", "{}"), version).encode(), headers)  # noqa: S310
    if authorization := environment.get("PIPELINE_AUTHORIZATION", "").strip():
        # Another host, to which an answer may redirect, does not get it.
        request.add_unredirected_header("Authorization", authorization)
    try:
        with urlopen(request, timeout=TIMEOUT):  # noqa: S310 - the address is a setting
            return host
    except HTTPError as error:
        with error:
            raise PipelineError(f"{host} did not start the pipeline: it answered with status {error.code}") from error
    except OSError as error:
        raise PipelineError(f"{host} did not start the pipeline: {getattr(error, 'reason', '') or error}") from error
    except (HTTPException, ValueError) as error:
        # The text of the error has the header, or the address, in which a token may be.
        raise PipelineError(f"{host} did not start the pipeline: {UNUSABLE}") from error


def _host(url: str) -> str:
    """Return the host of an address; empty if it is none of HTTP."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return parts.hostname or "" if parts.scheme in {"http", "https"} else ""


def _filled(text: str, version: str) -> str:
    return Template(text).safe_substitute(VERSION=version)
