"""Measures whether highlights are in the right place: does the best cell of a tile lie on what a sentence describes?

    python -m bench.pointing /data

Objects are pasted at random places into a larger tile: ship chips of Sentinel-1 (DATA/more/opensarship_s1.tar) into sea
drawn from the edge of each chip, and into land (DATA/more/s1s2_pairs.tar); labelled images in red, green and blue into
ground cover (`bench.cells`). A hit is a best cell of the highlight whose centre lies on the object; chance is the
object's share of the tile.
"""

import argparse
import io
import json
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.evaluation.bootstrap import Bootstrap, interval
from bandsight.evaluation.datasets import read_dataset
from bandsight.maps.highlights import located_vectors
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors
from bench.cells import OBJECTS, made_up

_RGB, _RADAR = (0.665, 0.56, 0.49), (5.405,)
_TILE_PX, _EDGE_PX = 128, 3

Boxes = NDArray[np.int64]
"""(row, column, side) of each object in its tile, pixels, shape (n, 3)."""


def main() -> None:
    """Print the share of hits as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with more/*.tar")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--tiles", type=int, default=600, help="tiles in red, green and blue")
    parser.add_argument("--side", type=int, default=48, help="side of an object in these, pixels of 128")
    args = parser.parse_args()
    encoder: Encoder = load_model(args.model, "cpu")
    more = args.data / "more"
    chips = [image.pixels[0] for image in read_dataset(more / "opensarship_s1.tar")]
    report = {}
    for name, ground in (("ships at sea, radar", None), ("ships on land, radar", land(more / "s1s2_pairs.tar"))):
        tiles, boxes = with_ships(chips, ground)
        ship = sentence_vectors(encoder, ["a ship"])[[0] * len(tiles)]
        report[name] = hits(encoder, tiles, _RADAR, ship, boxes)
    tiles, labels, boxes = made_up(more / "nwpu_captions.tar", args.tiles, args.side)
    texts = sentence_vectors(encoder, [f"a satellite image of {name}" for name in OBJECTS])[labels]
    report["objects on ground cover, red, green and blue"] = hits(encoder, tiles, _RGB, texts, boxes)
    print(json.dumps({"model": encoder.name, "model_digest": encoder.digest, "pointing": report}, indent=1))


def land(path: Path) -> list[NDArray[np.uint8]]:
    """Return the radar images of pairs."""
    found = []
    with tarfile.open(path) as tar:
        for name in tar.getnames():
            if name.endswith(".json") and json.load(_member(tar, name))["sensor"] == "Sentinel-1":
                image = next(one for one in tar.getnames() if one.startswith(name[:-4]) and one != name)
                pixels = np.asarray(Image.open(_member(tar, image)).convert("L"))
                found.append(pixels[:_TILE_PX, :_TILE_PX])
    return [pixels for pixels in found if pixels.shape == (_TILE_PX, _TILE_PX)]


def _member(tar: tarfile.TarFile, name: str) -> io.BytesIO:
    member = tar.extractfile(name)
    assert member is not None
    return io.BytesIO(member.read())


def with_ships(
    chips: list[NDArray[np.uint8]], ground: list[NDArray[np.uint8]] | None
) -> tuple[NDArray[np.uint8], Boxes]:
    """Return tiles (n, 1, 128, 128) with a ship somewhere, and where it is.

    Args:
        chips: Ships with some sea, shape (height, width).
        ground: Images of the size of a tile to paste them into; None to draw sea from the edge of each chip.
    """
    rng = np.random.default_rng(0)
    tiles, boxes = np.empty((len(chips), 1, _TILE_PX, _TILE_PX), np.uint8), np.empty((len(chips), 3), np.int64)
    for number, whole_chip in enumerate(chips):
        side = min(*whole_chip.shape, _TILE_PX // 2)
        chip = whole_chip[:side, :side]
        edge = np.concatenate([chip[:_EDGE_PX].ravel(), chip[-_EDGE_PX:].ravel()])
        whole = rng.choice(edge, (_TILE_PX, _TILE_PX)) if ground is None else ground[rng.integers(len(ground))]
        row, column = rng.integers(0, _TILE_PX - side + 1, 2)
        tiles[number, 0] = whole
        tiles[number, 0, row : row + side, column : column + side] = chip
        boxes[number] = row, column, side
    return tiles, boxes


def hits(
    encoder: Encoder, tiles: NDArray[np.uint8], waves: tuple[float, ...], texts: NDArray[np.float32], boxes: Boxes
) -> dict[str, object]:
    """Return the share of tiles whose best cell lies on the object, with its 95% interval, and chance."""
    right = []
    for tile, text, (row, column, side) in zip(tiles, texts, boxes, strict=True):
        scores = located_vectors(encoder, tile, waves) @ text
        best = np.argwhere(scores == scores.max()).mean(axis=0)
        y, x = ((place + 0.5) * _TILE_PX / size for place, size in zip(best, scores.shape, strict=True))
        right.append(bool(row <= y < row + side and column <= x < column + side))
    return {
        "tiles": len(right),
        "hits": round(float(np.mean(right)), 3),
        "interval": interval(Bootstrap(len(right)).mean(np.array(right, float)), 3),
        "chance": round(float((boxes[:, 2] ** 2).mean() / _TILE_PX**2), 3),
    }


if __name__ == "__main__":
    main()
