"""JSON for tests of the service: values that no field of a kind takes, and extreme ones that it may take."""

import json
from collections.abc import Mapping
from typing import Any

from mlops_runtime.contract import FieldSpec, Kind

NUMBERS = ['"five"', '"5 or 6"', "true", "Infinity", "-Infinity", "1e400", "1" * 400, "[1]", '{"a": 1}']
TEXTS = ["1", "true", '["a"]']
DATES = ['"yesterday"', '"2024-02-30"', '"0000-01-01T00:00"', "1e3", "true", '["2024-12-31"]']
WRONG = {
    Kind.NUMBER: NUMBERS,
    Kind.INTEGER: [*NUMBERS, "1.5"],
    Kind.BOOLEAN: ['"perhaps"', "2", "0.5", "[true]", '{"a": 1}'],
    Kind.CHOICE: ['"no choice of this contract"', "1.5", "[1]", '{"a": 1}'],
    Kind.CATEGORY: TEXTS,
    Kind.TEXT: TEXTS,
    Kind.DATE: DATES,
    Kind.DATETIME: DATES,
    Kind.TIME: [*DATES, '"24:00"'],
}
"""JSON that no field of the kind takes."""

MISSING = ['""', '" "', '"NULL"', '" NaN "', "NaN"]
"""JSON that means a missing value in a field of any kind."""

STRANGE = {
    Kind.NUMBER: ["1e308", "-1e308", "-0.0", "5e-324", "9" * 300, '"5"', '" 1e3 "'],
    Kind.INTEGER: ["1e308", "-1e308", "-0.0", "9" * 300],
    Kind.BOOLEAN: ["-0", "1e0", '"true"', '"Y"', '"f"', '"0"'],
    Kind.CHOICE: [r'"\u0000"', r'"\ud800"', f'"{"x" * 30_000}"', "9" * 300],
    Kind.CATEGORY: [r'"a\u0000b"', r'"\ud800"', r'"\ud83d\ude00"', f'"{"ü" * 200}"', f'"{"x" * 20_001}"'],
    Kind.TEXT: [r'"a\u0000b"', r'"\ud800"', r'"\ud83d\ude00"', f'"{"ü" * 20_000}"', f'"{"ab " * 6_000}"'],
    Kind.DATE: ['"0001-01-01"', '"9999-12-31"', '"2024-12-31T00:00"', '"1735689600"', '"99999-01-01"'],
    Kind.DATETIME: [
        '"0001-01-01T00:00:00+23:59"',
        '"9999-12-31T23:59:59.999999-23:59"',
        '"2024-12-31T23:59:60Z"',
        '"1735689600"',
        '"99999999999999999999"',
        '"2024-12-31"',
    ],
    Kind.TIME: ['"00:00:00.000001"', '"23:59:59.999999+23:59"', '"23:59:60"', '"5"'],
}
"""JSON at the limits of what fields of the kind take."""


def with_literal(record: Mapping[str, Any], field: FieldSpec, literal: str) -> str:
    """Return the JSON of a record in which a field has this value."""
    marked = json.dumps(dict(record) | {field.name: "<here>"})
    return marked.replace('"<here>"', literal)
