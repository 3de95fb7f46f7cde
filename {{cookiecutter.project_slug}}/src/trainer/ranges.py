"""The range of each field, as the contract states it, and records drawn from these ranges."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from {{cookiecutter.__package}}_model.datamodel import Record

MISSING_SHARE = 0.1
"""Share of drawn values that are missing, in the fields where that is allowed."""


@dataclass(frozen=True, slots=True)
class FieldRange:
    """What the contract allows in one field: bounds included, a step between values or None, missing or not."""

    name: str
    minimum: float
    maximum: float
    step: float | None
    optional: bool


def field_ranges() -> tuple[FieldRange, ...]:
    """Return the range of each field of the contract, in the order of the features.

    Raises:
        ValueError: if a field has no bounds: no records could be drawn to prove a model on.
    """
    properties = Record.model_json_schema(by_alias=True)["properties"]
    return tuple(_field_range(name, schema) for name, schema in properties.items())


def _field_range(name: str, schema: dict[str, Any]) -> FieldRange:
    alternatives = schema.get("anyOf", [schema])
    (values,) = [alternative for alternative in alternatives if alternative.get("type") != "null"]
    if not {"minimum", "maximum"} <= values.keys():
        raise ValueError(f"the contract gives {name} no minimum and maximum: add ge= and le= to its Field")
    return FieldRange(name, values["minimum"], values["maximum"], values.get("multipleOf"), len(alternatives) > 1)


def draw_records(count: int, seed: int) -> list[Record]:
    """Return valid records, each value drawn evenly from the range of its field."""
    generator = np.random.default_rng(seed)
    columns = {field.name: _draw_values(field, count, generator) for field in field_ranges()}
    return [
        Record.model_validate({name: value for name, value in zip(columns, row, strict=True) if not math.isnan(value)})
        for row in zip(*(values.tolist() for values in columns.values()), strict=True)
    ]


def _draw_values(field: FieldRange, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    values: NDArray[np.float64]
    if field.step is None:
        values = generator.uniform(field.minimum, field.maximum, count)
    else:
        first, last = math.ceil(field.minimum / field.step), math.floor(field.maximum / field.step)
        values = generator.integers(first, last, count, endpoint=True).astype(np.float64) * field.step
    if field.optional:
        values[generator.random(count) < MISSING_SHARE] = np.nan
    return values
