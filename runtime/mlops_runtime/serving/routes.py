"""The table of routes: what holds for each path, read by keys, limits, logs, metrics, the server and OpenAPI."""

from dataclasses import dataclass, field
from functools import lru_cache

ROUTE_KEY = "mlops_runtime.route"
"""Key of the WSGI environment with the URL rule that Flask matched, such as `/customers/<id>`."""
OTHER = "other"
"""Name of everything that no route matches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What holds for the requests to one path. The defaults are those of a route that a project adds.

    Attributes:
        path: of the route; one that ends in a slash stands for all paths below it as well.
        methods: that it answers, besides HEAD and OPTIONS.
        public: whether it is answered without an API key.
        logged: whether a successful request makes a line at level info; others are logged at level debug.
        limited: whether its requests count towards the rate limit of a caller.
        measured: whether its requests have a series of their own in the metrics.
        probe: whether the cluster asks for it: it is answered by a thread of its own, however busy the others are.
        quick: whether its requests are mostly shorter than a change of threads.
        large: methods whose requests are long work, whatever the length of their body.
        table: whether the body is a table, which may be longer than other bodies.
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
    # The explanation of one prediction takes thousands of others.
    Route(path="/", methods=("GET", "POST"), large=frozenset({"POST"})),
    Route(path="/docs/"),
    # A kubelet has no key, and asks every few seconds.
    Route(path="/healthz", public=True, logged=False, limited=False, probe=True),
    Route(path="/metrics", limited=False, probe=True),
    Route(path="/openapi.json"),
    Route(path="/readyz", public=True, logged=False, limited=False, probe=True),
    Route(path="/report"),
    # To look at the page once is one request for a person, and eight for the service.
    Route(path="/static/", limited=False),
    Route(path="/table", methods=("GET", "POST"), large=frozenset({"POST"}), table=True),
    Route(path="/v1/predictions", methods=("POST",), quick=True),
    Route(path="/version"),
)
DEFAULT = Route(path=OTHER)
"""What holds for all other paths: those of a project's own routes, and those that do not exist."""

_ROUTES = {route.path: route for route in ROUTES}
_FOLDERS = tuple(route for route in ROUTES if route.path.endswith("/") and route.path != "/")


@lru_cache(maxsize=256)
def route_of(path: str) -> Route:
    """Return the route of a path, as it came."""
    if path in _ROUTES:
        return _ROUTES[path]
    return next((route for route in _FOLDERS if path.startswith(route.path)), DEFAULT)
