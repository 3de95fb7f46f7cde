import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_runtime.dashboard import Client, ClientError, samples_in
from mlops_runtime.dashboard.__main__ import main
from mlops_runtime.model import Predictor
from mlops_runtime.serving import create_app
from mlops_runtime.serving.settings import Settings
from mlops_runtime.testing.project import served
from tests.runtime.operations.conftest import StubService, stub_service

__all__ = ["stub_service"]

KEY = "a-key"


@pytest.fixture(scope="module")
def url(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that requires a key."""
    keys = tmp_path_factory.mktemp("keys")
    (keys / "caller").write_text(hashlib.sha256(KEY.encode()).hexdigest())
    with served(create_app(predictor, Settings(api_keys=keys), title="Fate of an order")) as address:
        yield address


@pytest.fixture
def client(url: str) -> Client:
    return Client(url, KEY)


def test_the_service_is_described(client: Client, predictor: Predictor) -> None:
    assert client.description()["info"]["title"] == "Fate of an order"
    assert client.release()["model"]["version"] == predictor.metadata.version
    assert "webservice_drift_records" in client.metrics()
    assert client.report().startswith("<!DOCTYPE html>")


def test_a_record_is_explained(client: Client, predictor: Predictor) -> None:
    record = predictor.golden_records[0].record.model_dump(mode="json")

    assert set(client.explain(record)) == {"prediction", "mean", "output", "contributions"}


def test_a_refused_record_says_which_field_is_wrong(client: Client, predictor: Predictor) -> None:
    record = predictor.golden_records[0].record.model_dump(mode="json") | {"Weight (kg)": -1}

    with pytest.raises(ClientError, match=r"^Weight \(kg\) must be a number from 0 to 1000"):
        client.explain(record)


def test_a_table_comes_back_with_predictions_and_faults(client: Client, data: Path) -> None:
    header, *rows = data.read_text().splitlines()
    table = "\n".join([header, *rows[:3], rows[3].replace(rows[3].split(",")[0], "heavy", 1)])

    parts = list(client.score('odd "name"\r\n.csv', table.encode()))

    assert len("".join(part.csv for part in parts).splitlines()) == 5
    assert (parts[-1].rows, parts[-1].faulty, parts[-1].progress, parts[-1].problem) == (4, 1, 1, "")
    assert [row for part in parts for row, _ in part.faults] == [5]


def test_what_is_no_table_is_refused(client: Client) -> None:
    with pytest.raises(ClientError, match="is compressed, or an Excel workbook: save the table as CSV"):
        list(client.score("book.xlsx", b"PK\x03\x04"))


def other(url: str) -> Client:
    return Client(url, "other")


def away(_: str) -> Client:
    return Client("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(other, "The service does not accept the API key: set SERVICE_KEY", id="wrong key"),
        pytest.param(away, "The service at http://127.0.0.1:9 does not answer (", id="no service"),
    ],
)
def test_what_keeps_the_service_from_an_answer_is_said(url: str, make: Callable[[str], Client], message: str) -> None:
    with pytest.raises(ClientError) as error:
        make(url).release()

    assert str(error.value).startswith(message)
    assert "other" not in str(error.value)


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(502, b"<html>", "answered with status 502: see its log", id="a proxy's page"),
        pytest.param(404, b'{"detail": "There is none."}', "There is none", id="problem details"),
        pytest.param(400, b'["x"]', "answered with status 400", id="other JSON"),
        pytest.param(200, b"<html>", "does not answer", id="no JSON"),
    ],
)
def test_an_odd_answer_is_one_sentence(stub_service: StubService, status: int, body: bytes, message: str) -> None:
    with pytest.raises(ClientError, match=message):
        Client(stub_service({"/version": (status, body)})).release()


def test_a_table_that_breaks_off_is_no_table(stub_service: StubService) -> None:
    part = {"csv": "a\n", "progress": 0.5, "rows": 1, "faulty": 0, "faults": [], "problem": "", "done": False}

    scored = Client(stub_service({"/table": (200, json.dumps(part).encode())})).score("a.csv", b"a\n1\n")

    assert next(scored).rows == 1
    with pytest.raises(ClientError, match="stopped before the end of the table"):
        next(scored)


def test_the_command_prints_the_version_or_why_there_is_none(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_URL", f"{url}/")
    monkeypatch.setenv("SERVICE_KEY", KEY)
    assert (main([]), capsys.readouterr().out) == (0, "development\n")

    monkeypatch.setenv("SERVICE_KEY", "other")
    assert main([]) == 1
    assert "does not accept the API key" in capsys.readouterr().err


def test_the_command_writes_the_drift_into_a_folder(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SERVICE_URL", url)
    monkeypatch.setenv("SERVICE_KEY", KEY)

    assert main([str(tmp_path / "drift")]) == 0

    (sample,) = samples_in(tmp_path / "drift")
    # The records of other tests are too few for an index.
    assert sample.index == {}
    assert capsys.readouterr().out.strip() == str(*(tmp_path / "drift").iterdir())
