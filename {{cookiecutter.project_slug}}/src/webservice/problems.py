"""Errors as problem details (RFC 9457): what is wrong, where, and what would be right."""

from collections.abc import Sequence
from http import HTTPStatus

from flask import Flask, Response, current_app
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from webservice.fields import FIELDS, FIELDS_BY_NAME

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Faults that one answer lists: enough to mend a record, and no small request gets a large answer."""
MAX_NAME = 80
"""Characters of a name from the request that an answer repeats."""


class FieldError(BaseModel):
    """One fault of a request."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the value in the request; empty means all of it")
    field: str | None = Field(default=None, description="Name of the field, if the fault lies in one")
    detail: str = Field(description="What is wrong with the value, and what it may be")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(default="about:blank", description="about:blank: the status tells the kind of problem")
    title: str = Field(description="The status in words")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="What is wrong with this request, and what to do about it")
    errors: tuple[FieldError, ...] | None = Field(default=None, description=f"The faults, at most {MAX_ERRORS} of them")


class InvalidRequestError(HTTPException):
    """A request with faults that its caller can mend."""

    def __init__(self, status: HTTPStatus, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.code = status.value
        self.errors = tuple(errors)


def register(app: Flask) -> None:
    """Answer every error of the application with a problem."""
    app.register_error_handler(HTTPException, problem_response)


def problem_response(error: HTTPException) -> Response:
    """Return the answer that tells of an error."""
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    problem = Problem(
        title=status.phrase,
        status=status,
        detail=explanation(error),
        errors=error.errors or None if isinstance(error, InvalidRequestError) else None,
    )
    response = Response(problem.model_dump_json(exclude_none=True), status)
    # Some errors bring headers that belong to them, such as the Allow of a 405.
    response.headers.extend(header for header in error.get_headers() if header[0] != "Content-Type")
    response.content_type = MEDIA_TYPE
    return response


def explanation(error: HTTPException) -> str:
    """Return a sentence on the error for the caller."""
    if isinstance(error, RequestEntityTooLarge):
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        return f"The body may have at most {limit} bytes: send the records in several requests."
    return error.description or ""


def invalid_body(error: ValidationError, max_records: int) -> InvalidRequestError:
    """Return the error for a body that is not JSON, or breaks the contract."""
    # Values stay out: they are the caller's data, and the caller has them.
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    match faults[0]["type"]:
        case "json_invalid":
            reason = faults[0]["msg"].removeprefix("Invalid JSON: ")
            return InvalidRequestError(HTTPStatus.BAD_REQUEST, f"The body is not valid JSON: {reason}.")
        case "too_long":
            detail = f"A list may have at most {max_records} records: send them in several requests."
            return InvalidRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        case "too_short":
            return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "The list is empty: send at least one record.")
    return broken_contract([field_error(fault) for fault in faults[:MAX_ERRORS]], len(faults))


def broken_contract(errors: Sequence[FieldError], count: int) -> InvalidRequestError:
    """Return the error for a request with so many faults, of which the first are listed."""
    listed = "" if count == len(errors) else f"; the first {len(errors)} are listed"
    detail = f"The request breaks the contract in {count} place{'' if count == 1 else 's'}{listed}."
    return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors)


def field_error(fault: ErrorDetails) -> FieldError:
    """Return a fault that pydantic found, in the words of the contract."""
    location = fault["loc"]
    names = [part for part in location if isinstance(part, str)]
    if not names:
        return FieldError(
            pointer=pointer(location), detail="must be a record: a JSON object with the contract's fields"
        )
    field = FIELDS_BY_NAME.get(names[0])
    if field is None:
        known = ", ".join(field.name for field in FIELDS)
        detail = f"is not a field of a record; the fields are {known}"
    elif fault["type"] == "missing":
        detail = f"is missing; it must be {field.allowed}"
    else:
        detail = f"must be {field.allowed}"
    return FieldError(pointer=pointer(location), field=shortened(names[0]), detail=detail)


def pointer(location: Sequence[str | int]) -> str:
    """Return the JSON Pointer (RFC 6901) to a location."""
    return "".join("/" + shortened(str(part)).replace("~", "~0").replace("/", "~1") for part in location)


def shortened(name: str) -> str:
    """Return a name from a request, cut when it is longer than an answer should repeat."""
    return name if len(name) <= MAX_NAME else name[:MAX_NAME] + "…"
