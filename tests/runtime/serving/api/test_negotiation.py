import pytest
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType

from mlops_runtime.serving.api import negotiation
from mlops_runtime.serving.api.negotiation import (
    FORMATS,
    Format,
    Negotiation,
    negotiate,
    prefers_lenient,
    request_format_of,
    response_format_of,
)


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("accept", ["", "*/*", "*/*;q=0.1", "image/png, */*;q=0.8", " "])
def test_the_response_has_the_format_of_the_request_by_default(accept: str, sent: Format) -> None:
    assert response_format_of(accept, sent) is sent


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        pytest.param("text/csv", Format.CSV, id="one"),
        pytest.param("Text/CSV; charset=utf-8", Format.CSV, id="with-a-parameter"),
        pytest.param("text/csv;q=0.5, application/x-ndjson", Format.NDJSON, id="by-quality"),
        pytest.param("application/x-ndjson;q=0.5, text/csv;q=0.9, */*;q=0.1", Format.CSV, id="by-quality-before-any"),
        pytest.param("text/*", Format.CSV, id="a-range"),
        pytest.param("application/*", Format.JSON, id="the-first-of-a-range"),
        pytest.param("application/json;q=0, */*", Format.NDJSON, id="all-but-one"),
        pytest.param("image/png, text/csv;q=0.1", Format.CSV, id="the-only-known-one"),
        pytest.param("application/problem+json, application/json", Format.JSON, id="beside-problems"),
    ],
)
def test_the_response_has_the_preferred_format(accept: str, wanted: Format) -> None:
    assert response_format_of(accept, Format.JSON) is wanted


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/html, text/plain;q=0.9", "nonsense"])
def test_an_unsupported_response_format_is_refused_with_the_supported_ones(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="text/csv"):
        response_format_of(accept, Format.JSON)


@pytest.mark.parametrize("sent", FORMATS)
def test_the_content_type_selects_the_format(sent: Format) -> None:
    assert request_format_of(sent) is sent
    assert request_format_of(sent.upper()) is sent
    assert request_format_of(f"{sent}; charset=UTF-8") is sent


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/csv", "text/csvx", "\xff"])
def test_an_unknown_content_type_is_refused_with_the_known_ones(content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="text/csv"):
        request_format_of(content_type)


def test_a_table_without_a_header_is_refused() -> None:
    with pytest.raises(UnsupportedMediaType, match="Send the table with a header"):
        request_format_of("text/csv; header=absent")


@pytest.mark.parametrize(
    ("parameter", "charset"),
    [
        ("", None),
        ("; charset=utf-8", "utf-8-sig"),
        ('; charset="UTF-16"', "utf-16"),
        ("; charset=latin-1", "iso8859-1"),
        ("; charset=Windows-1250", "cp1250"),
    ],
)
def test_the_charset_of_a_table_is_read_from_its_content_type(parameter: str, charset: str | None) -> None:
    assert negotiate(Headers({"Content-Type": f"text/csv{parameter}"})).charset == charset


@pytest.mark.parametrize("charset", ["punycode", "zlib", "windows-9999", "x" * 1000])
def test_a_table_in_an_unknown_charset_is_refused(charset: str) -> None:
    with pytest.raises(UnsupportedMediaType, match="Send the table"):
        negotiate(Headers({"Content-Type": f"text/csv; charset={charset}"}))


def test_arrow_without_its_package_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "FORMATS", (Format.JSON, Format.CSV))

    with pytest.raises(UnsupportedMediaType, match=r"pyarrow.*application/json or text/csv"):
        request_format_of(Format.ARROW)
    with pytest.raises(NotAcceptable):
        response_format_of(Format.ARROW, Format.JSON)


@pytest.mark.parametrize(
    ("prefer", "lenient"),
    [
        ("", False),
        ("handling=lenient", True),
        ('Handling="Lenient"', True),
        ("respond-async, handling=lenient; why=tables", True),
        ("handling=strict", False),
        ("handling=strict, handling=lenient", False),
        ("handling", False),
        ("lenient", False),
    ],
)
def test_lenient_handling_is_read_from_the_prefer_header(prefer: str, lenient: bool) -> None:
    assert prefers_lenient(prefer) is lenient


def test_formats_and_handling_are_read_from_the_headers() -> None:
    headers = Headers({"Content-Type": "text/csv", "Accept": "application/json", "Prefer": "handling=lenient"})

    assert negotiate(headers) == Negotiation(Format.CSV, Format.JSON, lenient=True)
