"""Keys of records: the identifier that a caller names comes back beside each prediction."""

import json
import math
from typing import Any

KEY = "key"
"""Query parameter that names the column of the key, and name of the key beside a prediction."""

MAX_KEY_LENGTH = 200
"""Maximum number of characters of a key."""


def key_fault(value: Any) -> str | None:
    """Return what is wrong with a key, or None."""
    match value:
        case None | bool():
            return None
        case str() if len(value) <= MAX_KEY_LENGTH:
            return None
        case int() if abs(value) < 10**MAX_KEY_LENGTH:
            return None
        case float() if math.isfinite(value):
            return None
    return f"is the key: it must be text of at most {MAX_KEY_LENGTH} characters, a number, true, false or null"


def key_text(value: Any) -> str:
    """Return a key as text: JSON, but a text without quotation marks."""
    return value if isinstance(value, str) else json.dumps(value)
