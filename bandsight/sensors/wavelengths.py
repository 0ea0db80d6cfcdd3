"""Wavelengths stated by a scene, in µm. Ambiguous units are an error."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bandsight.errors import SensorError
from bandsight.sensors.raster_info import RasterInfo
from bandsight.wavelength_range import wavelength_problem

_UNITS_UM = {"micrometers": 1.0, "micrometer": 1.0, "um": 1.0, "µm": 1.0, "μm": 1.0, "microns": 1.0, "micron": 1.0}
_UNITS_UM |= {"nanometers": 1e-3, "nanometer": 1e-3, "nm": 1e-3}

BandKey = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wavelengths:
    """The wavelength of each band of a scene, keyed by (file, band number)."""

    origin: str
    """Source of the wavelengths, as text for the user."""
    centres: Mapping[BandKey, float]
    """Centre wavelengths, µm."""
    widths: Mapping[BandKey, float] = field(default_factory=dict)
    """Full widths at half maximum, µm, where known."""
    names: Mapping[BandKey, str] = field(default_factory=dict)
    """Band names, where known."""
    from_user: bool = False
    """Whether the user gave them."""


def known_wavelengths(files: Sequence[RasterInfo]) -> Wavelengths | None:
    """Return the wavelengths of all bands of all files, or None if they are not stated.

    Precedence: the user, a STAC item or other external metadata that covers every band, then the files' own tags.

    Raises:
        SensorError: A wavelength is invalid or has an unknown unit, or some are missing.
    """
    return _user(files) or _beside(files) or _inside(files)


def _user(files: Sequence[RasterInfo]) -> Wavelengths | None:
    given = [info for info in files if info.wavelengths_um]
    if not given:
        return None
    if len(given) < len(files):
        missing = next(info.href for info in files if not info.wavelengths_um)
        raise SensorError(
            f"{missing}: other files of its scene have wavelengths_um in their sidecar, this one does "
            "not; add them to all"
        )
    values: dict[BandKey, float] = {}
    for info in files:
        given_um, numbers = info.wavelengths_um or (), info.pictured
        if len(given_um) == info.count:
            numbers = tuple(range(1, info.count + 1))
        if len(given_um) != len(numbers):
            raise SensorError(f"{info.href}: {len(given_um)} wavelengths for {len(numbers)} bands; need one per band")
        values |= {(info.href, number): value for number, value in zip(numbers, given_um, strict=True)}
    return Wavelengths(
        origin="the user's wavelengths_um",
        centres=_keyed(files, lambda info, i: values.get((info.href, i + 1))),
        from_user=True,
    )


def _beside(files: Sequence[RasterInfo]) -> Wavelengths | None:
    complete = all(len(info.stated) == info.count for info in files)
    if not complete or not all(band.wavelength_um for info in files for band in info.stated):
        return None
    return Wavelengths(
        origin=files[0].stated_by,
        centres=_keyed(files, lambda info, i: info.stated[i].wavelength_um),
        widths=_positive(files, lambda info, i: info.stated[i].fwhm_um),
        names={(f.href, i): band.name for f in files for i, band in enumerate(f.stated, 1) if band.name},
    )


def _inside(files: Sequence[RasterInfo]) -> Wavelengths | None:
    values: dict[BandKey, float] = {}
    for info in files:
        for index, (tags, colour) in enumerate(zip(info.band_tags, info.colorinterp, strict=True), 1):
            value = None if colour == "alpha" else _tagged(info, tags, "central_wavelength_um", "wavelength")
            if value is None and colour != "alpha":
                return None
            if value is not None:
                values[info.href, index] = value
    if not values:
        return None
    return Wavelengths(
        origin="band metadata",
        centres=_keyed(files, lambda info, i: values.get((info.href, i + 1))),
        widths=_positive(files, lambda info, i: _tagged(info, info.band_tags[i], "fwhm_um", "fwhm")),
    )


def _tagged(info: RasterInfo, tags: dict[str, str], in_um: str, in_units: str) -> float | None:
    """Return a wavelength or width from a band's tags, µm."""
    lower = {key.lower(): value for key, value in tags.items()}
    try:
        unit = lower.get("wavelength_units", info.tags.get("wavelength_units", "")).strip().lower()
        # GDAL rounds the wavelengths of ENVI headers to 0.001 µm in its own tag; the header text is exact.
        if in_units in lower and unit in _UNITS_UM:
            return float(lower[in_units]) * _UNITS_UM[unit]
        if in_um in lower:
            return float(lower[in_um])
        if in_units in lower:
            raise SensorError(
                f"{info.href}: band wavelengths have {unit or 'no unit'!r} as unit; need micrometers or "
                "nanometers in wavelength_units, or wavelengths_um in a sidecar"
            )
    except ValueError as error:
        raise SensorError(f"{info.href}: a band's wavelength is not a number ({error})") from error
    return None


def _keyed(files: Sequence[RasterInfo], value_of: Callable[[RasterInfo, int], float | None]) -> dict[BandKey, float]:
    found = {}
    for info in files:
        for position in range(info.count):
            value = value_of(info, position)
            if value is None:
                continue
            if problem := wavelength_problem(value):
                raise SensorError(f"{info.href}: wavelength {value:g} of band {position + 1} {problem}")
            found[info.href, position + 1] = value
    return found


def _positive(files: Sequence[RasterInfo], value_of: Callable[[RasterInfo, int], float | None]) -> dict[BandKey, float]:
    found = ((info.href, i + 1, value_of(info, i)) for info in files for i in range(info.count))
    return {(href, index): value for href, index, value in found if value and value > 0}
