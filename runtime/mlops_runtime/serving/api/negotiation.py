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
"""The preference (RFC 7240) for a response that describes each faulty record in its place, beside the predictions."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Formats of a request and its response.

    Attributes:
        sent: format of the request.
        wanted: format of the response.
        lenient: whether faulty records are described in their places instead of failing the request.
    """

    sent: Format
    wanted: Format
    lenient: bool = False


def terms_of(headers: Headers) -> Terms:
    """Return the terms that the headers of a request ask for.

    Raises:
        UnsupportedMediaType: if this service does not read the format of the body.
        NotAcceptable: if it writes none of the formats that the caller accepts.
    """
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Send the body as it is, without a Content-Encoding.")
    sent = sent_format(headers.get("Content-Type", ""))
    return Terms(sent, wanted_format(headers.get("Accept", ""), sent), prefers_lenient(headers.get("Prefer", "")))


def sent_format(content_type: str) -> Format:
    """Return the format that a Content-Type header names.

    Raises:
        UnsupportedMediaType: if this service does not read it.
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


def wanted_format(accept: str, sent: Format) -> Format:
    """Return the format that an Accept header prefers; among equals, that of the request, and then JSON.

    Raises:
        NotAcceptable: if it accepts none that this service writes.
    """
    if not accept.strip():
        return sent
    # Parameters, such as a charset, make no difference.
    accepted = MIMEAccept(
        (kind.partition(";")[0].strip(), quality) for kind, quality in parse_accept_header(accept, MIMEAccept)
    )
    best = max((sent, *FORMATS), key=accepted.quality)
    if not accepted.quality(best):
        raise NotAcceptable(f"The response can be {alternatives(FORMATS)}: name one of them in the header Accept.")
    return best


def prefers_lenient(prefer: str) -> bool:
    """Return whether a Prefer header asks for lenient handling; the first of repeated preferences counts."""
    for preference in prefer.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return value.strip().strip('"').lower() == "lenient"
    return False


def alternatives(formats: Collection[str]) -> str:
    """Return the formats as a list in words that ends in "or"."""
    *others, last = formats
    return f"{', '.join(others)} or {last}"
