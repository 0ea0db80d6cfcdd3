"""Tiling parameters."""

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

# A scene of 1,000,000 × 300,000 pixels in tiles of 128 pixels: more than any sensor delivers in one file.
_MAX_TILES = 20_000_000
# Tolerance: pixels up to this factor finer than the model's finest resolution are fine.
_FINER = 1.25
# Ground sample distance, m, below which a second, coarser set of tiles is added, and its factor, for objects larger
# than a fine tile.
_FINE_M, _WIDER = 1.0, 4
_LEAST_CELLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """Tiling parameters of a scene. They are part of the scene's key, because they determine its tiles."""

    tile_px: int
    """Tile size, pixels."""
    scales: tuple[int, ...] = (1,)
    """Native pixels per tile pixel, along each side; one set of tiles per scale. Empty for `auto_scales`."""
    overlap: float = 0.0
    """Fraction of the tile size that neighbours share."""
    min_valid: float = 0.5
    """Minimum valid fraction of a tile's pixels inside the scene."""
    max_cloud: float = 1.0
    """Maximum cloudy fraction of a tile, if there is a quality band."""
    finest_m: float | None = None
    """Finest ground sample distance of the model, m, for `auto_scales`; None if unknown."""
    cells: int = 0
    """Number of cells along a side of a tile that get their own vectors; 0 for none."""

    @classmethod
    def of_model(cls, model: Encoder, **options: Any) -> "Tiling":
        """Return the default tiling for a model: its input size, and scales that suit its resolution."""
        finest = None if model.gsd_m is None or options.get("scales") else model.gsd_m[0]
        auto: dict[str, Any] = {} if finest is None else {"scales": (), "finest_m": finest}
        return cls(**{"tile_px": model.image_size, **options, **auto})

    @classmethod
    def of_dict(cls, kept: Mapping[str, Any]) -> "Tiling":
        """Return the tiling serialized by `as_dict`."""
        known = {name: value for name, value in kept.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "scales": tuple(known.get("scales", (1,)))})

    def __post_init__(self) -> None:
        if self.tile_px < 1 or min(self.scales, default=1) < 1:
            raise SceneError(f"tiles of {self.tile_px} pixels at scales {self.scales}; need integers of at least 1")
        if not 0 <= self.overlap < 1:
            raise SceneError(f"overlap {self.overlap:g}; need at least 0 and less than 1, e.g. 0.25")
        if self.cells and not _LEAST_CELLS <= self.cells <= MOST:
            raise SceneError(f"cells {self.cells}; need {_LEAST_CELLS} to {MOST} along a side of a tile, or 0 for none")

    def as_dict(self) -> dict[str, Any]:
        """Return the parameters in the catalog's format."""
        kept = asdict(self) | {"scales": list(self.scales)}
        if self.finest_m is None:
            # Omit it, so that scenes of earlier versions keep their keys.
            del kept["finest_m"]
        if not self.cells:
            del kept["cells"]
        return kept

    def scales_of(self, gsd_m: float | None) -> tuple[int, ...]:
        """Return the scales of a scene by its ground sample distance, m."""
        return self.scales or auto_scales(gsd_m, self.finest_m)

    def plan(self, scene: RasterScene) -> TilePlan:
        """Return the tile plan of a scene over all scales.

        Coarse scales are used only if the scene fills half a window.

        Raises:
            SceneError: There are too many tiles, because of a corrupt header or too small tiles.
        """
        scales = self.scales_of(scene.record.gsd_m)
        step = max(1, round(self.tile_px * (1 - self.overlap))) * min(scales)
        expected = scene.raster.width * scene.raster.height / step**2
        if expected > _MAX_TILES:
            raise SceneError(
                f"{scene.record.name}: {scene.raster.width} × {scene.raster.height} pixels "
                f"make about {expected:.0f} tiles; at most {_MAX_TILES} per scene are allowed; check its header, or "
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
    """Return the scales that suit a scene's and a model's resolution.

    Args:
        gsd_m: Ground sample distance of the scene, m; None if unknown.
        finest_m: Finest ground sample distance of the model, m; None if unknown.
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
    """Open a scene and plan its tiles; see `open_scene`."""
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
            f"the model supports, so {min(scales)} × {min(scales)} pixels are averaged (--scales 1 to prevent this)"
        )
        scene = replace(scene, notes=(*scene.notes, note))
    return scene, tiling.plan(scene)
