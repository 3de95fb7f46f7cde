import json
from pathlib import Path

import pytest

from mlops_runtime.operations.template_choices import choices_of, completed, left_out, own_files

FILES = {
    "platforms/files.json": '{"eks": ["k8s"], "docker-host": ["compose.yaml"], "app": ["az", "a"], "web": ["az", "w"]}',
    "platforms/eks/files/docs/a.md": "Of EKS.",
    "platforms/eks/settings.mk": "CLUSTER ?= x\n",
    "dashboards/files.json": '{"none": [], "streamlit": ["src/dashboard", "k8s/dashboard"]}',
    "dashboards/streamlit/settings.mk": "DASHBOARD_PORT ?= 8501\n",
    "dashboards/streamlit/Pipfile.lock": '{"hash": {"sha256": "new"}, "dashboard": {"streamlit": {}}}',
}
NONE = {"platform": "eks", "dashboard": "none"}
STREAMLIT = {"platform": "eks", "dashboard": "streamlit"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's folder of a template with two questions."""
    for name, text in FILES.items():
        path = tmp_path / "template" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "template"


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        pytest.param([], NONE, id="no file of any"),
        pytest.param(["src/dashboard"], STREAMLIT, id="a folder of one"),
        pytest.param(["az", "w"], NONE | {"platform": "web"}, id="a file that another answer gives as well"),
        pytest.param(["compose.yaml", "src/dashboard"], STREAMLIT | {"platform": "docker-host"}, id="of both"),
    ],
)
def test_the_answers_follow_from_the_files(
    folder: Path, tmp_path: Path, there: list[str], expected: dict[str, str]
) -> None:
    for name in there:
        (tmp_path / "project" / name).mkdir(parents=True)

    assert choices_of(folder, tmp_path / "project") == expected


def test_files_of_other_answers_are_left_out(folder: Path) -> None:
    platforms = ["compose.yaml", "az", "a", "w"]
    assert left_out(folder, NONE) == ["platforms", "dashboards", *platforms, "src/dashboard", "k8s/dashboard"]
    assert left_out(folder, STREAMLIT) == ["platforms", "dashboards", *platforms]


def test_a_file_that_the_answer_gives_as_well_stays(folder: Path) -> None:
    assert left_out(folder, STREAMLIT | {"platform": "web"}) == ["platforms", "dashboards", "k8s", "compose.yaml", "a"]


def test_an_answer_brings_whole_files(folder: Path) -> None:
    assert own_files(folder, STREAMLIT) == {"docs/a.md": folder / "platforms/eks/files/docs/a.md"}
    assert own_files(folder, STREAMLIT | {"platform": "docker-host"}) == {}


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        pytest.param(NONE, "a\nCLUSTER ?= x\n", id="no fragment of one question"),
        pytest.param(STREAMLIT, "a\nDASHBOARD_PORT ?= 8501\nCLUSTER ?= x\n", id="a fragment of each"),
    ],
)
def test_fragments_take_the_places_of_markers(folder: Path, choices: dict[str, str], expected: str) -> None:
    assert completed(folder, choices, "project.mk", "a\n# @DASHBOARD@\n# @PLATFORM@\n") == expected


def test_the_lock_gets_a_category_and_the_hash_of_its_pipfile(folder: Path) -> None:
    lock = '{"_meta": {"hash": {"sha256": "old"}, "sources": []}, "default": {}}'

    assert completed(folder, NONE, "Pipfile.lock", lock) == lock
    assert json.loads(completed(folder, STREAMLIT, "Pipfile.lock", lock)) == {
        "_meta": {"hash": {"sha256": "new"}, "sources": []}, "default": {}, "dashboard": {"streamlit": {}},
    }  # fmt: skip
