import base64
import hashlib
import json
import logging
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client

from mlops_runtime.model import Predictor
from mlops_runtime.serving.middleware import keys
from mlops_runtime.serving.middleware.keys import Keys, hashes_in, key_in, put_operator_key, with_api_keys
from mlops_runtime.serving.settings import Settings, SettingsError
from mlops_runtime.serving.telemetry.logs import CALLER_KEY
from tests.runtime.serving.conftest import app_of

KEY = "R5b0_the-key-of-the-hospital-0123456789abcd"
PUBLIC = frozenset({"/healthz", "/readyz"})
OTHER_KEY = "w8Xq_the-key-of-the-laboratory-9876543210zy"


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def basic(password: str, user: str = "anyone") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the key of one caller."""
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "hospital").write_text(hash_of(KEY))
    return folder


@pytest.fixture
def operator_key(tmp_path: Path) -> Path:
    """Where the operator's key may be."""
    return tmp_path / "operator.key"


@pytest.fixture
def known(folder: Path, operator_key: Path) -> Keys:
    return Keys(folder, operator_key)


@pytest.fixture
def read_at_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the keys be read again for each request."""
    monkeypatch.setattr(keys, "CHECK_INTERVAL", -1)


@pytest.fixture
def keyed_app(predictor: Predictor, folder: Path, tmp_path: Path) -> Flask:
    return app_of(predictor, Settings(api_keys=folder, drain_marker=tmp_path / "draining"))


@pytest.fixture
def keyed_client(keyed_app: Flask) -> FlaskClient:
    return keyed_app.test_client()


# Headers


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f"Bearer {KEY}", id="bearer"),
        pytest.param(f"bearer   {KEY} ", id="bearer in another spelling"),
        pytest.param(basic(KEY), id="password"),
        pytest.param(basic(KEY, user=""), id="password without a name"),
        pytest.param(basic(KEY, user="Zoë"), id="password with any name"),
        pytest.param(basic(KEY).replace("Basic", "BASIC"), id="password in another spelling"),
    ],
)
def test_a_caller_with_a_key_is_identified(known: Keys, header: str) -> None:
    assert known.caller(header) == "hospital"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="nothing"),
        pytest.param("Bearer", id="no key"),
        pytest.param("Bearer ", id="an empty key"),
        pytest.param(KEY, id="no scheme"),
        pytest.param(f"Token {KEY}", id="another scheme"),
        pytest.param(f"Bearer {OTHER_KEY}", id="an unknown key"),
        pytest.param(f"Bearer {KEY[:-1]}", id="part of a key"),
        pytest.param(f"Bearer {KEY},{KEY}", id="two keys"),
        pytest.param(f"Bearer {hash_of(KEY)}", id="the hash of a key"),
        pytest.param("Bearer hospital", id="the name of a caller"),
        pytest.param("Bearer ü", id="not ASCII"),
        pytest.param("Bearer \udcff", id="half a character"),
        pytest.param(f"Bearer {KEY}{' ' * 10_000}", id="endless"),
        pytest.param("Basic ÿ", id="a password that is not ASCII"),
        pytest.param("Basic !!!", id="a password that is not Base64"),
        pytest.param("Basic abc", id="a password that is cut off"),
        pytest.param("Basic " + base64.b64encode(KEY.encode()).decode(), id="a name without a password"),
        pytest.param(basic(""), id="an empty password"),
        pytest.param(basic("x", user=KEY), id="a key for a name"),
    ],
)
def test_a_caller_without_a_key_is_unknown(known: Keys, header: str) -> None:
    assert known.caller(header) is None


@given(header=st.text() | st.builds("{} {}".format, st.sampled_from(["Bearer", "Basic", "basic"]), st.text()))
def test_no_header_is_an_error(header: str) -> None:
    key = key_in(header)

    assert key is None or len(key) > 0


@given(
    user=st.text(st.characters(codec="utf-8", exclude_characters=":"), max_size=50),
    key=st.binary(min_size=1, max_size=200),
)
def test_a_password_is_used_unchanged(user: str, key: bytes) -> None:
    credentials = base64.b64encode(user.encode() + b":" + key).decode()

    assert key_in(f"Basic {credentials}") == key


def test_each_of_several_callers_has_a_name(folder: Path, operator_key: Path) -> None:
    (folder / "laboratory").write_text(f"{hash_of(OTHER_KEY)}\n")

    known = Keys(folder, operator_key)

    assert known.caller(f"Bearer {KEY}") == "hospital"
    assert known.caller(f"Bearer {OTHER_KEY}") == "laboratory"


def test_every_key_is_compared_whichever_matches(
    folder: Path, operator_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given three keys
    for number in range(2):
        (folder / f"later-{number}").write_text(hash_of(f"{OTHER_KEY}{number}"))
    known = Keys(folder, operator_key)
    compared: list[bytes] = []
    monkeypatch.setattr(keys.hmac, "compare_digest", lambda one, other: compared.append(one) or one == other)

    # When one of them is shown, or none, then all three are compared
    for header in (f"Bearer {KEY}", f"Bearer {OTHER_KEY}1", "Bearer wrong"):
        compared.clear()
        known.caller(header)
        assert len(set(compared)) == 3


# Files


def test_a_service_without_keys_does_not_start(tmp_path: Path, operator_key: Path) -> None:
    # Given an empty folder, and a key of the operator
    (tmp_path / "empty").mkdir()
    put_operator_key(operator_key)

    with pytest.raises(SettingsError, match=r"holds no key: make one with `make key"):
        Keys(tmp_path / "empty", operator_key)


@pytest.mark.parametrize("place", ["missing", "keys/hospital"], ids=["missing", "a file"])
def test_keys_that_cannot_be_read_are_refused(folder: Path, operator_key: Path, place: str) -> None:
    with pytest.raises(SettingsError, match=f"API_KEYS=.*{place} cannot be read"):
        Keys(folder.parent / place, operator_key)


@pytest.mark.parametrize("content", ["", KEY, hash_of(KEY).upper(), hash_of(KEY)[1:], "\xff" * 64])
def test_a_file_without_a_hash_is_ignored(folder: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    # Given a file without a hash, which may contain a key by mistake
    (folder / "laboratory").write_text(content)

    # When the keys are read
    names = hashes_in(folder).values()

    # Then it is left out, and the log says so, but not what the file holds
    assert list(names) == ["hospital"]
    assert "the API key laboratory is ignored" in caplog.text
    assert not content or content not in caplog.text


def mounted(folder: Path, **hashes: str) -> None:
    """Put hashes into a folder as a kubelet does: a folder of its own, to which a link leads at once."""
    number = len(list(folder.glob("..2*")))
    state = folder / f"..2026_{number}"
    state.mkdir(parents=True)
    for name, content in hashes.items():
        (state / name).write_text(content)
    new = folder / "..data_tmp"
    new.symlink_to(state.name)
    new.replace(folder / "..data")
    for name in hashes:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


@pytest.mark.usefixtures("read_at_each_request")
def test_keys_of_a_mounted_secret_change_while_the_service_runs(tmp_path: Path, operator_key: Path) -> None:
    # Given a mounted Secret with one key
    folder = tmp_path / "mounted"
    mounted(folder, hospital=hash_of(KEY))
    known = Keys(folder, operator_key)
    assert known.caller(f"Bearer {OTHER_KEY}") is None

    # When another is added, then both are known
    mounted(folder, hospital=hash_of(KEY), laboratory=hash_of(OTHER_KEY))
    assert known.caller(f"Bearer {KEY}") == "hospital"
    assert known.caller(f"Bearer {OTHER_KEY}") == "laboratory"

    # When the first one is removed, of which a link is left, then it is unknown
    mounted(folder, laboratory=hash_of(OTHER_KEY))
    assert known.caller(f"Bearer {KEY}") is None
    assert known.caller(f"Bearer {OTHER_KEY}") == "laboratory"


@pytest.mark.usefixtures("read_at_each_request")
def test_all_callers_are_refused_when_no_key_is_left(
    known: Keys, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "webservice")
    (folder / "hospital").unlink()

    assert known.caller(f"Bearer {KEY}") is None
    assert "all callers are refused" in caplog.text


@pytest.mark.usefixtures("read_at_each_request")
def test_keys_are_kept_when_they_cannot_be_read_again(
    known: Keys, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.rename(folder.with_name("gone"))

    assert known.caller(f"Bearer {KEY}") == "hospital"
    assert "the API keys cannot be read and stay as they are" in caplog.text


def test_the_keys_are_read_again_after_an_interval(known: Keys, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given keys that were read a moment ago, and changed since
    now = keys.time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now)
    known.caller(f"Bearer {KEY}")
    (folder / "laboratory").write_text(hash_of(OTHER_KEY))

    # When a moment passes, and then more time
    now += keys.CHECK_INTERVAL / 2
    soon = known.caller(f"Bearer {OTHER_KEY}")
    now += keys.CHECK_INTERVAL
    later = known.caller(f"Bearer {OTHER_KEY}")

    # Then the change is seen with the next look
    assert (soon, later) == (None, "laboratory")


# The operator


def test_the_operators_key_is_readable_by_the_user_of_the_service_alone(folder: Path, operator_key: Path) -> None:
    put_operator_key(operator_key)
    first = operator_key.read_text()

    # When the service starts again
    put_operator_key(operator_key)
    second = operator_key.read_text()

    # Then there is another key, which lets in, and the first does not
    known = Keys(folder, operator_key)
    assert operator_key.stat().st_mode & 0o777 == 0o600
    assert len(second) >= 43  # 256 bits
    assert known.caller(f"Bearer {first}") is None
    assert known.caller(f"Bearer {second}") == "operator"
    assert known.caller(f"Bearer {KEY}") == "hospital"


def readable_by_others(path: Path) -> None:
    path.write_text(OTHER_KEY)
    path.chmod(0o640)


def a_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.touch(0o600)
    target.write_text(OTHER_KEY)
    path.symlink_to(target)


def test_a_key_that_others_read_is_not_the_operators(
    folder: Path, operator_key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    readable_by_others(operator_key)

    assert Keys(folder, operator_key).caller(f"Bearer {OTHER_KEY}") is None
    assert "is not readable by this user alone" in caplog.text


def test_a_key_of_another_user_is_not_the_operators(
    folder: Path, operator_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_operator_key(operator_key)
    monkeypatch.setattr(os, "geteuid", lambda: operator_key.stat().st_uid + 1)

    assert Keys(folder, operator_key).caller(f"Bearer {operator_key.read_text()}") is None


def test_a_link_is_not_followed_to_the_operators_key(folder: Path, operator_key: Path) -> None:
    a_link(operator_key)

    with pytest.raises(SettingsError, match="cannot be read"):
        Keys(folder, operator_key)


@pytest.mark.parametrize("there", [readable_by_others, a_link])
def test_an_existing_file_is_replaced(operator_key: Path, there: Callable[[Path], None]) -> None:
    # Given a file that another may read, or a link to one
    there(operator_key)

    # When the operator's key is written
    put_operator_key(operator_key)

    # Then a new file has it
    assert not operator_key.is_symlink()
    assert operator_key.stat().st_mode & 0o777 == 0o600
    assert OTHER_KEY not in operator_key.read_text()


# The service


def paths(app: Flask) -> list[str]:
    """Return a path for each rule of the application."""
    return sorted({str(rule.rule).replace("<path:", "<").partition("<")[0] for rule in app.url_map.iter_rules()})


def test_every_route_that_is_not_public_needs_a_key(keyed_app: Flask, keyed_client: FlaskClient) -> None:
    guarded = set(paths(keyed_app)) - PUBLIC
    assert {"/", "/v1/predictions", "/version", "/openapi.json"} <= guarded

    for path in [
        *guarded,
        "/unknown",
        "/healthz//",
        "//healthz",
        "/version/",
        "/HEALTHZ",
        "/v1/predictions/../../healthz",
    ]:
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            assert keyed_client.open(path, method=method).status_code == 401, (method, path)
    for path in PUBLIC:
        assert keyed_client.get(path).status_code == 200


def test_a_request_without_a_key_gets_a_challenge(keyed_client: FlaskClient) -> None:
    answer = keyed_client.get("/")

    assert answer.content_type == "application/problem+json"
    assert "Authorization: Bearer KEY" in answer.get_json(force=True)["detail"]
    # A browser asks for a name and a password, a program sends its key
    bearer, password = answer.headers.getlist("WWW-Authenticate")
    assert bearer == 'Bearer realm="API key"'
    assert password.startswith('Basic realm="API key"')


def test_a_wrong_key_is_reported_and_not_repeated(keyed_client: FlaskClient) -> None:
    answer = keyed_client.get("/", headers={"Authorization": f"Bearer {OTHER_KEY}"})

    assert answer.status_code == 401
    assert answer.www_authenticate.get("error") == "invalid_token"
    assert OTHER_KEY not in answer.text + str(answer.headers)


@pytest.mark.parametrize("header", [f"Bearer {KEY}", basic(KEY)], ids=["bearer", "password"])
def test_a_key_gives_access_to_predictions_and_the_page(
    keyed_client: FlaskClient, record: dict[str, Any], header: str
) -> None:
    headers = {"Authorization": header}

    assert keyed_client.post("/v1/predictions", json=record, headers=headers).status_code == 200
    assert keyed_client.get("/", headers=headers).content_type.startswith("text/html")


def test_the_log_names_the_caller_and_contains_no_key(
    keyed_client: FlaskClient, caplog: pytest.LogCaptureFixture, log: StringIO
) -> None:
    keyed_client.get("/version", headers={"Authorization": f"Bearer {KEY}"})
    keyed_client.get("/version", headers={"Authorization": f"Bearer {OTHER_KEY}"})

    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line.get("caller") for line in lines] == ["hospital", None]
    assert not any(key in log.getvalue() + caplog.text for key in (KEY, OTHER_KEY))


def test_the_caller_is_in_the_wsgi_environment(known: Keys) -> None:
    # Given an application that answers with the caller's name
    def whoami(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ.get(CALLER_KEY, "nobody").encode()]

    client = Client(with_api_keys(whoami, known))

    # When it is called, then a header cannot claim another name
    assert client.get("/", headers={"Authorization": f"Bearer {KEY}", "Webservice.Caller": "x"}).text == "hospital"
    assert client.get("/healthz", headers={"Authorization": f"Bearer {KEY}"}).text == "nobody"


def test_no_key_is_needed_without_the_setting(client: FlaskClient) -> None:
    assert client.get("/version").status_code == 200


def test_an_empty_folder_is_refused(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no key"):
        app_of(predictor, Settings(api_keys=tmp_path, drain_marker=tmp_path / "draining"))
