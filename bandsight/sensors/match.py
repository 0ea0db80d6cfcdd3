"""Finds the profile and the bands of a scene from what its files say; never guesses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from bandsight.errors import SensorError
from bandsight.sensors.evidence import Evidence
from bandsight.sensors.profile import Band, Layout, Profile, load_profiles, profile_named
from bandsight.sensors.quality import Quality
from bandsight.sensors.raster_info import BandMetadata, RasterInfo
from bandsight.sensors.wavelengths import Wavelengths, known_wavelengths

# The profile of scenes whose bands come with their wavelengths, and that no other profile knows.
SPECTRAL = "hyperspectral"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedBand:
    """A band and where it is."""

    band: Band
    """What it is."""
    href: str
    """Its file."""
    index: int
    """Its number in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedQuality:
    """A quality band and where it is."""

    quality: Quality
    """What it is."""
    href: str
    """Its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The profile of a scene and the bands to give to the model."""

    profile: Profile
    """The sensor."""
    bands: tuple[MatchedBand, ...]
    """In the order for the model."""
    origin: str
    """What states which bands these are, for people."""
    wavelengths_from: str = "the profile"
    """What states their wavelengths."""
    evidence: tuple[Evidence, ...] = ()
    """All that speaks for the profile."""
    quality: MatchedQuality | None = None
    """Its quality band, where there is one."""


def match(files: Sequence[RasterInfo], sensor: str | None = None, profiles: Sequence[Profile] | None = None) -> Match:
    """Return the profile and bands of a scene.

    In this order: the user's word, wavelengths in a STAC item, in the files' own metadata, in the product's metadata;
    names of products and band files, descriptions of bands, the colour interpretation.

    Args:
        files: All files of the scene, quality bands too.
        sensor: The user's word on the profile.
        profiles: Those to choose from; None for the shipped ones.

    Raises:
        SensorError: Nothing fits, more than one profile fits, or bands are missing.
    """
    known = load_profiles() if profiles is None else tuple(profiles)
    forced = sensor or next((info.sensor for info in files if info.sensor), None)
    profile = profile_named(forced, known) if forced else None
    pictures = [info for info in files if not _quality_of(info, known)] or list(files)
    waves = known_wavelengths(pictures)
    if waves is not None and (profile is None or not profile.bands or waves.from_user):
        found = _by_wavelengths(pictures, waves, profile, known)
    elif profile is not None:
        bands = _bands(profile, pictures, forced=True)
        if bands is None:
            raise SensorError(_misfit(profile, pictures))
        found = _chosen(profile, bands, pictures, "the user named the sensor")
    else:
        found = _by_names(pictures, known)
    return replace(found, quality=_quality(found.profile, files))


def _by_names(files: Sequence[RasterInfo], known: Sequence[Profile]) -> Match:
    fits = _fits(files, known)
    if len(fits) != 1:
        raise SensorError(_unknown(files, [profile for profile, _ in fits], known))
    ((profile, found),) = fits
    return _chosen(profile, found, files, _origin(profile, files))


def _fits(files: Sequence[RasterInfo], known: Sequence[Profile]) -> list[tuple[Profile, list[MatchedBand]]]:
    """Return the profiles that the files fit without a word from the user."""
    fits = [(profile, found) for profile in known if (found := _bands(profile, files, forced=False))]
    named = _named(fits, files)
    fits = named or [fit for fit in fits if fit[0].product is None or _describes(fit[0], files)]
    for better in (_is_enough, _is_in_order, _is_of_no_product):
        fits = [fit for fit in fits if better(*fit, files)] or fits
    return fits


def _named(
    fits: list[tuple[Profile, list[MatchedBand]]], files: Sequence[RasterInfo]
) -> list[tuple[Profile, list[MatchedBand]]]:
    """Return those whose product is named: by the first hint that names any, else by the files."""
    for text in [*files[0].hints, _place(files[0])]:
        found = [fit for fit in fits if fit[0].product and fit[0].product.search(text)]
        if found:
            return found
    return []


def _place(info: RasterInfo) -> str:
    return f"{info.path.parent.name}/{info.path.name}"


def _origin(profile: Profile, files: Sequence[RasterInfo]) -> str:
    if profile.product and any(profile.product.search(hint) for hint in files[0].hints):
        return f"product named by {files[0].stated_by}"
    if _is_product(profile, files):
        return "file names"
    said = _described(files[0])
    return "band descriptions" if any(said) else "colour interpretation"


def _by_wavelengths(
    files: Sequence[RasterInfo], waves: Wavelengths, forced: Profile | None, known: Sequence[Profile]
) -> Match:
    """Return bands with the wavelengths that came with the scene; the profile gives the rest, where one fits."""
    fits = _fits(files, known) if forced is None else []
    if forced is None and len(fits) == 1 and _is_enough(*fits[0], files) and not waves.from_user:
        profile, found = fits[0]
        found = [replace(m, band=_told(m.band, waves, m)) for m in found]
        return replace(_chosen(profile, found, files, waves.origin), wavelengths_from=waves.origin)
    profile = forced if forced is not None and not forced.bands else _spectral(files, known)
    everything = [
        MatchedBand(
            band=Band(
                name=waves.names.get((info.href, index)) or f"b{index}",
                wavelength_um=value,
                fwhm_um=waves.widths.get((info.href, index)),
            ),
            href=info.href,
            index=index,
        )
        for info in files
        for index in range(1, info.count + 1)
        if (value := waves.centres.get((info.href, index))) is not None
    ]
    kept = tuple(m for m in everything if not any(a <= m.band.wavelength_um <= b for a, b in profile.skip_um))
    return Match(profile=profile, bands=kept or tuple(everything), origin=waves.origin, wavelengths_from=waves.origin)


def _told(band: Band, waves: Wavelengths, matched: MatchedBand) -> Band:
    key = (matched.href, matched.index)
    return replace(
        band, wavelength_um=waves.centres.get(key, band.wavelength_um), fwhm_um=waves.widths.get(key, band.fwhm_um)
    )


def _spectral(files: Sequence[RasterInfo], known: Sequence[Profile]) -> Profile:
    own = [profile for profile in known if not profile.bands and _is_product(profile, files)]
    return own[0] if own else profile_named(SPECTRAL, known)


def _bands(profile: Profile, files: Sequence[RasterInfo], *, forced: bool) -> list[MatchedBand] | None:
    """Return the profile's bands among the files, in its own order; None when the files do not fit it."""
    layout = _layout(profile, files[0], forced=forced) if len(files) == 1 else None
    if layout is not None:
        found = {name: MatchedBand(band=profile.band(name), href=files[0].href, index=i) for i, name in layout}
    elif len(files) == 1 and files[0].count > 1:
        return None
    else:
        found = {}
        for info in files:
            band = _of_file(profile, info)
            if band is not None and info.count == 1:
                found.setdefault(band.name, MatchedBand(band=band, href=info.href, index=1))
    return [found[band.name] for band in profile.bands if band.name in found] or None


def _of_file(profile: Profile, info: RasterInfo) -> Band | None:
    """Return the band that a file of one band holds: as its source says, else by its name."""
    said = info.stated[0] if info.stated else BandMetadata()
    name = (said.name or "").lower()
    by_word = next((band for band in profile.bands if name and band.name.lower() == name), None)
    by_file = next((band for band in profile.bands if band.file and band.file.search(info.path.stem)), None)
    alike = [band for band in profile.bands if said.common_name and band.common_name == said.common_name]
    return by_word or by_file or (alike[0] if len(alike) == 1 else None)


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
    if info.stated:
        return [(band.name or "").strip().lower() for band in info.stated]
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
    texts = (_place(files[0]), *files[0].hints)
    return profile.product is not None and any(profile.product.search(text) for text in texts)


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


def _is_of_no_product(profile: Profile, _: list[MatchedBand], files: Sequence[RasterInfo]) -> bool:
    """Say whether a profile stands for a kind of imagery, not for one operator's product."""
    return profile.product is None or _is_product(profile, files)


def _chosen(profile: Profile, found: list[MatchedBand], files: Sequence[RasterInfo], origin: str) -> Match:
    by_name = {matched.band.name: matched for matched in found}
    bands = tuple(by_name[name] for name in profile.default_bands if name in by_name)
    if len(bands) < profile.min_bands:
        missing = [name for name in profile.default_bands if name not in by_name]
        raise SensorError(
            f"{files[0].href}: found {', '.join(by_name)} of {profile.name}, need at least "
            f"{profile.min_bands} of its bands; missing {', '.join(missing)}: put their files "
            "beside it, or choose another --sensor"
        )
    return Match(profile=profile.for_path(PurePath(bands[0].href)), bands=bands, origin=origin)


def _quality_of(info: RasterInfo, known: Sequence[Profile]) -> bool:
    return info.count == 1 and any(q.file.search(info.path.stem) for profile in known for q in profile.quality)


def _quality(profile: Profile, files: Sequence[RasterInfo]) -> MatchedQuality | None:
    for quality in profile.quality:
        for info in files:
            text = _place(info)
            if quality.file.search(info.path.stem) and (quality.path is None or quality.path.search(text)):
                return MatchedQuality(quality=quality, href=info.href)
    return None


def _misfit(profile: Profile, files: Sequence[RasterInfo]) -> str:
    found = f"{files[0].count} bands" if len(files) == 1 else f"{len(files)} files"
    if not profile.bands:
        return (
            f"{files[0].href}: {found} without wavelengths; write {files[0].path.name}.bandsight.json "
            'beside it with {"wavelengths_um": [one for each band]}'
        )
    orders = " or ".join(sorted({" ".join(layout.bands) for layout in profile.layouts}))
    single = f"a file with the bands {orders}" if orders else ""
    several = "one file for each band, named like the operator's" if any(b.file for b in profile.bands) else ""
    needed = ", or ".join(part for part in (single, several) if part)
    return (
        f"{files[0].href}: {found}, sensor {profile.name} needs {needed}; "
        "choose another --sensor (see: bandsight sensors list)"
    )


def _could_be(profile: Profile, count: int) -> bool:
    single = count == 1 and profile.min_bands == 1
    return single or any(layout.stored == count for layout in profile.layouts)


def _unknown(files: Sequence[RasterInfo], fits: Sequence[Profile], known: Sequence[Profile]) -> str:
    info = files[0]
    found = f"{info.count} bands of {info.dtype}" if len(files) == 1 else f"{len(files)} band files"
    single = len(files) == 1
    same = [p for p in known if (_could_be(p, info.count) if single else _bands(p, files, forced=True))]
    candidates = ", ".join(p.name for p in fits or same or known)
    what = "more than one sensor profile fits" if fits else "nothing says which bands these are"
    return (
        f"{info.href}: {found}, and {what}; pass --sensor ({candidates}), or put wavelengths_um for its "
        f"bands into {info.path.name}.bandsight.json"
    )
