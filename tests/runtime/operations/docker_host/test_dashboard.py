from typing import Any

import pytest

from mlops_runtime.operations.docker_host.dashboard import Dashboard
from mlops_runtime.operations.docker_host.platform import DockerHost, file_of
from mlops_runtime.operations.errors import DeployError
from mlops_runtime.operations.releases import Release, State, to_json
from tests.runtime.operations.docker_host.conftest import EngineInMemory, host_on

NAME = "x_dashboard_1"


def release(number: int, image: str, state: State = State.VERIFIED) -> Release:
    """Return a release with an image of the dashboard; without one, the project had none."""
    values = {"DASHBOARD_PORT": "8501", "DASHBOARD_KEY": ""} | ({"DASHBOARD_IMAGE": image} if image else {})
    manifests: list[dict[str, Any]] = [
        {"kind": "File", "metadata": {"name": "compose.yaml"}, "text": f"compose file {number}"},
        {"kind": "Settings", "metadata": {"name": "settings"}, "values": values},
    ]
    return Release(
        number=number, version=f"{number}.0", commit="c", image="service", environment="production",
        manifests=manifests, contract={}, state=state,
    )  # fmt: skip


def record(engine: EngineInMemory, *releases: Release) -> None:
    """Record releases on the machine, which has the keys of the service."""
    engine.volumes["x-releases"] = {file_of(each): to_json(each) for each in releases}
    engine.volumes.setdefault("x-keys", {"first": "hash"})


@pytest.fixture
def host(engine: EngineInMemory) -> DockerHost:
    return host_on(engine)


@pytest.fixture
def dashboard(host: DockerHost) -> Dashboard:
    return Dashboard(host)


def key_of(engine: EngineInMemory) -> str:
    return str(engine.present[NAME]["Config"]["Env"][-1])


def test_a_first_deploy_starts_the_dashboard_with_a_key_of_its_own(
    engine: EngineInMemory, dashboard: Dashboard, capsys: pytest.CaptureFixture[str]
) -> None:
    record(engine, release(1, "one"))

    dashboard.deploy()

    # The key is in its environment, and in no list of processes, no record and no log
    assert engine.present[NAME]["Config"]["Image"] == "one"
    assert engine.present[NAME]["Config"]["Labels"]["mlops-runtime.release"] == "1"
    key, output = key_of(engine).removeprefix("SERVICE_KEY="), capsys.readouterr().out
    assert len(key) > 20
    assert key not in f"{engine.commands}{engine.volumes}{output}"
    assert "reaches version 1.2.3 of the service" in output
    assert engine.volumes["x-keys"]["first"] == "hash"


@pytest.mark.parametrize("removed", [False, True], ids=["its key", "a new key, since its own was removed"])
def test_the_next_release_has_its_dashboard_with(
    engine: EngineInMemory, dashboard: Dashboard, *, removed: bool
) -> None:
    record(engine, release(1, "one"))
    dashboard.deploy()
    before = key_of(engine)
    record(engine, release(1, "one"), release(2, "two"), release(3, "three", State.UNDONE))
    if removed:
        del engine.volumes["x-keys"]["dashboard"]

    dashboard.deploy()

    # That of the last verified release, not of one that was undone
    assert engine.present[NAME]["Config"]["Image"] == "two"
    assert (key_of(engine) != before) == removed


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        pytest.param("refused", "no such image", id="no image"),
        pytest.param("crashes", "container x_dashboard_1: restarting", id="crash"),
        pytest.param("deaf", "does not reach the service", id="no answer of the service"),
    ],
)
def test_a_dashboard_that_does_not_work_is_undone(
    engine: EngineInMemory, dashboard: Dashboard, image: str, reason: str
) -> None:
    record(engine, release(1, "one"))
    dashboard.deploy()
    record(engine, release(1, "one"), release(2, image))

    with pytest.raises(DeployError, match=f"{reason}.*; the dashboard of release 1 runs again; the service is not"):
        dashboard.deploy()

    assert engine.present[NAME]["Config"]["Image"] == "one"
    assert engine.present[NAME]["Config"]["Labels"]["file"] == "compose file 1"


def test_a_first_dashboard_that_does_not_work_stays_to_be_looked_at(
    engine: EngineInMemory, dashboard: Dashboard
) -> None:
    record(engine, release(1, "crashes"))

    with pytest.raises(DeployError, match=f"docker logs {NAME} says more; the service is not affected"):
        dashboard.deploy()


def test_that_neither_works_is_said(engine: EngineInMemory, dashboard: Dashboard) -> None:
    record(engine, release(1, "one"))
    dashboard.deploy()
    record(engine, release(1, "refused"), release(2, "crashes"))

    with pytest.raises(DeployError, match=r"nor does the one before run \(docker compose: no such image\)"):
        dashboard.deploy()


def test_a_release_without_a_dashboard_removes_it(engine: EngineInMemory, dashboard: Dashboard) -> None:
    record(engine, release(1, ""), release(2, "two"))
    dashboard.deploy()
    record(engine, release(1, ""), release(2, "two", State.ROLLED_BACK), release(3, ""))

    dashboard.deploy()

    assert NAME not in engine.present


def test_nothing_is_started_before_a_release_was_verified(engine: EngineInMemory, dashboard: Dashboard) -> None:
    record(engine, release(1, "one", State.STARTED))

    dashboard.deploy()

    assert engine.present == {}
