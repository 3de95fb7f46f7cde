"""Content negotiation: the format of a request, that of its response, and how faulty records are handled."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from werkzeug.datastructures import Headers, MIMEAccept
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType
from werkzeug.http import parse_accept_header, parse_options_header

from mlops_runtime.serving.api import arrow


class Format(StrEnum):
    """Media types of records and predictions."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"
    CSV = "text/csv"
    ARROW = "application/vnd.apache.arrow.stream"


FORMATS = tuple(each for each in Format if each is not Format.ARROW or arrow.AVAILABLE)
"""Formats that this service supports: Arrow only where pyarrow is installed."""

UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})
LENIENT = "handling=lenient"
"""The preference (RFC 7240) for a response that has an error instead of the prediction of each faulty record."""


@dataclass(frozen=True, slots=True)
class Negotiation:
    """Formats of a request and its response.

    Attributes:
        request_format: format of the request.
        response_format: format of the response.
        lenient: whether a faulty record gets an error of its own instead of failing the request.
    """

    request_format: Format
    response_format: Format
    lenient: bool = False


def negotiate(headers: Headers) -> Negotiation:
    """Return the formats and the handling that the headers of a request select.

    Raises:
        UnsupportedMediaType: if the service cannot read the format of the body.
        NotAcceptable: if the service writes none of the accepted formats.
    """
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    sent = request_format_of(headers.get("Content-Type", ""))
    return Negotiation(
        sent, response_format_of(headers.get("Accept", ""), sent), prefers_lenient(headers.get("Prefer", ""))
    )


def request_format_of(content_type: str) -> Format:
    """Return the format that a Content-Type header names.

    Raises:
        UnsupportedMediaType: if the service cannot read it.
    """
    name, parameters = parse_options_header(content_type)
    known = {str(each): each for each in Format}
    sent = known.get(name.lower())
    if sent not in FORMATS:
        why = "Arrow needs pyarrow, which is not installed here. " if sent is Format.ARROW else ""
        raise UnsupportedMediaType(
            f"{why}Send the body as {alternatives(FORMATS)}, and name the format in the header Content-Type."
        )
    if sent is Format.CSV and parameters.get("charset", "utf-8").lower() not in UTF_8:
        raise UnsupportedMediaType("Send the table in UTF-8.")
    if sent is Format.CSV and parameters.get("header", "present").lower() != "present":
        raise UnsupportedMediaType("Send the table with a header: a first line with the names of the fields.")
    return sent


def response_format_of(accept: str, sent: Format) -> Format:
    """Return the format that an Accept header prefers; of equal ones the format of the request, then JSON.

    Raises:
        NotAcceptable: if the service writes none of the accepted formats.
    """
    if not accept.strip():
        return sent
    # Parameters such as a charset are ignored.
    accepted = MIMEAccept(
        (kind.partition(";")[0].strip(), quality) for kind, quality in parse_accept_header(accept, MIMEAccept)
    )
    best = max((sent, *FORMATS), key=accepted.quality)
    if not accepted.quality(best):
        raise NotAcceptable(f"The response can be {alternatives(FORMATS)}: name one of them in the header Accept.")
    return best


def prefers_lenient(prefer: str) -> bool:
    """Return whether a Prefer header asks for lenient handling; of repeated preferences the first one counts."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "lenient"
    return False


def alternatives(formats: Collection[str]) -> str:
    """Return the formats joined by commas and a final "or"."""
    *others, last = formats
    return f"{', '.join(others)} or {last}"
