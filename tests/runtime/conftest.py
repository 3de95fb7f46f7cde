"""Fixtures of the runtime's tests: synthetic contracts, and one training run for each."""

import gc
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from mlops_runtime.contract import Contract, Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.testing import synthetic
from mlops_runtime.testing.quick_settings import quick_settings
from mlops_runtime.testing.strategies import valid_records
from mlops_runtime.training.run import train
from mlops_runtime.training.settings import MAX_ROWS, Settings

TEMPLATE = Path(__file__).parents[2]
LOCK = TEMPLATE / "{{cookiecutter.project_slug}}" / "Pipfile.lock"

# No deadline, so that tests do not fail on a busy machine.
settings.register_profile("runtime", deadline=None)
settings.load_profile("runtime")

# Tests write `from_type(Order)`.
st.register_type_strategy(synthetic.Order, valid_records(synthetic.Order))


@dataclass(frozen=True)
class Run:
    """Files of a training run."""

    data: Path
    artefact: Path
    report: Path
    metrics: Path


def training_settings(folder: Path, data: Path) -> Settings:
    """Return the settings of a short, deterministic run that writes into the folder."""
    return replace(quick_settings(data, folder, MAX_ROWS), lock=LOCK, floors={"skill": 0.1})


NO_FLOOR = "skill=-1e9"
"""A floor that every model reaches."""


def pytest_collection_finish() -> None:
    """Exclude the thousands of collected tests from garbage collection, which took a seventh of the time.

    Hypothesis is imported by then. Later, it would take a frozen random generator for one that nothing refers to.
    """
    gc.freeze()


@pytest.fixture(scope="session")
def lock() -> Path:
    return LOCK


@pytest.fixture(scope="session")
def contract() -> Contract:
    """A contract with two labels, for tests that need any contract."""
    return synthetic.CONTRACTS[Task.BINARY]


@pytest.fixture(scope="session", params=synthetic.TASKS, ids=str)
def each_contract(request: pytest.FixtureRequest) -> Contract:
    """The contract of each task in turn."""
    return synthetic.CONTRACTS[request.param]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> "Runs":
    return Runs(tmp_path_factory)


class Runs:
    """Training runs on synthetic orders, started at the first use."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self._folders = folders
        self._runs: dict[Task, Run] = {}

    def of(self, contract: Contract) -> Run:
        """Return the run of a synthetic contract."""
        if contract.task not in self._runs:
            folder = self._folders.mktemp(f"trained-{contract.task}")
            rows = synthetic.rows_of_table(400, contract.task)
            settings = training_settings(folder, synthetic.write_table(folder / "orders.csv", rows))
            train(contract, settings)
            self._runs[contract.task] = Run(settings.data, settings.artefact, settings.report, settings.metrics)
        return self._runs[contract.task]


@pytest.fixture(scope="session")
def run(runs: Runs, contract: Contract) -> Run:
    """The training run of `contract`."""
    return runs.of(contract)


@pytest.fixture(scope="session")
def each_run(runs: Runs, each_contract: Contract) -> Run:
    """The training run of each task in turn."""
    return runs.of(each_contract)


@pytest.fixture(scope="session")
def data(run: Run) -> Path:
    """The training table of `contract`."""
    return run.data


@pytest.fixture(scope="session")
def artefact(run: Run) -> Path:
    """The artefact of `contract`; tests must not change it."""
    return run.artefact


@pytest.fixture(scope="session")
def predictor(contract: Contract, artefact: Path) -> OnnxPredictor:
    """The predictor of `contract`."""
    return OnnxPredictor.load(contract, artefact)


@pytest.fixture(scope="session")
def each_predictor(runs: Runs, each_contract: Contract) -> OnnxPredictor:
    """The predictor of each task in turn."""
    return OnnxPredictor.load(each_contract, runs.of(each_contract).artefact)
