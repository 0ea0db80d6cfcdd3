"""EfficientNet-Lite as an ONNX graph built from a checkpoint: runs without PyTorch, and twice as fast.

The graph is built when a model is loaded, so that no second file can diverge from the weights. It starts after the
first convolution, whose kernel depends on the list of bands.
"""

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[Any]]

PIXELS, KERNEL, BIAS = "pixels", "kernel", "bias"
STEM, POOLED, CELLS = "stem", "pooled", "cells"
_NAME = re.compile(r"tf_efficientnet_lite[0-4]")
# Strides of the stages (Tan and Le, "EfficientNet", 2019, table 1), and timm's epsilon for TensorFlow's weights.
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EPSILON = np.float32(1e-3)
_STEM_KERNEL = (3, 3)
_OPSET, _IR = 17, 8
_NORM = ("weight", "bias", "running_mean", "running_var")
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.conv_dw\.weight")


def is_efficientnet_lite(name: str) -> bool:
    """Return whether `trunk_graph` supports a timm architecture."""
    return _NAME.fullmatch(name) is not None


def trunk_graph(weights: Weights) -> bytes:
    """Return a trunk without its first convolution as an ONNX model. Removes the arrays it uses from `weights`.

    The input is `STEM`, (n, channels, h, w), before the first activation. The outputs are `POOLED`, (n, features), and
    `CELLS`, (n, features, h / 16, w / 16).

    Args:
        weights: Arrays by timm name, without the first convolution and its batch norm.

    Raises:
        KeyError: An array is missing.
    """
    graph = _Graph(weights)
    blocks = sorted((int(found[1]), int(found[2])) for found in map(_BLOCK.fullmatch, weights) if found)
    value = graph.relu6(STEM)
    for stage, number in blocks:
        stride = _STRIDES[stage] if number == 0 else 1
        value = graph.block(value, f"blocks.{stage}.{number}.", stride)
    cells = graph.relu6(graph.convolution(value, "conv_head", "bn2"))
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [cells])])
    return graph.model({POOLED: pooled, CELLS: cells})


def stem_graph() -> bytes:
    """Return the first convolution as an ONNX model: `STEM` of `PIXELS` (n, bands, h, w), `KERNEL` and `BIAS`."""
    graph = _Graph({})
    stem = graph.node(
        "Conv", [PIXELS, KERNEL, BIAS], kernel_shape=list(_STEM_KERNEL), strides=[2, 2], auto_pad="SAME_UPPER"
    )
    return graph.model({STEM: stem}, inputs=(PIXELS, KERNEL, BIAS))


def folded(weights: Weights, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a batch norm as factor and bias, both of shape (channels,). Removes its arrays from `weights`."""
    values = {part: weights.pop(f"{norm}.{part}").astype(np.float32) for part in _NORM}
    weights.pop(f"{norm}.num_batches_tracked", None)
    factor = values["weight"] / np.sqrt(values["running_var"] + _EPSILON)
    return factor, values["bias"] - values["running_mean"] * factor


def session(model: bytes) -> Any:
    """Return an ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cpu_threads()
    # Spinning threads would take cores from the readers.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def cpu_threads() -> int:
    """Return the number of threads for a computation: OMP_NUM_THREADS, else the cores available to this process."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated):
        return int(stated)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Graph:
    """Builds an ONNX graph, layer by layer."""

    def __init__(self, weights: Weights) -> None:
        self._arrays = weights
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        # Channels of values, to find residual connections.
        self._channels: dict[str, int] = {}

    def block(self, value: str, name: str, stride: int) -> str:
        """Append an inverted residual block, or (without `conv_pwl`) a depthwise separable one."""
        end, first = value, "bn1"
        if separable := f"{name}conv_pwl.weight" not in self._arrays:
            wide = self._arrays[f"{name}conv_dw.weight"].shape[0]
        else:
            end = self.relu6(self.convolution(end, f"{name}conv_pw", f"{name}bn1"))
            first = "bn2"
            wide = self._arrays[f"{name}conv_pwl.weight"].shape[1]
        end = self.relu6(self.convolution(end, f"{name}conv_dw", f"{name}{first}", stride=stride, group=wide))
        last, norm = ("conv_pw", "bn2") if separable else ("conv_pwl", "bn3")
        out = self._arrays[f"{name}{last}.weight"].shape[0]
        end = self.convolution(end, f"{name}{last}", f"{name}{norm}")
        skips = stride == 1 and self._channels.get(value) == out
        end = self.node("Add", [end, value]) if skips else end
        self._channels[end] = out
        return end

    def convolution(self, value: str, name: str, norm: str, *, stride: int = 1, group: int = 1) -> str:
        """Append a convolution with the batch norm that follows it folded in, padded as TensorFlow does."""
        kernel = self._arrays.pop(f"{name}.weight").astype(np.float32)
        factor, bias = folded(self._arrays, norm)
        return self.node(
            "Conv",
            [value, self._constant(kernel * factor[:, None, None, None]), self._constant(bias)],
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            group=group,
            auto_pad="SAME_UPPER",
        )

    def relu6(self, value: str) -> str:
        """Append a clip to 0..6."""
        return self.node("Clip", [value, self._constant(np.float32(0)), self._constant(np.float32(6))])

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append one node; return the name of its output."""
        from onnx import helper

        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def model(self, outputs: dict[str, str], inputs: tuple[str, ...] = (STEM,)) -> bytes:
        """Return the serialized model.

        Args:
            outputs: Name of each output and the value it returns.
            inputs: Names of the inputs.
        """
        from onnx import TensorProto, helper

        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self._nodes,
            "tower",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._constants,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model: bytes = helper.make_model(graph, opset_imports=opset, ir_version=_IR).SerializeToString()
        return model

    def _constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"w{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name
