"""A project that finds entities in texts, from its answers to a running service."""

import json
import subprocess
from pathlib import Path

from tests.conftest import Bakery, bake
from tests.test_bake import git
from tests.test_project import make

TEXTS = [
    {"text": f"{name} of {place} wrote on day {day}", "label": [[0, len(name), "WHO"]], "by": "a@b.example"}
    for day, (name, place) in enumerate([("Ada", "Rome"), ("Zoë", "Köln"), ("Bob", "Oslo")] * 10)
]


def test_a_project_passes_its_own_checks(project_of_entities: Path) -> None:
    result = make(project_of_entities, "lint", "type-check", "unittest")

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_model_is_trained_and_served(project_of_entities: Path) -> None:
    # On a busy machine, the budget of a user ends the training before it is done
    trained = make(project_of_entities, "test", "BUDGET=900")
    predicted = make(project_of_entities, "predict", "BUDGET=900")

    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    metrics = json.loads((project_of_entities / "build/metrics.json").read_text())["metrics"]
    # The example is neither out of reach nor trivial.
    assert 0.5 < metrics["f1"]["value"] < 0.97
    assert '"entities"' in predicted.stdout


def test_the_environment_has_no_onnx_runtime(project_of_entities: Path) -> None:
    command = [str(project_of_entities / ".venv/bin/python"), "-c", "import onnxruntime"]

    found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert "ModuleNotFoundError" in found.stderr


def test_an_export_gives_a_project_without_what_training_does_not_read(tmp_path: Path) -> None:
    # Given an export of doccano, with a rejected text
    dataset = tmp_path / "all texts.json"
    dataset.write_text(json.dumps([*TEXTS, {"text": "No", "label": [], "answer": "reject"}]))

    # When a project is generated from it
    project = bake(tmp_path, kind="entities", dataset=str(dataset))

    # Then its copy has texts and entities alone, and its contract the label
    data = (project / "data/all_texts.jsonl").read_text()
    assert len(data.splitlines()) == 30
    assert "example" not in data
    assert 'WHO = "WHO"' in (project / "src/all_texts_model/datamodel.py").read_text()
    assert "DATA ?= data/all_texts.jsonl" in (project / "project.mk").read_text()
    assert "- 1 text rejected or ignored" in (project / "data/README.md").read_text()
    assert sorted(path.name for path in (project / "data").iterdir()) == ["README.md", "all_texts.jsonl"]
    assert git(project, "status", "--porcelain") == ""


def test_a_project_of_texts_has_nothing_of_tables(bakery: Bakery) -> None:
    project = bakery.project(kind="entities")

    for name in ("src/trainer/estimators.py", "src/mailroom_model/classifier.py", "data/breast_cancer_wisconsin.csv"):
        assert not (project / name).exists()
    for name in ("README.md", "project.mk", "Pipfile", "docs/monitoring.md"):
        assert "onnx" not in (project / name).read_text().lower().replace("no onnx graph", "")
    assert "onnx" not in (project / "Pipfile.lock").read_text()


def test_a_request_has_fewer_bytes_than_one_of_a_table(bakery: Bakery) -> None:
    # A pipeline reads at least 15 kB of text a second, and a process that hangs for 30 s is replaced
    for kind, length in (("entities", 262144), ("table", 1048576)):
        assert f"MAX_CONTENT_LENGTH ?= {length}\n" in (bakery.project(kind=kind) / "project.mk").read_text()


def test_the_example_is_what_the_generator_writes(bakery: Bakery) -> None:
    from examples.entities.generate import SEED, texts
    from examples.entities.generate import TEXTS as COUNT

    lines = (bakery.project(kind="entities") / "data/messages.jsonl").read_text().splitlines()

    assert [json.loads(line) for line in lines] == texts(COUNT, SEED)
