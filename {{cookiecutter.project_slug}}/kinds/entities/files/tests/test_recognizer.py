"""The predictor."""

from pathlib import Path

import pytest
from mlops_runtime.model import ArtefactError, BasePredictor

from {{cookiecutter.__package}}_model.datamodel import Record
from {{cookiecutter.__package}}_model.recognizer import load


def test_a_trained_model_gives_its_golden_predictions(predictor: BasePredictor) -> None:
    assert predictor.gives_golden_predictions()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        load(tmp_path)


def test_an_entity_is_a_part_of_its_text(predictor: BasePredictor) -> None:
    record = Record(text="Ada from Acme Steel called from Rome.")

    prediction = predictor.predict_one(record)

    assert all(entity.text == record.text[entity.start : entity.end] for entity in prediction.entities)
