"""WSGI without a model: the same response to every request."""

from collections.abc import Callable, Iterable
from typing import Any

CONTENT = b'{"label":"benign","probability":0.5,"probabilities":{"benign":0.5,"malignant":0.5},"warnings":[]}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(CONTENT)))]


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Read the body and answer."""
    environ["wsgi.input"].read()
    start_response("200 OK", HEADERS)
    return [CONTENT]
