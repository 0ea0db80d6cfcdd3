"""Finds the profile and the bands of a scene from what its files say; never guesses."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bandsight.errors import SensorError
from bandsight.sensors.profile import Band, Layout, Profile, load_profiles, profile_named

# The profile of scenes whose bands come with their wavelengths.
SPECTRAL = "hyperspectral"
_LONGEST_UM = 100.0
_UNITS_UM = {"micrometers": 1.0, "micrometer": 1.0, "um": 1.0, "µm": 1.0, "microns": 1.0, "micron": 1.0}
_UNITS_UM |= {"nanometers": 1e-3, "nanometer": 1e-3, "nm": 1e-3}


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterInfo:
    """What one file says about itself; plain values, so that matching needs no raster library."""

    path: Path
    """The file."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedBand:
    """A band and where it is."""

    band: Band
    """What it is."""
    path: Path
    """Its file."""
    index: int
    """Its number in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The profile of a scene and the bands to give to the model."""

    profile: Profile
    """The sensor."""
    bands: tuple[MatchedBand, ...]
    """In the order for the model."""


def match(files: Sequence[RasterInfo], sensor: str | None = None) -> Match:
    """Return the profile and bands of a scene.

    In this order: wavelengths that come with the file or from the user, the sensor that the user names, names
    of products and band files, descriptions of bands, the colour interpretation.

    Raises:
        SensorError: Nothing fits, more than one profile fits, or bands are missing.
    """
    forced = sensor or next((info.sensor for info in files if info.sensor), None)
    if len(files) == 1 and (forced is None or forced == SPECTRAL):
        waves = _wavelengths(files[0])
        if waves:
            return _by_wavelengths(files[0], waves)
    if forced:
        profile = profile_named(forced)
        found = _bands(profile, files, forced=True)
        if found is None:
            raise SensorError(_misfit(profile, files))
        return _chosen(profile, found, files)
    fits = [(profile, found) for profile in load_profiles() if (found := _bands(profile, files, forced=False))]
    named = [fit for fit in fits if _is_product(fit[0], files)]
    fits = named or [fit for fit in fits if fit[0].product is None or _describes(fit[0], files)]
    for better in (_is_enough, _is_in_order):
        fits = [fit for fit in fits if better(*fit, files)] or fits
    if len(fits) == 1:
        return _chosen(*fits[0], files)
    raise SensorError(_unknown(files, [profile for profile, _ in fits]))


def _bands(profile: Profile, files: Sequence[RasterInfo], *, forced: bool) -> list[MatchedBand] | None:
    """Return the profile's bands among the files, in its own order; None when the files do not fit it."""
    layout = _layout(profile, files[0], forced=forced) if len(files) == 1 else None
    if layout is not None:
        found = {name: MatchedBand(band=profile.band(name), path=files[0].path, index=i) for i, name in layout}
    elif len(files) == 1 and files[0].count > 1:
        return None
    else:
        found = {}
        for info in files:
            band = next((b for b in profile.bands if b.file and b.file.search(info.path.stem)), None)
            if band is not None and info.count == 1:
                found.setdefault(band.name, MatchedBand(band=band, path=info.path, index=1))
    return [found[band.name] for band in profile.bands if band.name in found] or None


def _layout(profile: Profile, info: RasterInfo, *, forced: bool) -> list[tuple[int, str]] | None:
    """Return (band number, band name) of a file; None when it does not hold the bands in a known order."""
    names = {band.name.lower(): band.name for band in profile.bands}
    said = [(i, names.get(text)) for i, text in enumerate(_described(info), 1)]
    if info.count > 1 and any(name for _, name in said):
        return [(i, name) for i, name in said if name]
    # Many writers call any fourth band of 8 bit alpha, so the user's word counts for more than that.
    counts = {info.count - info.colorinterp.count("alpha")} | ({info.count} if forced else set())
    for layout in profile.layouts:
        if layout.stored in counts and _layout_says_so(layout, profile, info, forced=forced):
            return [(1 if layout.repeat else i, name) for i, name in enumerate(layout.bands, 1)]
    return None


def _described(info: RasterInfo) -> list[str]:
    return [(text or "").strip().lower() for text in info.descriptions]


def _layout_says_so(layout: Layout, profile: Profile, info: RasterInfo, *, forced: bool) -> bool:
    if forced:
        return True
    if layout.dtype is not None and layout.dtype != info.dtype:
        return False
    if layout.colorinterp is None:
        return _is_product(profile, [info])
    return info.colorinterp[: len(layout.colorinterp)] == layout.colorinterp


def _is_product(profile: Profile, files: Sequence[RasterInfo]) -> bool:
    path = files[0].path
    return bool(profile.product and profile.product.search(f"{path.parent.name}/{path.name}"))


def _describes(profile: Profile, files: Sequence[RasterInfo]) -> bool:
    """Say whether the files themselves, by descriptions or colours, name bands of this profile."""
    names = {band.name.lower() for band in profile.bands}
    texts = [text for info in files for text in _described(info) if text]
    colours = [layout.colorinterp for layout in profile.layouts if layout.colorinterp]
    return (bool(texts) and names.issuperset(texts)) or (len(files) == 1 and files[0].colorinterp in colours)


def _is_enough(profile: Profile, found: list[MatchedBand], _: Sequence[RasterInfo]) -> bool:
    return sum(matched.band.name in profile.default_bands for matched in found) >= profile.min_bands


def _is_in_order(profile: Profile, _: list[MatchedBand], files: Sequence[RasterInfo]) -> bool:
    """Say whether one file describes its bands in just the order that the profile knows."""
    orders = [[name.lower() for name in layout.bands] for layout in profile.layouts]
    return len(files) == 1 and _described(files[0]) in orders


def _chosen(profile: Profile, found: list[MatchedBand], files: Sequence[RasterInfo]) -> Match:
    by_name = {matched.band.name: matched for matched in found}
    bands = tuple(by_name[name] for name in profile.default_bands if name in by_name)
    if len(bands) < profile.min_bands:
        missing = [name for name in profile.default_bands if name not in by_name]
        raise SensorError(
            f"{files[0].path}: found {', '.join(by_name)} of {profile.name}, need at least "
            f"{profile.min_bands} of its bands; missing {', '.join(missing)}: put their files "
            "beside it, or choose another --sensor"
        )
    return Match(profile=profile.for_path(bands[0].path), bands=bands)


def _wavelengths(info: RasterInfo) -> tuple[float, ...] | None:
    """Return the wavelengths in µm that come with a file; None when it has none."""
    if info.wavelengths_um:
        values = info.wavelengths_um
        if len(values) != info.count:
            raise SensorError(
                f"{info.path}: {len(values)} wavelengths are given for {info.count} bands; give one for each"
            )
    else:
        found = [_tagged(info, tags) for tags in info.band_tags]
        if not all(found):
            return None
        values = tuple(value for value in found if value)
    for position, value in enumerate(values, 1):
        if not 0 < value <= _LONGEST_UM:
            hint = "looks like nanometres; divide by 1000" if value > _LONGEST_UM else "need a positive number of µm"
            raise SensorError(f"{info.path}: wavelength {value:g} of band {position}: {hint}")
    return values


def _tagged(info: RasterInfo, tags: dict[str, str]) -> float | None:
    """Return the wavelength in a band's metadata, µm."""
    lower = {key.lower(): value for key, value in tags.items()}
    try:
        if "central_wavelength_um" in lower:
            return float(lower["central_wavelength_um"])
        if "wavelength" in lower:
            unit = lower.get("wavelength_units", info.tags.get("wavelength_units", "")).strip().lower()
            factor = _UNITS_UM.get(unit)
            if factor is None:
                raise SensorError(
                    f"{info.path}: its bands have wavelengths in {unit or 'no unit'!r}; need micrometers or "
                    "nanometers in wavelength_units, or wavelengths_um in a sidecar"
                )
            return float(lower["wavelength"]) * factor
    except ValueError as error:
        raise SensorError(f"{info.path}: a band's wavelength is no number ({error})") from error
    return None


def _by_wavelengths(info: RasterInfo, waves: Sequence[float]) -> Match:
    profile = profile_named(SPECTRAL)
    bands = tuple(
        MatchedBand(band=Band(name=f"b{index}", wavelength_um=value), path=info.path, index=index)
        for index, value in enumerate(waves, 1)
    )
    return Match(profile=profile, bands=bands)


def _misfit(profile: Profile, files: Sequence[RasterInfo]) -> str:
    found = f"{files[0].count} bands" if len(files) == 1 else f"{len(files)} files"
    if profile.name == SPECTRAL:
        return (
            f"{files[0].path}: {found} without wavelengths; write {files[0].path.name}.bandsight.json "
            'beside it with {"wavelengths_um": [one for each band]}'
        )
    orders = " or ".join(sorted({" ".join(layout.bands) for layout in profile.layouts}))
    single = f"a file with the bands {orders}" if orders else ""
    several = "one file for each band, named like the operator's" if any(b.file for b in profile.bands) else ""
    needed = ", or ".join(part for part in (single, several) if part)
    return (
        f"{files[0].path}: {found}, sensor {profile.name} needs {needed}; "
        "choose another --sensor (see: bandsight sensors)"
    )


def _could_be(profile: Profile, count: int) -> bool:
    single = count == 1 and profile.min_bands == 1
    return single or any(layout.stored == count for layout in profile.layouts)


def _unknown(files: Sequence[RasterInfo], fits: Sequence[Profile]) -> str:
    info = files[0]
    found = f"{info.count} bands of {info.dtype}" if len(files) == 1 else f"{len(files)} band files"
    same = [p for p in load_profiles() if len(files) == 1 and _could_be(p, info.count)]
    candidates = ", ".join(p.name for p in fits or same or load_profiles())
    what = "more than one sensor profile fits" if fits else "nothing says which bands these are"
    return (
        f"{info.path}: {found}, and {what}; pass --sensor ({candidates}), or put wavelengths_um for its "
        f"bands into {info.path.name}.bandsight.json"
    )
