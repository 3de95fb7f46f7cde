"""The check of the routes that a project adds."""

from flask import Flask


class RouteError(ValueError):
    """A route of the project cannot be used."""


def check_routes(app: Flask) -> None:
    """Check that each path and method has one view function: Flask would call the first and ignore the others.

    A slash at the end of a path makes no other path.

    Raises:
        RouteError: if a path is registered twice for the same method.
    """
    taken: dict[tuple[str, str], str] = {}
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            first = taken.setdefault((rule.rule.rstrip("/"), method), rule.endpoint)
            if first != rule.endpoint:
                raise RouteError(
                    f"{method} {rule.rule} is registered twice, for {first} and for {rule.endpoint}: "
                    "give the route in app.py another path"
                )
