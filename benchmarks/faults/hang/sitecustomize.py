"""Makes one call of the model hang when a file appears. Only this benchmark puts it on PYTHONPATH.

The content of the file is `sleep` (waits without the interpreter lock) or `spin` (computes in C and holds it).
"""

import os
import re
import time
from pathlib import Path
from typing import Any

from onnxruntime.capi.onnxruntime_inference_collection import Session

FAULT = Path(os.environ["FAULT_FILE"])
run = Session.run


def run_or_hang(*arguments: Any, **options: Any) -> Any:
    """Run the model; if the file exists, delete it and hang."""
    if FAULT.exists():
        kind = FAULT.read_text().strip()
        FAULT.unlink()
        if kind == "sleep":
            time.sleep(10_000)
        else:
            re.match(r"(a+)+b", "a" * 64)
    return run(*arguments, **options)


Session.run = run_or_hang
