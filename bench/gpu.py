"""Benchmarks a large model on a GPU: alone, fed from memory, and in indexing jobs, against a matrix product.

The image tower is DOFA-CLIP's so400m at 384 pixels with random weights, on which speed does not depend. PyTorch counts
the FLOP. The roofline is the throughput of a product of two large bf16 matrices in the same run. Jobs index COGs on
disk, including readers and commits. Needs CUDA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from torch.utils.flop_counter import FlopCounterMode

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.errors import ModelError
from bandsight.model.architecture import build_model, wavelength_inputs
from bandsight.model.clip import ClipEncoder
from bandsight.model.loader import load_model, pick_device
from bandsight.model.preprocess import Preprocess
from indexer.events import Event, Note
from indexer.pipeline import index

_WAVES = (0.665, 0.56, 0.49)
_SO400M: dict[str, Any] = {
    "embed_dim": 1152,
    "init_logit_bias": -10,
    "vision_cfg": {
        "image_size": 384,
        "timm_model_name": "dofa_vit_so400m_patch14_siglip_384",
        "timm_pool": "map",
        "timm_proj": "none",
    },
    # Unused, so it is as small as possible.
    "text_cfg": {"context_length": 8, "vocab_size": 8, "width": 64, "heads": 1, "layers": 1},
}
_MATRIX = 8192


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", help="model to measure instead, e.g. local-dir:PATH")
    parser.add_argument("--batch", type=int, default=64, help="tiles per batch")
    parser.add_argument("--side", type=int, default=9600, help="width and height of each scene, pixels")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--workers", type=int, default=max(2, (os.cpu_count() or 2) // 2), help="reader processes")
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu.json"))
    args = parser.parse_args()
    try:
        device = pick_device(args.device)
    except ModelError as error:
        sys.exit(f"cannot run the benchmark: {error}")
    encoder = load_model(args.model, args.device, check=False) if args.model else _random_model(device)
    results = measure(
        encoder, batch=args.batch, side=args.side, scenes=args.scenes, workers=args.workers, matrix=_MATRIX
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure(encoder: ClipEncoder, *, batch: int, side: int, scenes: int, workers: int, matrix: int) -> dict[str, Any]:
    """Measure the tower alone, with tiles from memory, and in jobs; plain, and compiled if that is faster."""
    size, device = encoder.image_size, encoder.device
    flop = _flop(encoder)
    roofline = _matmul_flops(device, matrix)
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "cpus": os.cpu_count(),
        "batch": batch,
        "gflop_per_image": round(flop / 1e9, 1),
        "matrix_product_tflop_per_s": round(roofline / 1e12, 1),
        "roofline_images_per_s": round(roofline / flop, 1),
    }
    pixels = np.random.default_rng(0).integers(0, 256, (batch, len(_WAVES), size, size), np.uint8)

    def both() -> dict[str, Any]:
        speeds = {"tower": _tower(encoder, batch), "from_memory": _from_memory(encoder, pixels)}
        return {
            name: {"images_per_s": round(speed, 1), "of_roofline": round(speed * flop / roofline, 3)}
            for name, speed in speeds.items()
        }

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cogs = [_cog(folder / f"{number}.tif", side, number) for number in range(scenes)]
        found["plain"] = both() | {"job": _job(encoder, cogs, folder / "plain", batch, workers)}
        found["torch_compile"] = encoder.speed_up(pixels, _WAVES)
        if ": on" in (found["torch_compile"] or ""):
            found["compiled"] = both() | {"job": _job(encoder, cogs, folder / "compiled", batch, workers)}
    for how in ("plain", "compiled"):
        if how in found:
            job, bare = found[how]["job"], found[how]["tower"]
            job["of_tower"] = round(job["images_per_s"] / bare["images_per_s"], 3)
            job["of_roofline"] = round(job["images_per_s"] * flop / roofline, 3)
    return found


def _random_model(device: torch.device) -> ClipEncoder:
    torch.manual_seed(0)
    model = build_model(_SO400M, Path(), {})
    size = _SO400M["vision_cfg"]["image_size"]
    return ClipEncoder(
        model,
        preprocess=Preprocess(size=size, mean=0.5, std=0.5, interpolation="bicubic", resize_mode="squash"),
        tokenizer=lambda texts: torch.zeros(len(texts), 8, dtype=torch.int64),
        device=device,
        name="so400m-384, random weights",
        digest="0" * 64,
        license="none",
    )


def _flop(encoder: ClipEncoder) -> int:
    """Return the FLOP for one image, counted in the plain tower."""
    image = torch.zeros(1, len(_WAVES), encoder.image_size, encoder.image_size)
    for stage in wavelength_inputs(encoder._model):  # noqa: SLF001  (the benchmark needs the tower alone)
        stage.use(_WAVES)
    encoder.encode_image(image, _WAVES)
    with FlopCounterMode(display=False) as counter:
        encoder.encode_image(image, _WAVES)
    return int(counter.get_total_flops())


def _matmul_flops(device: torch.device, side: int) -> float:
    """Return the FLOP/s of a product of two square bf16 matrices."""
    a = torch.rand(side, side, device=device).to(torch.bfloat16)
    seconds = _seconds(lambda: a @ a, device)
    return float(2 * side**3 / seconds)


def _tower(encoder: ClipEncoder, batch: int) -> float:
    """Return images/s of the tower on a batch that is already on the device."""
    image = torch.rand(batch, len(_WAVES), encoder.image_size, encoder.image_size, device=encoder.device) * 2 - 1
    return batch / _seconds(lambda: encoder.encode_image(image, _WAVES, normalize=True), encoder.device)


def _from_memory(encoder: ClipEncoder, pixels: Any, passes: int = 20) -> float:
    """Return images/s for tiles from host memory, with overlapping batches."""
    encoder.embed_pixels(pixels, _WAVES)
    start = time.perf_counter()
    last = encoder.begin_pixels(pixels, _WAVES)
    for _ in range(passes - 1):
        following = encoder.begin_pixels(pixels, _WAVES)
        last.result()
        last = following
    last.result()
    return float(passes * len(pixels) / (time.perf_counter() - start))


def _job(encoder: ClipEncoder, cogs: Sequence[Path], place: Path, batch: int, workers: int) -> dict[str, Any]:
    """Index scenes; return images/s and the utilisation of the GPU, from its counters and from events per batch."""
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    notes = _Notes()
    with ArchiveWriter.create(place, identity) as archive, _gpu_busy(encoder.device) as busy:
        summary = index(
            cogs, archive=archive, model=encoder, batch_size=batch, workers=workers, isolate=True, progress=notes
        )
    assert not summary.failed, summary.failed
    return {
        "tiles": summary.tiles,
        "seconds": round(summary.seconds, 2),
        "images_per_s": round(summary.tiles_per_s, 1),
        "model_busy": round(summary.encode_s / summary.seconds, 3),
        "gpu_busy": round(statistics.mean(busy) / 100, 3) if busy else None,
        "workers": workers,
        "notes": notes.texts,
    }


class _Notes:
    """Records the notes of a job."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def on(self, event: Event) -> None:
        if isinstance(event, Note):
            self.texts.append(event.text)


@contextmanager
def _gpu_busy(device: torch.device) -> Iterator[list[float]]:
    """Yield a list that is filled on exit with the GPU utilisation in percent, ten samples per second."""
    samples: list[float] = []
    if device.type != "cuda":
        yield samples
        return
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    command = ["nvidia-smi", "-i", f"GPU-{uuid}", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with subprocess.Popen([*command, "-lms", "100"], stdout=subprocess.PIPE, text=True) as watch:
        yield samples
        watch.terminate()
        assert watch.stdout is not None
        for line in watch.stdout:
            with suppress(ValueError):
                samples.append(float(line))


def _cog(path: Path, side: int, seed: int) -> Path:
    """Write an image with noise like that of a photo as a COG."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (len(_WAVES), -(-side // 16), -(-side // 16)), np.uint8)
    values = np.kron(coarse, np.ones((1, 16, 16), np.uint8))[:, :side, :side]
    values += rng.integers(0, 16, values.shape, np.uint8)
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000 + 2 * side * seed, 5_800_000, 1, 1)}
    profile = {"driver": "COG", "width": side, "height": side, "count": len(_WAVES), "dtype": "uint8"}
    with rasterio.open(path, "w", compress="deflate", overviews="none", **profile, **place) as dataset:
        dataset.colorinterp = [rasterio.enums.ColorInterp[name] for name in ("red", "green", "blue")]
        dataset.write(values)
    return path


def _seconds(call: Callable[[], object], device: torch.device, repeats: int = 10) -> float:
    """Return the time of one call in a sequence of asynchronous calls; median of three rounds."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    call()
    rounds = []
    for _ in range(3):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        wait()
        rounds.append((time.perf_counter() - start) / repeats)
    return statistics.median(rounds)


if __name__ == "__main__":
    main()
