"""Where an error of an estimator arose: the estimator may be the user's own."""

import sysconfig
import traceback
from pathlib import Path

import mlops_runtime

RUNTIME = Path(mlops_runtime.__file__).parent
INSTALLED = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
"""Folders of the standard library and of installed packages."""


def described(error: BaseException) -> str:
    """Return the type, the first line of the message, and the file and line where an error arose.

    The line is the last one in the traceback that belongs to the user's own code. Without one, it is the last
    line outside the runtime.
    """
    message = str(error).partition("\n")[0]
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    outside = [frame for frame in frames if not frame[0].is_relative_to(RUNTIME)]
    own = [frame for frame in outside if not any(frame[0].is_relative_to(folder) for folder in INSTALLED)]
    if not outside:
        return text
    path, line = (own or outside)[-1]
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f"{text} ({shown}, line {line})"
