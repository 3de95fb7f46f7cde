"""Errors as problem details (RFC 9457): what is wrong, where, and what would be right."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, from_json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from mlops_runtime.contract.fields import FieldSpec
from mlops_runtime.serving.ui.field_text import FIELDS_BY_NAME, allowed, listed, nearest, shortened
from mlops_runtime.serving.ui.number_format import MAX_INTEGER_LENGTH, exact

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Faults that one answer lists: enough to mend a record, and no small request gets a large answer."""


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

    def __init__(
        self, status: HTTPStatus, detail: str, errors: Sequence[FieldError] = (), count: int | None = None
    ) -> None:
        """Take what is wrong.

        Args:
            status: of the answer.
            detail: for the caller.
            errors: the faults, or the first of many.
            count: of all faults, if not all are listed.
        """
        super().__init__(detail)
        self.code = status.value
        self.errors = tuple(errors)
        self.count = len(errors) if count is None else count


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


def invalid_body(error: ValidationError, body: bytes, max_records: int) -> InvalidRequestError:
    """Return the error for a body that is not JSON, or breaks the contract."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    match faults[0]["type"]:
        case "json_invalid":
            reason = faults[0]["msg"].removeprefix("Invalid JSON: ")
            return InvalidRequestError(HTTPStatus.BAD_REQUEST, f"The body is not valid JSON: {reason}.")
        case "too_long":
            return too_many_records(max_records)
        case "too_short":
            return no_records()
    document = from_json(body)
    errors = [field_error(fault, value_at(document, fault["loc"]), FIELDS_BY_NAME) for fault in faults[:MAX_ERRORS]]
    return broken_contract(errors, len(faults))


def broken_contract(errors: Sequence[FieldError], count: int) -> InvalidRequestError:
    """Return the error for a request with so many faults, of which the first are listed."""
    listed = "" if count == len(errors) else f"; the first {len(errors)} are listed"
    detail = f"The request breaks the contract in {count} place{'' if count == 1 else 's'}{listed}."
    return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors, count)


def too_many_records(max_records: int) -> InvalidRequestError:
    """Return the error for more records than that."""
    detail = f"A list may have at most {max_records} records: send them in several requests."
    return InvalidRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def no_records() -> InvalidRequestError:
    """Return the error for a request without a record."""
    return InvalidRequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "The list is empty: send at least one record.")


def broken_record(
    error: ValidationError, document: Any, number: int, *, guess: bool, missing: str = "null"
) -> InvalidRequestError:
    """Return the error for one record of many.

    Args:
        error: that pydantic found.
        document: the record as it was sent.
        number: of the record, from 0.
        guess: whether to say what a wrong word most likely stands for.
        missing: how the format writes a missing value.
    """
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    errors = [
        field_error(fault, value_at(document, fault["loc"]), FIELDS_BY_NAME, guess=guess, missing=missing)
        for fault in faults[:MAX_ERRORS]
    ]
    placed = [one.model_copy(update={"pointer": pointer([number]) + one.pointer}) for one in errors]
    return broken_contract(placed, len(faults))


def invalid_columns(names: Sequence[str]) -> InvalidRequestError | None:
    """Return the error for the columns of a table if they do not fit the contract: one for all of its records."""
    known = dict.fromkeys(names)
    errors = [unknown_field(name, (name,), FIELDS_BY_NAME) for name in known if name not in FIELDS_BY_NAME]
    errors += [
        FieldError(pointer=pointer((shortened(name),)), field=shortened(name), detail="is there more than once")
        for name, count in Counter(names).items()
        if count > 1
    ]
    errors += [
        FieldError(pointer=pointer((name,)), field=name, detail="is missing: the table has no such column")
        for name, field in FIELDS_BY_NAME.items()
        if not field.optional and name not in known
    ]
    return broken_contract(errors[:MAX_ERRORS], len(errors)) if errors else None


def value_at(document: Any, location: Sequence[str | int]) -> Any:
    """Return the value at a location that pydantic found a fault at; None if there is none, as for a missing field."""
    value = document
    for part in location:
        match value:
            case dict():
                value = value.get(part)
            case list() if isinstance(part, int):
                value = value[part]
            case _:
                return None
    return value


def field_error(
    fault: ErrorDetails, value: Any, fields: Mapping[str, FieldSpec], *, guess: bool = True, missing: str = "null"
) -> FieldError:
    """Return a fault that pydantic found, in the words of the contract.

    Args:
        fault: as pydantic tells of it.
        value: that the caller sent. It stays out of the answer: it is the caller's data.
        fields: of the contract, by name.
        guess: whether to say what a wrong word most likely stands for.
        missing: how the format writes a missing value.
    """
    location = fault["loc"]
    names = [part for part in location if isinstance(part, str)]
    if not names:
        return FieldError(
            pointer=pointer(location), detail="must be a record: a JSON object with the contract's fields"
        )
    name = names[0]
    field = fields.get(name)
    if field is None:
        return unknown_field(name, location, fields, guess=guess)
    if fault["type"] == "missing":
        detail = f"is missing; it must be {allowed(field, missing)}"
    else:
        detail = f"must be {allowed(field, missing)}{meant_choice(value, field) if guess else ''}"
    return FieldError(pointer=pointer(location), field=name, detail=detail)


def unknown_field(
    name: str, location: Sequence[str | int], fields: Mapping[str, FieldSpec], *, guess: bool = True
) -> FieldError:
    """Return the fault that a field is none of the contract."""
    # The pointer leads to what the caller sent, as far as it is repeated.
    place = [shortened(part) if isinstance(part, str) else part for part in location]
    question = suggestion(name, fields) if guess else ""
    known = f"{question} The fields are" if question else "; the fields are"
    detail = f"is not a field of a record{known} {listed(tuple(fields))}"
    return FieldError(pointer=pointer(place), field=shortened(name), detail=detail)


def meant_choice(value: Any, field: FieldSpec) -> str:
    """Return a question for the choice that a wrong value most likely stands for; nothing if there is none."""
    match value:
        case bool():
            return ""
        case str():
            return suggestion(value, field.choices)
        case int() | float() if abs(value) < MAX_INTEGER_LENGTH:
            # Choices of digits are texts in JSON, and a number is no text.
            digits = exact(float(value))
            return suggestion(digits, [digits]) if digits in field.choices else ""
    return ""


def suggestion(word: str, known: Collection[str]) -> str:
    """Return a question for the word that is most likely meant; nothing if none is near."""
    meant = nearest(word, known)
    return "" if meant is None else f"; did you mean {json.dumps(str(meant), ensure_ascii=False)}?"


def pointer(location: Sequence[str | int]) -> str:
    """Return the JSON Pointer (RFC 6901) to a location."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
