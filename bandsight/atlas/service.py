"""The atlas as documents and arrays, shared by the API, the client and the command line."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.atlas.atlas import Atlas, extend, load, path_of, sizes
from bandsight.atlas.requests import AtlasValues
from bandsight.attributes.columns import NO_TIME, SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.search.items import filter_of
from bandsight.search.question import question_of
from bandsight.search.request import query_of_body
from bandsight.search.searcher import Searcher
from bandsight.search.zero_shot import check_labels, label_vectors

MAX_POINTS = 1_000_000
"""Maximum number of points in a response; of more tiles, an even sample is sent."""
PART = 100_000
"""Number of points in a part of the response."""
NO_DAY = -(2**31)
"""Day of scenes without a date."""
# Maximum number of new tiles placed during a request, which takes some seconds.
_PLACED = 20_000
_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chart:
    """The atlas of one commit, with the attributes for colouring its points."""

    atlas: Atlas
    """The points in the response."""
    tiles: int
    """Number of tiles in the archive."""
    missing: int
    """Number of tiles that are newer than the atlas and have no position."""
    generation: int
    """The commit."""
    days: NDArray[np.int32]
    """Day of each point since 1970, `NO_DAY` if unknown, shape (n,)."""
    sensor: NDArray[np.uint16]
    """Index of each point's sensor in `sensors`, shape (n,)."""
    sensors: tuple[str, ...]
    """Names of the sensors."""

    def part(self, number: int) -> bytes:
        """Return a part of the points, column after column, little-endian.

        The columns are id (float64), x and y of each point (float32, two for each), day (int32), cluster (int16),
        sensor (uint16): 24 bytes per point.

        Raises:
            QueryError: There is no such part.
        """
        count = self.parts
        if not 0 <= number < count:
            raise QueryError(f"part: found {number}; the atlas has {count}, from 0")
        rows = slice(number * PART, (number + 1) * PART)
        columns = (
            (self.atlas.ids[rows], "<f8"),
            (self.atlas.points[rows], "<f4"),
            (self.days[rows], "<i4"),
            (self.atlas.cluster[rows], "<i2"),
            (self.sensor[rows], "<u2"),
        )
        return b"".join(np.ascontiguousarray(values, kind).tobytes() for values, kind in columns)

    @property
    def parts(self) -> int:
        """Number of parts."""
        return max(1, -(-len(self.atlas.ids) // PART))

    def document(self) -> dict[str, Any]:
        """Return the description of the atlas, as JSON values."""
        counts = sizes(self.atlas)
        return {
            "points": len(self.atlas.ids),
            "tiles": self.tiles,
            "missing": self.missing,
            "parts": self.parts,
            "part_size": PART,
            "generation": self.generation,
            "created": self.atlas.created,
            "sample": len(self.atlas.sample),
            "sensors": list(self.sensors),
            "clusters": [
                {"id": number, "name": one.name, "words": list(one.words), "x": one.x, "y": one.y, "tiles": count}
                for number, (one, count) in enumerate(zip(self.atlas.clusters, counts, strict=False))
            ],
            "unclustered": counts[-1],
        }


class AtlasService:
    """Handles requests about the atlas of an open archive; caches it until the next commit or build."""

    def __init__(self, searcher: Searcher) -> None:
        """Initialize; the archive may have no atlas yet."""
        self._searcher = searcher
        self._lock = threading.Lock()
        self._kept: tuple[tuple[int, int], Chart] | None = None

    def chart(self) -> Chart:
        """Return the atlas of the newest commit.

        Raises:
            NotFoundError: The archive has none, or it belongs to another model.
        """
        archive = self._searcher.archive
        archive.refresh()
        path = path_of(archive)
        with self._lock:
            key = archive.generation, _stamp(path)
            if self._kept is None or self._kept[0] != key:
                self._kept = key, chart_of(archive)
            return self._kept[1]

    def document(self) -> dict[str, Any]:
        """Return the description of the atlas."""
        return self.chart().document()

    def values(self, asked: AtlasValues) -> tuple[int, NDArray[np.float32]]:
        """Return the commit, and a value for each point: a score, a class, or 1; NaN if it fails the filters.

        Raises:
            NotFoundError: The archive has no atlas.
            QueryError: The request is invalid.
        """
        if asked.q is not None and asked.labels is not None:
            raise QueryError("q, labels: found both; pass one of them")
        searcher, chart = self._searcher, self.chart()
        archive, ids = searcher.archive, chart.atlas.ids
        where = filter_of(searcher, query_of_body(asked, searcher.max_hits))
        if asked.labels is not None:
            found = archive.similarities(label_vectors(searcher.encoder, check_labels(asked.labels)), where)
            scores = found.scores.argmax(axis=0).astype(np.float32)
            own = found.selection.ids
        elif (question := question_of(searcher, asked.q, None)) is not None:
            found = archive.similarities(question.scorer.directions, where)
            scores, own = question.scorer.combine(found.scores), found.selection.ids
        else:
            own = archive.tile_ids(where)
            scores = np.ones(len(own), np.float32)
        made = np.full(len(ids), np.nan, np.float32)
        _, mine, theirs = np.intersect1d(ids, own, assume_unique=True, return_indices=True)
        made[mine] = scores[theirs]
        return chart.generation, made


def chart_of(archive: Archive) -> Chart:
    """Return the stored atlas of an archive, updated to the newest commit.

    Raises:
        NotFoundError: The archive has none, or it belongs to another model.
    """
    atlas = extend(archive, load(archive), most=_PLACED)
    generation = archive.generation
    tiles = archive.tile_count
    missing = max(0, tiles - len(atlas.ids))
    if len(atlas.ids) > MAX_POINTS:
        keep = np.zeros(len(atlas.ids), bool)
        keep[np.linspace(0, len(atlas.ids) - 1, MAX_POINTS).astype(np.int64)] = True
        atlas = atlas.only(keep)
    selected = archive.read(lambda view: view.select(Filter()))
    at = np.searchsorted(selected.ids, atlas.ids)
    there = np.zeros(len(atlas.ids), bool)
    inside = at < len(selected.ids)
    there[inside] = selected.ids[at[inside]] == atlas.ids[inside]
    atlas, scene = atlas.only(there), selected.scene_at[at[there]]
    return Chart(
        atlas=atlas,
        tiles=tiles,
        missing=missing,
        generation=generation,
        days=_days(selected.scenes)[scene],
        sensor=_sensors(selected.scenes)[scene],
        sensors=tuple(selected.scenes.sensor_names()),
    )


def _days(scenes: SceneColumns) -> NDArray[np.int32]:
    return np.where(scenes.times_us == NO_TIME, NO_DAY, scenes.times_us // _DAY_US).astype(np.int32)


def _sensors(scenes: SceneColumns) -> NDArray[np.uint16]:
    return np.searchsorted(scenes.sensor_names(), scenes.sensors).astype(np.uint16)


def _stamp(path: Path) -> int:
    """Return the modification time of the atlas's file, ns; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
