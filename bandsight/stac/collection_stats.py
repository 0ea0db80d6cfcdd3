"""Statistics of collections, computed once per generation."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bandsight.archive import Archive
from bandsight.attributes.fields import FIELDS
from bandsight.catalog.records import Hit, Scene
from bandsight.geo.box import LonLatBox, around
from bandsight.stac.bands import band_objects

# Properties in collection summaries: as ranges, and as sets of limited size.
_RANGES = ("eo:cloud_cover", "view:off_nadir", "view:sun_elevation")
_SETS = ("platform", "constellation", "gsd")
_MOST_VALUES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Statistics of a tile collection and its scenes."""

    name: str
    """Name of the collection."""
    tiles: int
    """How many there are."""
    scenes: int
    """How many there are."""
    box: LonLatBox
    """Bounding box of all tiles."""
    start: datetime | None
    """Acquisition time of the oldest scene with a known time."""
    end: datetime | None
    """The same of the newest."""
    sensors: tuple[str, ...]
    """Sensor profiles of the scenes."""
    bands: tuple[dict[str, Any], ...]
    """Distinct bands of all sensors."""
    summaries: dict[str, Any]
    """STAC summaries: ranges and sets of properties."""
    queryables: dict[str, dict[str, Any]]
    """JSON schema of each queryable property."""


class Holdings:
    """Caches the statistics of an archive until its generation changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[int, dict[str, Holding]] | None = None

    def of(self, archive: Archive) -> dict[str, Holding]:
        """Return the statistics of every collection, by name."""
        archive.refresh()
        with self._lock:
            if self._made is None or self._made[0] != archive.generation:
                self._made = archive.generation, _held(archive)
            return self._made[1]


def of_hits(hits: Iterable[Hit]) -> dict[str, Holding]:
    """Return statistics by collection for hits, as if the archive had no other tiles."""
    by_name: dict[str, list[Hit]] = {}
    for hit in hits:
        by_name.setdefault(hit.scene.collection, []).append(hit)
    made = {}
    for name, own in sorted(by_name.items()):
        scenes = {hit.scene.id: hit.scene for hit in own}
        made[name] = _holding(name, list(scenes.values()), len(own), [box for hit in own for box in hit.tile.boxes])
    return made


def _held(archive: Archive) -> dict[str, Holding]:
    by_name: dict[str, list[Scene]] = {}
    for scene in archive.scenes():
        by_name.setdefault(scene.collection, []).append(scene)
    tiles: dict[str, int] = {}
    with archive.database.reading() as catalog:
        summary = catalog.summary()
    for row in summary:
        tiles[row["collection"]] = tiles.get(row["collection"], 0) + row["tiles"]
    return {
        name: _holding(name, scenes, tiles.get(name, 0), [box for scene in scenes for box in scene.boxes])
        for name, scenes in sorted(by_name.items())
    }


def _holding(name: str, scenes: list[Scene], tiles: int, boxes: list[LonLatBox]) -> Holding:
    times = [scene.datetime.astimezone(UTC) for scene in scenes if scene.datetime is not None]
    rows = [FIELDS.properties_of(scene) for scene in scenes]
    bands: dict[tuple[str, str, float], dict[str, Any]] = {}
    for scene in scenes:
        keys = [(scene.sensor, band.name, band.wavelength_um) for band in scene.bands]
        if not bands.keys() >= set(keys):
            for key, described in zip(keys, band_objects(scene), strict=True):
                bands.setdefault(key, described)
    return Holding(
        name=name,
        tiles=tiles,
        scenes=len(scenes),
        box=around(boxes),
        start=min(times, default=None),
        end=max(times, default=None),
        sensors=tuple(sorted({scene.sensor for scene in scenes})),
        bands=tuple(bands.values()),
        summaries=_summaries(rows),
        queryables=_queryables(rows),
    )


def _summaries(rows: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in _RANGES:
        numbers = [row[name] for row in rows if isinstance(row.get(name), (int, float))]
        if numbers:
            made[name] = {"minimum": min(numbers), "maximum": max(numbers)}
    for name in _SETS:
        values = {row[name] for row in rows if isinstance(row.get(name), (str, int, float))}
        if 0 < len(values) <= _MOST_VALUES:
            made[name] = sorted(values, key=lambda value: (isinstance(value, str), value))
    return made


def _queryables(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the schema of each property, with an enum if it has few text values."""
    values: dict[str, list[Any]] = {}
    for row in rows:
        for name, value in row.items():
            if isinstance(value, (bool, int, float, str)):
                values.setdefault(name, []).append(value)
    return {name: _schema(values[name]) for name in sorted(values)}


def _schema(values: list[Any]) -> dict[str, Any]:
    """Return the most frequent type of a property's values as schema."""
    kinds = Counter("boolean" if isinstance(v, bool) else "string" if isinstance(v, str) else "number" for v in values)
    ((kind, _),) = kinds.most_common(1)
    if kind != "string" or len(kinds) > 1:
        return {"type": kind}
    texts = set(values)
    return {"type": kind, "enum": sorted(texts)} if len(texts) <= _MOST_VALUES else {"type": kind}
