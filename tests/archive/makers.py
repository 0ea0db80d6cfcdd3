"""Synthetic scenes, tiles and vectors, determined by a number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.geo.box import LonLatBox
from bandsight.geo.footprint import footprint
from bandsight.raster.bands import BandRef

DIM = 16
MODEL = ModelIdentity(name="fake", digest="f" * 64, dim=DIM, license="Apache-2.0")
COLLECTIONS, SENSORS = ("red", "green", "blue"), ("one", "two")

Entry = tuple[SceneRecord, list[TileRecord], NDArray[np.float32]]


def boxes_of(number: int) -> tuple[LonLatBox, ...]:
    """Every seventh place lies across ±180°."""
    south = -60.0 + number * 13 % 120
    west = -179.0 + number * 37 % 350
    if number % 7 == 3:
        return tuple(LonLatBox(west=179.5, south=south, east=-179.5, north=south + 2).split())
    return (LonLatBox(west=west, south=south, east=west + 2.5, north=south + 2),)


def polygon(boxes: tuple[LonLatBox, ...]) -> dict[str, object]:
    rings = [
        [[b.west, b.south], [b.east, b.south], [b.east, b.north], [b.west, b.north], [b.west, b.south]] for b in boxes
    ]
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def properties_of(number: int) -> dict[str, object]:
    """Numbers, text, true and false, null, and nothing at all."""
    made: dict[str, object] = {"platform": f"sat-{'abc'[number % 3]}", "view:off_nadir": None if number % 2 else 3}
    if number % 4 != 1:
        made["eo:cloud_cover"] = number * 7 % 100
    if number % 3 == 0:
        made["tasked"] = number % 2 == 0
    if number % 10 == 7:
        made["eo:cloud_cover"] = "unknown"
    return made


def scene(number: int, *, version: int = 0) -> SceneRecord:
    return SceneRecord(
        key=f"key-{number}-{version}",
        href=f"/scenes/{number}.tif",
        name=f"{number}.tif",
        collection=COLLECTIONS[number % 3],
        sensor=SENSORS[number % 2],
        datetime=None if number % 5 == 4 else datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number * 11 % 300),
        crs="EPSG:4326",
        transform=(0.1, 0, 0, 0, -0.1, 0),
        width=64,
        height=64,
        gsd_m=None if number % 6 == 5 else 10.0 * (1 + number % 3),
        bands=(BandRef(name="red", wavelength_um=0.665, href=f"/scenes/{number}.tif", index=1),),
        properties=properties_of(number),
        stretch={"kind": "as_is", "low": [0], "high": [255]},
        geometry=polygon(boxes_of(number)),
        boxes=boxes_of(number),
        source=None if number % 2 else {"hrefs": [f"/scenes/{number}.tif"]},
        decisions=None if number % 3 else {"version": 1, "profile": "camera", "nodata": 0.0},
        identity=None if number % 4 else f"file:{number}",
        start_datetime=datetime(2020, 1, 1, tzinfo=UTC) if number % 5 == 4 else None,
        end_datetime=datetime(2020, 1, 9, tzinfo=UTC) if number % 5 == 4 else None,
    )


def tiles(number: int, count: int) -> list[TileRecord]:
    made = []
    for n in range(count):
        boxes = tuple(boxes_of(number * 5 + n))
        made.append(
            TileRecord(
                cell=f"cell/{number}_{n}",
                scale=1,
                col_off=32 * n,
                row_off=0,
                width=32,
                height=32,
                valid_fraction=(number + n) % 11 / 10,
                cloud_fraction=None if number % 4 == 2 else (number + 3 * n) % 9 / 8,
                geometry=polygon(boxes),
                boxes=boxes,
            )
        )
    return made


def vectors(number: int, count: int, version: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng([number, version]).normal(size=(count, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def entry(number: int, count: int = 4, *, version: int = 0) -> Entry:
    return scene(number, version=version), tiles(number, count), vectors(number, count, version)


def filled(path: Path, scenes: int, count: int = 4) -> Archive:
    """Return an archive open for writing, two scenes a commit."""
    archive = ArchiveWriter.create(path, MODEL)
    for first in range(0, scenes, 2):
        archive.add([entry(n, count) for n in range(first, min(first + 2, scenes))])
    return archive


def polar(number: int, *, north: bool) -> Entry:
    """One scene of one tile over a pole, as `footprint` gives it."""
    ground = footprint(
        (1000.0, 0, -400_000, 0, -1000.0, 400_000), "EPSG:3995" if north else "EPSG:3031", 0, 0, 800, 800
    )
    over, (tile,) = scene(number), tiles(number, 1)
    place = {"geometry": ground.geometry, "boxes": ground.boxes}
    return replace(over, **place), [replace(tile, **place)], vectors(number, 1)
