"""How scenes are cut into tiles."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bandsight.errors import SceneError
from bandsight.geo.grid import tile_windows
from bandsight.sensors.profile import Profile
from indexer.scene import RasterScene, open_scene
from indexer.source import Source
from indexer.tile_plan import TilePlan, shape_of

# A scene of 1,000,000 × 300,000 pixels in tiles of 128: more than any sensor delivers in one file.
_MAX_TILES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a scene is cut into tiles; part of its identity: other parameters make other tiles."""

    tile_px: int
    """Side of a tile, pixels."""
    scales: tuple[int, ...] = (1,)
    """Native pixels along one pixel of a tile; each gives a set of tiles."""
    overlap: float = 0.0
    """Share of a tile's side that it has in common with its neighbour."""
    min_valid: float = 0.5
    """Tiles with a smaller valid share of what lies within the scene are left out."""
    max_cloud: float = 1.0
    """Tiles with a larger share of cloud are left out, where a quality band says so."""

    def __post_init__(self) -> None:
        if self.tile_px < 1 or not self.scales or min(self.scales) < 1:
            raise SceneError(f"tiles of {self.tile_px} pixels at scales {self.scales}; need whole numbers from 1 up")
        if not 0 <= self.overlap < 1:
            raise SceneError(f"overlap {self.overlap:g}; need at least 0 and less than 1, e.g. 0.25")

    def as_dict(self) -> dict[str, Any]:
        """Return it as the catalog keeps it."""
        return asdict(self) | {"scales": list(self.scales)}

    def plan(self, scene: RasterScene) -> TilePlan:
        """Return how a scene is cut, all scales; a coarse scale only where the scene fills half a window.

        Raises:
            SceneError: There are too many tiles to be of use: a corrupt header, or tiles far too small.
        """
        step = max(1, round(self.tile_px * (1 - self.overlap))) * min(self.scales)
        expected = scene.raster.width * scene.raster.height / step**2
        if expected > _MAX_TILES:
            raise SceneError(
                f"{scene.record.name}: {scene.raster.width} × {scene.raster.height} pixels "
                f"make about {expected:.0f} tiles, at most {_MAX_TILES} are indexed of one scene; check its header, or "
                "choose a larger --tile-px or --scales"
            )
        grids = [
            tile_windows(
                transform=scene.raster.transform,
                crs=scene.record.crs,
                width=scene.raster.width,
                height=scene.raster.height,
                tile_px=self.tile_px,
                scale=scale,
                overlap=self.overlap,
            )
            for scale in self.scales
            if scale == 1 or max(scene.raster.width, scene.raster.height) * 2 >= self.tile_px * scale
        ]
        shapes = [shape_of(grid, scene, self.tile_px) for grid in grids]
        return TilePlan(grids=tuple(grids), shapes=tuple(shapes))


def open_tiled(
    source: Source,
    key: str,
    sensor: str | None,
    profiles: Sequence[Profile] | None,
    tiling: Tiling,
    *,
    force: bool = False,
    identity: str | None = None,
    plain_key: str | None = None,
) -> tuple[RasterScene, TilePlan]:
    """Open a scene and settle how it is cut; see `open_scene`."""
    scene = open_scene(
        source,
        key,
        sensor=sensor,
        force=force,
        profiles=profiles,
        tiling=tiling.as_dict(),
        identity=identity,
        plain_key=plain_key,
    )
    return scene, tiling.plan(scene)
