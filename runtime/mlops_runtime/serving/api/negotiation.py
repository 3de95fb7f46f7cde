"""Content negotiation: the format of a request, that of its response, and how faulty records are handled."""

import codecs
import re
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
CHARSETS = re.compile(
    r"utf-?(?:8|16|32)(?:-?[lb]e)?|(?:us-)?ascii|latin-?1|iso-?8859-?\d+|(?:windows-|cp)\d+|koi8-[rut]|shift_jis|"
    r"euc-(?:jp|kr)|gb2312|gbk|gb18030|big5|mac-?roman",
    re.IGNORECASE,
)
"""Encodings of tables: others, such as punycode, take time that grows with the square of the length."""
LENIENT = "handling=lenient"
"""The preference (RFC 7240) for a response that has an error instead of the prediction of each faulty record."""


@dataclass(frozen=True, slots=True)
class Negotiation:
    """Formats of a request and its response.

    Attributes:
        request_format: format of the request.
        response_format: format of the response.
        lenient: whether a faulty record gets an error of its own instead of failing the request.
        charset: encoding of a table; None to detect it.
        key: column whose value comes back beside each prediction, or None.
    """

    request_format: Format
    response_format: Format
    lenient: bool = False
    charset: str | None = None
    key: str | None = None


def negotiate(headers: Headers, key: str | None = None) -> Negotiation:
    """Return the formats and the handling that the headers of a request select.

    Args:
        headers: of the request.
        key: column that the caller has named as the key, or None.

    Raises:
        UnsupportedMediaType: if the service cannot read the format of the body.
        NotAcceptable: if the service writes none of the accepted formats.
    """
    sent = request_format_of(headers.get("Content-Type", ""))
    return Negotiation(
        request_format=sent,
        response_format=response_format_of(headers.get("Accept", ""), sent),
        lenient=prefers_lenient(headers.get("Prefer", "")),
        charset=charset_of(headers.get("Content-Type", "")) if sent is Format.CSV else None,
        key=key,
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
    if sent is Format.CSV and parameters.get("header", "present").lower() != "present":
        raise UnsupportedMediaType("Send the table with a header: a first line with the names of the fields.")
    return sent


def charset_of(content_type: str) -> str | None:
    """Return the encoding that a Content-Type header names, or None.

    Raises:
        UnsupportedMediaType: if it is not an encoding of tables.
    """
    _, parameters = parse_options_header(content_type)
    charset = parameters.get("charset")
    if charset is None:
        return None
    if not CHARSETS.fullmatch(charset):
        raise UnsupportedMediaType("Send the table in UTF-8, or in another encoding without naming it.")
    try:
        return "utf-8-sig" if charset.lower() in UTF_8 else codecs.lookup(charset).name
    except LookupError as error:
        raise UnsupportedMediaType("Send the table in UTF-8, or in another encoding without naming it.") from error


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
