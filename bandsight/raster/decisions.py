"""What was decided about a scene when it was indexed, and where each decision came from; kept with the scene as JSON.

Pictures and explanations of the scene read this, not the profile, which may have changed or be gone.
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
    """What was decided about one band, beside its name, wavelength and place."""

    wavelength_from: str = ""
    """What states the wavelength."""
    common_name: str | None = None
    """STAC common name."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""
    frequency_ghz: float | None = None
    """Radar: centre frequency, GHz."""
    polarisation: str | None = None
    """Radar: sent and received, e.g. `VH`."""
    scale: float = 1.0
    """Physical value = stored number (dB of radar) × scale + offset."""
    offset: float = 0.0
    """See `scale`."""
    scale_from: str = ""
    """What states scale and offset."""
    path_reflectance: float | None = None
    """What the air adds to reflectance at the top of the atmosphere, estimated from the scene."""
    display_range: tuple[float, float] | None = None
    """Dark and bright end in pictures of the scene, stored numbers (dB of radar); None where its scaling says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDecision:
    """What was decided about one file."""

    href: str
    """The file."""
    transform: Transform
    """From its pixels to the scene's CRS."""
    dtype: str
    """Data type, as rasterio names it."""
    mask: FileMask
    """How it says where it has data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityDecision:
    """The quality band, and which of its numbers mask."""

    name: str
    """As the operator names it."""
    href: str
    """Its file."""
    transform: Transform
    """From its pixels to the scene's CRS."""
    cloud_values: tuple[int, ...] = ()
    """As `Quality`."""
    cloud_bits: tuple[int, ...] = ()
    """As `Quality`."""
    cloud_fields: tuple[tuple[int, ...], ...] = ()
    """As `Quality`."""
    nodata_values: tuple[int, ...] = ()
    """As `Quality`."""
    nodata_bits: tuple[int, ...] = ()
    """As `Quality`."""

    @classmethod
    def of(cls, quality: Quality, href: str, transform: Transform) -> "QualityDecision":
        """Return the decision for a profile's quality band."""
        return cls(name=quality.name, href=href, transform=transform, **{n: getattr(quality, n) for n in _QUALITY})

    def quality(self) -> Quality:
        """Return what the band's numbers mean."""
        return Quality(name=self.name, file=re.compile(re.escape(self.name)), **{n: getattr(self, n) for n in _QUALITY})


_QUALITY = ("cloud_values", "cloud_bits", "cloud_fields", "nodata_values", "nodata_bits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What was decided about a scene."""

    profile: str = ""
    """Name of the sensor profile."""
    title: str = ""
    """Its title, for people."""
    profile_from: str = "shipped"
    """`shipped`, or the user's file."""
    bands_from: str = ""
    """What states which bands these are."""
    evidence: tuple[Evidence, ...] = ()
    """All that spoke for the profile."""
    bands: tuple[BandDecision, ...] = ()
    """In the order of the scene's bands."""
    files: tuple[FileDecision, ...] = ()
    """All files that are read for the bands."""
    nodata: float | None = None
    """Value that means no data where every band has it."""
    nodata_from: str = ""
    """What states it."""
    fill_values: tuple[float, ...] = ()
    """A pixel that has one of these in every band holds no data."""
    collar: Collar | None = None
    """The empty border of the picture."""
    quality: QualityDecision | None = None
    """The quality band."""
    scaling: str = ""
    """The rule that made bytes of the numbers, in words."""
    sun_elevation_deg: float | None = None
    """Height of the sun, where the scaling uses it."""
    datetime_from: str = ""
    """What states the time."""
    crs_from: str = ""
    """What states the place."""
    styles: tuple[Style, ...] = ()
    """The profile's own pictures; where empty they are derived from the wavelengths."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values; what has its default is left out."""
        return {"version": VERSION, **_plain(self)}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Decisions":
        """Return what `as_dict` wrote; fields of later versions are ignored."""
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
    """Return a dataclass as JSON values, without fields that have their default."""
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
