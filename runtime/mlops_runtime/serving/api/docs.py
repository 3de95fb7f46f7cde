"""The API documentation: Swagger UI, served without resources of other hosts."""

import base64
import hashlib
import re

from flask import Blueprint, Response
from flask_swagger_ui import get_swaggerui_blueprint

from mlops_runtime.serving.links import link

VIEWPORT = b'<meta name="viewport" content="width=device-width, initial-scale=1">'
"""Makes Swagger UI readable on a phone; its own page lacks the element."""
FOLDER, DOCUMENT = "/docs", "/openapi.json"
PATHS = (f"{FOLDER}/", DOCUMENT)
"""Paths to which the page of Swagger UI has absolute links."""
SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def blueprint(title: str) -> Blueprint:
    """Return the blueprint of Swagger UI at /docs/, with a title."""
    routes: Blueprint = get_swaggerui_blueprint(
        FOLDER,
        DOCUMENT,
        config={
            "app_name": title,
            "layout": "BaseLayout",
            # No badge of the online validator.
            "validatorUrl": None,
            "defaultModelsExpandDepth": 0,
            # Fixed, because the default contains the host name of the request.
            "oauth2RedirectUrl": f"{FOLDER}/oauth2-redirect.html",
        },
        blueprint_name="docs",
    )
    routes.after_request(allow_own_script)
    return routes


def allow_own_script(response: Response) -> Response:
    """Allow the scripts of this service and the inline scripts of the page, and make its links relative."""
    if response.mimetype == "text/html" and not response.direct_passthrough:
        content = response.get_data().replace(b"<head>", b"<head>" + VIEWPORT, 1)
        for path in PATHS:
            content = content.replace(f'"{path}'.encode(), f'"{link(path)}'.encode())
        response.set_data(content)
        hashes = " ".join(script_source(script) for script in SCRIPT.findall(response.get_data()))
        response.headers["Content-Security-Policy"] = (
            f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
    return response


def script_source(script: bytes) -> str:
    """Return the hash of an inline script as a source of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
