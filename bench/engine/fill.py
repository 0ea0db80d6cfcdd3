"""Fills an archive with made-up scenes around given vectors, through the same calls as an index job."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef

TILES_A_SCENE, _SCENES_A_COMMIT = 1000, 20
# Of an archive of many millions, which is written in one go: about as large as segments are after a compaction.
_SCENES_A_LARGE_COMMIT = 200
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def add(archive: ArchiveWriter, vectors: NDArray[np.float16], first_scene: int = 0) -> None:
    """Add vectors as scenes of a thousand tiles, twenty scenes a commit.

    Scenes stand side by side along the equator in an order drawn at random, each with its tiles strewn over it.
    """
    places = np.random.default_rng(0).permutation(len(vectors) // TILES_A_SCENE + 1)
    width = 360 / len(places)
    rows = TILES_A_SCENE
    batch = []
    for number, start in enumerate(range(0, len(vectors), rows)):
        values = np.asarray(vectors[start : start + rows], np.float32)
        west = -180 + width * places[number]
        batch.append(
            (_scene(first_scene + number, west, width), list(_tiles(number, west, width, len(values))), values)
        )
        if len(batch) == _SCENES_A_COMMIT:
            archive.add(batch)
            batch = []
    archive.add(batch)


def grow(archive: ArchiveWriter, drawn: Callable[[int, int], NDArray[np.float32]], rows: int) -> None:
    """Add the scenes that an archive of so many rows still lacks, as `add` does, with vectors drawn on the way.

    Args:
        archive: Empty, or stopped between two commits of an earlier call.
        drawn: Returns the vectors of some rows, from one to before another, shape (n, dim).
        rows: How many there shall be in the end, a multiple of a thousand.
    """
    scenes = rows // TILES_A_SCENE
    places = np.random.default_rng(0).permutation(scenes + 1)
    width = 360 / len(places)
    for first in range(archive.tile_count // TILES_A_SCENE, scenes, _SCENES_A_LARGE_COMMIT):
        batch = []
        for number in range(first, min(first + _SCENES_A_LARGE_COMMIT, scenes)):
            values = drawn(number * TILES_A_SCENE, (number + 1) * TILES_A_SCENE)
            west = -180 + width * places[number]
            batch.append((_scene(number, west, width), list(_tiles(number, west, width, TILES_A_SCENE)), values))
        archive.add(batch)


def model(dim: int) -> ModelIdentity:
    """Return a made-up model."""
    return ModelIdentity(name="made up", digest="0" * 64, dim=dim, license="Apache-2.0")


def strip(share: float) -> Filter:
    """Return a box that lets about a share of the tiles pass: some of the scenes, whole, and parts of one or two."""
    return Filter(boxes=(LonLatBox(west=-180, south=-90, east=-180 + 360 * share, north=90),))


def resident(paths: Sequence[Path]) -> dict[str, int]:
    """Return this process's resident bytes: its own, and those of mapped files by folder name.

    In proportion (Pss), since FAISS maps a file twice and the pages are there once.
    """
    found = {"own": 0, **{path.name: 0 for path in paths}}
    name = "own"
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            mapped = Path(words[5]) if len(words) > 5 else None
            name = next((path.name for path in paths if mapped and path in mapped.parents), "own")
        elif words[0] == "Pss:":
            found[name] += 1024 * int(words[1])
    return found


def _scene(number: int, west: float, width: float) -> SceneRecord:
    box = LonLatBox(west=west, south=-10, east=west + width, north=10)
    return SceneRecord(
        key=f"key-{number}",
        href=f"/scenes/{number}.tif",
        name=f"{number}.tif",
        collection=f"collection-{number % 5}",
        sensor=f"sensor-{number % 3}",
        datetime=_EPOCH + timedelta(hours=number),
        crs="EPSG:4326",
        transform=(1e-4, 0, west, 0, -1e-4, 10),
        width=10_000,
        height=10_000,
        gsd_m=10.0,
        bands=(BandRef(name="red", wavelength_um=0.665, href=f"/scenes/{number}.tif", index=1),),
        properties={"eo:cloud_cover": number * 7 % 100},
        stretch={"kind": "as_is", "low": [0], "high": [255]},
        geometry=_polygon(box),
        boxes=(box,),
    )


def _tiles(number: int, west: float, width: float, count: int) -> Iterator[TileRecord]:
    rng = np.random.default_rng(number)
    wests = rng.uniform(west, west + width - 1e-4, count).tolist()
    for n, (left, south) in enumerate(zip(wests, rng.uniform(-10, 9.9, count).tolist(), strict=True)):
        box = LonLatBox(west=left, south=south, east=left + 1e-4, north=south + 0.01)
        yield TileRecord(
            cell=f"cell/{number}_{n}",
            scale=1,
            col_off=n,
            row_off=0,
            width=128,
            height=128,
            valid_fraction=1.0,
            geometry=_polygon(box),
            boxes=(box,),
        )


def _polygon(box: LonLatBox) -> dict[str, object]:
    west, south, east, north = box.west, box.south, box.east, box.north
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}
