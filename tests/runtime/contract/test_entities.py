import json
from enum import StrEnum
from typing import Any

import pytest
from pydantic import Field, ValidationError

from mlops_runtime.contract import (
    Contract,
    Entity,
    EntityPrediction,
    LabelPrediction,
    RecordModel,
    Task,
    Text,
    contract_json,
)


class Label(StrEnum):
    PERSON = "PERSON"
    ORG = "ORG"


class Document(RecordModel):
    """A message."""

    text: Text = Field(description="Of the message")


class LabelledEntity(Entity):
    label: Label


class Prediction(EntityPrediction):
    entities: tuple[LabelledEntity, ...]


CONTRACT = Contract(Document, Prediction, Task.ENTITIES, "entities")
ADA = {"text": "Ada", "label": "PERSON", "start": 0, "end": 3}
ACME = {"text": "Acme", "label": "ORG", "start": 10, "end": 14}


def prediction_of(*entities: dict[str, Any]) -> Prediction:
    return Prediction.model_validate({"entities": entities})


def test_a_contract_of_entities_has_the_labels_of_the_enumeration() -> None:
    assert CONTRACT.labels == ("PERSON", "ORG")
    assert CONTRACT.features == ("text",)
    assert contract_json(CONTRACT)["task"] == "entities"


def test_the_annotations_of_a_record_are_ignored() -> None:
    assert CONTRACT.ignored == {"entities"}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"a": Text, "b": Text}, id="two texts"),
        pytest.param({"a": float}, id="a number"),
        pytest.param({}, id="none"),
    ],
)
def test_a_record_must_have_one_text(fields: dict[str, Any]) -> None:
    record = type("Other", (RecordModel,), {"__annotations__": fields, "__module__": __name__})

    with pytest.raises(TypeError, match="give the record one required field, of the type Text"):
        Contract(record, Prediction, Task.ENTITIES, "entities")


def test_an_optional_text_is_refused() -> None:
    class Optional(RecordModel):
        text: Text | None = None

    with pytest.raises(TypeError, match="one required field"):
        Contract(Optional, Prediction, Task.ENTITIES, "entities")


def test_labels_must_be_an_enumeration() -> None:
    with pytest.raises(TypeError, match="EntityPrediction: type `entities`"):
        Contract(Document, EntityPrediction, Task.ENTITIES, "entities")


def test_a_prediction_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="does not fit the task entities: derive it from EntityPrediction"):
        Contract(Document, LabelPrediction, Task.ENTITIES, "entities")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"label": "PLACE"}, id="unknown label"),
        pytest.param({"end": 4}, id="other length"),
        pytest.param({"end": 0, "text": ""}, id="empty"),
        pytest.param({"start": -1, "end": 2}, id="before the text"),
        pytest.param({"score": 1.5}, id="score above 1"),
    ],
)
def test_an_entity_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        prediction_of(ADA | change)


def test_a_prediction_survives_json() -> None:
    prediction = prediction_of(ADA, ACME | {"score": 0.5})

    (again,) = CONTRACT.predictions_adapter.validate_json(f"[{prediction.model_dump_json()}]")

    assert again == prediction


def test_a_table_has_the_entities_as_json_and_their_number_by_label() -> None:
    prediction = prediction_of({"text": "Zoë", "label": "PERSON", "start": 0, "end": 3}, ACME)

    columns = Prediction.columns(CONTRACT.labels)
    entities, *counts = prediction.cells(CONTRACT.labels)

    assert columns == ["entities", "count_PERSON", "count_ORG"]
    assert json.loads(entities)[1] == ACME
    assert "Zoë" in entities
    assert counts == [1, 1]


@pytest.mark.parametrize(
    ("entities", "headline"),
    [
        pytest.param((), "No entities", id="none"),
        pytest.param((ACME,), "1 entity: 1 ORG", id="one"),
        pytest.param((ADA, ACME, ACME), "3 entities: 2 ORG, 1 PERSON", id="several"),
    ],
)
def test_the_headline_counts_entities_by_label(entities: tuple[dict[str, Any], ...], headline: str) -> None:
    assert prediction_of(*entities).headline() == headline


def test_labels_are_counted_over_several_texts() -> None:
    outcomes = [prediction_of(ADA, ACME).entities, prediction_of().entities, prediction_of(ACME).entities]

    assert Prediction.label_counts(outcomes) == {"PERSON": 1, "ORG": 2, "(none)": 1}
    assert Prediction.counted() == ("PERSON", "ORG", "(none)")


def test_a_text_is_divided_into_parts_with_their_entities() -> None:
    # given
    prediction = prediction_of(ADA, ACME)
    # when
    parts = prediction.parts(Document(text="Ada is at Acme."))
    # then
    ada, acme = prediction.entities
    assert parts == [("Ada", ada), (" is at ", None), ("Acme", acme), (".", None)]
    assert prediction_of().parts(Document(text="Nobody")) == [("Nobody", None)]


def test_a_text_with_many_labels_is_the_best_example() -> None:
    assert prediction_of(ADA, ACME).clarity() > prediction_of(ACME, ACME).clarity() > prediction_of().clarity()


def test_no_word_of_a_text_stands_for_a_missing_value() -> None:
    assert CONTRACT.verbatim == {"text"}


@pytest.mark.parametrize(
    ("other", "agrees"),
    [
        pytest.param((ADA, ACME), True, id="equal"),
        pytest.param((ADA,), False, id="one less"),
        pytest.param((ADA, ACME | {"label": "PERSON"}), False, id="other label"),
        pytest.param((ADA, ACME | {"start": 11, "end": 15}), False, id="other span"),
        pytest.param((ADA, ACME | {"score": 0.5}), False, id="with a score"),
    ],
)
def test_predictions_agree_if_their_entities_do(other: tuple[dict[str, Any], ...], agrees: bool) -> None:
    assert prediction_of(ADA, ACME).agrees_with(prediction_of(*other), 1e-6) is agrees


@pytest.mark.parametrize(("score", "agrees"), [(0.5 + 1e-7, True), (0.51, False)])
def test_scores_agree_within_the_tolerance(score: float, agrees: bool) -> None:
    golden = prediction_of(ADA | {"score": 0.5})

    assert prediction_of(ADA | {"score": score}).agrees_with(golden, 1e-6) is agrees
