"""Proxies in front of the service: path prefix, scheme, host and client of a request.

ROOT_PATH names the prefix. The headers `X-Forwarded-*` are read only if TRUSTED_PROXIES says how many proxies set
them, because any client can send them. Even then a prefix can only be a path of this host.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from werkzeug.middleware.proxy_fix import ProxyFix

from mlops_runtime.serving.routes import DEFAULT, route_of
from mlops_runtime.serving.settings import PATH_PREFIX

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SCHEMES = frozenset({"http", "https"})

Complete = Callable[["WSGIEnvironment"], None]
"""Changes the WSGI environment of a request."""


def public_address(root_path: str, proxies: int) -> Complete | None:
    """Return a function that completes WSGI environments by what the proxies say; None if there is nothing to do.

    It sets SCRIPT_NAME to the prefix and removes that from PATH_INFO, whether or not a proxy has removed it. It can be
    called twice for a request.

    Args:
        root_path: the prefix, which replaces that of the headers.
        proxies: number of proxies that set `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix`.
    """
    if not root_path and not proxies:
        return None
    read_headers = ProxyFix(
        lambda *_: (), x_for=proxies, x_proto=proxies, x_host=proxies, x_prefix=0 if root_path else proxies
    )

    def complete(environ: "WSGIEnvironment") -> None:
        if environ.get("SCRIPT_NAME"):
            return
        scheme = environ["wsgi.url_scheme"]
        read_headers(environ, lambda *_: lambda _: None)
        if environ["wsgi.url_scheme"] not in SCHEMES:
            environ["wsgi.url_scheme"] = scheme
        prefix = root_path or str(environ["SCRIPT_NAME"]).rstrip("/")
        if not PATH_PREFIX.fullmatch(prefix):
            prefix = ""
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = without_prefix(environ["PATH_INFO"], prefix)

    return complete


def without_prefix(path: str, prefix: str) -> str:
    """Return a path without the prefix, unless the whole path is a route and the rest is none."""
    rest = path.removeprefix(prefix) or "/"
    if not rest.startswith("/") or (route_of(rest) is DEFAULT and route_of(path) is not DEFAULT):
        return path
    return rest


def with_public_address(application: "WSGIApplication", complete: Complete) -> "WSGIApplication":
    """Return the application, which gets completed WSGI environments."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        complete(environ)
        return application(environ, start_response)

    return answer
