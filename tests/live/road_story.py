"""What every road must do: three classes of tests that the live test of a road inherits, and the project they deploy.

The tests of a class are one story and build on one another, in their order. A module that inherits them has a fixture
`stage`.
"""

import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from mlops_runtime.serving.middleware.keys import CHECK_INTERVAL
from tests.live.site import CRASHES, LIES, MAX_SECONDS_FOR_KEYS, replace_in
from tests.live.workbench import Load, Workbench, agrees, ask, one_error_line

Record = Callable[[str, object], None]
DOCKERFILE = "docker/webservice.Dockerfile"


@dataclass
class Stage(ABC):
    """A project and what it is deployed to, the version that should be running there, and a key to it."""

    workbench: Workbench
    running: str = ""
    key: str = ""

    CRASHED: ClassVar[str]
    """What the message of a deploy says of a container that ends at once."""
    EVIDENCE: ClassVar[str]
    """What the log of a failed deploy holds."""
    VERIFIES_BEFORE_TRAFFIC: ClassVar[bool] = True
    ROLLS_BACK_WITH: ClassVar[dict[str, str]] = {"DOCKER": "no-engine"}
    """Variables of make for a rollback: it needs no engine, except where an engine is what is deployed to."""
    DESTROYS_WITH: ClassVar[dict[str, str]] = {}

    @property
    @abstractmethod
    def address(self) -> str:
        """Host and port of the service, without TLS."""

    @abstractmethod
    def replicas(self) -> list[str]:
        """Return the names of the replicas that have the traffic."""

    @abstractmethod
    def setting(self, name: str) -> str:
        """Return a setting of the replicas that have the traffic."""

    @abstractmethod
    def left(self) -> list[str]:
        """Return the names of all that the road has made and that is still there."""

    def open(self) -> None:
        """Make the address reachable from here, and wait until every replica behind it knows the key.

        The address may lead to one of them alone for a while; each reads the keys anew after `CHECK_INTERVAL`.
        """
        began = refused = time.monotonic()
        while time.monotonic() - refused < CHECK_INTERVAL:
            assert time.monotonic() - began < MAX_SECONDS_FOR_KEYS, "the key was not accepted in time"
            if ask(self.address, "/version", key=self.key)[0] != 200:
                refused = time.monotonic()
            time.sleep(0.1)

    def deploy(self, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        result = self.workbench.make("deploy")
        assert (result.returncode == 0) is succeeds, result.stdout + result.stderr
        return result

    def commit_change(self, old: str, new: str, message: str) -> str:
        """Commit a change to the image of the service; return the version that it makes."""
        replace_in(self.workbench.folder / DOCKERFILE, old, new)
        return self.workbench.commit(message)

    def clone(self, folder: Path) -> Workbench:
        """Return a clone of the project, in which nothing is installed."""
        subprocess.run(["git", "clone", "--quiet", self.workbench.folder, folder], check=True)
        return Workbench(folder, self.workbench.environment, self.workbench.variables)

    def load(self) -> Load:
        return Load(self.address, self.workbench.golden(), self.key)

    def assert_runs(self) -> None:
        """Every replica is of the version that should run, and predicts as it should."""
        one = self.workbench.golden()[0]
        for _ in range(10):
            status, content = ask(self.address, "/version", key=self.key)
            assert (status, content["version"]) == (200, self.running)
            status, prediction = ask(self.address, "/v1/predictions", one["record"], self.key)
            assert status == 200
            assert agrees(prediction, one["prediction"])


class RoadStory:
    """A first version, an update under load, bad versions, and a rollback."""

    def test_a_first_version_is_deployed_and_answers(self, stage: Stage) -> None:
        # Given a platform on which nothing is deployed
        assert "nothing is deployed" in stage.workbench.make("status").stdout

        # When a version is deployed, and a caller gets a key
        stage.running = stage.workbench.commit("First version")
        stage.deploy()
        key = stage.workbench.make("key", NAME="tests")
        assert key.returncode == 0, key.stderr
        stage.key = key.stdout.strip()

        # Then every replica answers to whoever has a key, and to nobody else
        stage.open()
        stage.assert_runs()
        assert ask(stage.address, "/version")[0] == 401
        assert len(stage.replicas()) == 2
        status = stage.workbench.make("status")
        assert status.returncode == 0, status.stderr
        assert f"runs {stage.running}" in status.stdout
        assert "reach it: " in status.stdout
        assert f"verified  {stage.running}" in status.stdout

    def test_a_deploy_without_a_change_changes_nothing(self, stage: Stage) -> None:
        before = stage.replicas()

        result = stage.deploy()

        assert f"{stage.running} runs already" in result.stdout
        assert stage.replicas() == before

    def test_an_update_drops_no_request(self, stage: Stage, record_property: Record) -> None:
        # Given a version with another setting, and clients that ask again and again
        before = stage.running
        replace_in(stage.workbench.folder / "project.mk", "MAX_RECORDS ?= 1000", "MAX_RECORDS ?= 7")
        version = stage.workbench.commit("Change a setting")
        diff = stage.workbench.make("diff").stdout
        with stage.load() as load:
            # When it is deployed
            stage.deploy()
        stage.running = version

        # Then every request was answered rightly, first by one version, then by the other
        record_property("requests", load.answered)
        assert load.lost == []
        assert load.answered > 100
        assert set(load.versions) == {before, version}
        assert "MAX_RECORDS" in diff
        assert stage.setting("MAX_RECORDS") == "7"
        stage.assert_runs()
        assert stage.workbench.make("verify").returncode == 0

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            pytest.param("USER 10001:10001", LIES, "for golden record", id="wrong predictions"),
            pytest.param('CMD ["python", "-m", "webservice"]', CRASHES, "", id="crash"),
        ],
    )
    def test_a_bad_version_is_undone(self, stage: Stage, old: str, new: str, reason: str) -> None:
        # Given a commit that passes every test but makes an image that does not work
        before = stage.replicas()
        version = stage.commit_change(old, new, "Break the image")

        # When it is deployed under load
        with stage.load() as load:
            result = stage.deploy(succeeds=False)
        stage.workbench.restore()

        # Then make says why, and the version before runs
        assert f"{version} failed and was undone, {stage.running} runs" in one_error_line(result)
        assert (reason or stage.CRASHED) in one_error_line(result)
        assert stage.EVIDENCE in (stage.workbench.folder / "build/rollout.log").read_text()
        stage.assert_runs()

        # And the bad one has answered nobody, except where a road gives it traffic as soon as it says that it is ready
        if stage.VERIFIES_BEFORE_TRAFFIC or new == CRASHES:
            assert load.lost == []
            assert set(load.versions) == {stage.running}
        if stage.VERIFIES_BEFORE_TRAFFIC:
            assert stage.replicas() == before

    def test_a_rollback_from_a_clone_brings_back_version_and_settings(self, stage: Stage, tmp_path: Path) -> None:
        # Given a clone in which nothing was installed
        clone = stage.clone(tmp_path / "clone")
        first = clone.history()[0].version

        # When it rolls back
        with stage.load() as load:
            result = clone.make("rollback", **stage.ROLLS_BACK_WITH)

        # Then the first version runs, with the setting that it had
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"going back from {stage.running} to {first}" in result.stdout
        assert load.lost == []
        stage.running = first
        stage.assert_runs()
        assert stage.setting("MAX_RECORDS") == "1000"
        states = [release.state for release in clone.history()]
        assert (states[1], states[-1]) == ("rolled back", "verified")
        assert not (clone.folder / ".venv").exists()


class KilledDeployStory:
    """A deploy that is killed on its way."""

    def test_a_deploy_that_was_killed_is_repaired(self, stage: Stage, tmp_path: Path) -> None:
        # Given a deploy on its way, beside which no other one may start
        version = stage.commit_change("USER 10001:10001", LIES, "Predict wrongly")
        with stage.workbench.start("deploy") as process:
            assert process.stdout is not None
            while "verifying version" not in (line := process.stdout.readline()):
                assert line, process.stderr and process.stderr.read()
            os.killpg(process.pid, signal.SIGSTOP)
            second = stage.workbench.make("repair", WAIT="0")
            # When it is killed
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        clone = stage.clone(tmp_path / "clone")
        stage.workbench.restore()
        assert "holds the lock" in one_error_line(second)

        # Then that is said, also in a clone, and a repair brings back what ran
        assert f"deploying {version}" in clone.make("status").stdout
        result = stage.workbench.make("repair")
        assert result.returncode == 0, result.stdout + result.stderr
        assert f"the deploy of {version}" in result.stdout
        assert stage.workbench.history()[-1].state == "undone"
        stage.assert_runs()
        assert len(stage.replicas()) == 2


class DestroyStory:
    """The end of a road."""

    def test_destroy_removes_everything_once_the_name_is_typed(self, stage: Stage) -> None:
        # When nobody confirms, then nothing is removed
        refused = stage.workbench.make("destroy")
        assert refused.returncode != 0
        name = stage.workbench.folder.name
        assert f"nothing was removed: type {name}, or set CONFIRM={name}" in one_error_line(refused)
        stage.assert_runs()

        # When somebody does, then nothing that the road has made is left
        result = stage.workbench.make("destroy", CONFIRM=name, **stage.DESTROYS_WITH)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "kept: " in result.stdout
        assert stage.left() == []
        assert "nothing is deployed" in stage.workbench.make("status").stdout
