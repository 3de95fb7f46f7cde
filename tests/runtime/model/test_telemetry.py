import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from mlops_runtime.contract import Task
from mlops_runtime.model import OnnxPredictor
from mlops_runtime.testing.synthetic import CONTRACTS
OnnxPredictor.load(CONTRACTS[Task.BINARY], Path(sys.argv[1]))
"""


def test_loading_the_model_stores_no_usage_data(artefact: Path, tmp_path: Path) -> None:
    # Given a home folder, where ONNX Runtime stores the usage data that it reports to its vendor
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "XDG_CACHE_HOME")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}

    # When a model is loaded
    subprocess.run([sys.executable, "-c", PROGRAM, str(artefact)], env=environment, check=True)

    # Then the home stays empty
    assert list(tmp_path.iterdir()) == []
