"""The model that `make train` made."""

from {{cookiecutter.__package}}_model.{{cookiecutter.__predictor}} import load


def test_it_gives_its_golden_predictions() -> None:
    assert load().gives_golden_predictions()
