"""Default headers of responses, which restrict what a page may do in a browser."""

from collections.abc import Iterable

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DEFAULT_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    # Predictions may be about people, so caches must not store them.
    ("Cache-Control", "no-store"),
)
DOCUMENT_HEADERS = (
    *DEFAULT_HEADERS,
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DATA_PREFIX = "application/"
"""Prefix of media types that browsers neither render nor execute, such as JSON: they need fewer headers."""


def missing_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the default headers that a response lacks."""
    own = dict(headers)
    defaults = DEFAULT_HEADERS if own.get("Content-Type", "").startswith(DATA_PREFIX) else DOCUMENT_HEADERS
    return [default for default in defaults if default[0] not in own]
