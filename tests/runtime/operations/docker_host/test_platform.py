"""The road to a machine with Docker, on an engine in memory."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from mlops_runtime.operations.deploy import Commands
from mlops_runtime.operations.docker_host.engine import EngineAwayError, EngineError
from mlops_runtime.operations.docker_host.platform import DockerHost, program, progress_of, state_of
from mlops_runtime.operations.errors import DeployError, LockError, RolloutError
from mlops_runtime.operations.platforms import platform_of
from mlops_runtime.operations.releases import Release
from mlops_runtime.operations.rollout import Rollout
from mlops_runtime.operations.settings import Settings
from mlops_runtime.serving.settings import Settings as ServiceSettings
from tests.runtime.operations.docker_host.conftest import (
    ENVIRONMENT,
    REPLICAS,
    EngineInMemory,
    MachineInMemory,
    host_on,
    manifests,
    without_lock,
)
from tests.runtime.operations.test_rollout import Image

PROJECT = Path(__file__).parents[4] / "{{cookiecutter.project_slug}}"
FIXED_SETTINGS = {
    "host", "port", "version", "api_keys", "reload", "prometheus_multiproc_dir", "drain_marker", "drain_seconds",
}  # fmt: skip
"""Settings of the service that its image, compose.yaml or the road decides."""


def deploy(engine: EngineInMemory, image: str, **changes: Any) -> Release:
    return MachineInMemory(engine).deploy(image, **changes)


def runs(engine: EngineInMemory, release: Release) -> bool:
    return MachineInMemory(engine).runs(release)


@pytest.mark.parametrize("image", [Image.CRASHES, Image.WRONG, Image.FAILS_UNDER_TRAFFIC, Image.REFUSED])
def test_the_version_before_is_not_restarted_by_an_undo(engine: EngineInMemory, image: Image) -> None:
    # Given a version that runs
    deploy(engine, Image.GOOD)
    before = [item["Id"] for item in engine.serving]

    # When a bad one is deployed
    with pytest.raises(DeployError, match="v2 failed and was undone, v1 runs"):
        deploy(engine, image)

    # Then the same containers have the traffic
    assert [item["Id"] for item in engine.serving] == before


def test_the_colours_take_turns(engine: EngineInMemory) -> None:
    services = []
    for _ in range(3):
        deploy(engine, Image.GOOD)
        services.append({item["Config"]["Labels"]["com.docker.compose.service"] for item in engine.serving})

    assert services == [{"webservice-green"}, {"webservice-blue"}, {"webservice-green"}]


def test_a_rollback_brings_back_the_files_of_its_release(engine: EngineInMemory) -> None:
    # Given a release whose files are those of release 1
    again = {"number": 7, "manifests": manifests(1)}

    # When it is deployed
    deploy(engine, Image.GOOD, **again)

    # Then Compose was given the file that the record has, whatever is in the folder
    assert {item["Config"]["Labels"]["file"] for item in engine.serving} == {"compose 1"}
    assert host_on(engine).releases()[0].manifests == manifests(1)


@pytest.mark.parametrize("what", ["a replica", "the proxy", "every replica"])
def test_what_was_changed_by_hand_is_named_and_repaired(engine: EngineInMemory, what: str) -> None:
    # Given a release that runs, of which somebody has removed something
    release = deploy(engine, Image.GOOD)
    host = host_on(engine)
    live = host.live()
    assert live is not None
    assert host.changes_by_hand(release, live) == []
    part = {"a replica": "green_1", "the proxy": "proxy", "every replica": "green"}[what]
    for name in [name for name in engine.present if part in name]:
        if what == "a replica":
            engine.present[name]["State"]["Status"] = "exited"
        else:
            del engine.present[name]

    # Then that is said, as far as something is left
    lines = host.changes_by_hand(release, live)
    expected = {
        "a replica": ["container x_webservice-green_1 is exited (exit status 0)"],
        "the proxy": ["the proxy is missing"],
        "every replica": [],
    }
    assert lines == expected[what]

    # When it is repaired
    if what == "a replica":
        del engine.present["x_webservice-green_1"]  # as Compose replaces it
    with MachineInMemory(engine).rollout() as (_, rollout):
        rollout.restore(release)

    # Then it runs in full
    assert runs(engine, release)
    assert host.changes_by_hand(release, live) == []


def test_a_machine_without_the_project_is_not_changed_by_reading(engine: EngineInMemory) -> None:
    reader = without_lock(host_on(engine))

    assert reader.snapshot().live is None
    assert engine.volumes == {}


def test_the_state_is_not_changed_without_the_lock(engine: EngineInMemory) -> None:
    host = without_lock(host_on(engine))

    with pytest.raises(RuntimeError, match="under its lock"):
        host.save(MachineInMemory().candidate(host, Image.GOOD))


def test_a_record_that_somebody_has_edited_is_said(engine: EngineInMemory, host: DockerHost) -> None:
    engine.volumes["x-releases"] = {"release-00000001.json": '{"number": 1}'}

    with pytest.raises(EngineError, match="remove its file from the volume x-releases"):
        host.releases()


def test_an_image_that_the_machine_has_is_not_pulled(engine: EngineInMemory) -> None:
    deploy(engine, Image.GOOD)

    assert not [command for command in engine.commands if command[0] == "pull"]


def test_an_image_that_it_has_not_is_pulled(engine: EngineInMemory) -> None:
    engine.failures["image"] = EngineError("no such image")

    deploy(engine, Image.GOOD)

    assert ("pull", "--quiet", "good") in engine.commands


@pytest.mark.parametrize("command", ["image", "inspect", "ps"])
def test_an_engine_that_goes_away_is_not_held_against_a_version(engine: EngineInMemory, command: str) -> None:
    # Given a version that runs
    deploy(engine, Image.GOOD)
    engine.failures[command] = EngineAwayError("the engine does not answer")

    # When the engine goes away in the next deploy
    with pytest.raises(EngineAwayError):
        deploy(engine, Image.BETTER)

    # Then nothing is undone, and the next deploy goes on
    engine.failures.clear()
    assert not host_on(engine).releases()[-1].state.final
    assert runs(engine, deploy(engine, Image.BETTER))


def test_files_or_settings_that_are_not_valid_change_nothing(engine: EngineInMemory, host: DockerHost) -> None:
    engine.failures["run"] = EngineError("docker run: unrecognized directive: revers_proxy")

    with pytest.raises(EngineError, match="revers_proxy: nothing was changed"):
        host.prepare(manifests(1))
    assert engine.present == {}


def test_the_settings_that_the_files_name_are_part_of_a_release(
    host: DockerHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docker").mkdir()
    (tmp_path / "compose.yaml").write_text("image: ${IMAGE}\nports: [${HTTP_PORT}:80]\nenvironment:\n    - TEAM\n")
    (tmp_path / "docker/Caddyfile").write_text("{$PROJECT} {\n}\n")

    *_, settings = host.manifests()

    assert settings["values"] == {"HTTP_PORT": "80", "PROJECT": "x", "TEAM": "ward"}


def test_the_containers_get_every_setting_of_the_service(
    host: DockerHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docker").mkdir()
    for name in ("compose.yaml", "docker/Caddyfile"):
        shutil.copyfile(PROJECT / name, tmp_path / name)

    *_, settings = host.manifests()

    assert {name.upper() for name in set(ServiceSettings.model_fields) - FIXED_SETTINGS} <= settings["values"].keys()


def test_a_preview_names_files_and_settings_that_differ(engine: EngineInMemory, host: DockerHost) -> None:
    release = deploy(engine, Image.GOOD)
    live = host.live()
    assert live is not None

    lines = host.preview(manifests(2), release, live)

    assert [line for line in lines if line[0] in "+-"] == [
        "--- compose.yaml, release 1",
        "+++ compose.yaml",
        "-compose 1",
        "+compose 2",
    ]
    assert lines[-1] == "WORKERS is '1', would be '2'"


@pytest.mark.parametrize(
    ("settings", "host", "expected"),
    [
        ({}, "", "http://127.0.0.1:80"),
        ({"HTTP_PORT": "127.0.0.1:8080"}, "", "http://127.0.0.1:8080"),
        ({"HTTP_PORT": "8080"}, "ssh://user@machine", "http://machine:8080"),
        ({"PROXY_HOST": "predictions.example.org"}, "ssh://user@machine", "https://predictions.example.org"),
    ],
    ids=["this machine", "an address", "another machine", "a host name"],
)
def test_how_to_reach_the_service_is_an_address(
    engine: EngineInMemory, settings: dict[str, str], host: str, expected: str
) -> None:
    platform = DockerHost(Settings(ENVIRONMENT | settings), replace(engine, host=host))

    assert platform.how_to_reach() == f"reach it: {expected}"


def test_the_platform_is_found_by_its_name() -> None:
    environment = ENVIRONMENT | {"PLATFORM": "docker-host"}

    assert isinstance(platform_of(Settings(environment), environment), DockerHost)


@pytest.mark.parametrize("answer", ["", "y", "another"])
def test_nothing_is_removed_without_the_name_of_the_project(
    engine: EngineInMemory, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    deploy(engine, Image.GOOD)
    monkeypatch.setattr("sys.stdin", StringIO())
    settings = Settings(ENVIRONMENT | {"CONFIRM": answer})

    with pytest.raises(DeployError, match="nothing was removed: type x, or set CONFIRM=x"):
        Commands(settings, host_on(engine)).destroy()
    assert len(engine.serving) == REPLICAS


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"State": {"Status": "running"}}, "running"),
        ({"State": {"Status": "running", "Health": {"Status": "unhealthy"}}}, "unhealthy"),
        (
            {"State": {"Status": "restarting", "ExitCode": 3}, "RestartCount": 2},
            "restarting (exit status 3, 2 restarts)",
        ),
    ],
    ids=["without a health check", "unhealthy", "restarting"],
)
def test_the_state_of_a_container_is_text(container: dict[str, Any], expected: str) -> None:
    assert state_of(container) == expected


def test_containers_of_two_releases_in_one_colour_are_not_complete(engine: EngineInMemory) -> None:
    # Given a colour of which an interrupted Compose has replaced one container
    there = [engine.container(f"c{number}", "webservice-blue", "good", str(number), "") for number in (1, 2)]

    assert not progress_of(there).complete
    assert progress_of(there[:1]).complete


def test_a_version_that_fails_under_traffic_says_how(engine: EngineInMemory) -> None:
    host = host_on(engine)
    release = MachineInMemory().candidate(host, Image.FAILS_UNDER_TRAFFIC)
    host.apply(release, None)

    with pytest.raises(RolloutError, match=r"container x_webservice-green_\d: through the proxy, a request got status"):
        host.move(release)


def test_the_program_that_checks_a_container_needs_nothing_of_the_image() -> None:
    text = program()

    assert "mlops_runtime" not in text.replace("mlops_runtime.operations.verify.artefact_hash", "").replace(
        "mlops_runtime.model.golden.agrees", ""
    )
    compile(text, "program", "exec")


def test_diagnosis_has_state_and_log_of_each_container(engine: EngineInMemory) -> None:
    deploy(engine, Image.GOOD)

    text = host_on(engine).diagnosis()

    assert text.count("$ docker logs x_webservice-green_") == REPLICAS
    assert json.dumps("running") in text


def check_of(error: type[Exception]) -> Callable[[], None]:
    def check() -> None:
        raise error("somebody has removed the lock")

    return check


def test_a_deploy_that_has_lost_the_lock_moves_no_traffic(engine: EngineInMemory) -> None:
    deploy(engine, Image.GOOD)
    before = list(engine.serving)
    host = host_on(engine)

    with pytest.raises(LockError):
        Rollout(host, check_of(LockError), say=lambda _: None, explain=lambda: "").deploy(
            MachineInMemory().candidate(host, Image.BETTER)
        )
    assert engine.serving == before
