"""Models that are not ONNX graphs: custom predictors and exports pass the same checks in training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression

from mlops_runtime.contract import Contract, Features, Task
from mlops_runtime.model import ArtefactError, Encoding, OnnxPredictor, Predictor, agrees
from mlops_runtime.model.artefact import RESERVED_FILES, read_artefact, sha256
from mlops_runtime.serving import create_app
from mlops_runtime.testing import synthetic
from mlops_runtime.training import Candidate, FittedModel, Preparation, Settings, train
from mlops_runtime.training.gate import GateError
from mlops_runtime.training.parity import ParityError
from mlops_runtime.training.run import Export
from tests.runtime.conftest import training_settings


class SkopsPredictor(Predictor):
    """Predicts with a scikit-learn pipeline."""

    def load_model(self, files: Mapping[str, bytes]) -> None:
        self._encoding = Encoding.from_json(self.contract.layout, files["encoding.json"])
        self._pipeline = skops.io.loads(files["pipeline.skops"], trusted=["numpy.dtype"])

    def outputs(self, features: Features) -> NDArray[np.float64]:
        return np.asarray(self._pipeline.predict_proba(self._encoding.matrix(features)))


def skops_files(model: FittedModel) -> Mapping[str, bytes]:
    return {"encoding.json": model.encoding.to_json(), "pipeline.skops": skops.io.dumps(model.estimator)}


class WeightRule(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the mean price of light parcels, or of heavy parcels."""

    def fit(self, matrix: NDArray[np.float64], target: NDArray[np.float64]) -> "WeightRule":
        self.limit_ = float(np.median(matrix[:, 0]))
        heavy = matrix[:, 0] > self.limit_
        self.light_mean_, self.heavy_mean_ = float(target[~heavy].mean()), float(target[heavy].mean())
        return self

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(matrix[:, 0] > self.limit_, self.heavy_mean_, self.light_mean_)


class RulePredictor(Predictor):
    """Predicts with plain Python from a JSON file."""

    def load_model(self, files: Mapping[str, bytes]) -> None:
        self._rule: dict[str, float] = json.loads(files["rule.json"])

    def price(self, weight: float) -> float:
        return self._rule["heavy"] if weight > self._rule["limit"] else self._rule["light"]

    def outputs(self, features: Features) -> NDArray[np.float64]:
        return np.array([[self.price(weight)] for weight in features.numbers[:, 0].tolist()])


def rule_files(model: FittedModel) -> Mapping[str, bytes]:
    rule = model.estimator["estimator"]
    content = {"limit": rule.limit_, "light": rule.light_mean_, "heavy": rule.heavy_mean_}
    return {"rule.json": json.dumps(content).encode()}


@dataclass(frozen=True)
class Kind:
    """A kind of model: its candidate, export, files and predictor."""

    task: Task
    candidate: Candidate
    predictor: type[Predictor]
    export: Export
    files: frozenset[str]

    @property
    def contract(self) -> Contract:
        return synthetic.CONTRACTS[self.task]

    def train(self, settings: Settings, **more: Any) -> None:
        arguments: dict[str, Any] = {"predictor": self.predictor, "export": self.export} | more
        train(self.contract, settings, [self.candidate], **arguments)


SKOPS = Kind(
    task=Task.BINARY,
    candidate=Candidate("logistic regression", LogisticRegression()),
    predictor=SkopsPredictor,
    export=skops_files,
    files=frozenset({"encoding.json", "pipeline.skops"}),
)
RULE = Kind(
    task=Task.REGRESSION,
    candidate=Candidate("weight rule", WeightRule(), preparation=Preparation.TREES),
    predictor=RulePredictor,
    export=rule_files,
    files=frozenset({"rule.json"}),
)


@pytest.fixture(scope="module", params=[SKOPS, RULE], ids=["skops", "plain-python"])
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


def settings_of(folder: Path, task: Task) -> Settings:
    rows = synthetic.rows_of_table(200, task)
    return training_settings(folder, synthetic.write_table(folder / "orders.csv", rows))


@pytest.fixture(scope="module")
def settings(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The settings of a finished run."""
    settings = settings_of(tmp_path_factory.mktemp("custom"), kind.task)
    kind.train(settings)
    return settings


@pytest.fixture
def unused(tmp_path: Path) -> Settings:
    """The settings for a run of the rule."""
    return settings_of(tmp_path, RULE.task)


def test_the_artefact_has_the_files_of_the_model_and_their_hashes(kind: Kind, settings: Settings) -> None:
    artefact = read_artefact(kind.contract, settings.artefact)
    assert artefact.model_files.keys() == kind.files
    assert {path.name for path in settings.artefact.iterdir()} == kind.files | RESERVED_FILES
    for name, content in artefact.model_files.items():
        assert artefact.metadata.files[name] == sha256(content)


def test_a_loaded_artefact_reproduces_its_golden_predictions(kind: Kind, settings: Settings) -> None:
    predictor = kind.predictor.load(kind.contract, settings.artefact)
    assert predictor.gives_golden_predictions()
    assert len(predictor.golden_records) > 2
    assert predictor.metadata.metrics["skill"].value > 0.1


def test_the_predictor_predicts_other_records(kind: Kind, settings: Settings) -> None:
    predictor = kind.predictor.load(kind.contract, settings.artefact)
    predictions = predictor.predict(synthetic.some_orders(5, seed=3))
    assert all(isinstance(prediction, kind.contract.prediction) for prediction in predictions)


def test_a_changed_file_of_the_model_is_refused(kind: Kind, settings: Settings, tmp_path: Path) -> None:
    for path in settings.artefact.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    name = min(kind.files)
    with (tmp_path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ArtefactError, match=f"{name} is not the file that"):
        kind.predictor.load(kind.contract, tmp_path)


def test_the_service_serves_the_model(kind: Kind, settings: Settings) -> None:
    # given
    predictor = kind.predictor.load(kind.contract, settings.artefact)
    client = create_app(predictor, title="Orders").test_client()
    golden = predictor.golden_records[0]
    # when
    response = client.post("/v1/predictions", json=golden.record.model_dump(mode="json", by_alias=True))
    # then
    assert response.status_code == 200, response.text
    assert agrees(kind.contract.prediction.model_validate(response.json), golden.prediction)
    for path in ("/", "/report", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200


def test_another_kind_of_model_replaces_the_artefact(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, RULE.task)
    RULE.train(settings)
    train(RULE.contract, settings)
    assert OnnxPredictor.load(RULE.contract, settings.artefact).gives_golden_predictions()
    assert not (settings.artefact / "rule.json").exists()


def test_the_gate_refuses_a_model_below_its_floor(unused: Settings) -> None:
    with pytest.raises(GateError, match="r2 is"):
        RULE.train(replace(unused, floors={"r2": 0.999}))
    assert not unused.artefact.exists()


class Rounding(RulePredictor):
    """Predicts rounded prices, unlike the estimator."""

    def price(self, weight: float) -> float:
        return round(super().price(weight))


class OneDimensional(RulePredictor):
    """Returns outputs of shape (rows,)."""

    def outputs(self, features: Features) -> NDArray[np.float64]:
        return super().outputs(features)[:, 0]


class Listing(RulePredictor):
    """Returns a list."""

    def outputs(self, features: Features) -> NDArray[np.float64]:
        return super().outputs(features).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("predictor", "message"),
    [
        pytest.param(
            Rounding,
            "Rounding and the estimator differ in .* and by up to .*: correct Rounding.outputs or the export$",
            id="other-values",
        ),
        pytest.param(
            OneDimensional, r"OneDimensional.outputs returns the shape \(200,\), expected \(200, 1\)", id="other-shape"
        ),
        pytest.param(Listing, "Listing.outputs returns a list, expected a NumPy array", id="list"),
    ],
)
def test_a_predictor_that_differs_from_the_estimator_is_refused(
    predictor: type[Predictor], message: str, unused: Settings
) -> None:
    with pytest.raises(ParityError, match=message):
        RULE.train(unused, predictor=predictor)
    assert not unused.artefact.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("metadata.json", "metadata.json, which every artefact has: rename it", id="reserved"),
        pytest.param("a/rule.json", "'a/rule.json': use a name without a folder", id="folder"),
        pytest.param("../rule.json", "'../rule.json': use a name without a folder", id="outside"),
    ],
)
def test_an_invalid_file_name_is_refused(name: str, message: str, unused: Settings) -> None:
    with pytest.raises(ArtefactError, match=message):
        RULE.train(unused, export=lambda model: {name: b"", **rule_files(model)})
    assert not unused.artefact.exists()
