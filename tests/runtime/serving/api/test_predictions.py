import json
from codecs import BOM_UTF8
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from mlops_runtime.contract import Contract, FieldSpec
from mlops_runtime.model import Predictor, agrees
from mlops_runtime.serving.api.faults import RecordFaults
from mlops_runtime.serving.api.negotiation import FORMATS, Format
from mlops_runtime.serving.api.prediction_writer import PredictionWriter, refused
from mlops_runtime.serving.api.problems import MAX_ERRORS, Problem, pointer
from mlops_runtime.serving.ui.field_text import allowed
from mlops_runtime.testing.synthetic import FIELDS, Order
from tests.runtime.serving.api.bodies import WRITERS
from tests.runtime.serving.conftest import ONE_OF_EACH_KIND
from tests.runtime.serving.literals import MISSING, STRANGE, WRONG, with_literal

URL = "/v1/predictions"
FIELD = FIELDS[0]
"""Any field: what holds for it holds for the others."""
FEATURES = tuple(field.name for field in FIELDS)

valid_records = st.from_type(Order).map(lambda record: record.model_dump(mode="json"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=5) | st.dictionaries(st.text(), children, max_size=5),
)


def post(client: FlaskClient, body: bytes | Any, content_type: str = "application/json", **extra: Any) -> TestResponse:
    """Return the response to a body, which is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(URL, data=data, content_type=content_type, **extra)


def problem_of(response: TestResponse) -> Problem:
    """Return the problem in a response, after checking that it is one."""
    assert response.content_type == "application/problem+json"
    problem = Problem.model_validate_json(response.data)
    assert problem.status == response.status_code
    assert problem.detail
    return problem


def test_golden_records_get_their_predictions(each_client: FlaskClient, each_predictor: Predictor) -> None:
    for golden in each_predictor.golden_records:
        # When a golden record is sent by itself
        response = post(each_client, golden.record.model_dump(mode="json"))

        # Then it gets the prediction that training gave it
        assert response.status_code == 200
        assert agrees(each_predictor.contract.prediction.model_validate_json(response.data), golden.prediction)


def test_the_predictions_of_a_list_are_in_its_order(client: FlaskClient, predictor: Predictor) -> None:
    # When records are sent in one request
    golden = predictor.golden_records
    response = post(client, [each.record.model_dump(mode="json") for each in golden])

    # Then the predictions come in the order of the records
    predictions = predictor.contract.predictions_adapter.validate_json(response.data)
    assert len(predictions) == len(golden)
    assert all(agrees(prediction, each.prediction) for prediction, each in zip(predictions, golden, strict=True))


@given(record=valid_records)
def test_every_record_within_the_contract_is_predicted(
    client: FlaskClient, predictor: Predictor, record: dict[str, Any]
) -> None:
    # When any record that keeps to the contract is sent, alone and in a list
    single, many = post(client, record), post(client, [record])

    # Then the response is the prediction of the predictor
    assert (single.status_code, many.status_code) == (200, 200)
    expected = predictor.predict_one(Order.model_validate_json(json.dumps(record)))
    assert predictor.contract.prediction.model_validate_json(single.data) == expected
    assert many.get_json() == [single.get_json()]


def test_a_field_left_out_is_the_same_as_null(client: FlaskClient, record: dict[str, Any]) -> None:
    optional = [field.name for field in FIELDS if field.optional]

    # Given a record without its optional fields, and one with null in them
    without = {name: value for name, value in record.items() if name not in optional}
    with_null = record | dict.fromkeys(optional)

    # Then both get the same prediction
    assert post(client, without).json == post(client, with_null).json


@pytest.mark.parametrize("space", [b" ", b"\n", b"\r\n", b"\t \n"], ids=["space", "newline", "crlf", "mixed"])
def test_space_before_a_list_is_ignored(client: FlaskClient, record: dict[str, Any], space: bytes) -> None:
    response = post(client, space + json.dumps([record]).encode())

    assert len(response.get_json()) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="blank"),
        pytest.param(b"{", id="cut-off"),
        pytest.param(b"{'a': 1}", id="single-quotes"),
        pytest.param(b'{"a": 1,}', id="trailing-comma"),
        pytest.param(b"{} {}", id="two-documents"),
        pytest.param(b"\xff\xfe{}", id="not-utf-8"),
        pytest.param(b'{"\xc3\x28": 1}', id="not-utf-8-inside"),
        pytest.param(rb'{"\ud800": 1}', id="half-a-surrogate"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param(b"[" * 20_000, id="bomb-of-lists"),
        pytest.param(b'{"a":' * 8_000, id="bomb-of-objects"),
        pytest.param(b"[" * 20_000 + b"]" * 20_000, id="bomb-that-closes"),
        pytest.param(b"1" * 10_000, id="endless-number"),
    ],
)
def test_a_body_that_is_not_json_is_refused(client: FlaskClient, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 400
    assert "not valid JSON" in problem_of(response).detail


@pytest.mark.parametrize("many", [False, True], ids=["alone", "second-in-a-list"])
@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_a_wrong_value_is_refused_with_its_pointer_and_the_allowed_values(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, many: bool
) -> None:
    for literal in WRONG[field.kind]:
        # Given a record with one wrong value
        wrong = with_literal(record, field, literal)
        body = f"[{json.dumps(record)}, {wrong}]" if many else wrong

        # When it is sent
        response = post(client, body.encode())

        # Then the answer names the field and what it may be
        assert response.status_code == 422, literal
        (error,) = problem_of(response).errors or ()
        assert error.pointer == pointer((1, field.name) if many else (field.name,))
        assert error.field == field.name
        assert error.detail.startswith(f"must be {allowed(field)}")


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_null_is_accepted_for_optional_fields_only(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec
) -> None:
    response = post(client, record | {field.name: None})

    assert response.status_code == (200 if field.optional else 422)


@pytest.mark.parametrize("literal", MISSING)
@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_a_word_for_a_missing_value_is_the_same_as_null(
    client: FlaskClient, record: dict[str, Any], field: FieldSpec, literal: str
) -> None:
    response = post(client, with_literal(record, field, literal).encode())

    expected = post(client, record | {field.name: None})
    assert (response.status_code, response.json) == (expected.status_code, expected.json)


@pytest.mark.parametrize("field", ONE_OF_EACH_KIND)
def test_a_strange_value_is_predicted_or_refused(client: FlaskClient, record: dict[str, Any], field: FieldSpec) -> None:
    for literal in STRANGE[field.kind]:
        response = post(client, with_literal(record, field, literal).encode())

        if response.status_code == 200:
            assert response.get_json()["label"]
        else:
            assert response.status_code in {400, 422}, literal
            assert problem_of(response)


def test_missing_fields_are_named(client: FlaskClient) -> None:
    required = [field for field in FIELDS if not field.optional]

    # When a record without any field is sent
    response = post(client, {})

    # Then each field that must be given is named, and no other
    errors = problem_of(response).errors or ()
    assert [error.field for error in errors] == [field.name for field in required]
    assert [error.detail for error in errors] == [f"is missing; it must be {allowed(field)}" for field in required]


@pytest.mark.parametrize("name", ["unknown?", "", FIELD.name.upper() + "X", "a/b~c?", "ü?"])
def test_an_unknown_field_is_refused(client: FlaskClient, record: dict[str, Any], name: str) -> None:
    response = post(client, record | {name: 1})

    assert response.status_code == 422
    (error,) = problem_of(response).errors or ()
    assert error.field == name
    assert error.pointer == "/" + name.replace("~", "~0").replace("/", "~1")
    assert "is not a field of a record" in error.detail


@pytest.mark.parametrize("body", [b"5", b'"text"', b"null", b"true", b"NaN"])
def test_json_that_is_not_a_record_is_refused(client: FlaskClient, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code == 422
    (error,) = problem_of(response).errors or ()
    assert (error.pointer, error.field) == ("", None)
    assert "must be a record" in error.detail


def test_a_nested_list_is_refused(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, [record, [record]])

    assert response.status_code == 422
    assert [error.pointer for error in problem_of(response).errors or ()] == ["/1"]


def test_an_empty_list_is_refused(client: FlaskClient) -> None:
    response = post(client, [])

    assert response.status_code == 422
    assert "empty" in problem_of(response).detail


@pytest.mark.parametrize("many", [False, True], ids=["alone", "in-a-list"])
def test_a_repeated_name_is_refused(client: FlaskClient, record: dict[str, Any], many: bool) -> None:
    # Given a record that gives a field two values
    text = json.dumps(record)
    twice = f"{text[:-1]}, {json.dumps(FIELD.name)}: {json.dumps(record[FIELD.name])}}}"

    # When it is sent
    response = post(client, (f"[{text}, {twice}]" if many else twice).encode())

    # Then neither value is taken
    assert response.status_code == 422
    (error,) = problem_of(response).errors or ()
    assert error.pointer == pointer((1, FIELD.name) if many else (FIELD.name,))
    assert "more than once" in error.detail


def test_a_name_may_be_written_with_escapes(client: FlaskClient, record: dict[str, Any]) -> None:
    # Given a record whose names are escaped in full
    escaped = {"".join(f"\\u{ord(letter):04x}" for letter in name): value for name, value in record.items()}
    body = json.dumps(escaped).replace("\\\\", "\\").encode()

    # Then it is the same record
    assert post(client, body).json == post(client, record).json


@pytest.mark.parametrize("faults", [MAX_ERRORS, MAX_ERRORS + 1, 1000])
def test_the_number_of_faults_in_a_response_is_limited(
    client: FlaskClient, record: dict[str, Any], faults: int
) -> None:
    response = post(client, record | {f"unknown {number}": 1 for number in range(faults)})

    problem = problem_of(response)
    assert len(problem.errors or ()) == MAX_ERRORS
    assert f"in {faults} places" in problem.detail
    assert ("are listed" in problem.detail) == (faults > MAX_ERRORS)


def test_a_long_name_is_not_repeated_in_full(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, record | {"x" * 20_000: 1})

    assert response.status_code == 422
    assert "x" * 200 not in response.text


def test_no_value_of_the_request_is_repeated(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, record | {FIELD.name: ["a secret"]})

    assert "secret" not in response.text


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "\xff",
    ],
)
def test_another_content_type_is_refused(client: FlaskClient, record: dict[str, Any], content_type: str) -> None:
    response = post(client, record, content_type=content_type)

    assert response.status_code == 415
    assert "application/json" in problem_of(response).detail


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_a_content_type_may_have_parameters(client: FlaskClient, record: dict[str, Any], content_type: str) -> None:
    assert post(client, record, content_type=content_type).status_code == 200


@pytest.mark.parametrize("many", [False, True], ids=["alone", "in-a-list"])
def test_a_mark_of_utf_8_before_json_is_skipped(client: FlaskClient, record: dict[str, Any], many: bool) -> None:
    body = json.dumps([record] if many else record).encode()

    marked = post(client, BOM_UTF8 + body)

    assert marked.status_code == 200
    assert marked.data == post(client, body).data


def test_the_number_of_records_in_a_list_is_limited_by_the_settings(
    client: FlaskClient, record: dict[str, Any], max_records: int
) -> None:
    longest, too_long = post(client, [record] * max_records), post(client, [record] * (max_records + 1))

    assert len(longest.get_json()) == max_records
    assert too_long.status_code == 413
    assert f"at most {max_records} records" in problem_of(too_long).detail


@pytest.mark.parametrize("excess", [0, 1], ids=["at-the-limit", "over-the-limit"])
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_the_length_of_a_body_is_limited_by_the_settings(
    client: FlaskClient, record: dict[str, Any], max_content_length: int, excess: int, accept: str
) -> None:
    # Given a record with space after it
    body = json.dumps(record).encode().ljust(max_content_length + excess)

    # When it is sent
    response = post(client, body, headers={"Accept": accept})

    # Then only the one over the limit is refused
    if excess:
        assert response.status_code == 413
        assert f"at most {max_content_length} bytes" in problem_of(response).detail
    else:
        assert response.status_code == 200


@pytest.mark.parametrize("sent", FORMATS)
@pytest.mark.parametrize("wanted", FORMATS)
def test_request_and_response_may_have_any_two_formats(
    client: FlaskClient, contract: Contract, record: dict[str, Any], sent: Format, wanted: Format
) -> None:
    # Given the predictions of two records
    plain = [record, dict(reversed(record.items()))]
    expected = contract.predictions_adapter.validate_json(post(client, plain).data)

    # When they are sent in one format, and the predictions are wanted in another
    response = post(client, WRITERS[sent](plain), sent, headers={"Accept": wanted})

    # Then they are in that format, and the same
    assert response.status_code == 200
    assert response.mimetype == wanted
    assert response.data == PredictionWriter(contract).write(expected, wanted, many=True, errors=False)


@pytest.mark.parametrize("sent", FORMATS)
def test_a_response_has_the_format_of_its_request(client: FlaskClient, record: dict[str, Any], sent: Format) -> None:
    response = post(client, WRITERS[sent]([record]), sent)

    assert response.mimetype == sent
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize("sent", [Format.JSON, Format.NDJSON])
@pytest.mark.parametrize("wanted", FORMATS)
def test_lenient_handling_describes_each_faulty_record_in_its_position(
    client: FlaskClient, contract: Contract, record: dict[str, Any], sent: Format, wanted: Format
) -> None:
    # Given a faulty record among others
    plain = [record, record | {"unknown?": 1}, record]

    # When they are sent without and with the preference that the others are predicted
    strict = post(client, WRITERS[sent](plain), sent, headers={"Accept": wanted})
    lenient = post(client, WRITERS[sent](plain), sent, headers={"Accept": wanted, "Prefer": "handling=lenient"})

    # Then without it the request is refused
    assert [error.pointer for error in problem_of(strict).errors or ()] == ["/1/unknown?"]
    # And with it the fault is in its place
    assert lenient.status_code == 200
    assert lenient.headers["Preference-Applied"] == "handling=lenient"
    expected = contract.prediction.model_validate_json(post(client, record).data)
    fault = refused(RecordFaults(problem_of(strict).errors or ()))
    assert lenient.data == PredictionWriter(contract).write([expected, fault, expected], wanted, many=True, errors=True)


def test_rows_beside_a_faulty_row_are_predicted(client: FlaskClient, record: dict[str, Any]) -> None:
    # Given a table with a row that has a cell too many
    body = WRITERS[Format.CSV]([record, record]) + b",".join([b"1"] * (len(record) + 1))

    response = post(client, body, "text/csv", headers={"Accept": "application/json", "Prefer": "handling=lenient"})
    assert ["error" in outcome for outcome in response.get_json()] == [False, False, True]


def test_lenient_handling_of_faulty_records_alone_predicts_nothing(client: FlaskClient) -> None:
    response = post(client, [5, None], headers={"Prefer": "handling=lenient"})

    assert [list(outcome) for outcome in response.get_json()] == [["error"], ["error"]]


@pytest.mark.parametrize(
    "body", [b'{"unknown?": 1}', b"[", b"[]"], ids=["a-record-by-itself", "not-json", "an-empty-list"]
)
def test_lenient_handling_does_not_apply_to_a_malformed_body(client: FlaskClient, body: bytes) -> None:
    response = post(client, body, headers={"Prefer": "handling=lenient"})

    assert problem_of(response)
    assert "Preference-Applied" not in response.headers


def test_an_unknown_format_of_the_response_is_refused(client: FlaskClient, record: dict[str, Any]) -> None:
    response = post(client, record, headers={"Accept": "image/png"})

    assert response.status_code == 406
    assert "text/csv" in problem_of(response).detail


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_another_method_is_refused(client: FlaskClient, method: str) -> None:
    response = client.open(URL, method=method)

    assert response.status_code == 405
    assert problem_of(response)
    assert "POST" in response.headers["Allow"]


@given(body=st.binary(max_size=300))
def test_any_bytes_get_a_response(client: FlaskClient, body: bytes) -> None:
    response = post(client, body)

    assert response.status_code in {400, 422}
    assert problem_of(response)


@given(value=json_values)
def test_any_json_gets_a_response(client: FlaskClient, value: Any) -> None:
    response = post(client, value)

    assert response.status_code in {400, 422}
    assert problem_of(response)


@given(record=valid_records, data=st.data())
def test_a_changed_record_gets_a_response(client: FlaskClient, record: dict[str, Any], data: st.DataObject) -> None:
    # Given a valid record in which one field has any value at all
    name = data.draw(st.sampled_from(FEATURES) | st.text())
    changed = record | {name: data.draw(json_values)}

    # When it is sent
    response = post(client, changed)

    # Then it is predicted or refused
    if response.status_code == 200:
        assert response.get_json()["label"]
    else:
        assert response.status_code in {400, 422}
        assert problem_of(response)


@given(record=valid_records, position=st.integers(min_value=0), junk=st.binary(min_size=1, max_size=5))
def test_a_damaged_record_gets_a_response(
    client: FlaskClient, record: dict[str, Any], position: int, junk: bytes
) -> None:
    # Given the bytes of a valid record with some of them overwritten
    body = bytearray(json.dumps(record).encode())
    start = position % len(body)
    body[start : start + len(junk)] = junk

    # Then it is predicted or refused
    assert post(client, bytes(body)).status_code in {200, 400, 422}


ENDS = st.dates(max_value=date(1, 1, 3)) | st.dates(min_value=date(9999, 12, 29))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(day=ENDS, clock=st.times(), offset=st.none() | OFFSETS)
@example(day=date(9999, 12, 31), clock=time(23, 59, 59), offset=timezone(timedelta(hours=-23)))
@example(day=date(1, 1, 1), clock=time(0), offset=timezone(timedelta(hours=23, minutes=59)))
def test_the_first_and_last_date_are_predicted(
    client: FlaskClient, predictor: Predictor, day: date, clock: time, offset: timezone | None
) -> None:
    # Given a record with dates of which some are outside the calendar in UTC
    record = predictor.golden_records[0].record.model_dump(mode="json")
    record |= {"Ordered": day.isoformat(), "Paid at": datetime.combine(day, clock, offset).isoformat()}

    # When it is sent in any format, then it is predicted
    assert {sent: post(client, WRITERS[sent]([record]), sent).status_code for sent in FORMATS} == dict.fromkeys(
        FORMATS, 200
    )
