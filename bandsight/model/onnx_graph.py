"""Builds ONNX graphs in memory, and runs them on a CPU with ONNX Runtime."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_OPSET, _IR = 17, 8
# Arrays of so many bytes stay beside the graph: inside it, they would be copied three times on the way.
_LARGE = 1 << 16


class Graph:
    """An ONNX graph of float32 values, built node by node."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append one node; return the name of its output."""
        from onnx import helper

        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Add an array; return its name."""
        name = f"w{len(self._constants)}"
        array = np.asarray(value)
        # `ascontiguousarray` makes an array of one number of a number.
        self._constants[name] = np.ascontiguousarray(array) if array.ndim else array
        return name

    def model(self, outputs: dict[str, str], inputs: Sequence[str], *, large: int = sys.maxsize) -> bytes:
        """Return the serialized model.

        Args:
            outputs: Name of each output and the value it returns.
            inputs: Names of the inputs.
            large: Arrays of so many bytes are only named.
        """
        from onnx import TensorProto, helper, numpy_helper

        kept = {name: array.nbytes < large for name, array in self._constants.items()}
        constants = [
            numpy_helper.from_array(array, name) if kept[name] else _named(name, array)
            for name, array in self._constants.items()
        ]
        nodes = [*self._nodes, *(helper.make_node("Identity", [value], [name]) for name, value in outputs.items())]
        graph = helper.make_graph(
            nodes,
            "tower",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            constants,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model: bytes = helper.make_model(graph, opset_imports=opset, ir_version=_IR).SerializeToString()
        return model

    def session(self, outputs: dict[str, str], inputs: Sequence[str]) -> Any:
        """Return an ONNX Runtime session of the graph on the CPU; see `model`."""
        import onnxruntime

        options = session_options()
        large = {name: array for name, array in self._constants.items() if array.nbytes >= _LARGE}
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in large.values()]
        options.add_external_initializers(list(large), values)
        model = self.model(outputs, inputs, large=_LARGE)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def session_options() -> Any:
    """Return how ONNX Runtime uses the CPU here."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads()
    # Spinning threads would take cores from the readers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _named(name: str, array: NDArray[Any]) -> Any:
    """Return a constant whose values are given with the session."""
    from onnx import TensorProto, helper

    tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(array.dtype), dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", name), ("offset", "0"), ("length", str(array.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def cpu_threads() -> int:
    """Return the number of threads for a computation: OMP_NUM_THREADS, else the cores available to this process."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
