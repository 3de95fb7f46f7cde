"""A builder of ONNX graphs in double precision."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from mlops_runtime.model.onnx_predictor import OUTPUT, ROWS_AT_ONCE

OPSET = 18
ML = "ai.onnx.ml"
ML_OPSET = 5
"""First version with trees in double precision."""
IR_VERSION = 10


class Graph:
    """Builds an ONNX graph: each method adds operators and returns the name of their result."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._included = 0

    def input(self, name: str, kind: int, columns: int | None) -> str:
        """Add an input of shape (rows, columns)."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, [None, columns]))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def add_outputs(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add an operator with several outputs, and return their names."""
        name = f"{operator}_{len(self._nodes)}"
        names = [f"{name}_{index}" for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, name=name, **attributes))
        return names

    def constant(self, values: NDArray[Any] | Sequence[Any] | float, kind: Any = np.float64) -> str:
        """Add a constant array."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind, order="C"), name))
        return name

    def row(self, values: Any) -> str:
        """Add a constant array of shape (1, values), which broadcasts over the rows."""
        return self.constant(np.reshape(np.asarray(values, dtype=np.float64), (1, -1)))

    def columns(self, matrix: str, indices: Sequence[int] | NDArray[Any]) -> str:
        """Select columns of a matrix."""
        array = np.asarray(indices, dtype=np.int64)
        if len(array) > 1 and (np.diff(array) == 1).all():
            # Adjacent columns are copied by row, not by cell.
            bounds = (self.constant([bound], np.int64) for bound in (array[0], array[-1] + 1, 1))
            return self.add("Slice", matrix, *bounds)
        return self.add("Gather", matrix, self.constant(array, np.int64), axis=1)

    def cast(self, values: str, kind: int) -> str:
        """Convert values to another type."""
        return self.add("Cast", values, to=kind)

    def double(self, values: str) -> str:
        """Convert values to double precision."""
        return self.cast(values, TensorProto.DOUBLE)

    def rounded(self, values: str) -> str:
        """Round values to single precision and convert them back, for estimators that compare in single precision."""
        return self.double(self.cast(values, TensorProto.FLOAT))

    def sum(self, values: str, axis: int = 1, *, keepdims: bool = True) -> str:
        """Sum along an axis."""
        return self.add("ReduceSum", values, self.constant([axis], np.int64), keepdims=int(keepdims))

    def affine(self, matrix: str, weights: NDArray[Any], intercept: Any) -> str:
        """Multiply a matrix by weights of shape (columns, outputs), and add an intercept."""
        return self.add("Add", self.add("MatMul", matrix, self.constant(weights)), self.row(intercept))

    def joined(self, parts: Sequence[str]) -> str:
        """Concatenate matrices horizontally."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=1)

    def averaged(self, parts: Sequence[str], weights: Sequence[float]) -> str:
        """Return the weighted average of arrays of the same shape."""
        shares = np.asarray(weights, dtype=np.float64) / np.sum(weights)
        return self.add(
            "Sum", *(self.add("Mul", part, self.row(share)) for part, share in zip(parts, shares, strict=True))
        )

    def include(self, graph: onnx.GraphProto, matrix: str, output: str) -> str:
        """Add the operators of another graph, with the matrix as its only input, and return its output."""
        prefix = f"included_{self._included}_"
        self._included += 1
        names = {"": "", graph.input[0].name: matrix}

        def renamed(name: str) -> str:
            return names.setdefault(name, prefix + name)

        for constant in graph.initializer:
            copy = onnx.TensorProto()
            copy.CopyFrom(constant)
            copy.name = renamed(constant.name)
            self._constants.append(copy)
        for node in graph.node:
            inner = onnx.NodeProto()
            inner.CopyFrom(node)
            inner.name = prefix + node.name
            inner.input[:] = [renamed(name) for name in node.input]
            inner.output[:] = [renamed(name) for name in node.output]
            self._nodes.append(inner)
        return renamed(output)

    def model(self, output: str, columns: int, rows_at_once: int) -> bytes:
        """Return the bytes of a model with one output; they are deterministic.

        Args:
            output: name of the result.
            columns: number of columns of the output.
            rows_at_once: maximum number of rows to run the model on, which bounds its memory.
        """
        self._nodes.append(helper.make_node("Identity", [output], [OUTPUT], name=OUTPUT))
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.DOUBLE, [None, columns])]
        graph = helper.make_graph(self._nodes, "model", self._inputs, outputs, self._constants)
        versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION)
        helper.set_model_props(model, {ROWS_AT_ONCE: str(rows_at_once)})
        return bytes(model.SerializeToString(deterministic=True))
