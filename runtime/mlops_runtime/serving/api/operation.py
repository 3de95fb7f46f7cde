"""The decorator that describes a route of a project in the OpenAPI document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

View = TypeVar("View", bound=Callable[..., Any])
ATTRIBUTE = "openapi_operation"


@dataclass(frozen=True, slots=True)
class Operation:
    """Description of a view function in the OpenAPI document.

    Attributes:
        summary: one line.
        description: details in Markdown.
        request: type of the JSON request body, or None.
        response: type of the JSON response, or None.
        tags: groups in the documentation.
    """

    summary: str
    description: str
    request: type[BaseModel] | None
    response: type[BaseModel] | None
    tags: tuple[str, ...]


def operation(
    summary: str,
    *,
    request: type[BaseModel] | None = None,
    response: type[BaseModel] | None = None,
    tags: Sequence[str] = (),
    description: str = "",
) -> Callable[[View], View]:
    """Return a decorator that describes a view function in the OpenAPI document.

    Apply it below the decorator of the route::

        @app.get("/v1/sites")
        @operation("List the sites", response=Sites, tags=["sites"])
        def sites() -> dict[str, Any]: ...

    Args:
        summary: one line.
        request: type of the JSON request body, or None.
        response: type of the JSON response, or None.
        tags: groups in the documentation.
        description: details in Markdown.
    """

    def describe(view: View) -> View:
        setattr(view, ATTRIBUTE, Operation(summary, description, request, response, tuple(tags)))
        return view

    return describe


def operation_of(view: Callable[..., Any]) -> Operation | None:
    """Return the description of a view function, if it has one."""
    described: Operation | None = getattr(view, ATTRIBUTE, None)
    return described
