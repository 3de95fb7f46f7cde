"""The service as a process, with the model that `make train` made."""

import json
from urllib.request import Request, urlopen

from mlops_runtime.model import agrees
from mlops_runtime.testing import running_service

from {{cookiecutter.__package}}_model.classifier import load
from {{cookiecutter.__package}}_model.datamodel import Prediction


def test_it_starts_answers_and_stops() -> None:
    golden = load().golden_records[0]
    body = golden.record.model_dump_json().encode()

    with running_service() as url:
        request = Request(f"{url}/v1/predictions", body, {"Content-Type": "application/json"})
        prediction = Prediction.model_validate(json.load(urlopen(request)))

    assert agrees(prediction, golden.prediction)
