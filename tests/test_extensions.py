"""The extension points of a project: each test edits a new project, with the code in its README."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.conftest import Bakery, share_environment
from tests.test_client import served
from tests.test_project import make

QUICK = ("BUDGET=0", "FLOORS=skill=0.1", "MIN_COVERAGE=0")
COMMANDS = ("lint", "type-check", "unittest", "train", "test")


@pytest.fixture
def edited(bakery: Bakery, project: Path, tmp_path: Path) -> Path:
    """A new project to edit, with an installed environment."""
    return share_environment(bakery.copy(tmp_path), project)


def readme_code(project: Path, file: str) -> list[str]:
    """Return the code blocks of the project's README whose first line is the name of this file."""
    blocks = re.findall(r"^```\w+\n(.*?)^```", (project / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    return [block for block in blocks if block.splitlines()[0].strip("#<>!- ") == file]


def edit(project: Path, file: str, code: str) -> None:
    """Edit a module as the README says: imports at the top, definitions in the place of those with their names."""
    path = project / file
    old, new = (pieces(text) for text in (path.read_text(), code))
    # A name that the module has keeps its place.
    merged = {name: text for name, text in (old | new).items() if not name.startswith("import")}
    imports = [text for each in (old, new) for name, text in each.items() if name.startswith("import")]
    docstring, *rest = merged.values()
    path.write_text("\n\n".join([docstring, "\n".join(imports), *rest]))
    tidy(project, file)


def tidy(project: Path, file: str) -> None:
    """Sort the imports of a module, remove unused ones, and format it."""
    for command in ("check --fix", "format"):
        subprocess.run([sys.executable, "-m", "ruff", *command.split(), "--quiet", file], cwd=project, check=True)


def pieces(code: str) -> dict[str, str]:
    """Return the statements of a module, by the names that they define."""
    result = {}
    for position, statement in enumerate(ast.parse(code).body):
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                key = name
            case ast.Import() | ast.ImportFrom():
                key = f"import {ast.unparse(statement)}"
            case _:
                key = f"statement {position}"
        result[key] = ast.get_source_segment(code, statement) or ""
    return result


def assert_commands_succeed(project: Path, *variables: str) -> None:
    result = make(project, *COMMANDS, *QUICK, *variables)

    assert result.returncode == 0, result.stdout + result.stderr


def metadata(project: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((project / "src/oncology_model/artefact/metadata.json").read_text())
    return content


def replace_candidates(project: Path, imports: str, estimator: str) -> None:
    candidate = f'CANDIDATES = (Candidate("own", {estimator}),)'
    edit(
        project, "src/trainer/estimators.py", f"from mlops_runtime.training import Candidate\n{imports}\n{candidate}\n"
    )


@pytest.mark.parametrize(
    ("imports", "estimator"),
    [
        pytest.param(
            "from sklearn.ensemble import RandomForestClassifier",
            "RandomForestClassifier(n_estimators=50)",
            id="random forest",
        ),
        pytest.param(
            "from sklearn.ensemble import GradientBoostingClassifier",
            "GradientBoostingClassifier(n_estimators=30)",
            id="gradient boosting",
        ),
        pytest.param(
            "from sklearn.calibration import CalibratedClassifierCV\nfrom sklearn.svm import SVC",
            "CalibratedClassifierCV(SVC(), ensemble=False)",
            id="calibrated support vectors",
        ),
        pytest.param(
            "import numpy as np\nfrom sklearn.linear_model import LogisticRegression\n"
            "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import FunctionTransformer",
            "make_pipeline(FunctionTransformer(np.tanh), LogisticRegression())",
            id="pipeline with a function",
        ),
    ],
)
def test_an_estimator_is_exported(edited: Path, imports: str, estimator: str) -> None:
    replace_candidates(edited, imports, estimator)

    result = make(edited, "train", *QUICK)

    assert result.returncode == 0, result.stdout + result.stderr
    assert metadata(edited)["estimator"] == "own"


def test_an_estimator_without_probabilities_is_refused_with_advice(edited: Path) -> None:
    replace_candidates(edited, "from sklearn.linear_model import RidgeClassifier", "RidgeClassifier()")

    result = make(edited, "train", *QUICK)

    assert result.returncode != 0
    assert "own (RidgeClassifier) has no predict_proba: wrap it in" in result.stderr


def remove_a_field(project: Path) -> None:
    """Take the last field from the contract, and give the first one an expected range."""
    path = project / "src/oncology_model/datamodel.py"
    source = re.sub(r"    mitoses: .*?\n    \)\n", "", path.read_text(), flags=re.DOTALL)
    source = source.replace("clump_thickness: Integer =", "clump_thickness: Annotated[Integer, ExpectedRange(4, 5)] =")
    source = source.replace("import Contract,", "import Contract, ExpectedRange,")
    path.write_text(
        source.replace("from enum import StrEnum", "from enum import StrEnum\nfrom typing import Annotated")
    )
    # A test of the shipped contract, which the user deletes with the first change.
    tests = project / "tests/test_datamodel.py"
    tests.write_text(tests.read_text().split("def test_the_contract_is_the_one")[0])
    tidy(project, "tests/test_datamodel.py")


def add_a_route(project: Path) -> None:
    """Add the route and the page in the README, with their setting, and change the title."""
    app = project / "src/webservice/app.py"
    (code,) = readme_code(project, "src/webservice/app.py")
    edit(project, "src/webservice/app.py", code)
    app.write_text(app.read_text().replace('TITLE = "Oncology"', 'TITLE = "Second opinion"'))
    (page,) = readme_code(project, "src/webservice/templates/page.html")
    (app.parent / "templates").mkdir(exist_ok=True)
    (app.parent / "templates/page.html").write_text(page.partition("\n")[2])
    with (project / "project.mk").open("a") as settings:
        settings.write("CONTACT ?= data-science@example.org\n")


def test_estimator_contract_routes_pages_and_settings_are_the_users(edited: Path, tmp_path: Path) -> None:
    # Given a project in which a user has changed all of them
    (code, _) = readme_code(edited, "src/trainer/estimators.py")
    edit(edited, "src/trainer/estimators.py", code)
    remove_a_field(edited)
    add_a_route(edited)

    # When it is tested, trained and served; the budget is sufficient for the last candidate
    assert_commands_succeed(edited, "BUDGET=60")
    predicted = make(edited, "predict", *QUICK, "BUDGET=60").stdout
    with served(edited, tmp_path, CONTACT="data-science@example.org") as address:
        contact, page, document = (fetch(f"{address}{path}") for path in ("/v1/contact", "/", "/openapi.json"))

    # Then the estimator was compared with the others
    compared = metadata(edited)["cross_validation"]
    assert isinstance(compared, dict)
    assert {"extra trees"} < set(compared)

    # And predictions are made by the contract
    assert "Mitoses" not in predicted
    assert re.search(r"Clump_thickness: \d+ is outside the expected range, 4 to 5", predicted)

    # And the service has what was added
    assert json.loads(contact) == {"address": "data-science@example.org"}
    assert "For use by trained staff only." in page
    assert "<h1>Second opinion</h1>" in page
    operation = json.loads(document)["paths"]["/v1/contact"]["get"]
    assert operation["summary"] == "Whom to ask about the model"


def fetch(url: str) -> str:
    with urlopen(url) as response:
        text: str = response.read().decode()
    return text


def install_packages(project: Path, folder: Path, *packages: str) -> str:
    """Install packages into a folder, and return the PYTHONPATH of the project and the folder."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    subprocess.run(command, check=True, capture_output=True)
    return f"{project}/src:{project}/vendor:{folder}"


def test_a_model_is_loaded_with_skops(edited: Path, tmp_path: Path) -> None:
    path = install_packages(edited, tmp_path / "packages", "skops", "prettytable", "wcwidth")
    (_, export) = readme_code(edited, "src/trainer/estimators.py")
    edit(edited, "src/trainer/estimators.py", export)
    (predictor,) = readme_code(edited, "src/oncology_model/classifier.py")
    edit(edited, "src/oncology_model/classifier.py", predictor)

    assert_commands_succeed(edited, f"PYTHONPATH={path}")

    files = {path.name for path in (edited / "src/oncology_model/artefact").iterdir()}
    assert {"encoding.json", "model.skops"} < files
    assert "model.onnx" not in files


RULE = '''
"""A rule in plain Python: the probability of a malignant tumour grows with the clump thickness."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin


class Rule(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learns the mean thickness of each label; their midpoint separates the labels."""

    def fit(self, matrix: NDArray[Any], target: NDArray[Any]) -> Self:
        """Learn the midpoint."""
        self.classes_ = [0, 1]
        self.middle_ = float(sum(matrix[target == label, 0].mean() for label in (0, 1)) / 2)
        return self

    def predict_proba(self, matrix: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities."""
        malignant = 1 / (1 + 2 ** (self.middle_ - matrix[:, 0]))
        return np.column_stack([1 - malignant, malignant])

    def predict(self, matrix: NDArray[Any]) -> NDArray[np.intp]:
        """Return the labels."""
        return np.asarray(self.predict_proba(matrix).argmax(axis=1))
'''
RULE_ESTIMATORS = '''
import json
from mlops_runtime.training import Candidate
from mlops_runtime.training.candidates import Preparation
from mlops_runtime.training.fitted_model import FittedModel
from trainer.rule import Rule

CANDIDATES = (Candidate("rule", Rule(), preparation=Preparation.TREES),)

def EXPORT(model: FittedModel) -> dict[str, bytes]:  # noqa: N802
    """Return the rule."""
    return {"rule.json": json.dumps(model.estimator["estimator"].middle_).encode()}
'''
RULE_PREDICTOR = '''
import json
from collections.abc import Mapping
import numpy as np
from mlops_runtime.contract import Features
from mlops_runtime.model import Predictor
from numpy.typing import NDArray

class Classifier(Predictor):
    """Predicts with the rule."""

    def load_model(self, files: Mapping[str, bytes]) -> None:
        """Load the midpoint."""
        self._middle = json.loads(files["rule.json"])

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the probabilities."""
        malignant = [1 / (1 + 2 ** (self._middle - thickness)) for thickness in features.numbers[:, 0].tolist()]
        return np.array([[1 - probability, probability] for probability in malignant])
'''


def test_a_model_in_plain_python_is_trained_and_served(edited: Path) -> None:
    (edited / "src/trainer/rule.py").write_text(RULE.lstrip())
    edit(edited, "src/trainer/estimators.py", RULE_ESTIMATORS)
    edit(edited, "src/oncology_model/classifier.py", RULE_PREDICTOR)

    assert_commands_succeed(edited)

    assert (edited / "src/oncology_model/artefact/rule.json").is_file()
    assert '"label": "malignant"' in make(edited, "predict", *QUICK).stdout


def test_a_kubernetes_setting_is_changed_by_a_patch(edited: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl: install it to have the manifests rendered")
    overlay = edited / "k8s/overlays/staging/kustomization.yaml"
    overlay.write_text(overlay.read_text().replace("count: 1", "count: 7"))

    result = make(edited, "manifests.webservice", "ENVIRONMENT=staging")

    assert result.returncode == 0, result.stderr
    assert "replicas: 7" in result.stdout
