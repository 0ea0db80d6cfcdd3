"""EfficientNet-Lite as an ONNX graph built from a checkpoint: runs without PyTorch, and twice as fast.

The graph is built when a model is loaded, so that no second file can diverge from the weights. It starts after the
first convolution, whose kernel depends on the list of bands.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.model.onnx_graph import Graph

Weights = dict[str, NDArray[Any]]

PIXELS, KERNEL, BIAS = "pixels", "kernel", "bias"
STEM, POOLED, CELLS = "stem", "pooled", "cells"
_NAME = re.compile(r"tf_efficientnet_lite[0-4]")
# Strides of the stages (Tan and Le, "EfficientNet", 2019, table 1), and timm's epsilon for TensorFlow's weights.
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_EPSILON = np.float32(1e-3)
_STEM_KERNEL = (3, 3)
_NORM = ("weight", "bias", "running_mean", "running_var")
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.conv_dw\.weight")


def is_efficientnet_lite(name: str) -> bool:
    """Return whether `trunk_session` supports a timm architecture."""
    return _NAME.fullmatch(name) is not None


def trunk_session(weights: Weights) -> Any:
    """Return an ONNX Runtime session of a trunk without its first convolution; see `trunk_model`."""
    return _trunk(weights, Graph.session)


def trunk_model(weights: Weights) -> bytes:
    """Return a trunk without its first convolution as an ONNX model. Removes the arrays it uses from `weights`.

    The input is `STEM`, (n, channels, h, w), before the first activation. The outputs are `POOLED`, (n, features), and
    `CELLS`, (n, features, h / 16, w / 16).

    Args:
        weights: Arrays by timm name, without the first convolution and its batch norm.

    Raises:
        KeyError: An array is missing.
    """
    model: bytes = _trunk(weights, Graph.model)
    return model


def _trunk(weights: Weights, finish: Callable[..., Any]) -> Any:
    graph = _Layers(weights)
    blocks = sorted((int(found[1]), int(found[2])) for found in map(_BLOCK.fullmatch, weights) if found)
    value = graph.relu6(STEM)
    for stage, number in blocks:
        stride = _STRIDES[stage] if number == 0 else 1
        value = graph.block(value, f"blocks.{stage}.{number}.", stride)
    cells = graph.relu6(graph.convolution(value, "conv_head", "bn2"))
    pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [cells])])
    return finish(graph, {POOLED: pooled, CELLS: cells}, [STEM])


def stem_session() -> Any:
    """Return a session of the first convolution: `STEM` of `PIXELS` (n, bands, h, w), `KERNEL` and `BIAS`."""
    graph = _Layers({})
    stem = graph.node(
        "Conv", [PIXELS, KERNEL, BIAS], kernel_shape=list(_STEM_KERNEL), strides=[2, 2], auto_pad="SAME_UPPER"
    )
    return graph.session({STEM: stem}, [PIXELS, KERNEL, BIAS])


def folded(weights: Weights, norm: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a batch norm as factor and bias, both of shape (channels,). Removes its arrays from `weights`."""
    values = {part: weights.pop(f"{norm}.{part}").astype(np.float32) for part in _NORM}
    weights.pop(f"{norm}.num_batches_tracked", None)
    factor = values["weight"] / np.sqrt(values["running_var"] + _EPSILON)
    return factor, values["bias"] - values["running_mean"] * factor


class _Layers(Graph):
    """Builds the graph layer by layer."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._arrays = weights
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
            [value, self.constant(kernel * factor[:, None, None, None]), self.constant(bias)],
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            group=group,
            auto_pad="SAME_UPPER",
        )

    def relu6(self, value: str) -> str:
        """Append a clip to 0..6."""
        return self.node("Clip", [value, self.constant(np.float32(0)), self.constant(np.float32(6))])
