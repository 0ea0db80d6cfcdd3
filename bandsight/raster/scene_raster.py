"""What is needed to read the pixels of a scene; no open file, so threads and processes can share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from affine import Affine

from bandsight.raster.bands import BandRef
from bandsight.raster.byte_scaling import ByteScaling
from bandsight.raster.masks import Collar, FileMask
from bandsight.sensors.quality import Quality

Transform = tuple[float, float, float, float, float, float]
Extent = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of a scene's grid; may stick out of the scene."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FileGrid:
    """Where one file of a scene lies, and how it says where it has data."""

    transform: Affine
    """From its pixels to the scene's CRS."""
    mask: FileMask
    """How it says where it has data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QualityBand:
    """The quality band of a scene, read beside the others."""

    quality: Quality
    """What its numbers mean."""
    href: str
    """Its file."""
    transform: Affine
    """From its pixels to the scene's CRS."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneRaster:
    """A scene as it is read: its bands, its grid, what holds no data, and how numbers become bytes."""

    key: str
    """Tells scenes apart, for what is kept open or cached."""
    name: str
    """For messages."""
    bands: tuple[BandRef, ...]
    """In the order in which the model sees them."""
    crs: str
    """Coordinate reference system, `EPSG:n` or WKT."""
    transform: Transform
    """Affine of the scene's grid, the finest of its bands, north up."""
    width: int
    """Columns of the scene's grid."""
    height: int
    """Rows of the scene's grid."""
    files: Mapping[str, FileGrid] = field(default_factory=dict)
    """What was decided about each file, by href; a file without an entry is looked at when it is opened."""
    nodata: float | None = None
    """Value that means no data where every band has it, beside NaN and masks."""
    fill_values: tuple[float, ...] = ()
    """A pixel that has one of these in every band holds no data."""
    collar: Collar | None = None
    """The empty border of the picture, where it has one."""
    quality: QualityBand | None = None
    """The quality band, where there is one."""
    scaling: ByteScaling
    """How numbers become bytes."""

    def positions(self, bands: Sequence[BandRef]) -> list[int]:
        """Return the positions of some of the bands."""
        at = {band: position for position, band in enumerate(self.bands)}
        return [at[band] for band in bands]
