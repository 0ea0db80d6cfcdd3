"""An archive whose vectors show a class or not, at places of their own, on several dates."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.geo.box import LonLatBox
from tests.archive.makers import DIM, MODEL, polygon, scene, tiles
from tests.fakes import FakeEmbedder

SENTENCE = "a pond"
STEP = 0.1


def is_pond(place: int) -> bool:
    """Every fifth place is a pond."""
    return place % 5 == 0


def box(place: int) -> LonLatBox:
    """Places lie on a lattice, three sides apart."""
    west, south = 10 + place % 40 * STEP, 40 + place // 40 * STEP
    return LonLatBox(west=west, south=south, east=west + STEP / 3, north=south + STEP / 3)


def vectors_of(places: range, date: int, *, noise: float = 0.25) -> NDArray[np.float32]:
    """Ponds lie towards the vector of the sentence, everything along one direction that all share."""
    rng = np.random.default_rng([places.start, date])
    common = np.zeros(DIM)
    common[0] = 3.0
    towards = FakeEmbedder().embed_texts([SENTENCE])[0]
    rows = [common + is_pond(place) * towards + rng.normal(size=DIM) * noise for place in places]
    stacked = np.stack(rows)
    return (stacked / np.linalg.norm(stacked, axis=1, keepdims=True)).astype(np.float32)


def dated(places: range, date: int) -> tuple[SceneRecord, list[TileRecord], NDArray[np.float32]]:
    """One scene of the places, at a date."""
    number = places.start + 1000 * date
    boxes = [box(place) for place in places]
    around = LonLatBox(west=10, south=40, east=14, north=44)
    made = [
        replace(tile, cell=f"cell/{place}", geometry=polygon((own,)), boxes=(own,))
        for place, own, tile in zip(places, boxes, tiles(number, len(places)), strict=True)
    ]
    record = replace(
        scene(number),
        datetime=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=30 * date),
        geometry=polygon((around,)),
        boxes=(around,),
        start_datetime=None,
        end_datetime=None,
    )
    return record, made, vectors_of(places, date)


def pond_archive(path: Path, places: int = 200, dates: int = 1) -> Archive:
    """Return an archive of places, each once a date, open for reading."""
    with ArchiveWriter.create(path, MODEL) as writer:
        for date in range(dates):
            writer.add([dated(range(start, start + 50), date) for start in range(0, places, 50)])
    return Archive.open(path)


def place_of(archive: Archive, tile: int) -> int:
    return int(archive.tile(tile).cell.removeprefix("cell/"))


def label_truly(archive: Archive, name: str, ids: list[int], annotator: str = "ada") -> None:
    """Label tiles with what they are."""
    archive.labels.add(name, {one: "pond" if is_pond(place_of(archive, one)) else "none" for one in ids}, annotator)
