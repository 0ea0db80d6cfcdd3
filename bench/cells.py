"""Measures how well objects smaller than half a tile are found by whole tiles, by best cells, and by small tiles.

    python -m bench.cells /data --tiles 600 --side 48

Labelled images of DATA/more/nwpu_captions.tar (the format of `bandsight evaluate`) are pasted at random positions into
images of land cover. Each kind of object is searched for by a sentence. Mean average precision and precision at 10 are
averaged over the kinds. Times are processor times of one thread: run it with OMP_NUM_THREADS=1.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.evaluation.datasets import read_dataset
from bandsight.model import load_model
from bandsight.model.protocol import BatchEncoder
from bandsight.model.scoring import sentence_vectors
from bandsight.vectors.cells import CellCodes

_WAVES = (0.665, 0.56, 0.49)
_TILE_PX, _BATCH, _CELLS, _ROUNDS = 128, 256, 4, 5
OBJECTS = (
    *("airplane", "storage tank", "tennis court", "stadium", "baseball diamond", "roundabout", "ship", "harbor"),
    *("bridge", "church", "basketball court", "overpass", "parking lot", "island", "golf course", "mobile home park"),
    *("circular farmland", "ground track field", "thermal power station", "palace"),
)
_GROUND = (
    *("forest", "meadow", "desert", "rectangular farmland", "mountain", "wetland", "chaparral", "lake", "terrace"),
    *("snowberg", "sea ice", "beach", "sparse residential"),
)

Floats = NDArray[np.float32]


def main() -> None:
    """Print precision, sizes and times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with more/nwpu_captions.tar")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--tiles", type=int, default=600)
    parser.add_argument("--side", type=int, default=48, help="side of an object, pixels of 128")
    args = parser.parse_args()
    model: BatchEncoder = load_model(args.model, "cpu")
    tiles, labels, _ = made_up(args.data / "more" / "nwpu_captions.tar", args.tiles, args.side)
    queries = sentence_vectors(model, [f"a satellite image of {name}" for name in OBJECTS])
    begun = [model.begin_pixels(part, _WAVES, _CELLS) for part in _parts(tiles)]
    whole = np.concatenate([one.result() for one in begun])
    dense = np.concatenate([cells for one in begun if (cells := one.cells()) is not None])
    codes = CellCodes.encode(dense)
    exact = dense.reshape(len(dense), -1, dense.shape[-1])
    report = {
        "whole tiles": precision(whole @ queries.T, labels),
        "best cell, float32": precision((exact @ queries.T).max(axis=1), labels),
        "best cell, as stored": precision(codes.cosines(queries).max(axis=2).T, labels),
        **{
            f"best tile of {px} pixels": precision((cut(model, tiles, px) @ queries.T).max(axis=1), labels)
            for px in (64, 32)
        },
    }
    sizes = {"vector": 2 * whole.shape[1], "cells": codes.records[0].nbytes}
    print(json.dumps({"precision": report, "bytes_a_tile": sizes, "times": times(model, tiles, codes)}, indent=1))


def made_up(path: Path, count: int, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return tiles (n, 3, 128, 128) of land cover with an object somewhere.

    Also return the kind of each object, shape (n,), and its row, column and side in the tile, shape (n, 3).
    """
    rng = np.random.default_rng(0)
    images = defaultdict(list)
    for image in read_dataset(path):
        images[image.cls].append(image.pixels)

    def one(kind: str, size: int) -> NDArray[np.uint8]:
        pixels = images[kind][rng.integers(len(images[kind]))].transpose(1, 2, 0)
        return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)).transpose(2, 0, 1)

    tiles, labels = np.empty((count, 3, _TILE_PX, _TILE_PX), np.uint8), rng.integers(0, len(OBJECTS), count)
    boxes = np.full((count, 3), side)
    for tile, label, box in zip(tiles, labels, boxes, strict=True):
        tile[:] = one(_GROUND[rng.integers(len(_GROUND))], _TILE_PX)
        row, column = rng.integers(0, _TILE_PX - side + 1, 2)
        tile[:, row : row + side, column : column + side] = one(OBJECTS[label], side)
        box[:2] = row, column
    return tiles, labels, boxes


def cut(model: BatchEncoder, tiles: NDArray[np.uint8], px: int) -> Floats:
    """Return vectors (n, parts, dim) of tiles divided into small tiles, each embedded separately."""
    count = _TILE_PX // px
    parts = tiles.reshape(len(tiles), 3, count, px, count, px).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 3, px, px)
    vectors = [model.embed_pixels(np.ascontiguousarray(part), _WAVES) for part in _parts(parts)]
    return np.concatenate(vectors).reshape(len(tiles), count * count, -1)


def precision(scores: Floats, labels: NDArray[np.int64]) -> dict[str, float]:
    """Return mean average precision and precision at 10 for scores (n, kinds) and labels (n,)."""
    right = [labels[np.argsort(-scores[:, kind], kind="stable")] == kind for kind in range(scores.shape[1])]
    average = [(np.cumsum(one) / np.arange(1, len(one) + 1))[one].mean() for one in right if one.any()]
    return {"map": round(float(np.mean(average)), 3), "p_at_10": round(float(np.mean([r[:10] for r in right])), 3)}


def times(model: BatchEncoder, tiles: NDArray[np.uint8], codes: CellCodes) -> dict[str, float]:
    """Return the ratio of embedding times with and without cells, and the ms to search the cells of 2,000 tiles."""
    plain, cells = [], []
    for number in range(_ROUNDS):
        part = tiles[:64] if number % 2 else tiles[-64:]
        began = time.process_time()
        model.begin_pixels(part, _WAVES).result()
        between = time.process_time()
        CellCodes.encode(np.asarray(model.begin_pixels(part, _WAVES, _CELLS).cells()))
        plain.append(between - began)
        cells.append(time.process_time() - between)
    many = CellCodes(codes.records[np.arange(2000) % len(codes)])
    direction = np.full((1, model.dim), model.dim**-0.5, np.float32)
    scoring = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        many.cosines(direction)
        scoring.append(1000 * (time.process_time() - began))
    return {
        "embedding_with_cells_over_without": round(float(np.median(cells) / np.median(plain)), 3),
        "ms_of_2000_tiles": round(float(np.median(scoring)), 2),
    }


def _parts(values: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [values[start : start + _BATCH] for start in range(0, len(values), _BATCH)]


if __name__ == "__main__":
    main()
