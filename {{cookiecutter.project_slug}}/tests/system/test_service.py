"""The service as a process, with the model that `make train` made."""

from urllib.request import Request, urlopen

from mlops_runtime.model import agrees

from {{cookiecutter.__package}}_model.{{cookiecutter.__predictor}} import load


def test_it_gives_a_golden_prediction(service: str) -> None:
    predictor = load()
    golden = predictor.golden_records[0]
    body = golden.record.model_dump_json().encode()

    with urlopen(Request(f"{service}/v1/predictions", body, {"Content-Type": "application/json"})) as answer:
        prediction = predictor.contract.prediction.model_validate_json(answer.read())

    assert agrees(prediction, golden.prediction)


def test_it_is_ready(service: str) -> None:
    with urlopen(f"{service}/readyz") as answer:
        assert answer.status == 200
