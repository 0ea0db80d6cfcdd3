"""Runs a small convolutional trunk in ONNX Runtime on a CPU, about twice as fast as in PyTorch.

The graph starts after the first convolution, whose kernel depends on the list of bands.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bandsight.model.architecture import SideBySide

# Least cosine between the outputs of graph and trunk, checked when the model is loaded.
_MIN_COSINE = 0.99999
_OPSET = 17
_POOLED, _CELLS = "pooled", "cells"


class OnnxTrunk(nn.Module):
    """A timm EfficientNet whose blocks, head and pooling run in ONNX Runtime; float32, CPU only."""

    def __init__(self, trunk: Any, session: Any) -> None:
        super().__init__()
        self.conv_stem = trunk.conv_stem
        self.num_features = trunk.num_features
        self._session = session

    def forward(self, x: Tensor) -> Tensor:
        """Return pooled features (N, num_features) of images (N, C, H, W)."""
        return self._run(_POOLED, x)

    def forward_features(self, x: Tensor) -> Tensor:
        """Return features per cell (N, num_features, h, w), before pooling."""
        return self._run(_CELLS, x)

    def _run(self, output: str, x: Tensor) -> Tensor:
        stem = self.conv_stem(x).contiguous().numpy()
        return torch.from_numpy(self._session.run([output], {"stem": stem})[0])


def onnx_trunk(trunk: Any) -> nn.Module:
    """Return a trunk that runs in ONNX Runtime; the given trunk where its architecture is not supported.

    Args:
        trunk: A timm EfficientNet without squeeze-and-excitation (the Lite family), batch norm folded, in eval mode;
            or several such trunks side by side.
    """
    if isinstance(trunk, SideBySide):
        return SideBySide(onnx_trunk(each) for each in trunk.trunks)
    graph = trunk_graph(trunk)
    if graph is None:
        return trunk  # type: ignore[no-any-return]
    onnx = OnnxTrunk(trunk, session(graph))
    with torch.inference_mode():
        image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
        trunk.conv_stem.use((0.665, 0.56, 0.49))
        cosine = torch.cosine_similarity(onnx(image), trunk(image)).min()
    return onnx if cosine > _MIN_COSINE else trunk


def trunk_graph(trunk: Any) -> bytes | None:
    """Return a trunk after its first convolution as an ONNX model; None where its architecture is not supported."""
    if not all(hasattr(trunk, name) for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2", "global_pool")):
        return None
    graph = _Graph()
    try:
        value = graph.chain("stem", [trunk.bn1])
        for block in (block for stage in trunk.blocks for block in stage):
            end = graph.chain(value, block.children())
            value = graph.node("Add", [end, value]) if block.has_skip else end
        value = graph.chain(value, [trunk.conv_head, trunk.bn2])
        pooled = graph.node("Flatten", [graph.node("GlobalAveragePool", [value])])
    except _UnknownLayerError:
        return None
    return graph.model({_POOLED: pooled, _CELLS: value})


def session(model: bytes) -> Any:
    """Return an ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Spinning threads would occupy cores that the readers and the first convolution need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _UnknownLayerError(Exception):
    """A layer that the graph builder does not support."""


class _Graph:
    """Builds an ONNX graph, layer by layer."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def chain(self, value: str, layers: Iterable[nn.Module]) -> str:
        """Append layers in sequence; return the name of the output."""
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                value = self._convolution(value, layer)
            elif isinstance(layer, nn.ReLU6):
                value = self.node("Clip", [value, self._weight(np.float32(0)), self._weight(np.float32(6))])
            elif not isinstance(layer, nn.Identity) and type(layer).__name__ != "DropPath":
                raise _UnknownLayerError(type(layer).__name__)
        return value

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append one node; return the name of its output."""
        from onnx import helper

        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def model(self, outputs: dict[str, str]) -> bytes:
        """Return the serialized model with the input `stem`.

        Args:
            outputs: Name of each output and the value that it returns.
        """
        from onnx import TensorProto, helper

        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self._nodes,
            "trunk",
            [helper.make_tensor_value_info("stem", TensorProto.FLOAT, None)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self._weights,
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
        return model

    def _weight(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def _convolution(self, value: str, conv: nn.Conv2d) -> str:
        inputs = [value, self._weight(conv.weight.detach().numpy())]
        if conv.bias is not None:
            inputs.append(self._weight(conv.bias.detach().numpy()))
        # timm's Conv2dSame pads as TensorFlow does, depending on the input size.
        if type(conv).__name__ == "Conv2dSame":
            padding: dict[str, Any] = {"auto_pad": "SAME_UPPER"}
        elif isinstance(conv.padding, tuple):
            padding = {"pads": [*conv.padding, *conv.padding]}
        else:
            raise _UnknownLayerError(f"padding {conv.padding}")
        return self.node(
            "Conv",
            inputs,
            kernel_shape=list(conv.kernel_size),
            strides=list(conv.stride),
            dilations=list(conv.dilation),
            group=conv.groups,
            **padding,
        )
