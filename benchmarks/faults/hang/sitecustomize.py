"""Makes the model hang once when a file appears. Only this benchmark puts it on PYTHONPATH.

The first line of the file says how: `sleep` waits like a lock that nobody gives back, `spin` computes in C
without giving the interpreter to anyone.
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
    """Run the model, unless the file is there: it is taken away, and then nothing more happens."""
    if FAULT.exists():
        how = FAULT.read_text().strip()
        FAULT.unlink()
        if how == "sleep":
            time.sleep(10_000)
        else:
            re.match(r"(a+)+b", "a" * 64)
    return run(*arguments, **options)


Session.run = run_or_hang
