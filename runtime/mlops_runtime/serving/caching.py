"""Caching: answers that stay the same while the service runs, which a client need not fetch twice."""

import hashlib

from flask import Response, request


class Constant:
    """An answer that is always the same, with a strong validator (RFC 9110, 8.8.3) made from its content."""

    def __init__(self, content: str | bytes, content_type: str) -> None:
        self._content = content.encode() if isinstance(content, str) else content
        self._content_type = content_type
        self._etag = hashlib.sha256(self._content).hexdigest()[:32]

    def answer(self) -> Response:
        """Return the answer to the request, without the content if the client has it already."""
        response = Response(self._content, content_type=self._content_type)
        response.set_etag(self._etag)
        # It may be kept, and is to be asked for again before each use: the next release has another.
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response
