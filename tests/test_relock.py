"""What `make relock` locks: every kind of model, or the one that it is told."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import relock

TABLE, ENTITIES, DASHBOARD = "Pipfile.lock", "kinds/entities/files/Pipfile.lock", "dashboards/streamlit/Pipfile.lock"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the Pipfiles of the template and empty locks; instead of pipenv, a function names the category."""

    def lock(folder: Path, categories: str) -> dict[str, Any]:
        # As for pipenv, there is one Pipfile, without a marker where it would not be read.
        assert relock.MARKER not in (folder / "Pipfile").read_text()
        return {"_meta": {"hash": {"sha256": "new"}, "sources": []}, categories.split()[0]: {"locked": {}}}

    for name in (TABLE, ENTITIES, DASHBOARD):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        shutil.copy((relock.PROJECT / name).with_name("Pipfile"), path.with_name("Pipfile"))
    monkeypatch.setattr(relock, "lock", lock)
    monkeypatch.setattr(relock, "FOLDERS", {"table": tmp_path, "entities": tmp_path / "kinds/entities/files"})
    monkeypatch.setattr(relock, "PROJECT", tmp_path)
    # It sets this for pipenv, and the value before comes back.
    monkeypatch.setenv("PIPENV_VENV_IN_PROJECT", "1")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], {TABLE, ENTITIES, DASHBOARD}), (["table"], {TABLE, DASHBOARD}), (["entities"], {ENTITIES})],
    ids=["all", "table", "entities"],
)
def test_a_kind_is_locked_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: set[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["relock.py", *arguments])

    assert relock.main() == 0

    locks = {name: json.loads((project / name).read_text()) for name in (TABLE, ENTITIES, DASHBOARD)}
    assert {name for name, content in locks.items() if content} == expected
    if DASHBOARD in expected:
        assert locks[DASHBOARD] == {"hash": {"sha256": "new"}, "dashboard": {"locked": {}}}


def test_an_unknown_kind_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["relock.py", "images"])

    with pytest.raises(SystemExit) as stopped:
        relock.main()

    assert stopped.value.code == 2
    assert "choose from" in capsys.readouterr().err
    assert (project / TABLE).read_text() == "{}"
