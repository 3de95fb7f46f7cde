"""Constant responses, which clients may cache."""

import hashlib

from flask import Response, request


class Constant:
    """A constant response with a strong validator (RFC 9110, 8.8.3), the hash of its content."""

    def __init__(self, content: str | bytes, content_type: str) -> None:
        self._content = content.encode() if isinstance(content, str) else content
        self._content_type = content_type
        self._etag = hashlib.sha256(self._content).hexdigest()[:32]

    def response(self) -> Response:
        """Return the response to the current request: status 304 if the client has the current content."""
        response = Response(self._content, content_type=self._content_type)
        response.set_etag(self._etag)
        # A client must revalidate the stored content before each use, because the next release changes it.
        response.headers["Cache-Control"] = "no-cache"
        response.make_conditional(request)
        return response
