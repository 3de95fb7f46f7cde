"""The documentation for people: Swagger UI, without anything from another host."""

import base64
import hashlib
import re

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

VIEWPORT = b'<meta name="viewport" content="width=device-width, initial-scale=1">'
"""Makes Swagger UI readable on a phone; its page lacks it."""
SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def blueprint(title: str) -> Blueprint:
    """Return the blueprint that shows the OpenAPI document at /docs/, under a title."""
    routes: Blueprint = get_swaggerui_blueprint(
        "/docs",
        "/openapi.json",
        config={
            "app_name": title,
            "layout": "BaseLayout",
            # No badge of a validator, which another host would render.
            "validatorUrl": None,
            "defaultModelsExpandDepth": 0,
            # Set, so that nothing of the request gets into the page.
            "oauth2RedirectUrl": "/docs/oauth2-redirect.html",
        },
        blueprint_name="docs",
    )
    routes.after_request(allow_own_script)
    return routes


def allow_own_script(response: Response) -> Response:
    """Allow the page the scripts of this service, and the inline scripts that it contains."""
    if response.mimetype == "text/html" and not response.direct_passthrough:
        response.set_data(response.get_data().replace(b"<head>", b"<head>" + VIEWPORT, 1))
        hashes = " ".join(script_source(script) for script in SCRIPT.findall(response.get_data()))
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    return response


def script_source(script: bytes) -> str:
    """Return an inline script as a source of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
