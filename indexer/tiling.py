"""How scenes are cut into tiles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bandsight.errors import SceneError
from bandsight.geo.grid import tile_windows
from bandsight.model.cells import MOST
from bandsight.model.protocol import Encoder
from bandsight.sensors.profile import Profile
from indexer.scene import RasterScene, open_scene
from indexer.source import Source
from indexer.tile_plan import TilePlan, shape_of

# A scene of 1,000,000 × 300,000 pixels in tiles of 128: more than any sensor delivers in one file.
_MAX_TILES = 20_000_000
# Pixels this much finer than the finest that a model knows are as good.
_FINER = 1.25
# Ground sample distance, m, below which a second set of tiles is cut, coarser by this factor: what is larger than a
# fine tile fits in one of those.
_FINE_M, _WIDER = 1.0, 4
_LEAST_CELLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How a scene is cut into tiles; part of its identity: other parameters make other tiles."""

    tile_px: int
    """Side of a tile, pixels."""
    scales: tuple[int, ...] = (1,)
    """Native pixels along one pixel of a tile; each gives a set of tiles. Empty for what `auto_scales` gives."""
    overlap: float = 0.0
    """Share of a tile's side that it has in common with its neighbour."""
    min_valid: float = 0.5
    """Tiles with a smaller valid share of what lies within the scene are left out."""
    max_cloud: float = 1.0
    """Tiles with a larger share of cloud are left out, where there is a quality band."""
    finest_m: float | None = None
    """Finest ground sample distance that the model knows, m, for `auto_scales`; None where that is unknown."""
    cells: int = 0
    """Cells along a side of a tile that get vectors of their own; 0 for none."""

    @classmethod
    def of_model(cls, model: Encoder, **options: Any) -> "Tiling":
        """Return tiles of a model's input size, at scales that suit its resolution, unless options say otherwise."""
        finest = None if model.gsd_m is None or options.get("scales") else model.gsd_m[0]
        auto: dict[str, Any] = {} if finest is None else {"scales": (), "finest_m": finest}
        return cls(**{"tile_px": model.image_size, **options, **auto})

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> "Tiling":
        """Return what `as_dict` gave."""
        known = {name: value for name, value in kept.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "scales": tuple(known.get("scales", (1,)))})

    def __post_init__(self) -> None:
        if self.tile_px < 1 or min(self.scales, default=1) < 1:
            raise SceneError(f"tiles of {self.tile_px} pixels at scales {self.scales}; need whole numbers from 1 up")
        if not 0 <= self.overlap < 1:
            raise SceneError(f"overlap {self.overlap:g}; need at least 0 and less than 1, e.g. 0.25")
        if self.cells and not _LEAST_CELLS <= self.cells <= MOST:
            raise SceneError(f"cells {self.cells}; need {_LEAST_CELLS} to {MOST} along a side of a tile, or 0 for none")

    def as_dict(self) -> dict[str, Any]:
        """Return it as the catalog keeps it."""
        kept = asdict(self) | {"scales": list(self.scales)}
        if self.finest_m is None:
            # Scenes of earlier versions, which knew no such thing, keep their keys.
            del kept["finest_m"]
        if not self.cells:
            del kept["cells"]
        return kept

    def scales_of(self, gsd_m: float | None) -> tuple[int, ...]:
        """Return the scales of a scene by its ground sample distance, m."""
        return self.scales or auto_scales(gsd_m, self.finest_m)

    def plan(self, scene: RasterScene) -> TilePlan:
        """Return how a scene is cut, all scales; a coarse scale only where the scene fills half a window.

        Raises:
            SceneError: There are too many tiles to be of use: a corrupt header, or tiles far too small.
        """
        scales = self.scales_of(scene.record.gsd_m)
        step = max(1, round(self.tile_px * (1 - self.overlap))) * min(scales)
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
            for scale in scales
            if scale == min(scales) or max(scene.raster.width, scene.raster.height) * 2 >= self.tile_px * scale
        ]
        shapes = [shape_of(grid, scene, self.tile_px) for grid in grids]
        return TilePlan(grids=tuple(grids), shapes=tuple(shapes))


def auto_scales(gsd_m: float | None, finest_m: float | None) -> tuple[int, ...]:
    """Return the scales at which a scene suits a model.

    Args:
        gsd_m: Ground sample distance of the scene, m; None where it is unknown.
        finest_m: Finest that the model knows, m; None where that is unknown.
    """
    if gsd_m is None or finest_m is None or gsd_m <= 0:
        return (1,)
    first = max(1, math.ceil(finest_m / (_FINER * gsd_m) - 1e-9))
    return (first, _WIDER * first) if first * gsd_m < _FINE_M else (first,)


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
    scales = tiling.scales_of(scene.record.gsd_m)
    if not tiling.scales and min(scales) > 1:
        note = (
            f"{scene.record.name}: pixels of {scene.record.gsd_m:g} m are finer than the {tiling.finest_m:g} m that "
            f"the model knows, so {min(scales)} × {min(scales)} of them are read as one (--scales 1 reads each)"
        )
        scene = replace(scene, notes=(*scene.notes, note))
    return scene, tiling.plan(scene)
