"""Metadata of raster files, as plain values, so that profile matching needs no raster library."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMetadata:
    """Metadata about a band from outside the file."""

    name: str | None = None
    """Operator's name."""
    common_name: str | None = None
    """STAC common name."""
    wavelength_um: float | None = None
    """Centre wavelength, µm."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterInfo:
    """Metadata of one raster file."""

    href: str
    """Path, URL, or GDAL subdataset name."""
    path: PurePath
    """Path used to match names; it need not exist."""
    count: int
    """Number of bands."""
    dtype: str
    """Data type, as rasterio names it."""
    descriptions: tuple[str | None, ...]
    """Description of each band."""
    tags: dict[str, str]
    """Metadata tags of the file."""
    band_tags: tuple[dict[str, str], ...]
    """Metadata tags of each band."""
    colorinterp: tuple[str, ...]
    """GDAL colour interpretation of each band."""
    wavelengths_um: tuple[float, ...] | None = None
    """Wavelengths given by the user, µm."""
    sensor: str | None = None
    """Sensor given by the user."""
    stated: tuple[BandMetadata, ...] = ()
    """Band metadata from a STAC item or the product's metadata; empty if there is none."""
    stated_by: str = ""
    """Source of `stated`, as text for the user."""
    hints: tuple[str, ...] = ()
    """Product names from the metadata (product id, collection), matched like file names."""
    platform: str = ""
    """Platform from the metadata: weak evidence, since a platform may have several products."""
    sidecar: str = ""
    """Name of the sidecar file in which the user may state missing metadata."""
    true_alpha: bool = True
    """Whether a band tagged as alpha really is an opacity mask: its values are 0 or maximal, except at soft edges."""

    @property
    def pictured(self) -> tuple[int, ...]:
        """Indexes of the bands other than alpha, from 1."""
        opaque = {"alpha"} if self.true_alpha else set()
        return tuple(i for i, colour in enumerate(self.colorinterp, 1) if colour not in opaque)
