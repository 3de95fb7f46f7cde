"""The commands `python -m trainer` and `python -m webservice`."""

import runpy
import sys

import pytest


def test_the_trainer_lists_its_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["trainer", "--help"])

    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("trainer", run_name="__main__")

    assert "--budget" in capsys.readouterr().out


def test_the_service_does_not_start_with_a_setting_that_it_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "none")
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)  # that of the other tests stays

    with pytest.raises(SystemExit, match="1"):
        runpy.run_module("webservice", run_name="__main__")
