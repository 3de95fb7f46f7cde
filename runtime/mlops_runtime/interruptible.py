"""Run a module as `python -m MODULE …` does; Ctrl-C during its imports ends it without a traceback.

For programs that are not ours: `python -m mlops_runtime.interruptible coverage run -m pytest`.
"""

import runpy
import sys

if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
