"""Save the model for mlflow. Usage: save_mlflow.py sklearn|onnx MODEL RECORDS FOLDER.

With a signature, as mlflow advises: it then checks names and types of the columns of a request.
"""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec


def main(flavour: str, model: str, records: str, folder: str) -> None:
    """Save the model."""
    first = json.loads(Path(records).read_text())["records"][0]
    columns = Schema([ColSpec("double", name) for name in first])
    if flavour == "onnx":
        import mlflow.onnx
        import onnx

        mlflow.onnx.save_model(onnx.load(model), folder, signature=ModelSignature(inputs=columns), pip_requirements=[])
    else:
        import mlflow.sklearn

        outputs = Schema([TensorSpec(np.dtype(np.float64), (-1, -1))])
        mlflow.sklearn.save_model(
            pickle.loads(Path(model).read_bytes()),
            folder,
            signature=ModelSignature(inputs=columns, outputs=outputs),
            pyfunc_predict_fn="predict_proba",
            skops_trusted_types=["numpy.dtype"],
            pip_requirements=[],
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
