"""Headers that tell a browser how little these pages may do."""

from collections.abc import Iterable

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FOR_ALL = (
    ("X-Content-Type-Options", "nosniff"),
    # Predictions are about people: no cache keeps them.
    ("Cache-Control", "no-store"),
)
FOR_DOCUMENTS = (
    *FOR_ALL,
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DATA = "application/"
"""How the types of what no browser shows or runs begin: JSON, say. A header takes as long as a part of the model."""


def missing_in(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return those of these headers that an answer needs and does not bring itself."""
    own = dict(headers)
    defaults = FOR_ALL if own.get("Content-Type", "").startswith(DATA) else FOR_DOCUMENTS
    return [default for default in defaults if default[0] not in own]
