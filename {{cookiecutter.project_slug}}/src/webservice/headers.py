"""Headers that tell a browser how little these pages may do."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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


def hardened(application: "WSGIApplication") -> "WSGIApplication":
    """Return the application with these headers on each answer that does not bring its own."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(line: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            own = dict(headers)
            defaults = FOR_ALL if own.get("Content-Type", "").startswith(DATA) else FOR_DOCUMENTS
            headers += [default for default in defaults if default[0] not in own]
            return start_response(line, headers, *exc_info)

        return application(environ, start)

    return answer
