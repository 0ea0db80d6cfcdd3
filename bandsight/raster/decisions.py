"""Decisions made when a scene was indexed, and their sources; stored with the scene as JSON.

Display and explanations use these instead of the profile, which may have changed or been deleted.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from bandsight.raster.masks import Collar, FileMask
from bandsight.raster.scene_raster import Transform
from bandsight.sensors.evidence import Evidence
from bandsight.sensors.quality import Quality
from bandsight.sensors.styles import Style

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BandDecision:
    """Decisions about a band, in addition to its name, wavelength and location."""

    wavelength_from: str = ""
    """Source of the wavelength."""
    common_name: str | None = None
    """STAC common name."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""
    frequency_ghz: float | None = None
    """Radar: centre frequency, GHz."""
    polarisation: str | None = None
    """Radar: transmit and receive polarisation, e.g. `VH`."""
    scale: float = 1.0
    """Physical value = stored value (dB for radar) × scale + offset."""
    offset: float = 0.0
    """See `scale`."""
    scale_from: str = ""
    """Source of scale and offset."""
    path_reflectance: float | None = None
    """Path reflectance of the atmosphere at the top of the atmosphere, estimated from the scene."""
    display_range: tuple[float, float] | None = None
    """Display range (low, high) in stored values (dB for radar); None to use the scene's scaling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDecision:
    """Decisions about a file."""

    href: str
    """The file."""
    transform: Transform
    """Affine transform from the file's pixels to the scene's CRS."""
    dtype: str
    """Data type, as rasterio names it."""
    mask: FileMask
    """How the file marks valid pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityDecision:
    """The quality band, and its values that mask pixels."""

    name: str
    """Operator's name."""
    href: str
    """Its file."""
    transform: Transform
    """Affine transform from the file's pixels to the scene's CRS."""
    cloud_values: tuple[int, ...] = ()
    """See `Quality`."""
    cloud_bits: tuple[int, ...] = ()
    """See `Quality`."""
    cloud_fields: tuple[tuple[int, ...], ...] = ()
    """See `Quality`."""
    nodata_values: tuple[int, ...] = ()
    """See `Quality`."""
    nodata_bits: tuple[int, ...] = ()
    """See `Quality`."""

    @classmethod
    def of(cls, quality: Quality, href: str, transform: Transform) -> "QualityDecision":
        """Return the decision for a profile's quality band."""
        return cls(name=quality.name, href=href, transform=transform, **{n: getattr(quality, n) for n in _QUALITY})

    def quality(self) -> Quality:
        """Return the quality band as defined by its profile."""
        return Quality(name=self.name, file=re.compile(re.escape(self.name)), **{n: getattr(self, n) for n in _QUALITY})


_QUALITY = ("cloud_values", "cloud_bits", "cloud_fields", "nodata_values", "nodata_bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """Decisions about a scene."""

    profile: str = ""
    """Name of the sensor profile."""
    title: str = ""
    """Title of the profile."""
    profile_from: str = "shipped"
    """`shipped`, or the user's file."""
    bands_from: str = ""
    """How the bands were identified."""
    evidence: tuple[Evidence, ...] = ()
    """Evidence for the profile."""
    bands: tuple[BandDecision, ...] = ()
    """Decisions about the scene's bands, in order."""
    files: tuple[FileDecision, ...] = ()
    """Decisions about all files with bands."""
    nodata: float | None = None
    """Nodata value; a pixel is invalid if every band has it."""
    nodata_from: str = ""
    """Source of the nodata value."""
    fill_values: tuple[float, ...] = ()
    """A pixel with one of these values in every band is nodata."""
    collar: Collar | None = None
    """The empty border of the scene."""
    quality: QualityDecision | None = None
    """The quality band."""
    scaling: str = ""
    """Description of the scaling rule."""
    sun_elevation_deg: float | None = None
    """Sun elevation, if the scaling uses it."""
    datetime_from: str = ""
    """Source of the acquisition time."""
    crs_from: str = ""
    """Source of the CRS."""
    styles: tuple[Style, ...] = ()
    """The profile's styles; empty if derived from the wavelengths."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-serializable values, without defaults."""
        return {"version": VERSION, **_plain(self)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Decisions":
        """Return the decisions written by `as_dict`. Ignores fields of later versions."""
        parts: dict[str, Any] = {name: kept[name] for name in _names(cls) if name in kept}
        for name, kind in (("evidence", Evidence), ("bands", BandDecision), ("styles", Style)):
            parts[name] = tuple(_value(kind, one) for one in kept.get(name, ()))
        parts["files"] = tuple(
            _value(FileDecision, {**one, "mask": FileMask(**one["mask"])}) for one in kept.get("files", ())
        )
        for name, single in (("collar", Collar), ("quality", QualityDecision)):
            if kept.get(name) is not None:
                parts[name] = _value(single, kept[name])
        parts["fill_values"] = tuple(kept.get("fill_values", ()))
        return cls(**parts)


def _plain(value: Any) -> Any:
    """Return a dataclass as JSON-serializable values, without defaults."""
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if not hasattr(value, "__dataclass_fields__"):
        return value
    found = {}
    for one in fields(value):
        own = getattr(value, one.name)
        if one.default is MISSING or own != one.default:
            found[one.name] = _plain(own)
    return found


def _names(kind: type[Any]) -> set[str]:
    return {one.name for one in fields(kind)}


def _value(kind: type[Any], kept: Mapping[str, Any]) -> Any:
    known = _names(kind)
    return kind(**{name: _frozen(value) for name, value in kept.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
