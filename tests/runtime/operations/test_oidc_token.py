import json
import stat
from pathlib import Path

import pytest

from mlops_runtime.operations.oidc_token import GIVEN, TokenError, main, oidc_token
from tests.runtime.operations.conftest import StubService

PATH = "/token?api-version=2.0&audience=sts.amazonaws.com"


def github(address: str) -> dict[str, str]:
    """Return what GitHub puts into the environment of a job."""
    return {
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{address}/token?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the job",
    }


def test_github_is_asked_for_a_token_for_the_audience(stub_service: StubService) -> None:
    address = stub_service({PATH: (200, json.dumps({"value": "signed"}).encode())}, "of the job")

    assert oidc_token(github(address), "sts.amazonaws.com") == "signed"


def test_azure_devops_is_asked_for_a_token(stub_service: StubService) -> None:
    address = stub_service({"/oidctoken?api-version=7.1": (200, b'{"oidcToken": "signed"}')}, "of the job")
    step = {"SYSTEM_OIDCREQUESTURI": f"{address}/oidctoken", "SYSTEM_ACCESSTOKEN": "of the job"}

    assert oidc_token(step, "sts.amazonaws.com") == "signed"


@pytest.mark.parametrize("name", GIVEN)
def test_a_token_that_the_vendor_gives_is_taken(name: str) -> None:
    assert oidc_token({"OIDC_TOKEN": "", name: "signed"}, "sts.amazonaws.com") == "signed"


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(403, b"", r"127.0.0.1:\d+ gives no token: HTTP Error 403", id="refused"),
        pytest.param(200, b"<html>", r"127.0.0.1:\d+ gives no token: Expecting value", id="no JSON"),
        pytest.param(200, b'{"value": ""}', r"127.0.0.1:\d+ answered without a token", id="no token"),
    ],
)
def test_a_token_that_does_not_come_is_said_in_one_line(
    stub_service: StubService, status: int, body: bytes, message: str
) -> None:
    address = stub_service({PATH: (status, body)}, "of the job")

    with pytest.raises(TokenError, match=message) as error:
        oidc_token(github(address), "sts.amazonaws.com")

    assert "\n" not in str(error.value)


def test_only_its_owner_can_read_the_token(
    stub_service: StubService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file that anybody can read
    path = tmp_path / "build/token"
    path.parent.mkdir()
    path.write_text("old")
    for name, value in github(stub_service({PATH: (200, b'{"value": "signed"}')}, "of the job")).items():
        monkeypatch.setenv(name, value)

    assert main([str(path), "sts.amazonaws.com"]) == 0

    assert path.read_text() == "signed"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("needed", "message"),
    [
        pytest.param(["AWS_ROLE_ARN"], "AWS_ROLE_ARN must be set in the pipeline", id="a variable is missing"),
        pytest.param([], "`permissions: id-token: write`", id="no pipeline"),
    ],
)
def test_nothing_is_written_without_a_token(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    needed: list[str],
    message: str,
) -> None:
    for name in ("AWS_ROLE_ARN", *GIVEN, *github(""), "SYSTEM_ACCESSTOKEN"):
        monkeypatch.delenv(name, raising=False)

    assert main([str(tmp_path / "token"), "sts.amazonaws.com", *needed]) == 1

    assert message in capsys.readouterr().err
    assert not (tmp_path / "token").exists()
