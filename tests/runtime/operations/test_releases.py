import base64
import gzip
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_runtime.operations.releases import (
    MAX_RELEASES,
    Release,
    State,
    expendable,
    from_config_map,
    last_verified,
    rollback_of,
    rollback_target,
    to_config_map,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts, values, max_size=3)
releases = st.builds(
    Release,
    number=st.integers(1, 10**6),
    version=texts, commit=texts, image=texts, environment=texts, who=texts, started=texts, ended=texts,
    artefact=texts, outcome=texts,
    manifests=st.lists(objects, max_size=3),
    contract=objects,
    state=st.sampled_from(State),
    notes=st.lists(texts, max_size=2),
    origin=st.integers(0, 10),
)  # fmt: skip


def release_of(number: int, version: str, state: State = State.VERIFIED, origin: int = 0) -> Release:
    return Release(
        number=number, version=version, commit=f"c{number}", image=f"image@{version}", environment="production",
        manifests=[{"kind": "Deployment", "of": version}], contract={}, state=state, origin=origin, who="tester",
    )  # fmt: skip


def history(*outcomes: str) -> list[Release]:
    """Return releases from text: `v1`, `v2 failed` or `v1 verified of 1` for a rollback to release 1."""
    result = []
    for number, outcome in enumerate(outcomes, 1):
        text, _, origin = outcome.partition(" of ")
        version, _, state = text.partition(" ")
        result.append(release_of(number, version, State(state or "verified"), int(origin or 0)))
    return result


@given(releases)
def test_a_release_is_the_same_after_a_trip_through_the_cluster(release: Release) -> None:
    # When it is written to the cluster as JSON, then the same is read
    assert from_config_map(json.loads(json.dumps(to_config_map(release, "x")))) == release


def test_a_record_of_a_later_version_can_be_read() -> None:
    # Given a record with a fact that this version does not know
    release = release_of(1, "v1")
    config_map = to_config_map(release, "x")
    facts = json.loads(config_map["data"]["release.json"]) | {"later": 1}
    config_map["data"]["release.json"] = json.dumps(facts)

    assert replace(from_config_map(config_map), notes=()) == release


def test_large_manifests_fit_into_a_config_map() -> None:
    manifests = [
        {"kind": "ConfigMap", "metadata": {"name": f"x-{n}"}, "data": {"a": "text " * 1000}} for n in range(500)
    ]

    assert len(json.dumps(to_config_map(replace(release_of(1, "v1"), manifests=manifests), "x"))) < 2**20


CONTENT = gzip.compress(b'{"manifests": [], "contract": {}}')


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"data": None}, id="no data"),
        pytest.param({"data": {"release.json": "{"}}, id="no JSON"),
        pytest.param({"data": {"release.json": "[]"}}, id="no object"),
        pytest.param({"data": {"release.json": '{"state": "verified"}'}}, id="no version"),
        pytest.param({"data": {"release.json": '{"state": "eaten"}'}}, id="unknown state"),
        pytest.param({"binaryData": {}}, id="no manifests"),
        pytest.param({"binaryData": {"content.json.gz": "A"}}, id="no base64"),
        pytest.param({"binaryData": {"content.json.gz": base64.b64encode(b"text").decode()}}, id="not compressed"),
        pytest.param({"binaryData": {"content.json.gz": base64.b64encode(CONTENT[:-9]).decode()}}, id="cut short"),
        pytest.param(
            {"binaryData": {"content.json.gz": base64.b64encode(CONTENT[:10] + b"\xff" * 30).decode()}}, id="damaged"
        ),
    ],
)
def test_a_record_that_somebody_has_edited_is_named(change: dict[str, Any]) -> None:
    config_map = to_config_map(release_of(7, "v1"), "x") | change

    with pytest.raises(ValueError, match=r"ConfigMap x-release-7 holds no release .*: delete it"):
        from_config_map(config_map)


@pytest.mark.parametrize("state", list(State))
def test_the_end_of_a_release_has_a_time(state: State) -> None:
    release = release_of(1, "v1", State.STARTED).to(state, "outcome", "hash")

    assert (release.state, release.outcome, release.artefact) == (state, "outcome", "hash")
    unfinished = (State.CANARY, State.STARTED, State.APPLIED, State.ROLLED_OUT)
    assert bool(release.ended) is (state not in unfinished)
    assert release.to(State.ROLLED_BACK).outcome == "outcome"


def test_the_annotations_say_who_deployed_what() -> None:
    release = replace(release_of(3, "v2"), started="2026-01-01T00:00:00Z", notes=["tests skipped: hurry"])

    annotations = release.annotations()

    assert annotations["mlops-runtime/release"] == "3"
    assert annotations["mlops-runtime/deployed-by"] == "tester"
    assert annotations["kubernetes.io/change-cause"] == "release 3: deploy of v2 by tester; tests skipped: hurry"
    assert all(isinstance(value, str) for value in (annotations | release.verified_annotations()).values())


@pytest.mark.parametrize(
    ("outcomes", "version", "expected"),
    [
        pytest.param(["v1", "v2"], "", 1, id="the version before"),
        pytest.param(["v1", "v2", "v3 rolled back", "v2 of 2"], "", 1, id="a rollback after a rollback"),
        pytest.param(["v1", "v2 rolled back", "v1 of 1"], "", None, id="a rollback after one to the oldest"),
        pytest.param(["v1", "v2", "v3 rolled back", "v2 of 2", "v4"], "", 2, id="a bad version is left out"),
        pytest.param(["v1", "v2 rolled back", "v1 of 1", "v2"], "", 1, id="a bad version that is deployed again"),
        pytest.param(["v1", "v2 undone", "v3"], "", 1, id="a version that was undone is left out"),
        pytest.param(["v1", "v2", "v3 failed"], "", 1, id="a failed version does not run"),
        pytest.param(["v1", "v2", "v2"], "", 1, id="the same version with other manifests"),
        pytest.param(["v1", "v2", "v3"], "v1", 1, id="a wanted version"),
        pytest.param(["v1", "v2 rolled back", "v1 of 1"], "v2", 2, id="a wanted version that was rolled back"),
        pytest.param(["v1", "v2 undone", "v3"], "v2", None, id="a wanted version that was never verified"),
        pytest.param(["v1", "v2"], "v2", None, id="a wanted version that runs"),
        pytest.param(["v1", "v2"], "v9", None, id="an unknown version"),
        pytest.param(["v1", "v1", "v2"], "v1", 2, id="the latest manifests of a wanted version"),
        pytest.param(["v1"], "", None, id="nothing before"),
        pytest.param(["v1 failed"], "", None, id="nothing verified"),
        pytest.param([], "", None, id="nothing"),
    ],
)
def test_where_a_rollback_goes(outcomes: list[str], version: str, expected: int | None) -> None:
    target = rollback_target(history(*outcomes), version)

    assert (target and target.number) == expected


@given(st.lists(st.tuples(st.sampled_from(["v1", "v2", "v3"]), st.sampled_from(State)), max_size=8))
def test_a_rollback_goes_to_a_verified_version_other_than_the_one_that_runs(outcomes: list[tuple[str, State]]) -> None:
    past = [release_of(number, version, state) for number, (version, state) in enumerate(outcomes, 1)]

    current, target = last_verified(past), rollback_target(past)

    if target is not None:
        assert current is not None
        assert target.state is State.VERIFIED
        assert target.version != current.version
        assert target.number < current.number


def test_a_version_of_which_only_a_rollback_is_kept_can_be_named() -> None:
    past = history("v1", "v2 rolled back", "v1 of 1", "v3")[1:]

    target = rollback_target(past, "v1")

    assert target is not None
    assert target.number == 3


def test_a_rollback_repeats_a_release() -> None:
    target = replace(release_of(2, "v2"), outcome="2 pods", ended="then", notes=["tests skipped: x"], artefact="hash")

    release = rollback_of(target, 9, "somebody", "now")

    assert release.same(target)
    assert (release.number, release.origin, release.state) == (9, 2, State.STARTED)
    assert (release.who, release.started, release.ended, release.outcome, release.notes) == (
        "somebody",
        "now",
        "",
        "",
        (),
    )
    assert release.cause() == "release 9: rollback to v2 by somebody"
    assert rollback_of(release, 10, "somebody", "now").origin == 2


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        pytest.param(["v0"] * MAX_RELEASES, [], id="few"),
        pytest.param([f"v{n}" for n in range(MAX_RELEASES + 2)], [1, 2], id="many"),
        pytest.param(["v0", "v1", "v2", *["v3 failed"] * MAX_RELEASES], [1], id="the last verified and the one before"),
        pytest.param(["v0", "v1", *["v2"] * MAX_RELEASES], [1], id="a rollback target that is old"),
    ],
)
def test_which_releases_need_not_be_kept(outcomes: list[str], expected: list[int]) -> None:
    assert [release.number for release in expendable(history(*outcomes))] == expected
