import signal
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from mlops_runtime.training.interruption import interruption


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers are as they were after each test."""
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    yield
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def turn_into_another() -> None:
    try:
        press()
    except KeyboardInterrupt as error:
        raise ValueError("not a valid format string") from error


def lose() -> None:
    with suppress(KeyboardInterrupt):
        press()


def lose_in_a_callback() -> None:
    class Anything:
        pass

    dying = Anything()
    reference = weakref.ref(dying, lambda _: press())
    del dying
    assert reference() is None


@pytest.mark.parametrize("compute", [press, turn_into_another, lose, lose_in_a_callback])
def test_ctrl_c_is_an_interrupt_whatever_a_library_makes_of_it(
    compute: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt), interruption():
        compute()

    assert capsys.readouterr().err == ""


def test_without_ctrl_c_errors_are_as_they_are() -> None:
    with pytest.raises(ValueError, match="wrong"), interruption():
        raise ValueError("wrong")


def test_the_second_ctrl_c_ends_the_process() -> None:
    handlers = []

    def compute() -> None:
        lose()
        handlers.append(signal.getsignal(signal.SIGINT))

    with pytest.raises(KeyboardInterrupt), interruption():
        compute()

    assert handlers == [signal.SIG_DFL]
