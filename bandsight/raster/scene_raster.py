"""Describes how to read a scene's pixels. Contains no open files, so threads and processes can share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from affine import Affine

from bandsight.raster.bands import BandRef
from bandsight.raster.byte_scaling import ByteScaling
from bandsight.raster.masks import Collar, FileMask
from bandsight.sensors.quality import Quality

Transform = tuple[float, float, float, float, float, float]
Extent = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of a scene's grid; may extend beyond the scene."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileGrid:
    """Grid of a file of a scene, and how it marks valid pixels."""

    transform: Affine
    """Affine transform from the file's pixels to the scene's CRS."""
    mask: FileMask
    """How the file marks valid pixels."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QualityBand:
    """The quality band of a scene."""

    quality: Quality
    """Meaning of its values."""
    href: str
    """File that contains it."""
    transform: Affine
    """Affine transform from the file's pixels to the scene's CRS."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneRaster:
    """A scene's bands, grid, nodata rules and scaling."""

    key: str
    """Unique key of the scene, for caches."""
    name: str
    """Name for messages."""
    bands: tuple[BandRef, ...]
    """Bands in the model's order."""
    crs: str
    """Coordinate reference system, `EPSG:n` or WKT."""
    transform: Transform
    """Affine of the scene's grid: north up, with the resolution of its finest band."""
    width: int
    """Columns of the scene's grid."""
    height: int
    """Rows of the scene's grid."""
    files: Mapping[str, FileGrid] = field(default_factory=dict)
    """Grid of each file, by href. Files without an entry are inspected when opened."""
    nodata: float | None = None
    """Nodata value, in addition to NaN and masks; a pixel is invalid if every band has it."""
    fill_values: tuple[float, ...] = ()
    """A pixel with one of these values in every band is nodata."""
    collar: Collar | None = None
    """The empty border of the scene, if any."""
    quality: QualityBand | None = None
    """The quality band, if any."""
    scaling: ByteScaling
    """Scaling from stored values to bytes."""

    def positions(self, bands: Sequence[BandRef]) -> list[int]:
        """Return the positions of bands in the scene."""
        at = {band: position for position, band in enumerate(self.bands)}
        return [at[band] for band in bands]
