"""Records and lock in Blob storage, on blobs in memory with leases as Azure gives them."""

import pytest

from mlops_runtime.operations.azure.az import AzureError
from mlops_runtime.operations.azure.records import DURATION, Records
from mlops_runtime.operations.errors import LockError
from mlops_runtime.operations.releases import Release, State
from tests.runtime.operations.azure.conftest import RECORDS, AzInMemory
from tests.runtime.operations.conftest import Clock


def release(number: int) -> Release:
    return Release(
        number=number, version=f"v{number}", commit="", image="i", environment="production", manifests=[], contract={}
    )


def records_of(az: AzInMemory, clock: Clock) -> Records:
    return Records(az, "files", RECORDS, clock)


@pytest.fixture
def records(az: AzInMemory) -> Records:
    return records_of(az, Clock())


def test_records_are_kept_in_their_order(az: AzInMemory, records: Records) -> None:
    with records.locked("me@here", 0):
        for number in (1, 2, 10):
            records.save(release(number))
        records.save(release(2).to(State.FAILED, "why"))

    found = records_of(az, Clock()).releases()
    assert [each.number for each in found] == [1, 2, 10]
    assert found[1].outcome == "why"


def test_the_holder_of_the_lock_is_named_while_it_is_held(az: AzInMemory, records: Records) -> None:
    reader = records_of(az, Clock())
    assert reader.holder() == ""

    with records.locked("Zoë@a machine", 0):
        assert reader.holder() == "Zoë@a machine"

    assert reader.holder() == ""


def test_a_lock_that_somebody_else_holds_is_not_given(az: AzInMemory, records: Records) -> None:
    with records.locked("other@there", 0):
        with (
            pytest.raises(LockError, match=r"other@there holds the lock releases/production.jsonl: wait"),
            records_of(az, Clock()).locked("me@here", 0),
        ):
            pytest.fail("two have the lock")
        assert records.holder() == "other@there"


def test_a_lock_is_waited_for(az: AzInMemory) -> None:
    # Given a lock of a process that is dead, whose lease ends while another one waits
    clock, said = Clock(), list[str]()
    dead = records_of(az, clock)
    dead._acquire("dead@there", 0)
    polls = 0

    def sleep(seconds: float) -> None:
        nonlocal polls
        clock.sleep(seconds)
        polls += 1
        if polls == 3:
            az.blobs[RECORDS].lease = ""

    az.sleep, az.say = sleep, said.append

    # Then the other one gets it
    with records_of(az, clock).locked("me@here", 60):
        assert records_of(az, clock).holder() == "me@here"
    assert said == ["waiting for dead@there to finish (at most 60 s)"]


def test_who_has_lost_the_lock_writes_nothing(az: AzInMemory, records: Records) -> None:
    with records.locked("me@here", 0) as check:
        records.save(release(1))
        # Given a lease that somebody else has
        az.blobs[RECORDS].lease = "other"

        # Then a record is refused by Blob storage itself
        with pytest.raises(LockError, match="somebody has taken over the lock"):
            records.save(release(2))

        # And the next renewal finds out
        records._renew()
        with pytest.raises(LockError, match="somebody has taken over the lock"):
            check()
    assert [each.number for each in records.releases()] == [1]


def test_a_lock_that_cannot_be_renewed_ends(az: AzInMemory) -> None:
    clock = Clock()
    records = records_of(az, clock)
    with records.locked("me@here", 0) as check:
        az.failures["storage blob lease renew"] = AzureError("no connection")
        records._renew()
        check()
        clock.sleep(DURATION + 1)

        with pytest.raises(LockError, match=f"could not be renewed for {DURATION} s"):
            check()


def test_nothing_is_written_without_the_lock(records: Records) -> None:
    with pytest.raises(LockError):
        records.save(release(1))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ContainerNotFound", "no container files: run make infrastructure"),
        ("AuthorizationPermissionMismatch", "ask for Storage Blob Data Contributor"),
    ],
)
def test_what_is_missing_is_said(az: AzInMemory, records: Records, code: str, message: str) -> None:
    az.failures["storage blob"] = AzureError("refused", code)

    with pytest.raises(AzureError, match=message), records.locked("me@here", 0):
        pytest.fail("there is no lock")


def test_before_there_is_a_container_there_are_no_releases(az: AzInMemory, records: Records) -> None:
    az.failures["storage blob"] = AzureError("refused", "ContainerNotFound")

    assert records.releases() == []


def test_a_record_that_somebody_has_edited_is_said(az: AzInMemory, records: Records) -> None:
    with records.locked("me@here", 0):
        pass
    az.blobs[RECORDS].text = '{"number": 1}'

    with pytest.raises(AzureError, match=r"correct the blob releases/production.jsonl of files"):
        records.releases()


def test_other_blobs_are_kept_beside_them(records: Records) -> None:
    assert records.get("golden/x.json") is None

    records.put("golden/x.json", "text")

    assert records.get("golden/x.json") == "text"
