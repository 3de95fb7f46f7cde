"""Links between the pages of the service.

They are relative, so that they work behind a proxy that removes a path prefix and does not say so. If the prefix is
known, they begin with it: a page can then also be opened without the slash at the end of the prefix.
"""

from typing import Any

from flask import request, url_for


def link(path: str) -> str:
    """Return the link from the page of the current request to a path of the service.

    Args:
        path: begins with a slash and has no prefix.
    """
    if request.script_root:
        return request.script_root + path
    return ("../" * (request.path.count("/") - 1) or "./") + path[1:]


def link_to(endpoint: str, **values: Any) -> str:
    """Return the link from the page of the current request to an endpoint: `url_for` of the templates."""
    address = url_for(endpoint, **values)
    if request.script_root or not address.startswith("/"):
        return address
    return link(address)
