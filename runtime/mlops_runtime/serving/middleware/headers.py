"""Default headers of responses: they restrict what a browser lets a page do."""

from collections.abc import Iterable

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FOR_ALL = (
    ("X-Content-Type-Options", "nosniff"),
    # Predictions may be about people: no cache keeps them.
    ("Cache-Control", "no-store"),
)
FOR_DOCUMENTS = (
    *FOR_ALL,
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DATA = "application/"
"""Prefix of media types that no browser shows or runs, such as JSON: they need fewer headers."""


def missing_in(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the default headers that a response does not set itself."""
    own = dict(headers)
    defaults = FOR_ALL if own.get("Content-Type", "").startswith(DATA) else FOR_DOCUMENTS
    return [default for default in defaults if default[0] not in own]
