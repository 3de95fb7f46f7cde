"""Finds and describes faults of records: which values break the contract, and which values it allows."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from mlops_runtime.contract import Contract, FieldSpec
from mlops_runtime.serving.api.problems import MAX_ERRORS, FieldError, contract_violation, pointer
from mlops_runtime.serving.api.table_values import TableValues
from mlops_runtime.serving.ui.field_text import allowed, listed, nearest, shortened

MAX_FAULTS_PER_RECORD = 3
"""Maximum number of faults in the error that replaces a prediction."""
MAX_EXTRA_COLUMNS = 100
"""Maximum number of excess columns that are described individually."""


@dataclass(frozen=True, slots=True)
class RecordFaults:
    """Why a record cannot be predicted.

    Attributes:
        errors: the faults, or the first ones of many.
        count: number of all faults.
        malformed: whether the record is not in the format of the request.
    """

    errors: tuple[FieldError, ...]
    count: int = 1
    malformed: bool = False


class FaultFinder:
    """Finds the faults of records that break the contract.

    Descriptions never contain values of the request, which are the caller's data. They contain names, cut to
    a maximum length.
    """

    def __init__(self, contract: Contract, values: TableValues | None = None) -> None:
        """Prepare the descriptions.

        Args:
            contract: of the records.
            values: converts values of requests; by default a new object.
        """
        self._contract = contract
        self._values = values or TableValues(contract)
        self._fields = {field.name: field for field in contract.fields}
        self._names = (*self._fields, *sorted(self._values.ignored))
        self._required = tuple(field.name for field in contract.fields if not field.optional)

    def of_columns(self, names: Sequence[str]) -> RecordFaults | None:
        """Return the faults in the header of a table, which apply to all of its records; None without faults."""
        if len(names) > len(self._names) + MAX_EXTRA_COLUMNS:
            detail = (
                f"has {len(names)} columns, and a record {len(self._fields)} fields: send one column for each field"
            )
            return RecordFaults((FieldError(pointer="", detail=f"The table {detail}"),))
        distinct = dict.fromkeys(names)
        counts = Counter(names)
        errors = [self._unknown(name, (), suggest=True) for name in distinct if not self._is_known(name)]
        errors += [
            FieldError(pointer=pointer((shortened(name),)), field=shortened(name), detail="is there more than once")
            for name in distinct
            if counts[name] > 1 and name not in self._values.ignored
        ]
        errors += [
            FieldError(pointer=pointer((name,)), field=name, detail="is missing: the table has no such column")
            for name in self._required
            if name not in distinct
        ]
        return RecordFaults(tuple(errors[:MAX_ERRORS]), len(errors)) if errors else None

    def _is_known(self, name: str) -> bool:
        return name in self._fields or name in self._values.ignored

    def of_json(self, document: Any, location: tuple[int, ...], remaining: int) -> RecordFaults:
        """Return the faults of a JSON record that breaks the contract.

        Args:
            document: the record as Python objects.
            location: of the record in the request.
            remaining: number of faults that the response can still list.
        """
        if not isinstance(document, dict):
            detail = "must be a record: a JSON object with the contract's fields"
            return RecordFaults((FieldError(pointer=pointer(location), detail=detail),))
        # pydantic keeps a copy of the record for each missing field. So it validates a reduced record: missing fields
        # are null, and lists and objects, which no field accepts, are replaced by an empty list.
        values = self._values.of_json(document)
        missing = {name for name in self._required if name not in document}
        known = {name: values[name] for name in self._fields if name in values}
        small: dict[str, Any] = {name: [] if isinstance(known[name], dict | list) else known[name] for name in known}
        content = to_json(small | dict.fromkeys(missing), inf_nan_mode="constants")
        try:
            self._contract.record_adapter.validate_json(content)
        except ValidationError as error:
            details = _details(error)
        else:
            details = []
        unknown = [name for name in document if not self._is_known(name)]
        return self._of_record(details, known, missing, unknown, location, remaining, empty="null")

    def of_texts(
        self, error: ValidationError, texts: Mapping[str, str], location: tuple[int, ...], remaining: int
    ) -> RecordFaults:
        """Return the faults of a record whose values are texts, such as the cells of a row.

        Args:
            error: of the validation.
            texts: values by field.
            location: of the record in the request.
            remaining: number of faults that the response can still list.
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
        """Return the faults of a record: of its fields in order, of unknown fields, and of the record itself."""
        wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}.difference(missing)
        messages = [detail["msg"] for detail in details if not detail["loc"]]
        # Suggestions take time, and the caller chooses the number of names, so a request gets only a few.
        suggest = remaining > 0

        def errors() -> Iterator[FieldError]:
            for name, field in self._fields.items():
                if name in missing:
                    text = f"is missing; it must be {allowed(field, empty)}"
                elif name in wrong:
                    text = f"must be {allowed(field, empty)}{_meant_choice(values.get(name), field) if suggest else ''}"
                else:
                    continue
                yield FieldError(pointer=pointer((*location, name)), field=name, detail=text)
            for name in unknown:
                yield self._unknown(name, location, suggest=suggest)
            for message in messages:
                yield FieldError(pointer=pointer(location), detail=message)

        count = len(missing) + len(wrong) + len(unknown) + len(messages)
        return RecordFaults(tuple(islice(errors(), max(remaining, MAX_FAULTS_PER_RECORD))), count)

    def _unknown(self, name: str, location: tuple[int, ...], *, suggest: bool) -> FieldError:
        question = _suggestion(name, self._names) if suggest else ""
        known = f"{question} The fields are" if question else "; the fields are"
        return FieldError(
            pointer=pointer((*location, shortened(name))),
            field=shortened(name),
            detail=f"is not a field of a record{known} {listed(tuple(self._fields))}",
        )


def check(faults: RecordFaults | None) -> None:
    """Refuse a request with faults.

    Raises:
        InvalidRequestError: if there are faults.
    """
    if faults:
        raise contract_violation(faults.errors, faults.count)


def repeated_names(names: Iterable[str], location: tuple[int, ...]) -> RecordFaults:
    """Return the faults of a record in which some names appear more than once."""
    errors = tuple(
        FieldError(pointer=pointer((*location, name)), field=name, detail="is there more than once") for name in names
    )
    return RecordFaults(errors[:MAX_ERRORS], len(errors))


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)


def _meant_choice(value: Any, field: FieldSpec) -> str:
    """Return a suggestion of the choice that is most similar to a wrong value; an empty text without one."""
    return _suggestion(value, field.choices) if isinstance(value, str) else ""


def _suggestion(word: str, known: Collection[str]) -> str:
    """Return a suggestion of the most similar known word; an empty text if none is similar."""
    meant = nearest(word, known)
    return "" if meant is None else f"; did you mean {json.dumps(str(meant), ensure_ascii=False)}?"
