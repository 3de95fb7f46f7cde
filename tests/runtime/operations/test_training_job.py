import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IXUSR
from typing import Any

import pytest

from mlops_runtime.operations import kubectl, training_job
from mlops_runtime.operations.kubectl import Kubectl
from mlops_runtime.operations.training_job import TrainingJob, TrainingJobError, lines_of, main, seconds_of

RUNTIME = Path(training_job.__file__).parents[2]
UID = "uid-of-the-job"
KUBECTL = """
# Answers from files of its folder, and keeps a line for each command in commands.txt.
import json, pathlib, sys
here = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
arguments = arguments[arguments.index("--namespace") + 2:]
if arguments[0] == "--request-timeout":
    arguments = arguments[2:]
with (here / "commands.txt").open("a") as file:
    print(*arguments, file=file)

def pop(name):
    "Return the next entry of a file; the last one stays."
    path = here / name
    first, *rest = json.loads(path.read_text())
    path.write_text(json.dumps(rest or [first]))
    return first

match arguments:
    case ["get", "job", _, *_]:
        print(json.dumps(pop("former.json")) if (here / "former.json").exists() else "")
    case ["delete", "job", *_]:
        pass
    case ["apply", *_]:
        print(json.dumps({"items": [{"kind": "Job", "metadata": {"uid": "uid-of-the-job"}}]}))
    case ["get", "jobs,pods", *_]:
        items = pop("states.json")
        if items == "away":
            sys.exit("The connection to the server 127.0.0.1:6443 was refused - did you specify the right port?")
        print(json.dumps({"items": items}))
    case ["get", "events", "--field-selector", selector, *_]:
        events = json.loads((here / "events.json").read_text()) if (here / "events.json").exists() else []
        wanted = dict(part.split("=") for part in selector.split(","))
        print(json.dumps({"items": [item for item in events if item["uid"] == wanted["involvedObject.uid"]]}))
    case ["logs", "--follow", _, "--container", "trainer"]:
        log = pop("logs.json")
        print(log["text"], end="")
        sys.exit(log.get("error"))
    case command:
        sys.exit(f"unknown command: {command}")
"""


def job(condition: str = "", reason: str = "", uid: str = UID) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True", "reason": reason}] if condition else []
    return {"kind": "Job", "metadata": {"name": "oncology-trainer", "uid": uid}, "status": {"conditions": conditions}}


def pod(state: Mapping[str, Any] | None = None, *conditions: Mapping[str, Any], owner: str = UID) -> dict[str, Any]:
    metadata = {"name": "oncology-trainer-x", "uid": "uid-of-the-pod", "ownerReferences": [{"uid": owner}]}
    # The proxy of a service mesh comes first
    statuses = [{"name": "proxy", "state": {"running": {}}}, {"name": "trainer", "state": state}] if state else []
    return {
        "kind": "Pod",
        "metadata": metadata,
        "status": {"containerStatuses": statuses, "conditions": list(conditions)},
    }


def event(message: str, uid: str = UID, time: str = "2026-01-01T00:00:00Z", reason: str = "Failed") -> dict[str, Any]:
    return {"uid": uid, "reason": reason, "message": message, "lastTimestamp": time}


PENDING = [job(), pod({"waiting": {"reason": "ContainerCreating"}})]
RUNNING = [job(), pod({"running": {}})]
SUCCEEDED = [job("Complete"), pod({"terminated": {"exitCode": 0, "reason": "Completed"}})]
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available:\n1 Insufficient cpu."}


def failed(terminated: Mapping[str, Any], reason: str = "BackoffLimitExceeded") -> list[dict[str, Any]]:
    return [job("Failed", reason), pod({"terminated": terminated})]


@dataclass
class Bench:
    """A stub of kubectl, what it answers, and what the Job printed."""

    folder: Path
    lines: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def answer(self, **answers: Any) -> None:
        """Set what kubectl answers: for each kind of command a list, whose last entry stays."""
        for name, content in answers.items():
            (self.folder / f"{name}.json").write_text(json.dumps(content))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def job(self, start_timeout: float = 300.0) -> TrainingJob:
        command = (str(self.folder / "kubectl"),)
        program = Kubectl(command, "somewhere", self.lines.append, sleep=self.sleep)
        return TrainingJob(program, "oncology", start_timeout, now=lambda: self.seconds)

    def commands(self) -> list[str]:
        return (self.folder / "commands.txt").read_text().splitlines()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    program, script = tmp_path / "kubectl", tmp_path / "kubectl.py"
    script.write_text(KUBECTL)
    # The path of a program in the first line of a script may have no space.
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{script}" "$@"\n')
    program.chmod(program.stat().st_mode | S_IXUSR)
    bench = Bench(tmp_path)
    bench.answer(states=[PENDING, RUNNING, SUCCEEDED], logs=[{"text": "Read 699 rows\nThe gate passes\n"}])
    return bench


def test_a_job_that_succeeds_is_followed_to_its_end(bench: Bench) -> None:
    bench.job().run(Path("build/k8s/trainer"))

    # The Job of before is looked for, the new one created, its log printed once
    assert bench.commands()[:2] == [
        "get job oncology-trainer --ignore-not-found --output json",
        "apply --kustomize build/k8s/trainer --output json",
    ]
    assert bench.lines == [
        "created the Job oncology-trainer in namespace somewhere",
        "  waiting for the pod to start: ContainerCreating, 0 s",
        "Read 699 rows",
        "The gate passes",
    ]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        pytest.param({"active": 1}, "of 2026-01-01 still runs: it is stopped", id="running"),
        pytest.param({"succeeded": 1}, None, id="ended"),
    ],
)
def test_the_former_job_is_deleted_first(bench: Bench, status: dict[str, int], message: str | None) -> None:
    bench.answer(former=[{"metadata": {"creationTimestamp": "2026-01-01"}, "status": status}])

    bench.job().create(Path("build/k8s/trainer"))

    assert [command.split()[0] for command in bench.commands()] == ["get", "delete", "apply"]
    assert [line for line in bench.lines if "still runs" in line] == (
        [f"the Job oncology-trainer {message}"] if message else []
    )


REASONS = [
    pytest.param(
        [job()],
        [
            event("Error creating: pods is forbidden: exceeded quota: small"),
            event("older", time="2025-01-01T00:00:00Z"),
        ],
        "Error creating: pods is forbidden: exceeded quota: small",
        id="quota",
    ),
    pytest.param(
        [job(), pod(None, UNSCHEDULABLE)],
        [],
        "no node takes the pod: 0/1 nodes are available: 1 Insufficient cpu.",
        id="no node",
    ),
    pytest.param(
        [job(), pod({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}})],
        [
            event("Failed to pull image: not found", "uid-of-the-pod"),
            event("Error: ErrImagePull", "uid-of-the-pod", "2026-01-02T00:00:00Z"),
            event("no ClusterDNS", "uid-of-the-pod", "2026-01-02T00:00:00Z", "MissingClusterDNS"),
        ],
        "ImagePullBackOff: Failed to pull image: not found",
        id="image",
    ),
    pytest.param(
        [job(), pod({"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "x"\nnot found'}})],
        [],
        'CreateContainerConfigError: configmap "x" not found',
        id="missing ConfigMap",
    ),
    pytest.param([job()], [event("of another Job", "other")], "", id="no reason"),
]


@pytest.mark.parametrize(("state", "events", "reason"), REASONS)
def test_the_reason_why_no_pod_starts_is_printed(
    bench: Bench, state: list[dict[str, Any]], events: list[dict[str, Any]], reason: str
) -> None:
    bench.answer(states=[state, RUNNING, SUCCEEDED], events=events)

    bench.job().run(Path("build/k8s/trainer"))

    assert bench.lines[1] == f"  waiting for the pod to start{f': {reason}' if reason else ''}, 0 s"


@pytest.mark.parametrize(("state", "events", "reason"), REASONS)
def test_a_job_that_does_not_start_in_time_is_deleted(
    bench: Bench, state: list[dict[str, Any]], events: list[dict[str, Any]], reason: str
) -> None:
    bench.answer(states=[state], events=events)
    training = bench.job(start_timeout=2)

    with pytest.raises(TrainingJobError) as error:
        training.run(Path("build/k8s/trainer"))

    assert str(error.value) == (
        f"the training job did not start within 2 s ({reason or 'Kubernetes gives no reason'}): the Job was deleted;"
        " JOB_START_TIMEOUT gives it more time"
    )
    assert bench.commands()[-1] == "delete job oncology-trainer --ignore-not-found --wait=false"
    assert not training.created


def test_a_line_is_printed_when_something_changes_and_every_15_seconds(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_job, "POLL_INTERVAL", 5)
    bench.answer(states=[*[[job()]] * 7, PENDING, RUNNING, SUCCEEDED])

    bench.job().run(Path("build/k8s/trainer"))

    assert [line.rsplit(", ", 1)[1] for line in bench.lines if "waiting" in line] == ["0 s", "15 s", "30 s", "35 s"]


def test_pods_of_the_former_job_are_not_taken_for_its_own(bench: Bench) -> None:
    # Given a pod that is still ending
    ending = pod({"terminated": {"exitCode": 1}}, owner="former")
    bench.answer(states=[[job(), ending], RUNNING, SUCCEEDED])

    bench.job().run(Path("build/k8s/trainer"))

    assert "  waiting for the pod to start, 0 s" in bench.lines


@pytest.mark.parametrize(
    ("state", "message"),
    [
        pytest.param(failed({"exitCode": 1, "reason": "Error"}), "(exit status 1): its log above says why", id="gate"),
        pytest.param(
            failed({"exitCode": 137, "reason": "OOMKilled"}),
            "(OOMKilled, exit status 137): "
            "set JOB_MEMORY to more than the limit that the first line names, or lower MAX_ROWS",
            id="memory",
        ),
        pytest.param(
            failed({"exitCode": 128, "reason": "StartError", "message": 'exec: "python": not\nfound'}),
            '(StartError, exit status 128): exec: "python": not found',
            id="no program",
        ),
        pytest.param(
            [job("Failed", "DeadlineExceeded")],
            "(DeadlineExceeded): raise activeDeadlineSeconds in k8s/trainer/job.yaml, or lower BUDGET",
            id="time, and the pod is gone",
        ),
    ],
)
def test_a_job_that_fails_says_why(bench: Bench, state: list[dict[str, Any]], message: str) -> None:
    bench.answer(states=[RUNNING, state])

    with pytest.raises(TrainingJobError) as error:
        bench.job().run(Path("build/k8s/trainer"))

    assert str(error.value) == f"the training job failed {message}"


@pytest.mark.parametrize("state", [[], [job("Complete", uid="other")]], ids=["deleted", "replaced"])
def test_a_job_that_somebody_takes_away_is_no_success(bench: Bench, state: list[dict[str, Any]]) -> None:
    bench.answer(states=[RUNNING, state])

    with pytest.raises(TrainingJobError, match="the Job oncology-trainer is gone: somebody has deleted it"):
        bench.job().run(Path("build/k8s/trainer"))


def test_nothing_is_lost_or_printed_twice_while_the_api_server_is_away(bench: Bench) -> None:
    # Given an API server that goes away in the middle of the log
    bench.answer(
        states=["away", PENDING, RUNNING, RUNNING, "away", "away", RUNNING, SUCCEEDED],
        logs=[
            {"text": "one\ntw", "error": "unexpected EOF"},
            {"text": "one\ntwo\nthree\n"},
        ],
    )

    bench.job().run(Path("build/k8s/trainer"))

    assert [line for line in bench.lines if line in ("one", "tw", "two", "three")] == ["one", "two", "three"]
    assert len([line for line in bench.lines if "the API server of the cluster does not answer" in line]) == 2


def test_the_time_that_the_api_server_is_away_is_not_the_job_s(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an API server that is away for longer than the Job may take to start
    monkeypatch.setattr(kubectl, "RETRY_INTERVAL", 20)
    bench.answer(states=[PENDING, "away", "away", PENDING, RUNNING, SUCCEEDED])

    bench.job(start_timeout=20).run(Path("build/k8s/trainer"))

    assert bench.seconds > 40


def test_a_log_that_cannot_be_read_does_not_hide_the_outcome(bench: Bench) -> None:
    bench.answer(logs=[{"text": "", "error": "Error from server (NotFound):\npods not found"}])

    bench.job().run(Path("build/k8s/trainer"))

    assert "the rest of the log cannot be read: Error from server (NotFound): pods not found" in bench.lines


def test_a_silent_log_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_job, "PROGRESS_INTERVAL", 0.01)
    # Given a pipe into which nobody writes for a while
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stream:
        lines = lines_of(stream, with_rest=True)
        assert next(lines) is None

        # When a line and a half come, in two pieces
        os.write(writer, b"on")
        assert next(lines) is None
        os.write(writer, b"e\nrest")
        os.close(writer)

        # Then they are read as lines
        assert [line for line in lines if line is not None] == ["one", "rest"]


def test_a_line_is_printed_while_the_log_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a log that ends in silence, because the connection hangs, of a Job that ends meanwhile
    bench.answer(states=[RUNNING, RUNNING, RUNNING, SUCCEEDED])
    logs = iter([["one", None, None], ["one", "two"]])
    monkeypatch.setattr(training_job, "lines_of", lambda *_, **__: iter(next(logs)))

    bench.job().run(Path("build/k8s/trainer"))

    # Then a line says that it trains, and the rest of the log is read again
    assert bench.lines[1:] == ["one", "  training, 0 s", "two"]


def test_a_last_line_without_an_end_is_printed(bench: Bench) -> None:
    bench.answer(logs=[{"text": "one\nlast"}])

    bench.job().run(Path("build/k8s/trainer"))

    assert bench.lines[-2:] == ["one", "last"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("", 300.0), ("20", 20.0), ("20s", 20.0)], ids=["unset", "number", "with a unit"]
)
def test_the_time_to_start_is_a_setting(text: str, seconds: float) -> None:
    assert seconds_of({"JOB_START_TIMEOUT": text}, "JOB_START_TIMEOUT", 300.0) == seconds


@pytest.fixture
def environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What make puts into the environment, and into the folder where commands run."""
    annotations = {training_job.MEMORY_ANNOTATION: "The training job gets 512Mi of memory"}
    (bench.folder / "build/k8s").mkdir(parents=True)
    manifests = [{"kind": "ConfigMap"}, {"kind": "Job", "metadata": {"annotations": annotations}}]
    (bench.folder / "build/k8s/trainer.json").write_text(json.dumps(manifests))
    monkeypatch.chdir(bench.folder)
    return {
        "KUBECTL": f"'{bench.folder / 'kubectl'}'",
        "NAMESPACE": "somewhere",
        "PROJECT": "oncology",
        "VERSION": "1.0",
        "BUCKET": "bucket",
        "JOB_START_TIMEOUT": "300",
    }


def test_the_end_says_where_the_model_is_and_how_to_deploy_it(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert main() == 0

    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "The training job gets 512Mi of memory"
    assert last == (
        "s3://bucket/trainer/1.0/ has the model, its metrics and its report; deploy it: make deploy MODEL=1.0"
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        pytest.param("BUCKET", "", "BUCKET is not set: run this with make", id="no bucket"),
        pytest.param("NAMESPACE", "", "NAMESPACE is not set", id="no namespace"),
        pytest.param("JOB_START_TIMEOUT", "soon", "JOB_START_TIMEOUT=soon is not usable", id="no number"),
    ],
)
def test_a_wrong_setting_creates_nothing(
    bench: Bench,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    message: str,
) -> None:
    for each, content in (environment | {name: value}).items():
        monkeypatch.setenv(each, content)

    assert main() == 1

    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (bench.folder / "commands.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_whoever_stops_waiting_learns_that_the_job_goes_on(
    bench: Bench, environment: dict[str, str], number: signal.Signals
) -> None:
    # Given a Job whose pod does not start
    bench.answer(states=[PENDING])
    command = [sys.executable, "-m", "mlops_runtime.operations.training_job"]
    with subprocess.Popen(
        command,
        env=os.environ | environment | {"PYTHONPATH": str(RUNTIME)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert any("waiting for the pod" in line for line in process.stdout)

        # When the command is stopped
        process.send_signal(number)
        errors = process.stderr.read()

    # Then the Job is left alone, and one line says what to do about it
    assert process.returncode == 128 + number
    program = f"{bench.folder / 'kubectl'} --namespace somewhere"
    assert errors == (
        f"train.job: stopped by {number.name}: the Job oncology-trainer goes on;"
        f" follow it: {program} logs --follow job/oncology-trainer; stop it: {program} delete job oncology-trainer\n"
    )
    assert not any(line.startswith("delete") for line in bench.commands())


def test_it_needs_the_standard_library_alone() -> None:
    # -S leaves out site-packages
    command = [sys.executable, "-S", "-c", "import mlops_runtime.operations.training_job"]

    result = subprocess.run(command, env={"PYTHONPATH": str(RUNTIME)}, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
