"""Web map tiles of a scene, or of a mosaic of scenes."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from affine import Affine
from morecantile import Tile as MapTile
from rasterio.io import DatasetReader
from rio_tiler.constants import WEB_MERCATOR_TMS
from rio_tiler.errors import EmptyMosaicError
from rio_tiler.models import ImageData
from rio_tiler.mosaic import mosaic_reader

from bandsight.catalog.records import Scene
from bandsight.errors import QueryError, SceneError
from bandsight.geo.box import LonLatBox
from bandsight.imagery.picture import Picture
from bandsight.imagery.pyramids import Pyramids
from bandsight.imagery.rendering import RenderSpec, render
from bandsight.imagery.scene_raster import raster_of
from bandsight.raster.drivers import open_raster
from bandsight.raster.warp import TargetGrid, read_warped
from bandsight.raster.windows import MAX_DECODED, decoded_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ZOOM = 24
# Web Mercator resolution at zoom 0 on the equator, metres per pixel of a 256 px tile.
_METRES = 156_543.034
_MAX_LAT = 85.0511287798066
_TILE_PX = 256
# Maximum number of stored pixels of a band to decode for one scene of a mosaic.
_MOSAIC_DECODED = 16_000_000
# Scenes of a mosaic that are missing or too large to decode are skipped.
_SKIPPED = (SceneError, QueryError)


def map_ground(z: int, x: int, y: int, size: int) -> TargetGrid:
    """Return the grid of a web map tile (Web Mercator, XYZ).

    Raises:
        QueryError: The tile does not exist.
    """
    count = 2**z if 0 <= z <= MAX_ZOOM else 0
    if not count:
        raise QueryError(f"z: found {z}; need 0 to {MAX_ZOOM}")
    for name, value in (("x", x), ("y", y)):
        if not 0 <= value < count:
            raise QueryError(f"{name}: found {value}; at zoom {z} there are 0 to {count - 1}")
    tile = MapTile(x, y, z)
    edge = WEB_MERCATOR_TMS.xy_bounds(tile)
    around = WEB_MERCATOR_TMS.bounds(tile)
    step = (edge.right - edge.left) / size
    return TargetGrid(
        crs=WEB_MERCATOR_TMS.rasterio_crs,
        transform=Affine(step, 0, edge.left, 0, -step, edge.top),
        width=size,
        height=size,
        box=LonLatBox(
            west=max(-180.0, around.left),
            south=max(-90.0, around.bottom),
            east=min(180.0, around.right),
            north=min(90.0, around.top),
        ),
    )


def scene_tile(scene: Scene, spec: RenderSpec, target: TargetGrid, *, max_decoded: int = MAX_DECODED) -> Picture:
    """Render a scene on a map tile.

    Raises:
        SceneError: A file of the scene is missing or cannot be read.
        QueryError: Too many pixels would have to be decoded.
    """
    raster = raster_of(scene)
    step = _step(scene, target)
    margin = spec.margin(step)
    values, valid = read_warped(
        raster, raster.positions(spec.reads), scene.boxes, target.grown(margin), max_decoded=max_decoded
    )
    inner = np.s_[margin : margin + target.height, margin : margin + target.width]
    rgb, seen = render(spec, values, valid, step)
    return Picture(rgb=rgb[inner], seen=seen[inner])


def _step(scene: Scene, target: TargetGrid) -> float:
    """Return how many scene pixels a map pixel spans."""
    lat = max(-_MAX_LAT, min(_MAX_LAT, (target.box.south + target.box.north) / 2))
    return target.transform.a * math.cos(math.radians(lat)) / (scene.gsd_m or 10.0)


def mosaic_tile(
    scenes: Sequence[Scene],
    spec_of: Callable[[Scene], RenderSpec | None],
    target: TargetGrid,
    pyramids: Pyramids | None = None,
) -> Picture:
    """Render several scenes on a map tile, the first one on top; unreadable ones are skipped.

    Args:
        scenes: Scenes in drawing order, top first; reading stops once no pixel is transparent.
        spec_of: Returns how to render a scene, or None to skip it.
        target: The tile.
        pyramids: Pre-rendered scenes; only for the default style of each.
    """

    def read(scene: Scene) -> ImageData:
        ready = pyramids.tile(scene, target) if pyramids else None
        return _image(ready or drawn(scene))

    def drawn(scene: Scene) -> Picture:
        spec = spec_of(scene)
        if spec is None:
            raise SceneError(f"{scene.name}: has no such bands")
        return scene_tile(scene, spec, target, max_decoded=_MOSAIC_DECODED)

    try:
        image, _ = mosaic_reader(
            list(scenes), read, threads=0, chunk_size=max(1, len(scenes)), allowed_exceptions=_SKIPPED
        )
    except EmptyMosaicError:
        nothing = np.zeros((target.height, target.width), bool)
        return Picture(rgb=np.zeros((*nothing.shape, 3), np.uint8), seen=nothing)
    rgb = np.ascontiguousarray(np.moveaxis(image.array.filled(0), 0, -1)).astype(np.uint8)
    return Picture(rgb=rgb, seen=np.asarray(~np.ma.getmaskarray(image.array).all(axis=0)))


def _image(made: Picture) -> ImageData:
    mask = np.broadcast_to(~made.seen, (3, *made.seen.shape))
    return ImageData(np.ma.MaskedArray(np.moveaxis(made.rgb, -1, 0), mask.copy()))


def zooms(scene: Scene, spec: RenderSpec) -> tuple[int, int]:
    """Return the minimum zoom that can be decoded quickly, and the maximum zoom by resolution, of a scene.

    Raises:
        SceneError: A file of the scene is missing.
    """
    greatest = native_zoom([scene])
    least = 0
    for href in {band.href for band in spec.reads}:
        with open_raster(href) as dataset:
            least = max(least, next((z + 1 for z in range(greatest - 1, -1, -1) if _slow(dataset, greatest - z)), 0))
    return least, greatest


def _slow(dataset: DatasetReader, steps: int) -> bool:
    """Return whether a tile this many zoom levels out decodes too many pixels."""
    side = _TILE_PX * 2**steps
    width, height = min(side, dataset.width), min(side, dataset.height)
    shape = (max(1, _TILE_PX * height // side), max(1, _TILE_PX * width // side))
    return decoded_pixels(dataset, width, height, shape) > MAX_DECODED


def native_zoom(scenes: "Iterable[Scene]") -> int:
    """Return the zoom at which the finest scene is shown at native resolution or slightly larger."""
    found = 0
    for scene in scenes:
        lat = min(_MAX_LAT, max(abs((box.south + box.north) / 2) for box in scene.boxes))
        gsd_m = scene.gsd_m or 10.0
        found = max(found, math.ceil(math.log2(_METRES * math.cos(math.radians(lat)) / gsd_m) - 1e-6))
    return min(MAX_ZOOM, max(0, found))
