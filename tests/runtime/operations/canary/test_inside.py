import json
import subprocess
import sys
from pathlib import Path

from mlops_runtime.model import Predictor
from mlops_runtime.operations.canary import inside
from mlops_runtime.operations.canary.counts import parsed
from mlops_runtime.serving.telemetry.metrics import Metrics, exposition
from tests.runtime.operations.conftest import StubService


def text_of(metrics: Metrics) -> str:
    return exposition(metrics, [])[0].decode()


def test_the_counts_are_those_of_the_service(predictor: Predictor) -> None:
    # Given a service that has answered requests
    metrics = Metrics(predictor, None, "1.2.3")
    metrics.observe_response("/v1/predictions", "POST", 200, 0.004)
    metrics.observe_response("/v1/predictions", "POST", 200, 0.3)
    metrics.observe_response("/v1/predictions", "POST", 422, 0.004)

    # When its metrics are read
    counts = parsed(json.dumps(inside.counts(text_of(metrics))))

    # Then responses, durations, predictions and starts are among them
    assert counts["responses", "/v1/predictions", "POST", "200"] == 2
    assert counts["responses", "/v1/predictions", "POST", "422"] == 1
    assert counts["durations", "/v1/predictions", "0.005"] == 2
    assert counts["durations", "/v1/predictions", "+Inf"] == 3
    assert counts["starts",] == 1
    assert {key[1] for key in counts if key[0] == "predictions"} == set(predictor.contract.prediction.counted())


def test_the_program_needs_nothing_but_the_image(stub_service: StubService, tmp_path: Path) -> None:
    # Given a service that asks for the operator's key
    url = stub_service({"/metrics": (200, b"webservice_process_starts_total 2.0\n")}, key="secret")
    key = tmp_path / "key"
    key.write_text("secret\n")

    # When the program is sent to Python, without the runtime
    program = Path(inside.__file__).read_text()
    command = [sys.executable, "-I", "-", url, str(key)]
    result = subprocess.run(command, input=program, capture_output=True, text=True, check=True)

    # Then it prints the counts
    assert parsed(result.stdout) == {("starts",): 2}
