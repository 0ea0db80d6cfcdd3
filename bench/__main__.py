"""Benchmarks indexing against the bare encoder, queries against their parts, and the start of the command line.

Each figure is a ratio, or a median next to its reference, from one run on one machine.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from torch.utils.flop_counter import FlopCounterMode

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.model import load_model
from bandsight.model.architecture import build_model, wavelength_inputs
from bandsight.model.clip import ClipEncoder
from bandsight.model.folder import find_model
from bandsight.model.light import LightEncoder
from bandsight.search.ranking import nearest
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from indexer.pipeline import index

_ROUNDS, _BARE_BATCHES = 5, 8
_WAVES = (0.66, 0.56, 0.46, 0.83)


def main() -> None:
    """Run the benchmarks and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2560, help="width and height of the scene, pixels")
    parser.add_argument("--out", type=Path, default=Path("bench/results/latest.json"))
    args = parser.parse_args()
    encoder = load_model("embedded")
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, Any] = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "device": str(encoder.device)},
            **towers(encoder),
            **indexing(encoder, Path(folder), args.side),
            **queries(encoder, Path(folder) / "archive0"),
            **startup(),
        }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def towers(encoder: ClipEncoder | LightEncoder) -> dict[str, Any]:
    """Compare the throughput of the image tower with that of a matrix product, and time a text.

    The two run alternately; the result is the median of the ratios.
    """
    side = encoder.image_size
    image = np.zeros((64, 3, side, side), np.uint8)
    per_tile = _flop(side)
    a = torch.rand(2048, 2048)
    rounds = []
    for _ in range(_ROUNDS):
        seconds = _median_ms(lambda: a @ a, 5) / 1000
        matmul = 2 * 2048**3 / seconds
        tiles = len(image) / (_median_ms(lambda: encoder.embed_pixels(image, (0.665, 0.56, 0.49)), 5) / 1000)
        rounds.append((tiles * per_tile / matmul, tiles, matmul))
    ratio, tiles, matmul = sorted(rounds)[_ROUNDS // 2]
    return {
        "towers": {
            "image_gflop_per_tile": round(per_tile / 1e9, 4),
            "image_tiles_per_s": round(tiles, 1),
            "matmul_gflop_per_s": round(matmul / 1e9, 1),
            "image_ratio_to_matmul": round(ratio, 3),
            "ratios": [round(r, 3) for r, _, _ in rounds],
            "text_ms": _median_ms(lambda: encoder.embed_texts(["a river beside fields"])),
        }
    }


def _flop(side: int) -> int:
    """Return the FLOP for one tile, counted in PyTorch, which cannot count other runtimes."""
    folder = find_model("embedded")
    model = build_model(folder.config["model_cfg"], folder.path, folder.trunk_args).eval()
    for stage in wavelength_inputs(model):
        stage.use((0.665, 0.56, 0.49))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.visual(torch.zeros(1, 3, side, side))
    return int(counter.get_total_flops())


def indexing(encoder: ClipEncoder | LightEncoder, folder: Path, side: int) -> dict[str, Any]:
    """Compare indexing a tiled, compressed scene of four bands with embedding as many tiles from memory.

    Bare encoder and job run alternately, because the machine may be shared; the result is the median of the ratios.
    """
    scene = _scene(folder / "naip_scene.tif", side)
    tile_px = encoder.image_size
    tiles = np.random.default_rng(0).integers(0, 256, (64, len(_WAVES), tile_px, tile_px), np.uint8)
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    encoder.embed_pixels(tiles, _WAVES)
    rounds = []
    for number in range(_ROUNDS):
        start = time.perf_counter()
        for _ in range(_BARE_BATCHES):
            encoder.embed_pixels(tiles, _WAVES)
        bare = _BARE_BATCHES * len(tiles) / (time.perf_counter() - start)
        with ArchiveWriter.create(folder / f"archive{number}", identity) as archive:
            start = time.perf_counter()
            summary = index([scene], archive=archive, model=encoder, sensor="rgbn")
            job = summary.tiles / (time.perf_counter() - start)
        rounds.append((job / bare, job, bare))
    ratio, job, bare = sorted(rounds)[_ROUNDS // 2]
    return {
        "indexing": {
            "tiles": summary.tiles,
            "job_tiles_per_s": round(job, 1),
            "bare_encoder_tiles_per_s": round(bare, 1),
            "ratio": round(ratio, 3),
            "ratios": [round(r, 3) for r, _, _ in rounds],
        }
    }


def queries(encoder: ClipEncoder | LightEncoder, archive: Path) -> dict[str, Any]:
    """Time queries, and the part of the model in each."""
    with Archive.open(archive) as opened:
        tile = nearest(opened, encoder.embed_texts(["a river"]), 1)[0][0].tile.id
        pixels = np.random.default_rng(1).integers(0, 256, (3, 512, 512), np.uint8)
        waves = (0.665, 0.56, 0.49)
        # The image is already decoded, because decoding is not measured here.
        searcher = Searcher(opened, encoder, lambda *_: (pixels, waves))

        def ms(example: dict[str, Any]) -> float:
            return _median_ms(lambda: search(searcher, request_of({"semantic": {"positive": [example]}, "limit": 10})))

        return {
            "queries_ms": {
                "tiles": opened.stats()["tiles"],
                "text": ms({"text": "a river beside fields"}),
                "text_in_the_model": _median_ms(lambda: encoder.embed_texts(["a river beside fields"])),
                "image": ms({"image": {"data": b"."}}),
                "image_in_the_model": _median_ms(lambda: encoder.embed_pixels(pixels[None], waves)),
                "similar": ms({"id": tile}),
            }
        }


def startup() -> dict[str, Any]:
    """Compare `bandsight --help` with starting Python alone."""

    def run(*arguments: str) -> float:
        return _median_ms(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True), 7)

    return {"startup_ms": {"help": run("-m", "bandsight.cli", "--help"), "python": run("-c", "pass")}}


def _median_ms(call: Callable[[], object], repeats: int = 20) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1000, 1)


def _scene(path: Path, side: int) -> Path:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (len(_WAVES), side // 8, side // 8), np.uint8)
    profile = {"driver": "GTiff", "width": side, "height": side, "count": len(_WAVES), "dtype": "uint8"}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    place = {"crs": "EPSG:32633", "transform": from_origin(400_000, 5_800_000, 1, 1)}
    with rasterio.open(path, "w", **profile, **layout, **place) as dataset:
        dataset.write(np.kron(coarse, np.ones((1, 8, 8), np.uint8)))
    return path


if __name__ == "__main__":
    main()
