"""The audit of the lock by the real pip-audit, which asks a service with the protocol of osv.dev on this machine."""

import json
from pathlib import Path

import pytest

from mlops_runtime.operations.audit import main, read_answer
from tests.runtime.operations.conftest import StubService

HASH = f"sha256:{'0' * 64}"
VULNERABLE = {
    "vulns": [
        {
            "id": "PYSEC-2023-62",
            "summary": "Session cookies may be cached",
            "aliases": ["CVE-2023-30861"],
            "affected": [
                {
                    "package": {"name": "flask", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.2.5"}]}],
                }
            ],
        }
    ]
}


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder whose lock has a package from an index and one from git."""
    lock = {
        "_meta": {"sources": []},
        "default": {"flask": {"hashes": [HASH], "version": "==2.0.0", "markers": "sys_platform == 'win32'"}},
        "develop": {"own": {"git": "https://git.example.org/own.git", "ref": "1234"}},
    }
    (tmp_path / "Pipfile.lock").write_text(json.dumps(lock))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")


def test_a_known_vulnerability_is_named_with_its_fix(
    locked: None,
    stub_service: StubService,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del locked
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", stub_service({"/": (200, json.dumps(VULNERABLE).encode())}) + "/")

    assert main() == 1

    printed, error = capsys.readouterr()
    assert printed.splitlines() == [
        "packages: 1 packages checked, 1 known vulnerabilities",
        "  flask 2.0.0: PYSEC-2023-62 CVE-2023-30861, fixed in 2.2.5",
        "dev-packages: 0 packages checked, 0 known vulnerabilities",
        "  not checked, as the service does not know them: own",
    ]
    assert "raise them in the Pipfile" in error

    # And one that is accepted does not count
    monkeypatch.setenv("ACCEPTED_VULNERABILITIES", "PYSEC-2023-62")
    assert main() == 0


def test_a_service_that_does_not_answer_is_an_error(
    locked: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del locked
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:9/")

    assert main() == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("audit: pip-audit cannot tell, is there a network?")
    assert "127.0.0.1" in line


def test_packages_that_the_service_does_not_know_are_not_counted_as_checked() -> None:
    # Given what pip-audit says when PyPI has no page about a package
    skipped = {"name": "own", "skip_reason": "Dependency not found on PyPI and could not be audited: own (1.0)"}

    found = read_answer([skipped, {"name": "flask", "version": "3.1.2", "vulns": []}])

    assert (found.checked, found.vulnerabilities, found.unknown) == (1, (), ("own",))


def test_without_a_lock_the_advice_is_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main() == 1

    assert "run pipenv lock" in capsys.readouterr().err
