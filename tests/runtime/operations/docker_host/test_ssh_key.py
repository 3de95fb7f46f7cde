import stat
from pathlib import Path

import pytest

from mlops_runtime.operations.docker_host.ssh_key import SshKeyError, install

GIVEN = {"DEPLOY_HOST": "ssh://deploy@machine.example:2222", "DEPLOY_KEY": "private", "DEPLOY_HOST_KEYS": "machine key"}


def test_ssh_gets_the_key_and_knows_the_machine(tmp_path: Path) -> None:
    # Given a machine with ssh settings that do not end with a line
    folder = tmp_path / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host other")

    # When the key is installed, and once more
    assert install(GIVEN, tmp_path) == install(GIVEN, tmp_path)

    # Then each file has it once, and nobody else can read it
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "pipeline_key": "private\n",
        "known_hosts": "machine key\n",
        "config": "Host other\nHost machine.example\n"
        f"  IdentityFile {folder}/pipeline_key\n  IdentitiesOnly yes\n  StrictHostKeyChecking yes\n",
    }
    assert stat.S_IMODE((folder / "pipeline_key").stat().st_mode) == 0o600


def test_the_engine_of_this_machine_needs_no_key(tmp_path: Path) -> None:
    assert "needs no login" in install({"DEPLOY_HOST": ""}, tmp_path)
    assert not (tmp_path / ".ssh").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"DEPLOY_KEY": " "}, "DEPLOY_KEY and DEPLOY_HOST_KEYS must be set", id="no key"),
        pytest.param({"DEPLOY_HOST_KEYS": ""}, "DEPLOY_KEY and DEPLOY_HOST_KEYS must be set", id="machine without key"),
        pytest.param({"DEPLOY_HOST": "machine"}, "set it to ssh://user@machine", id="no address"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    with pytest.raises(SshKeyError, match=message):
        install(GIVEN | changed, tmp_path)

    assert not (tmp_path / ".ssh").exists()
