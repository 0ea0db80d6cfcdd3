"""An archive whose tiles form groups of known kinds, with a few that are copies and a few like no other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.catalog.records import SceneRecord, TileRecord
from bandsight.geo.box import LonLatBox
from tests.archive.makers import DIM, MODEL, polygon, scene, tiles
from tests.fakes import FakeEmbedder

KINDS = ("a forest", "a lake", "a city")
PER_SCENE = 40


def kind_of(number: int, tile: int) -> int:
    return (number + tile) % len(KINDS)


def rows(number: int, count: int = PER_SCENE) -> NDArray[np.float32]:
    """Vectors near those of the sentences of their kinds."""
    rng = np.random.default_rng([7, number])
    centres = FakeEmbedder().embed_texts(list(KINDS))
    made = np.stack([centres[kind_of(number, tile)] + 0.07 * rng.normal(size=DIM) for tile in range(count)])
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def box(place: int, shift: float = 0.0) -> LonLatBox:
    west, south = -60 + place % 100 + shift, -40.0 + place // 100
    return LonLatBox(west=west, south=south, east=west + 0.5, north=south + 0.5)


def entry(
    number: int, vectors: NDArray[np.float32], first_place: int, shift: float = 0.0, like: int | None = None
) -> tuple[SceneRecord, list[TileRecord], NDArray[np.float32]]:
    """A scene whose tiles lie side by side; `like` is the number of a scene with its date and sensor."""
    boxes = [box(first_place + at, shift) for at in range(len(vectors))]
    made = [
        replace(one, cell=f"cell/{number}/{at}", geometry=polygon((own,)), boxes=(own,))
        for at, (one, own) in enumerate(zip(tiles(number, len(vectors)), boxes, strict=True))
    ]
    whole = LonLatBox(west=-61, south=-41, east=61, north=41)
    twin = scene(number if like is None else like)
    record = replace(
        scene(number), geometry=polygon((whole,)), boxes=(whole,), datetime=twin.datetime, sensor=twin.sensor
    )
    return record, made, vectors


def grouped_archive(path: Path, scenes: int = 6) -> Archive:
    """Return an archive of scenes of three kinds of places each, open for reading."""
    with ArchiveWriter.create(path, MODEL) as writer:
        writer.add([entry(number, rows(number), number * PER_SCENE) for number in range(scenes)])
    return Archive.open(path)
