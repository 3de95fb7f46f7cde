import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations import champion, deploy
from mlops_runtime.operations.deploy import Commands, is_ancestor, knows, stop_signals
from mlops_runtime.operations.eks import EksPlatform
from mlops_runtime.operations.errors import DeployError, InterruptedRolloutError
from mlops_runtime.operations.kubectl import ClusterError
from mlops_runtime.operations.releases import Release, State, to_config_map
from mlops_runtime.operations.road import Snapshot
from mlops_runtime.operations.settings import Settings, say
from mlops_runtime.operations.store import Store, StoreError
from mlops_runtime.operations.verify import artefact_hash
from tests.runtime.operations.conftest import KubectlInMemory

ENVIRONMENT = {
    "PROJECT": "x",
    "TEAM": "ward",
    "ENVIRONMENT": "production",
    "CLUSTER": "hospital",
    "AWS_REGION": "eu-central-1",
}


def test_settings_have_defaults() -> None:
    settings = Settings(ENVIRONMENT)

    assert (settings.project, settings.team, settings.environment) == ("x", "ward", "production")
    assert (settings.rollout_timeout, settings.verify_timeout, settings.wait) == (180, 60, 600)


@pytest.mark.parametrize("name", list(ENVIRONMENT))
@pytest.mark.parametrize("value", [{}, {"": ""}], ids=["unset", "empty"])
def test_a_missing_setting_is_named(kubectl: KubectlInMemory, name: str, value: dict[str, str]) -> None:
    environment = {key: text for key, text in ENVIRONMENT.items() if key != name} | dict.fromkeys(
        [name][: len(value)], ""
    )

    with pytest.raises(DeployError, match=f"^{name} is not set: run this with make, and see project.mk$"):
        EksPlatform(Settings(environment), kubectl)


@pytest.mark.parametrize(("text", "seconds"), [("", 600), ("0", 0), ("90", 90), ("90s", 90), (" 1.5 ", 1.5)], ids=repr)
def test_seconds_are_read(text: str, seconds: float) -> None:
    assert Settings(ENVIRONMENT | {"WAIT": text}).wait == seconds


@pytest.mark.parametrize("name", ["WAIT", "ROLLOUT_TIMEOUT", "VERIFY_TIMEOUT"])
@pytest.mark.parametrize("text", ["soon", "5m", "s", "-1", "nan", "inf"])
def test_what_is_no_number_of_seconds_is_refused(name: str, text: str) -> None:
    with pytest.raises(DeployError, match=f"^{name}={text} is not usable: set it to a number of seconds$"):
        Settings(ENVIRONMENT | {name: text})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_the_first_signal_undoes_the_second_warns_the_third_ends(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    with stop_signals():
        with pytest.raises(InterruptedRolloutError, match=f"interrupted by {number.name}"):
            signal.raise_signal(number)
        signal.raise_signal(number)
        assert capsys.readouterr().out == "the rollout is being undone; stop once more to leave it as it is\n"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


def test_a_signal_does_not_end_an_undo_that_has_begun(capsys: pytest.CaptureFixture[str]) -> None:
    with stop_signals() as shield:
        shield()
        signal.raise_signal(signal.SIGTERM)

    assert capsys.readouterr().out == "the rollout is being undone; stop once more to leave it as it is\n"


def test_what_the_cluster_says_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("v9\x1b[2K\nv9 runs: 2 pods é")

    assert capsys.readouterr().out == "v9\\x1b[2K\\nv9 runs: 2 pods é\n"


def test_signals_have_their_handlers_again_afterwards() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with pytest.raises(InterruptedRolloutError), stop_signals():
        os.kill(os.getpid(), signal.SIGTERM)

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def manifest(kind: str, name: str, image: str = "") -> dict[str, Any]:
    containers = [{"name": "webservice", "image": image}] if image else [{"name": "other", "image": "x"}]
    return {"kind": kind, "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}}


@pytest.fixture
def commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Commits of a repository that is the current folder: `older`, `newer`, and `other` on a branch off `older`."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    result = {"unknown": "0" * 40, "empty": "", "option": "--all"}
    for name, start in (("older", ""), ("newer", ""), ("other", "older")):
        if start:
            git("checkout", "--quiet", "--detach", result[start])
        git("commit", "--quiet", "--allow-empty", "--message", name)
        result[name] = git("rev-parse", "HEAD")
    return result


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        ("older", "newer", True),
        ("newer", "newer", True),
        ("newer", "older", False),
        ("other", "newer", False),
        ("unknown", "newer", False),
        ("older", "unknown", False),
        ("empty", "newer", False),
        ("older", "empty", False),
        ("older", "option", False),
    ],
)
def test_a_commit_contains_its_ancestors(commits: dict[str, str], older: str, newer: str, expected: bool) -> None:
    assert is_ancestor(commits[older], commits[newer]) is expected


def test_a_clone_knows_its_commits(commits: dict[str, str]) -> None:
    assert [name for name, commit in commits.items() if knows(commit)] == ["older", "newer", "other"]


def put_deployment(kubectl: KubectlInMemory, *, team: str = "", environment: str = "", paused: bool = False) -> None:
    labels = {"app": "x", "component": "webservice"} | ({"team": team} if team else {})
    annotations = {"mlops-runtime/environment": environment} if environment else {}
    item = manifest("Deployment", "x-webservice", "image@1")
    item["metadata"] |= {"labels": labels, "annotations": annotations, "uid": "d", "generation": 1}
    item["spec"] |= {"replicas": 2} | ({"paused": True} if paused else {})
    kubectl.put(item)


def release_of(state: State) -> Release:
    return Release(
        number=1, version="v1", commit="", image="image@1", environment="production", manifests=[], contract={},
        state=state, who="somebody@there",
    )  # fmt: skip


@pytest.fixture
def commands(kubectl: KubectlInMemory) -> Commands:
    return commands_for(ENVIRONMENT, kubectl)


def commands_for(environment: dict[str, str], kubectl: KubectlInMemory) -> Commands:
    settings = Settings(environment)
    return Commands(settings, EksPlatform(settings, kubectl))


def check_target(commands: Commands) -> Snapshot:
    return commands._check_target()


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(None, id="nothing"),
        pytest.param({"team": "ward", "environment": "production"}, id="that of this project"),
        pytest.param({}, id="one without labels"),
    ],
)
def test_a_target_that_is_free_or_our_own_passes(
    commands: Commands, kubectl: KubectlInMemory, there: dict[str, str] | None
) -> None:
    if there is not None:
        put_deployment(kubectl, **there)  # type: ignore[arg-type]

    assert (check_target(commands).live is None) is (there is None)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        pytest.param(
            {"team": "lab"},
            "x-webservice in namespace 1234 belongs to the team lab, not to ward: check TEAM and NAMESPACE",
            id="another team",
        ),
        pytest.param(
            {"team": "ward", "environment": "staging"},
            "x-webservice in namespace 1234 is the environment staging, not production:"
            " check ENVIRONMENT and NAMESPACE",
            id="another environment",
        ),
        pytest.param(
            {"team": "ward", "paused": True},
            "somebody has paused the rollout of x-webservice in namespace 1234:"
            " make repair resumes it at the last verified version",
            id="paused",
        ),
    ],
)
def test_another_target_is_refused(
    commands: Commands, kubectl: KubectlInMemory, there: dict[str, Any], message: str
) -> None:
    put_deployment(kubectl, **there)

    with pytest.raises(DeployError) as error:
        check_target(commands)
    assert str(error.value) == message
    assert not kubectl.contents


def test_another_cluster_is_refused(kubectl: KubectlInMemory) -> None:
    commands = commands_for(ENVIRONMENT | {"CLUSTER": "clinic"}, kubectl)

    with pytest.raises(
        ClusterError, match=r"not to clinic, as CLUSTER says: .* run make kubeconfig .* in eu-central-1"
    ):
        check_target(commands)


def test_a_rollout_that_a_deploy_has_paused_is_no_obstacle(commands: Commands, kubectl: KubectlInMemory) -> None:
    # Given a deploy that was interrupted while the rollout was paused
    put_deployment(kubectl, paused=True)
    kubectl.put(to_config_map(release_of(State.APPLIED), "x"))

    # When another one checks the target, then it may go on from there
    assert check_target(commands).releases[0].state is State.APPLIED


def test_a_repair_may_resume_a_paused_rollout(commands: Commands, kubectl: KubectlInMemory) -> None:
    put_deployment(kubectl, paused=True)

    assert commands._check_target(paused=True).live is not None


def test_check_tells_of_a_deploy_under_way(
    commands: Commands, kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.put(to_config_map(release_of(State.STARTED), "x"))

    commands.check()

    assert capsys.readouterr().out == "the deploy of v1 by somebody@there is under way or was interrupted\n"


def test_check_refuses_a_setting_that_the_cluster_cannot_follow(kubectl: KubectlInMemory) -> None:
    commands = commands_for(ENVIRONMENT | {"SERVICE_MONITOR": "1"}, kubectl)

    with pytest.raises(ClusterError, match="SERVICE_MONITOR is set, and the cluster has no PrometheusRule"):
        commands.check()


@pytest.mark.parametrize(
    ("error", "command", "status", "message"),
    [
        pytest.param(DeployError("no"), "deploy", 1, "deploy: no\n", id="refused"),
        pytest.param(ClusterError("no"), "status", 1, "status: no\n", id="a command that changes nothing"),
        pytest.param(
            ClusterError("no"), "rollback", 1, f"rollback: no; {deploy.WHERE_TO_GO_ON}\n", id="a command that changes"
        ),
        pytest.param(
            InterruptedRolloutError("by SIGINT"), "deploy", 130, f"deploy: by SIGINT; {deploy.WHERE_TO_GO_ON}\n",
            id="interrupted",
        ),
        pytest.param(KeyboardInterrupt(), "diff", 130, f"diff: stopped; {deploy.WHERE_TO_GO_ON}\n", id="stopped"),
    ],
)  # fmt: skip
def test_an_error_is_one_line_and_an_exit_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    command: str,
    status: int,
    message: str,
) -> None:
    def fail(_: Commands) -> None:
        raise error

    for name, value in (ENVIRONMENT | {"NAMESPACE": "1234"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Commands, command, fail)

    assert deploy.main([command]) == status
    assert capsys.readouterr().err == message


@pytest.mark.parametrize(("artefact", "kept"), [("the same", True), ("another", False)], ids=["same", "another"])
def test_held_out_predictions_are_kept_for_the_model_in_the_image(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artefact: str, kept: bool
) -> None:
    # Given a project with held-out predictions, and an image with this or another training run
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src/x_model/artefact").mkdir(parents=True)
    (tmp_path / "src/x_model/artefact/metadata.json").write_text("the same\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build/held-out.json").write_text("{}")

    # When the image was verified
    commands._keep_held_out(replace(release_of(State.VERIFIED), artefact=artefact_hash(artefact)))

    # Then the predictions are kept only if they are those of its model
    assert [path.stem for path in tmp_path.glob("build/champion/production/*")] == [artefact_hash("the same")] * kept


class Broken(Store):
    """A store that takes nothing."""

    def put(self, key: str, path: Path) -> None:
        raise StoreError(f"{key} cannot be made of {path}: Access Denied")


def test_a_deploy_whose_release_cannot_be_kept_says_so(
    kubectl: KubectlInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a bucket that takes nothing, and a release on the cluster
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deploy, "Store", Broken)
    put_releases(kubectl, "a")
    settings = Settings(ENVIRONMENT | {"CHAMPION_BUCKET": "files"})

    # When it is kept after a deploy
    Commands(settings, EksPlatform(settings, kubectl))._keep_releases()

    # Then the deploy goes on
    assert "make report.trend will show this deploy after the next one: webservice/deploys/" in capsys.readouterr().out


def put_releases(kubectl: KubectlInMemory, *artefacts: str) -> None:
    """Put a verified release for each artefact on the cluster."""
    for number, artefact in enumerate(artefacts, start=1):
        release = replace(release_of(State.VERIFIED), number=number, artefact=artefact)
        kubectl.put(to_config_map(release, "x"))


def test_after_a_rollback_the_champion_is_the_older_model_again(
    commands: Commands,
    kubectl: KubectlInMemory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given two models with held-out predictions
    monkeypatch.chdir(tmp_path)
    first, second = artefact_hash("first"), artefact_hash("second")
    (tmp_path / "held-out.json").write_text("{}")
    for artefact in (first, second):
        champion.keep("", "production", artefact, tmp_path / "held-out.json")

    # When each was verified in turn, and then the first one again
    champions = []
    for artefacts in ([], [first], [first, second], [first, second, first]):
        put_releases(kubectl, *artefacts)
        commands.champion()
        champions.append(Path(capsys.readouterr().out.strip()).stem)

    # Then
    assert champions == ["", first, second, first]


@pytest.mark.parametrize("artefact", ["0" * 64, "", "../../../etc/passwd"], ids=["not kept", "unknown", "no hash"])
def test_a_champion_without_held_out_predictions_is_said(
    commands: Commands, kubectl: KubectlInMemory, capsys: pytest.CaptureFixture[str], artefact: str
) -> None:
    put_releases(kubectl, artefact)

    commands.champion()

    assert capsys.readouterr() == ("\n", "no held-out predictions of v1 were kept: not compared\n")
