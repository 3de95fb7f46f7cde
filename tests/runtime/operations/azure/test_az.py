"""The Azure CLI as a function, against a stand-in for the command."""

import shlex
import sys
from pathlib import Path

import pytest

from mlops_runtime.operations.azure.az import ATTEMPTS, Az, AzureAwayError, AzureError, error_of

COMMAND = """
import json, sys
from pathlib import Path

calls = Path(__file__).with_name("calls")
with calls.open("a") as file:
    file.write(json.dumps([sys.argv[1:], sys.stdin.read()]) + "\\n")
answers = Path(__file__).with_name("answers").read_text().split("---")
answer = answers[min(len(calls.read_text().splitlines()), len(answers)) - 1].strip()
sys.exit(answer) if answer.startswith("ERROR") else print(answer)
"""


def az_with(folder: Path, *answers: str) -> Az:
    (folder / "az.py").write_text(COMMAND)
    (folder / "answers").write_text("---".join(answers))
    return Az(shlex.split(shlex.join([sys.executable, str(folder / "az.py")])), sleep=lambda _: None)


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def test_a_body_goes_through_standard_input(tmp_path: Path) -> None:
    # When a secret is set
    answer = az_with(tmp_path, '{"name": "x"}').rest("patch", "/apps/x", "2025", {"value": "secret"})

    # Then it is in no list of processes
    assert answer == {"name": "x"}
    (line,) = (tmp_path / "calls").read_text().splitlines()
    arguments, given = line.split("]", 1)
    assert "secret" not in arguments
    assert "secret" in given


def test_a_command_without_output_gives_nothing(tmp_path: Path) -> None:
    assert az_with(tmp_path, "").run("group", "delete") is None


@pytest.mark.parametrize(
    ("stderr", "kind", "message"),
    [
        pytest.param(
            'ERROR: Not Found({"error": {"code": "ResourceNotFound", "message": "no such app"}})',
            AzureError, "az rest: no such app", id="an error of Resource Manager",
        ),
        pytest.param(
            'ERROR: Bad Request({"Code": "BadRequest", "Message": "no such plan", "Target": null})',
            AzureError, "az rest: no such plan", id="an error of App Service",
        ),
        pytest.param(
            'ERROR: Conflict({"Code": "Conflict", "Message": "Cannot modify this site because another operation is in'
            ' progress."})',
            AzureAwayError, "Azure does not answer", id="another operation",
        ),
        pytest.param(
            "ERROR: The specified blob does not exist.\nRequestId:1\nErrorCode:BlobNotFound",
            AzureError, "az rest: The specified blob does not exist.", id="an error of Blob storage",
        ),
        pytest.param(
            "ERROR: Please run 'az login' to setup account.", AzureError, "nobody is logged in to Azure: run az login",
            id="nobody logged in",
        ),
        pytest.param(
            "ERROR: HTTPSConnectionPool(host='x'): Max retries exceeded", AzureAwayError, "Azure does not answer",
            id="no connection",
        ),
        pytest.param('ERROR: Service Unavailable({"error": {}})', AzureAwayError, "does not answer", id="unavailable"),
        pytest.param("", AzureError, "no message", id="silent"),
    ],
)  # fmt: skip
def test_an_error_says_what_failed(stderr: str, kind: type[AzureError], message: str) -> None:
    error = error_of(("rest", "--method", "get"), stderr)

    assert type(error) is kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ('ERROR: Conflict({"error": {"code": "Busy", "message": "m"}})', "Busy"),
        ("ERROR: m\nErrorCode:LeaseLost", "LeaseLost"),
        ("ERROR: m", ""),
    ],
)
def test_an_error_has_the_code_of_the_service(stderr: str, code: str) -> None:
    assert error_of(("rest",), stderr).code == code


def test_what_azure_cannot_answer_now_is_asked_again(tmp_path: Path) -> None:
    az = az_with(tmp_path, "ERROR: Bad Gateway()", '{"name": "x"}')

    assert az.run("account", "show") == {"name": "x"}
    assert calls(tmp_path) == 2


def test_it_is_not_asked_for_ever(tmp_path: Path) -> None:
    with pytest.raises(AzureAwayError):
        az_with(tmp_path, "ERROR: Bad Gateway()").run("account", "show")

    assert calls(tmp_path) == ATTEMPTS


def test_a_refusal_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(AzureError, match="az account show: no"):
        az_with(tmp_path, "ERROR: no").run("account", "show")

    assert calls(tmp_path) == 1


def test_a_missing_resource_is_none_and_another_refusal_is_not(tmp_path: Path) -> None:
    missing = 'ERROR: Not Found({"error": {"code": "ResourceNotFound", "message": "m"}})'
    assert az_with(tmp_path, missing).find("/apps/x", "2025") is None

    with pytest.raises(AzureError, match="forbidden"):
        az_with(tmp_path, "ERROR: forbidden").find("/apps/x", "2025")


def test_a_command_that_does_not_start_says_so() -> None:
    with pytest.raises(AzureError, match=r"no-such-program does not start: .*; see make doctor"):
        Az.from_environment({"AZ": "no-such-program"}).run("account", "show")


def test_what_must_not_be_repeated_is_not(tmp_path: Path) -> None:
    az = az_with(tmp_path, "ERROR: HTTPSConnectionPool(host='x'): Max retries exceeded", "{}")

    with pytest.raises(AzureAwayError):
        az.once("webapp", "deployment", "slot", "swap", timeout=60)
    assert calls(tmp_path) == 1
