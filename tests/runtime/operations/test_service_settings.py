import pytest

from mlops_runtime.operations.service_settings import main


def test_settings_that_the_service_can_use_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "2")

    assert main() == 0


@pytest.mark.parametrize(("name", "value"), [("WORKERS", "many"), ("ROOT_PATH", "//host"), ("LOG_LEVEL", "loud")])
def test_a_setting_that_it_cannot_use_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    assert main() == 1
    assert capsys.readouterr().err.startswith(f"deploy: {name}={value} is not usable: ")
