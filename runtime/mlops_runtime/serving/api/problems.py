"""Errors as problem details (RFC 9457)."""

from collections.abc import Sequence
from http import HTTPStatus

from flask import Flask, Response, current_app
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Maximum number of faults in a response, so that a small request never gets a large response."""


class FieldError(BaseModel):
    """One fault of a request."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the value in the request; empty means all of it")
    field: str | None = Field(default=None, description="Name of the field, if the fault is in one")
    detail: str = Field(description="What is wrong with the value, and which values are allowed")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(default="about:blank", description="about:blank: the status says what kind of problem it is")
    title: str = Field(description="The status in words")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What is wrong with this request, and what to do about it")
    errors: tuple[FieldError, ...] | None = Field(default=None, description=f"The faults, at most {MAX_ERRORS} of them")


class InvalidRequestError(HTTPException):
    """A request has faults that the caller can correct.

    Do not keep it in a local variable: with its traceback it would form a reference cycle, which keeps the body
    of the request in memory.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, errors: Sequence[FieldError] = (), count: int | None = None
    ) -> None:
        """Set the parts of the response.

        Args:
            status: of the response.
            detail: message for the caller.
            errors: the faults, or the first ones of many.
            count: number of all faults, if `errors` has only the first ones.
        """
        super().__init__(detail)
        self.code = status.value
        self.errors = tuple(errors)
        self.count = len(errors) if count is None else count


def register(app: Flask) -> None:
    """Respond to every error of the application with problem details."""
    app.register_error_handler(HTTPException, problem_response)


def problem_response(error: HTTPException) -> Response:
    """Return the response for an error."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=_detail(error),
        errors=error.errors or None if isinstance(error, InvalidRequestError) else None,
    )
    response = Response(problem.model_dump_json(exclude_none=True), status)
    # Some errors have headers, such as Allow for status 405.
    response.headers.extend(header for header in error.get_headers() if header[0] != "Content-Type")
    response.content_type = MEDIA_TYPE
    return response


def _detail(error: HTTPException) -> str:
    if isinstance(error, RequestEntityTooLarge):
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        return f"The body may have at most {limit} bytes: send the records in several requests."
    return error.description or ""


def contract_violation(errors: Sequence[FieldError], count: int) -> InvalidRequestError:
    """Return the error for a request that breaks the contract.

    Args:
        errors: the faults, or the first ones of many; at most `MAX_ERRORS` are listed.
        count: number of all faults.
    """
    errors = errors[:MAX_ERRORS]
    listed = "" if count == len(errors) else f"; the first {len(errors)} are listed"
    detail = f"The request breaks the contract in {count} place{'' if count == 1 else 's'}{listed}."
    return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors, count)


def too_many_records(max_records: int) -> InvalidRequestError:
    """Return the error for a request with too many records."""
    detail = f"A request may have at most {max_records} records: send them in several requests."
    return InvalidRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def no_records() -> InvalidRequestError:
    """Return the error for a request without records."""
    return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "The list is empty: send at least one record.")


def pointer(location: Sequence[str | int]) -> str:
    """Return the JSON Pointer (RFC 6901) to a location."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
