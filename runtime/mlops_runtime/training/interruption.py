"""Ctrl-C while libraries compute."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruption() -> Iterator[None]:
    """Raise KeyboardInterrupt if Ctrl-C is pressed in the block, whatever the block makes of it.

    Libraries may turn the exception of the first Ctrl-C into another one, or lose it. The second ends the process.

    Raises:
        KeyboardInterrupt: if Ctrl-C was pressed.
    """
    pressed = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        raise KeyboardInterrupt

    def report(lost: "sys.UnraisableHookArgs") -> None:
        if lost.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(lost)

    handler, hook = signal.signal(signal.SIGINT, stop), sys.unraisablehook
    sys.unraisablehook = report
    try:
        yield
    except Exception as error:
        if pressed:
            raise KeyboardInterrupt from error
        raise
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGINT, handler)
    if pressed:
        raise KeyboardInterrupt
