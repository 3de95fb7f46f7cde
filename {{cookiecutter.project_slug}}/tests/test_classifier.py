"""The predictor."""

from pathlib import Path

import pytest
from mlops_runtime.model import ArtefactError, Predictor

from {{cookiecutter.__package}}_model.classifier import load


def test_a_trained_model_gives_its_golden_predictions(predictor: Predictor) -> None:
    assert predictor.gives_golden_predictions()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError):
        load(tmp_path)
