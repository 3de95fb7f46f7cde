"""What Schemathesis needs to make requests in the formats that OpenAPI cannot describe."""

import json
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from schemathesis.generation import GenerationMode

from mlops_runtime.contract import Task
from mlops_runtime.serving.api.negotiation import FORMATS, Format, prefers_lenient
from mlops_runtime.serving.api.problems import InvalidRequestError
from mlops_runtime.serving.api.records import RecordReader, all_valid
from mlops_runtime.tables.cells import cleaned
from mlops_runtime.testing.strategies import valid_records
from mlops_runtime.testing.synthetic import CONTRACTS, Order
from mlops_runtime.testing.synthetic import some_orders as synthetic_orders
from tests.runtime.serving.api.bodies import WRITERS

CONTRACT = CONTRACTS[Task.BINARY]
some_synthetic_orders = synthetic_orders(2)
reader = RecordReader(CONTRACT, 1000)
records_adapter: TypeAdapter[list[Order]] = TypeAdapter(list[Order])

some_orders = st.lists(valid_records(Order).map(lambda order: order.model_dump(mode="json")), min_size=1, max_size=5)

for media_type in FORMATS:
    if media_type is not Format.JSON:
        schemathesis.openapi.media_type(media_type.value, some_orders.map(WRITERS[media_type]))


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,  # noqa: ARG001 - schemathesis defines the names
    case: "schemathesis.Case[Any]",
    kwargs: dict[str, Any],  # noqa: ARG001
) -> None:
    """Send no preference for lenient handling with a request that must be refused."""
    headers: Any = case.headers or {}
    negative = case.meta is not None and case.meta.generation.mode is GenerationMode.NEGATIVE
    if negative and prefers_lenient(str(headers.get("Prefer", ""))):
        del headers["Prefer"]
    if negative and is_in_notation_of_table(case.body):
        # The service accepts it beyond its schema.
        case.body = {}
    if not negative and is_without_required_text(case.body):
        # A text may mean a missing value, which the schema cannot say.
        case.body = [order.model_dump(mode="json") for order in some_synthetic_orders]


def is_without_required_text(body: Any) -> bool:
    """Return whether a text of a record means a missing value."""
    records = body if isinstance(body, list) else [body]
    return any(
        isinstance(record, dict)
        and isinstance(text := record.get("Courier"), str)
        and CONTRACT.is_missing("Courier", cleaned(text))
        for record in records
    )


def is_in_notation_of_table(body: Any) -> bool:
    """Return whether records break the schema and are accepted, because a table may write them so."""
    try:
        content = json.dumps(body).encode()
    except (TypeError, ValueError):
        return False
    for adapter in (CONTRACT.record_adapter, records_adapter):
        with suppress(ValidationError):
            adapter.validate_json(content)
            return False
    try:
        all_valid(reader.read(content, Format.JSON).results)
    except InvalidRequestError:
        return False
    return True
