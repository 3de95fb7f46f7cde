"""Estimators beyond the default candidates: exported with parity, or refused with one sentence."""

import csv
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from numpy.typing import NDArray
from pydantic import create_model
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    ElasticNet,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR, NuSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from xgboost import XGBClassifier, XGBRegressor

from mlops_runtime.contract import Features, Integer, Layout, RecordModel, Task, Text, field_specs
from mlops_runtime.contract.features import MAX_MAGNITUDE
from mlops_runtime.model.encoding import ColumnKind, Encoding
from mlops_runtime.model.golden import GOLDEN_TOLERANCE
from mlops_runtime.testing import synthetic
from mlops_runtime.training.candidates import Candidate, LearningProblem
from mlops_runtime.training.export import ExportError, Graph, converter, onnx_model
from mlops_runtime.training.export.preprocessing import EXPORTED_FUNCTIONS
from mlops_runtime.training.fitted_model import outputs_of
from mlops_runtime.training.parity import drawn_features
from tests.runtime.conftest import TEMPLATE
from tests.runtime.training.conftest import Exported

ROWS = 300
DRAWN = 2000
PROJECT_DATA = TEMPLATE / "{{cookiecutter.project_slug}}" / "data" / "breast_cancer_wisconsin.csv"


@dataclass(frozen=True)
class Data:
    """Rows to fit an estimator on, and further rows for the comparison."""

    encoding: Encoding
    features: Features
    target: NDArray[Any]
    labels: int
    drawn: Features

    @classmethod
    def of(cls, features: Features, target: NDArray[Any], labels: int) -> "Data":
        return cls(Encoding.fitted(features), features, target, labels, drawn_features(features, 0).take(range(DRAWN)))


def orders(task: Task) -> Data:
    records = synthetic.some_orders(ROWS)
    return Data.of(synthetic.LAYOUT.encode(records), synthetic.targets(records, task), len(synthetic.LABELS[task]))


def wisconsin() -> Data:
    """The sample table of a project: 700 rows and ten integer columns with missing values."""
    with PROJECT_DATA.open(newline="") as file:
        header, *rows = csv.reader(file)
    fields: dict[str, Any] = dict.fromkeys(header[:-1], (Integer | None, None))
    layout = Layout(field_specs(create_model("Cells", __base__=RecordModel, **fields)))
    numbers = np.array([[float(cell) if cell.isdigit() else np.nan for cell in row[:-1]] for row in rows])
    strings = np.empty((len(rows), 0), dtype=object)
    target = np.array([row[-1] == "malignant" for row in rows]).astype(np.intp)
    assert 0.3 < target.mean() < 0.4
    return Data.of(Features(layout, numbers, strings, strings), target, 2)


DATA: dict[str, Callable[[], Data]] = {
    "binary": lambda: orders(Task.BINARY),
    "multiclass": lambda: orders(Task.MULTICLASS),
    "regression": lambda: orders(Task.REGRESSION),
    "wisconsin": wisconsin,
}


@pytest.fixture(scope="module")
def data() -> Callable[[str], Data]:
    made: dict[str, Data] = {}

    def of(name: str) -> Data:
        if name not in made:
            made[name] = DATA[name]()
        return made[name]

    return of


def prepared(estimator: Any, encoding: Encoding) -> Pipeline:
    """Return a pipeline of imputation, scaling, one-hot encoding and an estimator."""
    columns = encoding.columns
    numbers, choices, terms = (
        [index for index, column in enumerate(columns) if column.kind is kind]
        for kind in (ColumnKind.NUMBER, ColumnKind.CATEGORICAL, ColumnKind.TERM)
    )
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    transformer = ColumnTransformer(
        [
            ("numbers", make_pipeline(filled, StandardScaler()), numbers),
            ("choices", OneHotEncoder(handle_unknown="ignore", sparse_output=False), choices),
            ("terms", "passthrough", terms),
        ]
    )
    return Pipeline([("columns", transformer), ("estimator", clone(estimator))])


def fitted(estimator: Any, data: Data) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # LightGBM names the columns of a matrix, and warns that a matrix has none.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        return estimator.fit(data.encoding.matrix(data.features), data.target)


def assert_parity(estimator: Any, data: Data) -> None:
    """Assert that the exported model has the outputs of the estimator on all rows."""
    exported = Exported(onnx_model(data.encoding, estimator, data.labels))
    scale = 1.0 if data.labels else float(data.target.std())
    for features in (data.features, data.drawn):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            expected = outputs_of(estimator, data.encoding.matrix(features), data.labels)
        outputs = exported.outputs(features)
        assert outputs.dtype == np.float64
        assert np.abs(outputs - expected).max() <= GOLDEN_TOLERANCE * scale
        if data.labels:
            assert outputs.min() >= 0
            assert outputs.max() <= 1
    if data.labels:
        numbers = np.where(np.isnan(data.drawn.numbers), np.nan, np.copysign(MAX_MAGNITUDE, data.drawn.numbers))
        extreme = Features(data.drawn.layout, numbers, data.drawn.categories, data.drawn.texts)
        assert np.isfinite(exported.outputs(extreme)).all()


CLASSIFIERS = {
    "random-forest": RandomForestClassifier(20, random_state=0),
    "extra-trees": ExtraTreesClassifier(20, random_state=0),
    "decision-tree": DecisionTreeClassifier(random_state=0),
    "gradient-boosting": GradientBoostingClassifier(n_estimators=20, random_state=0),
    "histogram-gradient-boosting": HistGradientBoostingClassifier(max_iter=20),
    "lightgbm": LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1),
    "xgboost": XGBClassifier(n_estimators=20, n_jobs=1),
    "logistic-regression": LogisticRegression(),
    "sgd": SGDClassifier(loss="log_loss", random_state=0),
    "linear-discriminant": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "mlp-relu": MLPClassifier((8, 4), max_iter=30, random_state=0),
    "mlp-tanh": MLPClassifier((8,), activation="tanh", max_iter=30, random_state=0),
    "svc": CalibratedClassifierCV(SVC(), ensemble=False, cv=3),
    "svc-polynomial-isotonic": CalibratedClassifierCV(SVC(kernel="poly"), method="isotonic", cv=3),
    "linear-svc": CalibratedClassifierCV(LinearSVC(), cv=3),
    "calibrated-forest": CalibratedClassifierCV(RandomForestClassifier(5, random_state=0), method="isotonic", cv=3),
    "voting": VotingClassifier(
        [("linear", LogisticRegression()), ("trees", RandomForestClassifier(5, random_state=0))],
        voting="soft",
        weights=[0.7, 0.3],
    ),
    "naive-bayes-by-skl2onnx": GaussianNB(),
}
REGRESSORS = {
    "random-forest": RandomForestRegressor(20, random_state=0),
    "extra-trees": ExtraTreesRegressor(20, random_state=0),
    "decision-tree": DecisionTreeRegressor(random_state=0),
    "gradient-boosting": GradientBoostingRegressor(n_estimators=20, loss="huber", random_state=0),
    "histogram-gradient-boosting": HistGradientBoostingRegressor(max_iter=20),
    "histogram-gradient-boosting-poisson": HistGradientBoostingRegressor(max_iter=20, loss="poisson"),
    "lightgbm": LGBMRegressor(n_estimators=20, verbose=-1, n_jobs=1),
    "lightgbm-poisson": LGBMRegressor(n_estimators=20, objective="poisson", verbose=-1, n_jobs=1),
    "xgboost": XGBRegressor(n_estimators=20, n_jobs=1),
    "xgboost-poisson": XGBRegressor(n_estimators=20, objective="count:poisson", n_jobs=1),
    "linear-regression": LinearRegression(),
    "lasso": Lasso(),
    "elastic-net": ElasticNet(),
    "sgd": SGDRegressor(random_state=0),
    "poisson": PoissonRegressor(),
    "tweedie": TweedieRegressor(power=1.5),
    "mlp": MLPRegressor(hidden_layer_sizes=(8, 4), activation="logistic", max_iter=30, random_state=0),
    "svr": SVR(),
    "nu-svr-sigmoid": NuSVR(kernel="sigmoid"),
    "linear-svr": LinearSVR(),
    "nearest-neighbours": KNeighborsRegressor(),
    "nearest-neighbours-by-distance": KNeighborsRegressor(weights="distance"),
    "voting": VotingRegressor(
        [("linear", Ridge()), ("trees", RandomForestRegressor(5, random_state=0))], weights=[1, 3]
    ),
}
NEIGHBOURS = {
    "nearest-neighbours": KNeighborsClassifier(),
    "nearest-neighbours-by-distance": KNeighborsClassifier(weights="distance"),
}
CASES = [
    *(
        pytest.param(table, each, id=f"{table}-{name}")
        for table in ("binary", "multiclass", "wisconsin")
        for name, each in CLASSIFIERS.items()
    ),
    *(pytest.param("regression", each, id=f"regression-{name}") for name, each in REGRESSORS.items()),
    # Without the Wisconsin table: its integers give many equal distances, among which the neighbours are arbitrary.
    *(
        pytest.param(table, each, id=f"{table}-{name}")
        for table in ("binary", "multiclass")
        for name, each in NEIGHBOURS.items()
    ),
]


@pytest.mark.parametrize(("table", "estimator"), CASES)
def test_an_exported_estimator_has_parity(table: str, estimator: Any, data: Callable[[str], Data]) -> None:
    # given
    pipeline = fitted(prepared(estimator, data(table).encoding), data(table))
    # then
    assert_parity(pipeline, data(table))


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(RandomForestClassifier(10, random_state=0), id="random-forest"),
        pytest.param(HistGradientBoostingClassifier(max_iter=10), id="histogram-gradient-boosting"),
        pytest.param(LGBMClassifier(n_estimators=10, verbose=-1, n_jobs=1), id="lightgbm"),
        pytest.param(XGBClassifier(n_estimators=10, n_jobs=1), id="xgboost"),
    ],
)
@pytest.mark.parametrize("complete", [False, True], ids=["values-missing-in-training", "complete-in-training"])
def test_exported_trees_treat_missing_values_as_the_estimator_does(
    estimator: Any, complete: bool, data: Callable[[str], Data]
) -> None:
    # given: trees on a matrix with NaN
    table = data("multiclass")
    matrix = table.encoding.matrix(table.features)
    model = clone(estimator).fit(np.nan_to_num(matrix) if complete else matrix, table.target)
    assert np.isnan(matrix).any()
    # then
    assert_parity(model, table)


@pytest.mark.parametrize(
    ("estimator", "evaluation"),
    [
        pytest.param(
            XGBClassifier(n_estimators=30, early_stopping_rounds=2, learning_rate=1.0, n_jobs=1),
            lambda matrix, target: {"eval_set": [(matrix, target)], "verbose": False},
            id="xgboost",
        ),
        pytest.param(
            LGBMClassifier(n_estimators=30, early_stopping_round=2, learning_rate=1.0, verbose=-1, n_jobs=1),
            lambda matrix, target: {"eval_X": matrix, "eval_y": target},
            id="lightgbm",
        ),
    ],
)
def test_trees_after_the_best_iteration_are_not_exported(
    estimator: Any, evaluation: Callable[..., dict[str, Any]], data: Callable[[str], Data]
) -> None:
    # given
    table = data("binary")
    matrix = table.encoding.matrix(table.features)
    model = clone(estimator).fit(matrix[:200], table.target[:200], **evaluation(matrix[200:], table.target[200:]))
    # then
    assert_parity(model, table)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([RobustScaler()], id="robust-scaler"),
        pytest.param([MinMaxScaler(clip=True)], id="min-max-scaler"),
        pytest.param([MaxAbsScaler()], id="max-abs-scaler"),
        pytest.param([PCA(5, whiten=True)], id="pca"),
        pytest.param([TruncatedSVD(5, random_state=0)], id="truncated-svd"),
        pytest.param([SelectKBest(f_regression, k=5), PolynomialFeatures(2)], id="selection-and-polynomials"),
        pytest.param([FeatureUnion([("components", PCA(2)), ("all", "passthrough")])], id="union"),
        pytest.param([SimpleImputer(), "passthrough"], id="imputer-and-passthrough"),
    ],
)
def test_steps_before_the_estimator_are_exported(steps: list[Any], data: Callable[[str], Data]) -> None:
    # given
    table = data("regression")
    pipeline = fitted(prepared(make_pipeline(*steps, Ridge()), table.encoding), table)
    # then
    assert_parity(pipeline, table)


@pytest.mark.parametrize("name", EXPORTED_FUNCTIONS)
def test_functions_of_numpy_are_exported(name: str, data: Callable[[str], Data]) -> None:
    # given: numbers for which all functions are defined
    table = data("regression")
    steps = [MinMaxScaler((0.1, 3), clip=True), FunctionTransformer(getattr(np, name)), Ridge()]
    pipeline = fitted(prepared(make_pipeline(*steps), table.encoding), table)
    # then
    assert_parity(pipeline, table)


def doubled(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * matrix


class MeanRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A custom estimator that predicts the mean of the target."""

    def fit(self, _: NDArray[np.float64], target: NDArray[np.float64]) -> "MeanRegressor":
        self.mean_ = float(np.mean(target))
        return self

    def predict(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.full(len(matrix), self.mean_)


class WithoutProbabilities(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier without predict_proba."""

    def fit(self, _: NDArray[np.float64], target: NDArray[np.intp]) -> "WithoutProbabilities":
        self.classes_ = np.unique(target)
        return self


def test_a_custom_converter_is_used(data: Callable[[str], Data]) -> None:
    # given
    class Registered(MeanRegressor):
        """A type for this test only."""

    @converter(Registered, method="predict")
    def convert_mean(graph: Graph, matrix: str, estimator: Any) -> str:
        first = graph.columns(matrix, [0])
        return graph.add("Where", graph.add("IsNaN", first), graph.row(estimator.mean_), graph.row(estimator.mean_))

    # then
    assert_parity(fitted(prepared(Registered(), data("regression").encoding), data("regression")), data("regression"))


REFUSED = [
    pytest.param(
        "binary",
        make_pipeline(FunctionTransformer(doubled), LogisticRegression()),
        "FunctionTransformer cannot be exported: its function doubled is not supported; .*Predictor of your own",
        id="custom-function",
    ),
    pytest.param(
        "binary",
        make_pipeline(FunctionTransformer(lambda matrix: matrix), LogisticRegression()),
        "its function <lambda> is not supported",
        id="lambda",
    ),
    pytest.param(
        "binary",
        make_pipeline(FunctionTransformer(np.clip, kw_args={"min": 0, "max": 1}), LogisticRegression()),
        "its function clip is not supported",
        id="function-with-arguments",
    ),
    pytest.param("regression", MeanRegressor(), "MeanRegressor cannot be exported: skl2onnx .*converter", id="unknown"),
    pytest.param("binary", SVC(), r"SVC cannot be exported: wrap it in CalibratedClassifierCV\(SVC\(\)", id="svc"),
    pytest.param("binary", LinearSVC(), "LinearSVC cannot .* no predict_proba; wrap it in Cal", id="linear-svc"),
    pytest.param(
        "binary", WithoutProbabilities(), "WithoutProbabilities cannot .* wrap it in Cal", id="no-predict-proba"
    ),
    pytest.param("binary", SGDClassifier(loss="modified_huber"), "SGDClassifier .*use loss='log_loss'", id="sgd-loss"),
    pytest.param(
        "binary",
        AdaBoostClassifier(n_estimators=2),
        "AdaBoostClassifier .*does not support it in double precision",
        id="ada-boost",
    ),
    pytest.param(
        "binary",
        CalibratedClassifierCV(LogisticRegression(), method="temperature"),
        "CalibratedClassifierCV cannot .* method='sigmoid'",
        id="temperature",
    ),
    pytest.param("regression", KNeighborsRegressor(p=1), "KNeighborsRegressor .* Euclidean metric", id="metric"),
    pytest.param(
        "regression",
        SVR(kernel=lambda first, second: first @ second.T),
        "SVR cannot be exported: its kernel",
        id="custom-kernel",
    ),
    pytest.param(
        "regression",
        GradientBoostingRegressor(n_estimators=2, init=Ridge()),
        "Gradient.* remove init",
        id="init",
    ),
    pytest.param(
        "regression",
        HistGradientBoostingRegressor(max_iter=2, categorical_features=range(30, 84)),
        "HistGradient.* remove categorical_features",
        id="categorical-features",
    ),
    pytest.param(
        "regression", XGBRegressor(n_estimators=2, booster="dart"), "XGBRegressor .*'gbtree'", id="xgboost-dart"
    ),
    pytest.param(
        "regression",
        LGBMRegressor(n_estimators=2, verbose=-1, linear_tree=True),
        "LGBM.* linear_tree",
        id="lightgbm-linear-tree",
    ),
    pytest.param(
        "regression",
        LGBMRegressor(n_estimators=2, verbose=-1, zero_as_missing=True),
        "LGBM.*zero_as_missing",
        id="lightgbm-zero",
    ),
]


@pytest.mark.parametrize(("table", "estimator", "message"), REFUSED)
def test_an_unsupported_estimator_is_refused_with_a_sentence(
    table: str, estimator: Any, message: str, data: Callable[[str], Data]
) -> None:
    # given
    pipeline = fitted(prepared(estimator, data(table).encoding), data(table))
    # when
    with pytest.raises(ExportError, match=message) as refused:
        onnx_model(data(table).encoding, pipeline, data(table).labels)
    # then
    assert "\n" not in str(refused.value)


def test_neighbours_with_too_many_training_rows_are_refused(
    data: Callable[[str], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    monkeypatch.setattr("mlops_runtime.training.export.neighbors.MAX_TRAINING_ROWS", ROWS - 1)
    table = data("regression")
    pipeline = fitted(prepared(KNeighborsRegressor(), table.encoding), table)
    # then
    with pytest.raises(ExportError, match="it has 300 training rows, more than 299"):
        onnx_model(table.encoding, pipeline, 0)


def test_the_message_names_skl2onnx_if_it_is_not_installed(
    data: Callable[[str], Data], monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: an environment without skl2onnx
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    table = data("binary")
    pipeline = fitted(prepared(QuadraticDiscriminantAnalysis(reg_param=0.5), table.encoding), table)
    # then
    with pytest.raises(ExportError, match=r"QuadraticDiscriminantAnalysis cannot .*; add skl2onnx to the Pipfile"):
        onnx_model(table.encoding, pipeline, 2)


@pytest.mark.parametrize(
    "estimator", [pytest.param(CLASSIFIERS[name], id=name) for name in ("random-forest", "xgboost")]
)
def test_the_same_estimator_gives_the_same_bytes(estimator: Any, data: Callable[[str], Data]) -> None:
    table = data("multiclass")
    first, second = (
        onnx_model(table.encoding, fitted(prepared(estimator, table.encoding), table), 4) for _ in range(2)
    )
    assert first == second


class Remark(RecordModel):
    """A record with texts, whose word counts are mostly zeros."""

    remark: Text


@pytest.fixture(scope="module")
def words() -> Data:
    generator = np.random.default_rng(0)
    vocabulary = [f"word{number}" for number in range(60)]
    # Of so many words that hardly two texts are at the same distance from a third one: neighbours would be arbitrary.
    remarks = [Remark(remark=" ".join(generator.choice(vocabulary, generator.integers(8, 16)))) for _ in range(ROWS)]
    target = np.array(["word1" in each.remark for each in remarks]).astype(np.intp)
    return Data.of(Layout(field_specs(Remark)).encode(remarks), target, 2)


SPARSE = ("svc", "mlp-relu", "random-forest", "lightgbm", "xgboost", "naive-bayes-by-skl2onnx")


def fitted_to_words(estimator: Any, words: Data) -> Any:
    """Return an estimator behind the columns of a candidate, fitted."""
    problem = LearningProblem(words.encoding.columns, 2, ROWS)
    return fitted(Candidate("candidate", estimator).build(problem, 0), words)


@pytest.mark.parametrize("estimator", [pytest.param(CLASSIFIERS[name], id=name) for name in SPARSE])
def test_estimators_of_sparse_matrices_are_exported(estimator: Any, words: Data) -> None:
    assert_parity(fitted_to_words(estimator, words), words)


@pytest.mark.parametrize("estimator", [pytest.param(each, id=name) for name, each in NEIGHBOURS.items()])
def test_neighbours_of_texts_are_exported(estimator: Any, words: Data) -> None:
    # given texts with words: one without any is equally far from all others, so its neighbours are arbitrary
    pipeline = fitted_to_words(estimator, words)
    matrix = pipeline[:-1].transform(words.encoding.matrix(words.drawn))
    with_words = np.flatnonzero(np.asarray(matrix.sum(axis=1)).ravel())
    # then
    assert_parity(pipeline, replace(words, drawn=words.drawn.take(with_words)))
