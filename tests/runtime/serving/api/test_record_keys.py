"""The key of a record comes back beside its prediction."""

import json
from io import BytesIO
from typing import Any

import pyarrow
import pytest
from flask.testing import FlaskClient

from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.record_keys import KEY, MAX_KEY_LENGTH
from tests.runtime.serving.api.bodies import WRITERS

URL = "/v1/predictions?key=order+no"


def post(client: FlaskClient, body: bytes, sent: Format, wanted: Format, url: str = URL) -> Any:
    return client.post(url, data=body, content_type=sent, headers={"Accept": wanted})


def keys_of(content: bytes, wanted: Format) -> list[Any]:
    """Return the keys in a response; those of CSV are texts."""
    match wanted:
        case Format.JSON:
            return [each[KEY] for each in json.loads(content)]
        case Format.NDJSON:
            return [json.loads(line)[KEY] for line in content.splitlines()]
        case Format.CSV:
            header, *rows = content.decode().splitlines()
            assert header.startswith(f"{KEY},")
            return [row.partition(",")[0] for row in rows]
        case Format.ARROW:
            keys: list[Any] = pyarrow.ipc.open_stream(BytesIO(content)).read_all().column(KEY).to_pylist()
            return keys


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("wanted", FORMATS)
def test_the_key_comes_back_in_every_format(
    client: FlaskClient, record: dict[str, Any], sent: Format, wanted: Format
) -> None:
    body = WRITERS[sent]([record | {"order no": key} for key in ("A-1", "007")])

    response = post(client, body, sent, wanted)

    assert response.status_code == 200
    assert keys_of(response.data, wanted) == ["A-1", "007"]


@pytest.mark.parametrize("key", ["", "ü", 7, 2**70, 1.5, True, None, "x" * MAX_KEY_LENGTH], ids=repr)
def test_a_key_has_any_type_of_json(client: FlaskClient, record: dict[str, Any], key: object) -> None:
    body = json.dumps(record | {"order no": key}).encode()

    assert post(client, body, Format.JSON, Format.JSON).json[KEY] == key
    assert post(client, body, Format.JSON, Format.ARROW).status_code == 200


@pytest.mark.parametrize("key", [[1], {"a": 1}, "x" * (MAX_KEY_LENGTH + 1), 10**MAX_KEY_LENGTH], ids=lambda _: "")
def test_another_key_is_a_fault_of_its_record(client: FlaskClient, record: dict[str, Any], key: object) -> None:
    body = json.dumps([record, record | {"order no": key}]).encode()

    response = post(client, body, Format.JSON, Format.JSON)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json["errors"]] == ["/1/order no"]


def test_a_field_may_be_the_key(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, json.dumps([record]).encode(), Format.JSON, Format.JSON, "/v1/predictions?key=Courier")

    assert [each[KEY] for each in response.json] == [record["Courier"]]


def test_a_record_without_the_key_gets_null(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, json.dumps([record]).encode(), Format.JSON, Format.JSON)

    assert [each[KEY] for each in response.json] == [None]


def test_without_a_key_nothing_comes_back(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, json.dumps([record]).encode(), Format.JSON, Format.JSON, "/v1/predictions")

    assert KEY not in response.json[0]
