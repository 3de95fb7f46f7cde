import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.utils import import_string

from mlops_runtime.model import ArtefactError
from mlops_runtime.serving import reload
from mlops_runtime.serving.settings import SettingsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module, a template and an artefact."""
    for name in ("package/app.py", "package/templates/page.html", "model/artefact/model.onnx", "package/__pycache__/a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def rewrite_at_the_same_time(folder: Path) -> None:
    path = folder / "package/app.py"
    before = path.stat()
    path.write_text("another size")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap_the_artefact(folder: Path) -> None:
    shutil.copytree(folder / "model/artefact", folder / "model/.new")
    shutil.rmtree(folder / "model/artefact")
    (folder / "model/.new").rename(folder / "model/artefact")


@pytest.mark.parametrize(
    ("edit", "seen"),
    [
        pytest.param(lambda folder: (folder / "package/app.py").write_text("x"), True, id="edit"),
        pytest.param(rewrite_at_the_same_time, True, id="edit with the time of before"),
        pytest.param(lambda folder: (folder / "package/new.html").touch(), True, id="new file"),
        pytest.param(lambda folder: (folder / "package/app.py").unlink(), True, id="deleted file"),
        pytest.param(lambda folder: shutil.rmtree(folder / "model/artefact"), True, id="deleted folder"),
        pytest.param(swap_the_artefact, True, id="artefact swapped by rename"),
        pytest.param(lambda folder: (folder / "package/.app.py.swp").touch(), False, id="file of an editor"),
        pytest.param(lambda folder: (folder / "package/__pycache__/b").touch(), False, id="compiled module"),
        pytest.param(lambda folder: (folder / "model/.artefact.1").mkdir(), False, id="artefact that is being written"),
    ],
)
def test_changes_of_a_project_are_seen(folder: Path, edit: Callable[[Path], None], seen: bool) -> None:
    before = reload.files_of(folder)

    edit(folder)

    assert (reload.files_of(folder) != before) is seen


def test_a_file_that_is_gone_already_is_left_out(folder: Path) -> None:
    (folder / "package/broken").symlink_to("nowhere")

    assert folder / "package/broken" not in reload.files_of(folder)


def answer_of(application: Any) -> str:
    """Return the text that an RSGI application answers with status 503."""
    answers: list[str] = []

    def respond(status: int, _headers: object, text: str) -> None:
        assert status == 503
        answers.append(text)

    asyncio.run(application.__rsgi__(None, SimpleNamespace(response_str=respond)))
    return answers[0]


def attempt(load: Callable[[], Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    monkeypatch.setattr(reload, "log_warnings_of_granian", lambda: None)
    return reload.attempt(load, "no_such_package", folder)


def test_an_application_that_can_be_made_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert attempt(lambda: "application", tmp_path, monkeypatch) == "application"


@pytest.mark.parametrize("error", [ArtefactError("no model: run `make train`"), SettingsError("PORT=x is not usable")])
def test_a_message_of_the_runtime_is_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], error: Exception
) -> None:
    def load() -> None:
        raise error

    failure = attempt(load, tmp_path, monkeypatch)

    assert answer_of(failure) == f"{error}\n"
    assert capfd.readouterr().err == f"the service cannot start: {error}\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("def create_app(:", ["app_of_a_test.py", "SyntaxError: invalid syntax"], id="syntax"),
        pytest.param("import no_such", ["line 1", "ModuleNotFoundError: No module named 'no_such'"], id="import"),
        pytest.param("import json\njson.loads('')", ["line 2", "JSONDecodeError: Expecting value"], id="exception"),
        pytest.param("raise SystemExit(2)", ["line 1", "SystemExit: 2"], id="exit"),
    ],
)
def test_an_error_of_the_project_is_answered_without_frames_of_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: list[str]
) -> None:
    # Given a module that cannot be imported
    (tmp_path / "app_of_a_test.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    # When the application is made
    answer = answer_of(attempt(lambda: import_string("app_of_a_test:create_app"), tmp_path, monkeypatch))

    # Then the answer names the line
    for text in expected:
        assert text in answer
    assert "werkzeug" not in answer
    assert "json/decoder.py" not in answer
