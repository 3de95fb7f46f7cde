"""The table of routes: properties that keys, limits, logs, metrics, server and OpenAPI document read."""

from dataclasses import dataclass, field
from functools import lru_cache

ROUTE_KEY = "mlops_runtime.route"
"""Key of the WSGI environment with the URL rule that Flask matched, such as `/customers/<id>`."""
OTHER = "other"
"""Label for requests that match no route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Properties of a route. The defaults apply to routes that a project adds.

    Attributes:
        path: of the route; a path that ends in a slash includes all paths below it.
        methods: allowed besides HEAD and OPTIONS.
        public: whether no API key is needed.
        logged: whether successful requests are logged at level info instead of debug.
        limited: whether requests count towards the rate limit of the caller.
        measured: whether requests have their own series in the metrics.
        probe: whether the cluster calls it; a separate thread responds even when all others are busy.
        quick: whether most requests take less time than a switch of threads.
        large: methods whose requests take long, even with a short body.
        table: whether the body is a table, which has a higher limit of its length.
    """

    path: str
    methods: tuple[str, ...] = ("GET",)
    public: bool = False
    logged: bool = True
    limited: bool = True
    measured: bool = True
    probe: bool = False
    quick: bool = False
    large: frozenset[str] = field(default_factory=frozenset)
    table: bool = False


ROUTES = (
    # Explaining a prediction takes thousands of predictions.
    Route(path="/", methods=("GET", "POST"), large=frozenset({"POST"})),
    Route(path="/docs/"),
    # The kubelet has no key and calls it every few seconds.
    Route(path="/healthz", public=True, logged=False, limited=False, probe=True),
    Route(path="/metrics", limited=False, probe=True),
    Route(path="/openapi.json"),
    Route(path="/readyz", public=True, logged=False, limited=False, probe=True),
    Route(path="/report"),
    # Loading the page once takes eight requests.
    Route(path="/static/", limited=False),
    Route(path="/table", methods=("GET", "POST"), large=frozenset({"POST"}), table=True),
    Route(path="/v1/explanations", methods=("POST",), large=frozenset({"POST"})),
    Route(path="/v1/predictions", methods=("POST",), quick=True),
    Route(path="/version"),
)
DEFAULT = Route(path=OTHER)
"""Properties of all other paths: routes of the project, and paths that do not exist."""

_ROUTES = {route.path: route for route in ROUTES}
_FOLDERS = tuple(route for route in ROUTES if route.path.endswith("/") and route.path != "/")


@lru_cache(maxsize=256)
def route_of(path: str) -> Route:
    """Return the route of a request path, with or without a slash at its end, and with any number at its start."""
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    for same in (path, path.removesuffix("/")):
        if same in _ROUTES:
            return _ROUTES[same]
    return next((route for route in _FOLDERS if path.startswith(route.path)), DEFAULT)
