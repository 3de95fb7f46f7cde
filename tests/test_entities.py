"""A project that finds entities in texts, from its answers to a running service."""

import csv
import json
import re
import subprocess
from io import StringIO
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.conftest import Bakery, bake
from tests.test_bake import git
from tests.test_client import served
from tests.test_project import make

NDJSON, CSV = "application/x-ndjson", "text/csv"
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


def places(content: str) -> list[tuple[str, int, int]]:
    """Return label, start and end of each entity in JSON, without the scores, whose digits formats may shorten."""
    return [(found["label"], found["start"], found["end"]) for found in json.loads(content)]


def test_the_trained_model_is_served_in_every_format(project_of_entities: Path, tmp_path: Path) -> None:
    # Given the golden texts of the model that was trained
    (path,) = project_of_entities.glob("src/*_model/artefact/golden.json")
    golden = json.loads(path.read_text())
    texts = [one["record"]["text"] for one in golden]
    expected = [places(json.dumps(one["prediction"]["entities"])) for one in golden]
    assert any(expected)

    # When they are sent as lines, as rows, and one by the form
    with served(project_of_entities, tmp_path) as url:

        def post(path: str, body: str, kind: str) -> str:
            headers = {"Content-Type": kind, "Accept": "text/html" if path == "/" else kind}
            with urlopen(Request(url + path, body.encode(), headers)) as response:
                content: str = response.read().decode()
            return content

        lines = post("/v1/predictions", "".join(f"{json.dumps({'text': text})}\n" for text in texts), NDJSON)
        table = StringIO(newline="")
        csv.writer(table).writerows([["text"], *([text] for text in texts)])
        rows = post("/v1/predictions", table.getvalue(), CSV)
        page = post("/", urlencode({"text": texts[0]}), "application/x-www-form-urlencoded")
        with urlopen(f"{url}/metrics") as response:
            metrics = response.read().decode()

    # Then each answer has their entities, the page marks those of its text, and the texts count as drift
    assert [places(json.dumps(json.loads(line)["entities"])) for line in lines.splitlines()] == expected
    assert [places(row["entities"]) for row in csv.DictReader(StringIO(rows, newline=""))] == expected
    assert page.count("<mark") == len(expected[0])
    assert re.search(r'^webservice_field_values_total\{.*field="text: unknown words".*\} [1-9]', metrics, re.MULTILINE)


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
