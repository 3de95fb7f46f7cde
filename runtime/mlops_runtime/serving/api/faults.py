"""Faults of records: which values break the contract, and which values it allows."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from mlops_runtime.contract import Contract, FieldSpec
from mlops_runtime.serving.api.problems import MAX_ERRORS, FieldError, broken_contract, pointer
from mlops_runtime.serving.ui.field_text import allowed, listed, nearest, shortened
from mlops_runtime.serving.ui.number_format import MAX_INTEGER_LENGTH, exact

LISTED_IN_PLACE = 3
"""Faults that are listed in the place of a prediction."""
MAX_EXTRA_COLUMNS = 100
"""Columns beyond the fields of the contract that are compared with them one by one."""


@dataclass(frozen=True, slots=True)
class RecordFaults:
    """Why a record cannot be predicted.

    Attributes:
        errors: the faults, or the first of many.
        count: of all faults.
        malformed: whether the record is not in the format of the request at all.
    """

    errors: tuple[FieldError, ...]
    count: int = 1
    malformed: bool = False


class FaultFinder:
    """Says what is wrong with records that break the contract.

    Values of the request never appear in a description: they are the caller's data. Names do, cut to a
    length that a response may repeat.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._fields = {field.name: field for field in contract.fields}
        self._required = tuple(field.name for field in contract.fields if not field.optional)

    def of_columns(self, names: Sequence[str]) -> RecordFaults | None:
        """Return the faults of the header of a table: one fault applies to all of its records."""
        if len(names) > len(self._fields) + MAX_EXTRA_COLUMNS:
            detail = (
                f"has {len(names)} columns, and a record {len(self._fields)} fields: send one column for each field"
            )
            return RecordFaults((FieldError(pointer="", detail=f"The table {detail}"),))
        distinct = dict.fromkeys(names)
        errors = [self._unknown(name, (), guess=True) for name in distinct if name not in self._fields]
        errors += [
            FieldError(pointer=pointer((shortened(name),)), field=shortened(name), detail="is there more than once")
            for name in distinct
            if names.count(name) > 1
        ]
        errors += [
            FieldError(pointer=pointer((name,)), field=name, detail="is missing: the table has no such column")
            for name in self._required
            if name not in distinct
        ]
        return RecordFaults(tuple(errors[:MAX_ERRORS]), len(errors)) if errors else None

    def of_json(self, document: Any, location: tuple[int, ...], remaining: int) -> RecordFaults:
        """Return the faults of a record of JSON that the contract does not accept.

        Args:
            document: the record as Python objects.
            location: of the record in the request.
            remaining: number of faults that the response has room for.
        """
        if not isinstance(document, dict):
            detail = "must be a record: a JSON object with the contract's fields"
            return RecordFaults((FieldError(pointer=pointer(location), detail=detail),))
        # For each missing field pydantic keeps a copy of the record. So it gets a small record without missing
        # fields: lists and objects, which no field accepts, are emptied, and a missing value becomes null.
        missing = {name for name in self._required if name not in document}
        known = {name: document[name] for name in self._fields if name in document}
        small: dict[str, Any] = {name: [] if isinstance(known[name], dict | list) else known[name] for name in known}
        content = to_json(small | dict.fromkeys(missing), inf_nan_mode="constants")
        try:
            self._contract.record_adapter.validate_json(content)
        except ValidationError as error:
            details = _details(error)
        else:
            details = []
        unknown = [name for name in document if name not in self._fields]
        return self._of_record(details, known, missing, unknown, location, remaining, empty="null")

    def of_texts(
        self, error: ValidationError, texts: Mapping[str, str], location: tuple[int, ...], remaining: int
    ) -> RecordFaults:
        """Return the faults of a record whose values are texts, such as a row of a table.

        Args:
            error: of pydantic.
            texts: the values, by field.
            location: of the record in the request.
            remaining: number of faults that the response has room for.
        """
        details = _details(error)
        missing = {str(detail["loc"][0]) for detail in details if detail["type"] == "missing"}
        return self._of_record(details, texts, missing, (), location, remaining, empty="empty")

    def _of_record(
        self,
        details: Sequence[ErrorDetails],
        values: Mapping[str, Any],
        missing: Collection[str],
        unknown: Sequence[str],
        location: tuple[int, ...],
        remaining: int,
        *,
        empty: str,
    ) -> RecordFaults:
        """Return the faults of a record: of its fields in their order, of unknown fields, and of all of it."""
        wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}.difference(missing)
        messages = [detail["msg"] for detail in details if not detail["loc"]]
        # To guess what was meant takes time, and the caller chooses the words: a request gets a few guesses.
        guess = remaining > 0

        def errors() -> Iterator[FieldError]:
            for name, field in self._fields.items():
                if name in missing:
                    text = f"is missing; it must be {allowed(field, empty)}"
                elif name in wrong:
                    text = f"must be {allowed(field, empty)}{_meant_choice(values.get(name), field) if guess else ''}"
                else:
                    continue
                yield FieldError(pointer=pointer((*location, name)), field=name, detail=text)
            for name in unknown:
                yield self._unknown(name, location, guess=guess)
            for message in messages:
                yield FieldError(pointer=pointer(location), detail=message)

        count = len(missing) + len(wrong) + len(unknown) + len(messages)
        return RecordFaults(tuple(islice(errors(), max(remaining, LISTED_IN_PLACE))), count)

    def _unknown(self, name: str, location: tuple[int, ...], *, guess: bool) -> FieldError:
        question = _suggestion(name, self._fields) if guess else ""
        known = f"{question} The fields are" if question else "; the fields are"
        return FieldError(
            pointer=pointer((*location, shortened(name))),
            field=shortened(name),
            detail=f"is not a field of a record{known} {listed(tuple(self._fields))}",
        )


def check(faults: RecordFaults | None) -> None:
    """Refuse a request that has faults.

    Raises:
        InvalidRequestError: if there are any.
    """
    if faults:
        raise broken_contract(faults.errors, faults.count)


def repeated_names(names: Iterable[str], location: tuple[int, ...]) -> RecordFaults:
    """Return the faults of a record in which some names appear more than once."""
    errors = tuple(
        FieldError(pointer=pointer((*location, name)), field=name, detail="is there more than once") for name in names
    )
    return RecordFaults(errors[:MAX_ERRORS], len(errors))


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _meant_choice(value: Any, field: FieldSpec) -> str:
    """Return a question for the choice that a wrong value most likely stands for; nothing if there is none."""
    match value:
        case bool():
            return ""
        case str():
            return _suggestion(value, field.choices)
        case int() | float() if abs(value) < MAX_INTEGER_LENGTH:
            # A choice of digits is a text in JSON, and callers send it as a number.
            digits = exact(float(value))
            return _suggestion(digits, [digits]) if digits in field.choices else ""
    return ""


def _suggestion(word: str, known: Collection[str]) -> str:
    """Return a question for the word that is most likely meant; nothing if none is near."""
    meant = nearest(word, known)
    return "" if meant is None else f"; did you mean {json.dumps(str(meant), ensure_ascii=False)}?"
