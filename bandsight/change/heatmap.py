"""Heat maps of change: the z-score of every place that both periods cover, painted at its location."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bandsight.change.requests import ChangeBody, ChangeMapBody
from bandsight.change.search import compared
from bandsight.geo.box import LonLatBox
from bandsight.maps import pictures
from bandsight.maps.heatmap import MapExtent
from bandsight.maps.rasterize import Canvas, TileBoxes
from bandsight.search.searcher import Searcher

RANGE = (0.0, 8.0)
"""Z-scores of the first and the last colour."""
# Number of cached comparisons, each about 60 bytes per place.
_KEPT = 4
# Members of a request that do not change the z-scores.
_NOT_COMPARED = {"min_z", "limit", "format", "area", "width", "height", "crs", "colormap"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChangeField:
    """The z-score of each place that both periods cover."""

    boxes: TileBoxes
    """The boxes of the places."""
    z: NDArray[np.float32]
    """Z-score of each place, shape (n,)."""
    generation: int
    """The commit that was compared."""

    def png(self, canvas: Canvas, colormap: pictures.ColorMap) -> bytes:
        """Return the z-scores as PNG, `RANGE` from transparent to opaque."""
        return pictures.png(canvas.paint(self.boxes, self.z), RANGE, colormap, fade=True)

    def geotiff(self, canvas: Canvas) -> bytes:
        """Return the z-scores as GeoTIFF: float32, `pictures.NODATA` where no place was compared."""
        tags = {"GENERATION": str(self.generation)}
        return pictures.geotiff(canvas.paint(self.boxes, self.z), canvas, "z-score of the change", tags)


def change_field(searcher: Searcher, body: ChangeBody) -> ChangeField:
    """Compare two periods, and return the z-score of each place; errors as for `compared`."""
    observed, changes = compared(searcher, body)
    places = np.array([one.place for one in changes], np.intp)
    return ChangeField(
        boxes=TileBoxes.of(observed.boxes[places]),
        z=np.array([one.z for one in changes], np.float32),
        generation=observed.generation,
    )


class ChangeCache:
    """Caches comparisons until the next commit, for map tiles; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], ChangeField] = OrderedDict()

    def of(self, searcher: Searcher, body: ChangeBody) -> ChangeField:
        """Return the z-scores for a request; errors as for `compared`."""
        searcher.archive.refresh()
        key = (body.model_dump_json(exclude=_NOT_COMPARED), searcher.archive.generation)
        # One comparison at a time: the other requests of a map need the same one.
        with self._lock:
            if key not in self._kept:
                self._kept[key] = change_field(searcher, body)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


def change_map(searcher: Searcher, cache: ChangeCache, body: ChangeMapBody) -> bytes:
    """Return a heat map of change as PNG or GeoTIFF; errors as for `compared`."""
    box = None if body.area is None else LonLatBox.from_sequence(body.area)
    extent = MapExtent(box=box, width=body.width, height=body.height, crs=body.crs)
    field = cache.of(searcher, body)
    canvas = extent.canvas(field.boxes)
    return field.png(canvas, body.colormap) if body.format == "png" else field.geotiff(canvas)
