from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mlops_runtime.contract import Contract, Features
from mlops_runtime.model.onnx_predictor import OUTPUT
from mlops_runtime.training.table import Table, read_table


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Use a single thread: on small tables, several threads mostly wait for each other."""
    with threadpool_limits(limits=1):
        yield


class Exported:
    """An exported model without an artefact; its outputs equal those of the predictor."""

    def __init__(self, content: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def outputs(self, features: Features) -> NDArray[np.float64]:
        """Return the outputs of the model for each row."""
        inputs = features.inputs()
        (outputs,) = self._session.run([OUTPUT], {node.name: inputs[node.name] for node in self._session.get_inputs()})
        return np.asarray(outputs)


@pytest.fixture(scope="session")
def table(contract: Contract, data: Path) -> Table:
    """The training table of `contract`."""
    return read_table(contract, data)
