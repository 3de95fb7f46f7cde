"""Changes of a contract that callers of the service notice.

Contracts are compared in the form of `mlops_runtime.contract.contract_json`. This module needs the standard library
alone.
"""

from collections.abc import Sequence
from typing import Any

LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength")
UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength")

WIDER_KINDS = {"integer": ("number",), "choice": ("category", "text"), "category": ("text",), "text": ("category",)}
"""Kinds that allow every value of another kind within their limits."""

Json = dict[str, Any]


def breaking_changes(old: Json, new: Json) -> list[str]:
    """Return a sentence about each change that breaks callers: what changed, and what they will see.

    A new optional field, a wider range and a new choice break nobody.

    Args:
        old: contract that callers keep; empty if it is unknown, which breaks nothing.
        new: contract to compare with it.
    """
    if not old:
        return []
    fields = {field["name"]: field for field in new["fields"]}
    known = tuple(fields)
    changes = []
    for field in old["fields"]:
        if field["name"] not in new.get("left_out", ()):
            changes += _field_changes(field, fields.pop(field["name"], None))
    changes += [_change(field, "new and required", "without it") for field in fields.values() if field["required"]]
    changes += [
        f"column `{name}`: left out before, unknown now; requests with it get status 422"
        for name in _without(old.get("left_out", ()), [*new.get("left_out", ()), *known])
    ]
    changes += [
        f"{name}: `{old[name]}` before, `{new[name]}` now; predictions have another meaning"
        for name in ("task", "target")
        if old[name] != new[name]
    ]
    changes += [f"label `{name}`: new; responses can have it" for name in _without(new["labels"], old["labels"])]
    changes += [f"label `{name}`: removed; no response has it" for name in _without(old["labels"], new["labels"])]
    return changes


def _field_changes(old: Json, new: Json | None) -> list[str]:
    if new is None:
        return [_change(old, "removed", "with it")]
    changes = []
    if new["required"] and not old["required"]:
        changes.append(_change(old, "required now", "without it"))
    if old["nullable"] and not new["nullable"]:
        changes.append(_change(old, "must not be null any more", "with null"))
    if new["kind"] not in (old["kind"], *WIDER_KINDS.get(old["kind"], ())):
        what = f"{old['kind']} before, {new['kind']} now"
        return [*changes, _change(old, what, f"with a value that is no {new['kind']}")]
    if new["kind"] == "choice":
        removed = _without(old["choices"], new["choices"])
        return [*changes, *(_change(old, f"without the choice `{choice}`", "with it") for choice in removed)]
    before, after = _limits(old), new["limits"]
    return [
        *changes,
        *(
            _change(old, f"{name} {before.get(name, 'none')} before, {limit} now", "that break it")
            for name, limit in after.items()
            if _is_narrower(name, before.get(name), limit)
        ),
    ]


def _change(field: Json, what: str, requests: str) -> str:
    return f"field `{field['name']}`: {what}; requests {requests} get status 422"


def _limits(field: Json) -> Json:
    """Return the limits of a field; those of a choice are the lengths of its values."""
    lengths = [len(choice) for choice in field["choices"]]
    return {"minLength": min(lengths), "maxLength": max(lengths)} if lengths else field["limits"]


def _is_narrower(name: str, old: Any, new: Any) -> bool:
    """Return whether a limit excludes values that were allowed before."""
    if old is None:
        return True
    if name in LOWER_LIMITS:
        return bool(new > old)
    if name in UPPER_LIMITS:
        return bool(new < old)
    return bool(new != old)


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    return [name for name in names if name not in others]
