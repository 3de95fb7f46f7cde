"""The fields of a record as callers see them: what the contract says about each, in words and numbers."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from {{cookiecutter.__package}}_model.datamodel import Record


class RecordField(BaseModel):
    """One field of the record, as its JSON schema describes it."""

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    description: str
    required: bool
    nullable: bool
    minimum: float | None
    maximum: float | None
    step: float | None

    @property
    def bounds(self) -> str:
        """The least and the greatest number that the field takes, in words."""
        if self.minimum is not None and self.maximum is not None:
            return f"from {self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"of at least {self.minimum:g}"
        if self.maximum is not None:
            return f"of at most {self.maximum:g}"
        return ""

    @property
    def range(self) -> str:
        """The numbers that the field takes, in words."""
        kind = "a whole number" if self.step == 1 else "a number"
        step = "" if self.step in (None, 1) else f" in steps of {self.step:g}"
        return f"{kind} {self.bounds}".rstrip() + step

    @property
    def allowed(self) -> str:
        """All that the field takes in JSON, in words."""
        return f"{self.range}, or null" if self.nullable else self.range


def record_fields(schema: dict[str, Any]) -> tuple[RecordField, ...]:
    """Return the fields of the object that a JSON schema describes, in its order."""
    required = schema.get("required", ())
    return tuple(record_field(name, part, required=name in required) for name, part in schema["properties"].items())


def record_field(name: str, schema: dict[str, Any], *, required: bool) -> RecordField:
    """Return the field that a property of a JSON schema describes."""
    choices = schema.get("anyOf", [schema])
    number: dict[str, Any] = next((choice for choice in choices if choice.get("type") != "null"), {})
    return RecordField(
        name=name,
        label=name.replace("_", " "),
        description=schema.get("description", ""),
        required=required,
        nullable=any(choice.get("type") == "null" for choice in choices),
        minimum=number.get("minimum"),
        maximum=number.get("maximum"),
        step=number.get("multipleOf"),
    )


FIELDS = record_fields(Record.model_json_schema())
"""The fields of the contract's record, in its order."""

FIELDS_BY_NAME = {field.name: field for field in FIELDS}
