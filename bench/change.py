"""Measures change search on real images of one place, with artificial changes pasted into the last date.

Windows of NAIP-like images (red, green and blue first) of one place on several dates become an archive with a scene for
each date. In some windows of the last date, an image of another land cover is pasted, with its mean adjusted to the
window's, so that it cannot be found by colour alone. Then change is searched with two sentences, from all dates except
the last two to the last one.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity
from bandsight.change.requests import ChangeBody
from bandsight.change.search import change_search
from bandsight.evaluation.datasets import read_dataset
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.search.searcher import Searcher
from bench.labels import archive_entry

_WAVES = (0.65, 0.55, 0.46)


def main() -> None:
    """Run the measurement and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "dates", type=Path, nargs="+", help="image of each date, the oldest first; years in their names"
    )
    parser.add_argument("--pasted", type=Path, required=True, help="labelled images to paste from")
    parser.add_argument("--cls", default="industrial", help="class to paste")
    parser.add_argument("--was", default="farmland")
    parser.add_argument("--now", default="industrial buildings")
    parser.add_argument("--side", type=int, default=64, help="pixels of a window")
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    encoder = load_model("embedded", "cpu")
    years = [int("".join(filter(str.isdigit, path.stem))[-8:][:4]) for path in args.dates]
    windows = [_windows(path, args.side) for path in args.dates]
    patches = [one.pixels[:3] for one in read_dataset(args.pasted) if one.cls == args.cls]
    if not patches:
        parser.error(f"--cls {args.cls}: no image of this class in {args.pasted}")
    vectors = [_embedded(encoder, pixels) for pixels in windows]
    rounds = [
        _round(encoder, args, years, windows[-1], vectors, patches, np.random.default_rng(draw))
        for draw in range(args.draws)
    ]
    made = {
        "dates": years,
        "windows": len(windows[0]),
        "changes": args.changes,
        "draws": args.draws,
        **{name: round(float(np.mean([one[name] for one in rounds])), 4) for name in rounds[0]},
    }
    print(json.dumps(made, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(made, indent=1) + "\n")


def _round(
    encoder: Encoder,
    args: argparse.Namespace,
    years: list[int],
    last: NDArray[np.uint8],
    vectors: list[NDArray[np.float32]],
    patches: list[NDArray[np.uint8]],
    rng: np.random.Generator,
) -> dict[str, float]:
    chosen = rng.choice(len(last), args.changes, replace=False)
    pasted = np.stack([_fitted(patches[rng.integers(len(patches))], last[at]) for at in chosen])
    changed = vectors[-1].copy()
    changed[chosen] = _embedded(encoder, pasted)
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    with tempfile.TemporaryDirectory() as folder:
        with ArchiveWriter.create(Path(folder) / "archive", identity) as writer:
            for number, (year, rows) in enumerate(zip(years, [*vectors[:-1], changed], strict=True)):
                scene, tiles = archive_entry(len(rows))
                tiles = [replace(tile, cell=f"shared/{at}") for at, tile in enumerate(tiles)]
                when = datetime(year, 7, 1, tzinfo=UTC)
                dated = replace(scene, key=f"{number}", href=f"/{number}.tif", datetime=when)
                writer.add([(dated, tiles, rows)])
        with Archive.open(Path(folder) / "archive") as archive:
            found = change_search(
                Searcher(archive, encoder),
                ChangeBody.model_validate(
                    {
                        "before": f"../{years[-3]}-12-31",
                        "after": f"{years[-1]}-01-01/..",
                        "was": args.was,
                        "now": args.now,
                        "min_z": 0.0,
                        "limit": 10_000,
                    }
                ),
            )["features"]
            place = [int(archive.tile(one["id"]).cell.partition("/")[2]) for one in found]
    z = np.array([one["properties"]["z"] for one in found])
    truth = np.isin(place, chosen)
    unchanged = len(last) - args.changes
    return {
        "precision_at_20": float(truth[:20].mean()),
        **{f"false_alarms_z{level}": float((~truth & (z >= level)).sum() / unchanged) for level in (3, 4, 5)},
        **{f"found_z{level}": float((truth & (z >= level)).sum() / args.changes) for level in (3, 4, 5)},
    }


def _windows(path: Path, side: int) -> NDArray[np.uint8]:
    """Return the windows of an image, shape (n, 3, side, side), row by row."""
    with rasterio.open(path) as opened:
        pixels = opened.read([1, 2, 3])
    rows, cols = pixels.shape[1] // side, pixels.shape[2] // side
    cut = pixels[:, : rows * side, : cols * side].reshape(3, rows, side, cols, side)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4).reshape(-1, 3, side, side))


def _fitted(patch: NDArray[np.uint8], window: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a patch of a window's size, with the window's mean and contrast in each band."""
    values = torch.from_numpy(patch[None].astype(np.float32))
    scaled = torch.nn.functional.interpolate(values, window.shape[1:], mode="bilinear", antialias=True)[0].numpy()
    own, other = (one.reshape(3, -1).astype(np.float64) for one in (scaled, window))
    moved = (own - own.mean(1, keepdims=True)) / np.maximum(own.std(1, keepdims=True), 1)
    # Built-up areas have more contrast than fields, so use the average of both.
    contrast = (other.std(1, keepdims=True) + own.std(1, keepdims=True)) / 2
    made = moved * contrast + other.mean(1, keepdims=True)
    return np.asarray(np.clip(np.rint(made), 0, 255).reshape(window.shape), np.uint8)


def _embedded(encoder: Encoder, windows: NDArray[np.uint8]) -> NDArray[np.float32]:
    side = (encoder.image_size, encoder.image_size)
    rows: list[Any] = []
    for start in range(0, len(windows), 32):
        values = torch.from_numpy(windows[start : start + 32].astype(np.float32))
        resized = torch.nn.functional.interpolate(values, side, mode="bilinear", antialias=True)
        rows.append(encoder.embed_pixels(resized.clamp(0, 255).round().numpy().astype(np.uint8), _WAVES))
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
