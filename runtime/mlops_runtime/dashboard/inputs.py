"""Inputs for the fields of a record, with their ranges, from the OpenAPI document of the service."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlops_runtime.dashboard.client import ClientError

Kind = Literal["number", "integer", "boolean", "choice", "date", "text"]

STEPS = 100
"""Steps of a slider, about."""


@dataclass(frozen=True)
class Input:
    """An input for a field.

    Attributes:
        name: of the field.
        kind: of its values.
        description: of the field.
        optional: whether the value may be missing.
        value: in an example of the service.
        low: lower end of the range of a number; None if it has no range.
        high: upper end of it.
        step: of a slider over this range.
        choices: of a choice.
    """

    name: str
    kind: Kind
    description: str
    optional: bool
    value: Any
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: Sequence[Any] = ()


def inputs_of(document: Mapping[str, Any]) -> list[Input]:
    """Return an input for each field of the contract, in its order.

    Args:
        document: OpenAPI document of the service.

    Raises:
        ClientError: if its model is one whose predictions are not explained.
    """
    path = document["paths"].get("/v1/explanations")
    if path is None:
        raise ClientError("The service explains no predictions: its model has predictions of another kind.")
    content = path["post"]["requestBody"]["content"]["application/json"]
    schemas = document["components"]["schemas"]

    def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
        reference = schema.get("$ref")
        return schemas[reference.rpartition("/")[2]] if reference else schema

    one_record, _ = content["schema"]["oneOf"]
    properties = resolved(one_record)["properties"]
    # The example has the fields of the contract; the schema has the columns that are ignored as well.
    example = content["examples"]["one"]["value"]
    return [_input(name, value, properties[name], resolved) for name, value in example.items()]


def _input(name: str, value: Any, schema: Mapping[str, Any], resolved: Any) -> Input:
    alternatives = [resolved(each) for each in schema.get("anyOf", [schema])]
    own = next(each for each in alternatives if each.get("type") != "null")
    optional = len(alternatives) > 1
    description = schema.get("description", "")
    choices = own.get("enum") or ([own["const"]] if "const" in own else [])
    if choices:
        return Input(name, "choice", description, optional, value, choices=choices)
    if own["type"] in ("number", "integer"):
        integer = own["type"] == "integer" or own.get("multipleOf") == 1
        low, high = _range(own, value, integer=integer)
        step = None if low is None or high is None else _step(high - low, integer=integer)
        return Input(name, "integer" if integer else "number", description, optional, value, low, high, step)
    if own["type"] == "boolean":
        return Input(name, "boolean", description, optional, value)
    return Input(name, "date" if own.get("format") == "date" else "text", description, optional, value)


def _range(schema: Mapping[str, Any], value: Any, *, integer: bool) -> tuple[float, float] | tuple[None, None]:
    """Return the expected range within the limits of the contract, wide enough for a value; None without a range."""
    minimum, maximum = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    low, high = schema.get("x-expected-range", (minimum, maximum))
    low, high = max(low, minimum), min(high, maximum)
    if value is not None:
        low, high = min(low, value), max(high, value)
    if not -math.inf < low < high < math.inf:
        return None, None
    return (math.floor(low), math.ceil(high)) if integer else (float(low), float(high))


def _step(length: float, *, integer: bool) -> float:
    """Return 1, 2 or 5 times a power of ten, for about `STEPS` steps."""
    power = 10.0 ** math.floor(math.log10(length / STEPS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * STEPS >= length * 0.999)
    return max(1, round(step)) if integer else step
