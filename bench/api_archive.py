"""Creates an archive of synthetic vectors and realistic metadata for `bench.api`: scenes on UTM grids.

`python -m bench.api_archive --archive DIR --tiles 1000000` resumes where it was interrupted.
"""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.geo.footprint import footprint, footprints
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors
from bandsight.raster.bands import BandRef
from bandsight.search.recall_queries import sentences
from bench.engine.made_up import MadeUp

_TILES, _TILE_PX, _GSD_M = 20, 128, 10.0
_SCENES_PER_COMMIT = 20
_COLLECTIONS = ("sentinel2_l2a", "landsat_l2", "naip")
_BANDS = (("B02", 0.49), ("B03", 0.56), ("B04", 0.665), ("B08", 0.842))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    args = parser.parse_args()
    fill(args.archive, args.tiles)


def fill(path: Path, tiles: int) -> None:
    """Add the missing scenes to an archive, compact it, and build its search index."""
    encoder = load_model("embedded", "cpu")
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    scenes, vectors = -(-tiles // _TILES**2), made_up(encoder, tiles)
    with ArchiveWriter.open_or_create(path, identity) as archive:
        known = {scene.key for scene in archive.scenes()}
        for first in range(0, scenes, _SCENES_PER_COMMIT):
            numbers = [n for n in range(first, min(first + _SCENES_PER_COMMIT, scenes)) if _key(n) not in known]
            if numbers:
                archive.add([scene(n, vectors) for n in numbers])
                print(f"{archive.tile_count:,} tiles", flush=True)
        # Every commit wrote a vector file of its own.
        print(archive.compact(), flush=True)
        if archive.store.worth_an_index and archive.store.index_figures["index"] == "none":
            print(archive.optimize(sentence_vectors(encoder, sentences())), flush=True)


def scene(number: int, vectors: MadeUp) -> tuple[SceneRecord, list[TileRecord], NDArray[np.float32]]:
    """Return a scene with its tiles and vectors; `number` is the random seed."""
    rng = np.random.default_rng(number)
    zone, north = int(rng.integers(1, 61)), bool(rng.random() < 0.7)
    side = _TILES * _TILE_PX
    step = side * _GSD_M
    left = 300_000 + step * int(rng.integers(0, 14))
    top = step * int(rng.integers(20, 270)) if north else 10_000_000 - step * int(rng.integers(20, 200))
    crs, transform = f"EPSG:{(32600 if north else 32700) + zone}", (_GSD_M, 0.0, left, 0.0, -_GSD_M, top)
    whole = footprint(transform, crs, 0, 0, side, side)
    places = [(row, col) for row in range(_TILES) for col in range(_TILES)]
    windows = [(float(col * _TILE_PX), float(row * _TILE_PX), float(_TILE_PX), float(_TILE_PX)) for row, col in places]
    tiles = [
        TileRecord(
            cell=f"{crs}/{_TILE_PX * _GSD_M:g}/{left}_{top}_{row}_{col}",
            scale=1,
            col_off=col * _TILE_PX,
            row_off=row * _TILE_PX,
            width=_TILE_PX,
            height=_TILE_PX,
            valid_fraction=1.0,
            geometry=place.geometry,
            boxes=place.boxes,
        )
        for (row, col), place in zip(places, footprints(transform, crs, windows), strict=True)
    ]
    href = f"/scenes/{number:06d}.tif"
    record = SceneRecord(
        key=_key(number),
        href=href,
        name=f"{number:06d}.tif",
        collection=_COLLECTIONS[number % len(_COLLECTIONS)],
        sensor=_COLLECTIONS[number % len(_COLLECTIONS)],
        datetime=datetime(2017, 1, 1, tzinfo=UTC) + timedelta(hours=int(rng.integers(0, 70_000))),
        crs=crs,
        transform=transform,
        width=side,
        height=side,
        gsd_m=_GSD_M,
        bands=tuple(BandRef(name=n, wavelength_um=w, href=href, index=i) for i, (n, w) in enumerate(_BANDS, 1)),
        stretch={"kind": "fixed", "low": [0] * 4, "high": [3000] * 4},
        properties={
            "eo:cloud_cover": round(float(rng.uniform(0, 100)), 1),
            "platform": f"sat-{'abc'[number % 3]}",
            "view:sun_elevation": round(float(rng.uniform(10, 70)), 1),
        },
        geometry=whole.geometry,
        boxes=whole.boxes,
    )
    return record, tiles, vectors.images(len(tiles), number + 1)


def made_up(encoder: Encoder, tiles: int) -> MadeUp:
    """Return made-up images that vary in the directions in which the model's sentences vary."""
    texts = sentence_vectors(encoder, sentences())
    _, _, axes = np.linalg.svd(texts - texts.mean(axis=0))
    return MadeUp(encoder.dim, tiles, np.asarray(axes, np.float32))


def _key(number: int) -> str:
    return f"made-up-{number}"


if __name__ == "__main__":
    main()
