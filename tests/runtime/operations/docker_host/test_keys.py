import hashlib

import pytest

from mlops_runtime.operations.docker_host.engine import Engine
from mlops_runtime.operations.docker_host.keys import KeyVolume, main
from mlops_runtime.operations.keys import ensure
from tests.runtime.operations.docker_host.conftest import EngineInMemory


@pytest.fixture
def volume(engine: EngineInMemory, monkeypatch: pytest.MonkeyPatch) -> KeyVolume:
    monkeypatch.setattr(Engine, "from_environment", lambda _: engine)
    monkeypatch.setenv("PROXY_IMAGE", "caddy")
    return KeyVolume(engine, "caddy")


def test_the_module_has_the_commands_of_every_platform(
    volume: KeyVolume, engine: EngineInMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    # When two keys are made, listed, and one is removed
    assert [main(["--add", name]) for name in ("ward", "lab")] == [0, 0]
    first, _ = capsys.readouterr().out.split()
    assert main(["--list"]) == 0
    assert capsys.readouterr().out == "lab\nward\n"
    assert main(["--remove", "lab"]) == 0

    # Then the volume has the hash of the other one
    assert engine.volumes["x-keys"] == {"ward": hashlib.sha256(first.encode()).hexdigest()}
    assert volume.names() == ["ward"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "ward"], "ward has the last key"),
        (["--remove", "other"], "'other' has no key"),
        (["--add", "ward"], "ward has a key already"),
        (["--add", "../ward"], "'../ward' cannot be the name of a caller"),
    ],
    ids=["the last", "none", "a second", "a path"],
)
def test_what_cannot_be_done_is_said(
    volume: KeyVolume, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    volume.create({"ward": "0" * 64})

    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_a_first_key_is_made_once(volume: KeyVolume) -> None:
    assert volume.names() is None
    assert [ensure(volume), ensure(volume)] == [True, False]
    assert volume.names() == ["first"]


def test_the_service_reads_the_folder_by_itself(volume: KeyVolume, engine: EngineInMemory) -> None:
    volume.refresh()

    assert engine.commands == []
