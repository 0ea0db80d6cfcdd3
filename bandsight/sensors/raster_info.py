"""What the files of a scene say about themselves; plain values, so that matching needs no raster library."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMetadata:
    """What something beside the file says about one of its bands."""

    name: str | None = None
    """As the operator names it."""
    common_name: str | None = None
    """STAC common name."""
    wavelength_um: float | None = None
    """Centre wavelength, µm."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterInfo:
    """What one file says about itself."""

    href: str
    """The file: a path, a URL, or a name that GDAL knows for a part of a file."""
    path: PurePath
    """Its place, to be looked at for names only."""
    count: int
    """Bands."""
    dtype: str
    """Data type, as rasterio names it."""
    descriptions: tuple[str | None, ...]
    """Description of each band."""
    tags: dict[str, str]
    """Metadata of the file."""
    band_tags: tuple[dict[str, str], ...]
    """Metadata of each band."""
    colorinterp: tuple[str, ...]
    """GDAL colour interpretation of each band."""
    wavelengths_um: tuple[float, ...] | None = None
    """The user's word on the bands, µm."""
    sensor: str | None = None
    """The user's word on the sensor."""
    stated: tuple[BandMetadata, ...] = ()
    """What a STAC item or the product's metadata says about each band; empty where they say nothing."""
    stated_by: str = ""
    """Which one stated it, for people."""
    hints: tuple[str, ...] = ()
    """Names that the product's metadata give to it (product id, collection), to be recognised like file names."""
    platform: str = ""
    """The platform, by the metadata: it says what usually comes from there, not what this file is."""
    sidecar: str = ""
    """Name of the file in which the user may state what this one does not."""
    true_alpha: bool = True
    """A band that is tagged as alpha holds opacity, not a picture: its numbers are 0 and full, but for soft edges."""

    @property
    def pictured(self) -> tuple[int, ...]:
        """Numbers of the bands that are not opacity, from 1."""
        opaque = {"alpha"} if self.true_alpha else set()
        return tuple(i for i, colour in enumerate(self.colorinterp, 1) if colour not in opaque)
