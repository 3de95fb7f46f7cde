from dataclasses import replace
from pathlib import Path

import pytest

from mlops_runtime.operations.release_list import ReleaseListError, deploys_in, keep
from mlops_runtime.operations.releases import Release, State
from tests.runtime.operations.test_data import Folder

FIRST = Release(
    number=1, version="v1", commit="c", image="i", environment="production", manifests=[{"kind": "Secret"}],
    contract={}, state=State.VERIFIED, who="ada", started="2026-11-03T12:00:00Z", outcome="2 pods",
)  # fmt: skip


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bucket"


def test_a_release_has_the_state_that_was_kept_last(bucket: Path) -> None:
    # given: a release that was kept before it ended, and again at the next deploy, when the platform knew no older one
    store = Folder()
    second = replace(FIRST, number=2, version="v2", started="2026-11-04T12:00:00Z", state=State.ROLLED_OUT)
    third = replace(FIRST, number=3, origin=1, started="2026-11-05T12:00:00Z")
    keep(store, [FIRST, second])
    keep(store, [replace(second, state=State.UNDONE), third])
    # when
    deploys = deploys_in(bucket)
    # then
    assert [(deploy.version, deploy.state, deploy.origin) for deploy in deploys] == [
        ("v1", State.VERIFIED, 0), ("v2", State.UNDONE, 0), ("v1", State.VERIFIED, 1),
    ]  # fmt: skip
    assert [path.name for path in sorted((bucket / "webservice/deploys").iterdir())] == [
        "production-20261104T120000Z.json", "production-20261105T120000Z.json",
    ]  # fmt: skip


def test_manifests_are_not_kept(bucket: Path) -> None:
    keep(Folder(), [FIRST])

    (path,) = (bucket / "webservice/deploys").iterdir()
    assert "Secret" not in path.read_text()


def test_releases_of_a_project_that_was_removed_are_not_those_of_a_new_one(bucket: Path) -> None:
    # given: release 1 of two lives of a project
    store = Folder()
    keep(store, [FIRST])
    keep(store, [replace(FIRST, version="v9", started="2026-11-09T12:00:00Z")])
    # then
    assert [deploy.version for deploy in deploys_in(bucket)] == ["v1", "v9"]


@pytest.mark.parametrize("text", ["{", "[{}]", "[1]", "7"])
def test_another_file_is_named(bucket: Path, text: str) -> None:
    path = bucket / "webservice/deploys/production-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)

    with pytest.raises(ReleaseListError, match=r"^webservice/deploys/production-1\.json has no list of releases"):
        deploys_in(bucket)
