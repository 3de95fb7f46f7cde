"""Where an error arose, told to whoever wrote the estimator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_array

from mlops_runtime.training.error_location import described
from mlops_runtime.training.fitted_model import outputs_of


def raise_here() -> None:
    raise ValueError("first line\nsecond line")


def raise_in_a_library() -> None:
    check_array("text")


def raise_without_a_message() -> None:
    raise NotImplementedError


def raise_through_the_runtime() -> None:
    outputs_of(LogisticRegression(), [[1.0]], 2)  # type: ignore[arg-type]


def caught(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as info:  # noqa: PT011 - any exception is described
        call()
    return info.value


@pytest.mark.parametrize(
    ("call", "start"),
    [
        pytest.param(raise_here, "ValueError: first line (", id="first-line-of-the-message"),
        pytest.param(raise_in_a_library, "ValueError: Expected 2D array", id="in-a-library"),
        pytest.param(raise_without_a_message, "NotImplementedError (", id="without-a-message"),
        pytest.param(raise_through_the_runtime, "NotFittedError: ", id="in-a-library-through-the-runtime"),
    ],
)
def test_the_last_line_of_the_users_own_code_is_named(
    call: Callable[[], Any], start: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = described(caught(call))
    assert text.startswith(start)
    assert text.endswith(f" ({Path(__file__)}, line {call.__code__.co_firstlineno + 1})")


def test_a_file_of_the_working_directory_has_a_relative_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    assert f"({Path(__file__).name}, line " in described(caught(raise_here))


def test_the_last_line_of_a_library_is_named_without_code_of_the_user() -> None:
    # given: a traceback that begins in the library
    error = caught(raise_in_a_library)
    assert error.__traceback__ is not None
    inner = error.with_traceback(error.__traceback__.tb_next.tb_next)  # type: ignore[union-attr]
    # then
    assert "sklearn" in described(inner).rpartition(" (")[2]


def test_an_error_without_a_traceback_has_a_type_and_a_message() -> None:
    assert described(KeyError("x")) == "KeyError: 'x'"
