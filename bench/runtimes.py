"""Compares runtimes for the embedded model's image tower on a CPU: speed, and cosine to plain PyTorch.

    python -m bench.runtimes /data/places

The runtimes take turns on one trunk of the tower, with pixels in memory. The int8 model is calibrated on random crops
of the same images.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from bandsight.evaluation.datasets import read_dataset
from bandsight.model.architecture import SideBySide, build_model, fold_batch_norm
from bandsight.model.checkpoint import load_strictly, read_weights
from bandsight.model.efficientnet import trunk_model
from bandsight.model.folder import find_model
from bandsight.model.onnx_graph import session_options
from bandsight.model.preprocess import Preprocess

_RGB_UM = (0.665, 0.56, 0.49)
_BATCH, _ROUNDS = 32, 7


def main() -> None:
    """Print speed and agreement of each runtime as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, help="labelled images, a folder or tar as for `bandsight evaluate`")
    parser.add_argument("--model", default="embedded")
    args = parser.parse_args()
    folder = find_model(args.model)
    model = build_model(folder.config["model_cfg"], folder.path, folder.trunk_args)
    load_strictly(model, read_weights(folder), args.model)
    trunk: Any = model.eval().requires_grad_(False).visual.trunk
    # The first of several trunks; the others have the same architecture.
    several = isinstance(trunk, SideBySide)
    trunk = trunk.trunks[0] if several else trunk
    prefix = "visual.trunk.trunks.0." if several else "visual.trunk."
    graph = trunk_model(_after_the_stem(read_weights(folder), prefix))
    trunk.conv_stem.use(_RGB_UM)
    side = int(folder.config["model_cfg"]["vision_cfg"]["image_size"])
    preprocess = Preprocess.from_config(folder.config["preprocess_cfg"], side)
    images = read_dataset(args.images, resized=preprocess.resized)[: 4 * _BATCH]
    pixels = preprocess.scaled(torch.from_numpy(np.stack([image.pixels for image in images])))
    batches = list(torch.split(pixels, _BATCH))
    with torch.inference_mode():
        runtimes = _runtimes(trunk, graph, batches)
        for run in runtimes.values():
            run(batches[0])
        seconds: dict[str, list[float]] = {name: [] for name in runtimes}
        for _ in range(_ROUNDS):
            for name, run in runtimes.items():
                start = time.perf_counter()
                run(batches[0])
                seconds[name].append(time.perf_counter() - start)
        plain = torch.cat([runtimes["PyTorch"](batch) for batch in batches])
        report = {}
        for name, run in runtimes.items():
            cosine = torch.cosine_similarity(plain, torch.cat([run(batch) for batch in batches]))
            report[name] = {
                "tiles_per_s": round(_BATCH / statistics.median(seconds[name]), 1),
                "least_cosine_to_pytorch": round(float(cosine.min()), 6),
            }
    print(json.dumps({"threads": torch.get_num_threads(), "side": side, "runtimes": report}, indent=1))


def _after_the_stem(weights: dict[str, Tensor], prefix: str) -> dict[str, np.ndarray]:
    own = {name.removeprefix(prefix): value.numpy() for name, value in weights.items() if name.startswith(prefix)}
    return {name: value for name, value in own.items() if not name.startswith(("conv_stem.", "bn1."))}


def _runtimes(trunk: Any, graph: bytes, batches: list[Tensor]) -> dict[str, Callable[[Tensor], Tensor]]:
    folded = copy.deepcopy(trunk)
    fold_batch_norm(folded)
    channels_last = copy.deepcopy(folded).to(memory_format=torch.channels_last)

    def in_onnx(onnx_session: Any) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.from_numpy(onnx_session.run(None, {"stem": folded.conv_stem(x).contiguous().numpy()})[0])

    stems = [folded.conv_stem(batch).contiguous().numpy() for batch in batches[1:]]
    return {
        "PyTorch": trunk,
        "batch norm folded": folded,
        "folded, channels last": lambda x: channels_last(x.contiguous(memory_format=torch.channels_last)),
        "folded, torch.compile": torch.compile(copy.deepcopy(folded)),
        "folded, ONNX Runtime": in_onnx(_session(graph)),
        "folded, ONNX Runtime, int8": in_onnx(_session(_int8(graph, stems))),
    }


def _session(model: bytes) -> Any:
    return onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])


def _int8(graph: bytes, stems: list[np.ndarray]) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(stems)

        def get_next(self) -> dict[str, np.ndarray] | None:
            stem = next(self._rest, None)
            return None if stem is None else {"stem": stem}

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(graph)
        quantize_static(before, after, Reader(), per_channel=True, weight_type=QuantType.QInt8, reduce_range=True)
        return after.read_bytes()


if __name__ == "__main__":
    main()
