import pytest
from packaging.version import Version

from mlops_runtime.operations.wheel_version import main, wheel_version


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param("v1.2.3", "1.2.3", id="tag"),
        pytest.param("1.2", "1.2", id="tag without v"),
        pytest.param("v1", "1", id="one number"),
        pytest.param("v1.2-3-gabc1234", "1.2.post3+gabc1234", id="commits after a tag"),
        pytest.param("v1.2-3-gabc1234-dirty-0123abcd", "1.2.post3+gabc1234.dirty.0123abcd", id="changed files"),
        pytest.param("v1.2-rc.1", "1.2rc1", id="release candidate"),
        pytest.param("v1.2b2-1-gabc1234", "1.2b2.post1+gabc1234", id="commits after a beta"),
        pytest.param("v1.2-build5-gabc1234", "1.2+build5.gabc1234", id="build"),
        pytest.param("2024.05-hotfix", "2024.5+hotfix", id="release with a word"),
        pytest.param("2024-05", "0+2024.5", id="numbers without dots"),
        pytest.param("prod-2024-05", "0+prod.2024.5", id="tag that is no release"),
        pytest.param("prod-2024-05-2-gabc1234", "0+prod.2024.5.2.gabc1234", id="commits after such a tag"),
        pytest.param("abc1234", "0+abc1234", id="commit"),
        pytest.param("1234567", "0+1234567", id="commit of digits"),
        pytest.param("123a456", "0+123a456", id="commit like an alpha"),
        pytest.param("version1", "0+version1", id="word with v"),
        pytest.param("v1x", "0+v1x", id="release with a letter"),
        pytest.param("Release_1", "0+release.1", id="capital letter"),
        pytest.param("unversioned", "0+unversioned", id="no commit"),
    ],
)
def test_a_version_becomes_one_of_pep_440(version: str, expected: str) -> None:
    assert wheel_version(version) == expected
    assert str(Version(expected)) == expected


def test_later_commits_have_later_wheels() -> None:
    versions = ["v1.1", "v1.1-2-gf000000", "v1.1-10-ga000000", "v1.2-rc1", "v1.2"]

    wheels = [Version(wheel_version(version)) for version in versions]

    assert wheels == sorted(wheels)


def test_the_version_comes_from_make(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VERSION", "v1.2")
    assert main() == 0
    assert capsys.readouterr().out == "1.2\n"


def test_no_version_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("VERSION", raising=False)
    assert main() == 1
    assert capsys.readouterr().err == "wheel_version: VERSION is not set: run this with make\n"
