"""The make commands of a generated project, in the order in which a user runs them."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Bakery, environment_of_a_user, share_environment

NEWEST_PYTHON = "3.13"


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project, as a user does."""
    return subprocess.run(
        ["make", *arguments], cwd=project, env=environment_of_a_user(), capture_output=True, text=True, check=False,
        timeout=900,
    )  # fmt: skip


def only_file(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_make_alone_lists_the_commands(fresh: Path) -> None:
    listed = set(re.findall(r"^  (\S+)", make(fresh).stdout, flags=re.MULTILINE))

    assert {
        "install", "lint", "type-check", "unittest", "train", "test", "serve", "predict", "package.model", "docker",
        "login", "publish", "deploy", "status", "rollback", "history", "repair", "diff", "provision.rbac",
        "upload.monitoring", "upload.model", "clean", "doctor", "datamodel", "compare", "key", "keys", "key.remove",
        "data.push", "data.pull", "report.trend",
    } <= listed  # fmt: skip


def test_every_listed_command_is_phony(fresh: Path) -> None:
    # A file with the name of a command must not prevent it from running
    text = "\n".join(path.read_text() for path in [fresh / "makefile", *(fresh / "make").glob("*.mk")])
    commands = re.findall(r"^([a-zA-Z.-]+):.*## ", text, flags=re.MULTILINE)
    phony = set(" ".join(re.findall(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)).split())

    assert set(commands) <= phony


def test_ctrl_c_during_the_imports_of_the_trainer_leaves_no_traceback(fresh: Path, tmp_path: Path) -> None:
    # given: an import in which the process gets the signal of Ctrl-C
    package = tmp_path / "mlops_runtime" / "training"
    package.mkdir(parents=True)
    (package / "command.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), str(fresh / "src")])

    result = subprocess.run(
        [sys.executable, "-m", "trainer"], env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=False
    )

    assert (result.returncode, result.stderr) == (-signal.SIGINT, b"")


WAIT = """
import pathlib, time
def wait(*_):
    pathlib.Path("build/reached").touch()
    time.sleep(60)
"""
POOL = """
from mlops_runtime.training import Candidate
from mlops_runtime.training.export import onnx_files
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

class Slow(LogisticRegression):
    fit = wait

CANDIDATES = (Candidate("own", GridSearchCV(Slow(), {"C": [1.0, 2.0]}, n_jobs=2)),)
EXPORT = onnx_files
"""
UNCHANGED = "stopped: src/oncology_model/artefact is unchanged."


def wait_for_group(number: int) -> None:
    """Wait until a process group has ended, at most a minute.

    Raises:
        ProcessLookupError: once it has.
    """
    for _ in range(600):
        os.killpg(number, 0)
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("command", "file", "code", "said"),
    [
        pytest.param("train", "src/trainer/estimators.py", POOL, [UNCHANGED], id="train, in a pool of processes"),
        pytest.param("unittest", "tests/conftest.py", "wait()", [], id="unittest, during the imports"),
        pytest.param("unittest", "tests/test_classifier.py", "def test_it(): wait()", [], id="unittest, in a test"),
    ],
)
def test_ctrl_c_leaves_no_traceback_and_no_process(
    bakery: Bakery, project: Path, tmp_path: Path, command: str, file: str, code: str, said: list[str]
) -> None:
    # Given a command that computes
    edited = share_environment(bakery.copy(tmp_path), project)
    (edited / file).write_text(WAIT + code)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["make", command], cwd=edited, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        while not (edited / "build/reached").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)

        # When the user presses Ctrl-C
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate()

    # Then at most one line says so, and each process has ended
    assert process.returncode != 0
    assert "Traceback" not in output + errors
    assert [line for line in errors.splitlines() if not line.startswith("make")] == said
    with pytest.raises(ProcessLookupError):
        wait_for_group(process.pid)


@pytest.mark.parametrize(
    ("command", "outputs"),
    [
        pytest.param("lint", [], id="lint"),
        pytest.param("type-check", [], id="type-check"),
        pytest.param("unittest", ["build/unittest-coverage.json", "build/unittest-coverage/index.html"], id="unittest"),
        pytest.param(
            "train",
            ["build/report.html", "build/metrics.json", "build/held-out.json", "src/*_model/artefact/model.onnx"],
            id="train",
        ),
        pytest.param("test", ["build/test-coverage.json"], id="test"),
        pytest.param(
            "package.model", ["build/wheel/oncology_model-*.whl", "build/wheel/mlops_runtime-*.whl"], id="package.model"
        ),
    ],
)
def test_a_command_succeeds_and_changes_no_tracked_file(project: Path, command: str, outputs: list[str]) -> None:
    result = make(project, command)

    assert result.returncode == 0, result.stdout + result.stderr
    for pattern in outputs:
        assert only_file(project, pattern).stat().st_size > 0
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert status.stdout == ""


@pytest.mark.parametrize("command", ["lint", "type-check"])
def test_a_successful_check_prints_nothing(project: Path, command: str) -> None:
    result = make(project, command)

    assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("command", ["install", "unittest", "train", "test", "package.model"])
def test_a_command_that_is_up_to_date_does_nothing(project: Path, command: str) -> None:
    assert make(project, command).returncode == 0

    again = make(project, "--question", command)

    assert again.returncode == 0


@pytest.mark.parametrize(
    ("changed", "command"),
    [
        pytest.param("Pipfile.lock", "install", id="lock, install"),
        pytest.param("data/breast_cancer_wisconsin.csv", "train", id="data, train"),
        pytest.param("src/trainer/estimators.py", "train", id="estimators, train"),
        pytest.param("vendor/mlops_runtime/training/run.py", "train", id="runtime, train"),
        pytest.param("src/webservice/app.py", "unittest", id="web-service, unittest"),
        pytest.param("src/webservice/app.py", "test", id="web-service, test"),
        pytest.param("src/oncology_model/classifier.py", "package.model", id="model package, package.model"),
    ],
)
def test_a_change_makes_a_command_stale(project: Path, changed: str, command: str) -> None:
    assert (project / changed).is_file()
    assert make(project, command).returncode == 0

    assert make(project, "--question", "--what-if", changed, command).returncode == 1


def test_a_setting_of_the_service_does_not_train_again(project: Path) -> None:
    assert make(project, "train").returncode == 0

    assert make(project, "--question", "--what-if", "project.mk", "train").returncode == 0


def test_a_table_that_is_missing_is_named(fresh: Path) -> None:
    result = make(fresh, "train", "DATA=data/none.csv", "ENV=")

    assert result.returncode != 0
    assert "there is no data/none.csv: set DATA in project.mk" in result.stderr


def test_the_unit_tests_pass_on_the_newest_python(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = shutil.which(f"python{NEWEST_PYTHON}")
    if not python or subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
        pytest.skip(f"no python{NEWEST_PYTHON} runs: install it")
    project = Path(shutil.copytree(fresh, tmp_path / "project"))
    monkeypatch.setenv("PIPENV_PYTHON", python)

    result = make(project, "unittest")

    assert result.returncode == 0, result.stdout + result.stderr
    assert list(project.glob(f".venv/lib/python{NEWEST_PYTHON}"))


def test_unit_tests_cover_more_than_the_floor(project: Path) -> None:
    assert make(project, "unittest").returncode == 0
    coverage = json.loads((project / "build/unittest-coverage.json").read_text())
    totals = coverage["totals"]

    print(f"unit test coverage of the generated project: {totals['percent_covered']:.1f} %, with branches")
    assert totals["percent_covered"] >= 90
    assert coverage["meta"]["branch_coverage"]


def test_coverage_measures_all_modules(project: Path) -> None:
    assert make(project, "unittest").returncode == 0
    measured = json.loads((project / "build/unittest-coverage.json").read_text())["files"]

    # Coverage omits `__main__.py`, which only passes the project's objects to the runtime.
    sources = {str(path.relative_to(project)) for path in project.glob("src/**/*.py") if path.name != "__main__.py"}
    assert sources == set(measured)


def test_a_check_that_finds_a_problem_fails(project: Path) -> None:
    # Given a file with errors of style and types
    bad = project / "src/trainer/bad.py"
    bad.write_text("import os\nx: int = 'a'\n")

    # When the checks run, then both report it
    results = [make(project, command) for command in ("lint", "type-check")]
    bad.unlink()
    for result in results:
        assert result.returncode != 0
        assert "bad.py" in result.stdout + result.stderr


def test_training_is_reproducible(project: Path) -> None:
    def model_hash() -> str:
        return hashlib.sha256(only_file(project, "src/*_model/artefact/model.onnx").read_bytes()).hexdigest()

    assert make(project, "train").returncode == 0
    before = model_hash()
    (project / "build/trained").unlink()

    assert make(project, "train").returncode == 0

    assert model_hash() == before


def test_metadata_have_the_commit_and_the_hashes_of_data_and_lock(project: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=project, check=True, capture_output=True, text=True
        ).stdout.strip()

    assert make(project, "train").returncode == 0

    metadata = json.loads(only_file(project, "src/*_model/artefact/metadata.json").read_text())
    assert metadata["git_commit"] == git("rev-parse", "HEAD")
    assert metadata["version"] == git("describe", "--tags", "--always")
    for key, path in (("data_sha256", only_file(project, "data/*.csv")), ("lock_sha256", project / "Pipfile.lock")):
        assert metadata[key] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_below_a_floor_is_refused_and_the_previous_one_is_kept(project: Path) -> None:
    # Given a model that was trained with a lower floor
    assert make(project, "train").returncode == 0
    metadata = only_file(project, "src/*_model/artefact/metadata.json")
    before = metadata.read_bytes()

    # When it is trained with a floor that it cannot reach, then each attempt is refused
    for _ in range(2):
        result = make(project, "train", "FLOORS=accuracy=0.9999")
        assert result.returncode != 0
        assert "the gate refuses the model: accuracy" in result.stderr
        assert metadata.read_bytes() == before
    assert make(project, "train").returncode == 0


def test_invalid_data_are_refused_with_row_and_column(project: Path) -> None:
    # Given the table with one value out of range
    table = only_file(project, "data/*.csv").read_text().replace("1000025,5,1", "1000025,11,1")
    broken = project / "build/broken.csv"
    broken.write_text(table)

    result = make(project, "train", "DATA=build/broken.csv")

    assert result.returncode != 0
    assert "row 2, column Clump_thickness" in result.stderr
    broken.unlink()
    assert make(project, "train").returncode == 0


def test_the_wheels_predict_in_an_empty_environment(project: Path, tmp_path: Path) -> None:
    # Given an environment with the wheels of the model and of the runtime alone
    assert make(project, "package.model").returncode == 0
    wheels = project / "build/wheel"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = str(tmp_path / "env/bin/python")
    # The model depends on the runtime, so pip must find its wheel.
    install = [python, "-m", "pip", "install", "--quiet", "--find-links", str(wheels)]
    subprocess.run([*install, str(only_file(wheels, "oncology_model-*.whl"))], check=True, capture_output=True)

    # When the model predicts its golden records, then it reproduces the golden predictions
    program = "from oncology_model.classifier import load; print(load().gives_golden_predictions())"
    result = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True"
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "mlops-runtime" in installed
    for package in ("scikit-learn", "pandas", "Flask"):
        assert package not in installed


def test_predict_prints_a_prediction(project: Path) -> None:
    result = make(project, "predict")

    assert result.returncode == 0, result.stderr
    assert '"label": "malignant"' in result.stdout or '"label": "benign"' in result.stdout


def test_what_the_service_needs_is_measured(project: Path) -> None:
    # make measure, with less than its ten seconds for each kind of request
    briefly = "from mlops_runtime.operations import measure; measure.SECONDS = 0.1; raise SystemExit(measure.main())"
    result = make(project, f'--eval=briefly: build/trained ; @$(PYTHON) -c "{briefly}"', "briefly")

    assert result.returncode == 0, result.stdout + result.stderr
    memory, limit = map(int, re.findall(r"^    memory: (\d+)Mi$", result.stdout, flags=re.MULTILINE))
    assert 100 < memory < 400
    assert limit == 2 * memory


def test_a_first_prediction_needs_no_dev_packages(fresh: Path, tmp_path: Path) -> None:
    # Given a project in which no command has run
    project = Path(shutil.copytree(fresh, tmp_path / "project"))
    settings = ("BUDGET=0", "FLOORS=skill=0.1")

    result = make(project, "predict", *settings)

    assert result.returncode == 0, result.stdout + result.stderr
    assert list(project.glob(".venv/lib/*/site-packages/sklearn"))
    assert not list(project.glob(".venv/lib/*/site-packages/pytest"))
    # And once they are installed, the model is not trained again
    later = make(project, "install", "train", *settings, "PIPENV=true")
    assert later.returncode == 0, later.stdout + later.stderr
    assert "Nothing to be done for 'train'" in later.stdout


def test_clean_keeps_the_sources_and_the_environment(project: Path) -> None:
    assert make(project, "package.model").returncode == 0

    assert make(project, "clean").returncode == 0

    status = ["git", "status", "--porcelain", "--ignored"]
    left = subprocess.run(status, cwd=project, capture_output=True, text=True, check=True).stdout
    assert left.splitlines() == ["!! .venv"]


def test_commands_run_in_parallel(project: Path) -> None:
    # Given a project without build outputs
    assert make(project, "clean").returncode == 0

    result = make(project, "--jobs", "4", "lint", "type-check", "unittest", "test", "package.model")

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("install", "PIPENV=no-such-pipenv"), "pipenv is missing", id="no pipenv"),
        pytest.param(("docker", "DOCKER=no-such-engine"), "does not answer: start it", id="no engine"),
        pytest.param(
            ("context", "CLUSTER=elsewhere", "KUBECTL=no-such-kubectl"),
            "no-such-kubectl does not start",
            id="no kubectl",
        ),
    ],
)
def test_a_missing_tool_is_reported_with_advice(project: Path, arguments: tuple[str, ...], message: str) -> None:
    lock = project / "Pipfile.lock"
    before = lock.stat()
    if arguments[0] == "install":
        lock.touch()  # newer than the environment

    result = make(project, *arguments)
    os.utime(lock, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert result.returncode != 0
    assert message in result.stderr


def test_doctor_reports_a_missing_tool(project: Path) -> None:
    result = make(project, "doctor", "KUBECTL=no-such-kubectl")

    assert result.returncode != 0
    assert re.search(r"missing +kubectl +no-such-kubectl is not installed\n +for make deploy", result.stdout)


def test_a_commit_is_checked_by_its_hooks(bakery: Bakery, project: Path, tmp_path: Path) -> None:
    # Given a project with the hooks of pre-commit
    folder = share_environment(bakery.copy(tmp_path), project)
    environment = environment_of_a_user() | {"PRE_COMMIT_HOME": str(tmp_path / "hooks")}
    command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    # When nothing is wrong, then they pass
    passed = run()
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert passed.stdout.count("Passed") == 2

    # When a module imports what it does not use, then they do not
    app = folder / "src/webservice/app.py"
    app.write_text(f"{app.read_text()}import os\n")
    failed = run()
    assert failed.returncode != 0
    assert "`os` imported but unused" in failed.stdout
