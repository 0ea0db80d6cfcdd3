"""Determines a scene's profile and bands from its files and metadata, without guessing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from bandsight.errors import SensorError
from bandsight.sensors import refusals
from bandsight.sensors.band_names import bare_stem
from bandsight.sensors.candidates import Candidate, MatchedBand, candidate, is_product, place
from bandsight.sensors.evidence import Evidence
from bandsight.sensors.profile import Band, Profile, load_profiles, profile_named
from bandsight.sensors.quality import Quality
from bandsight.sensors.raster_info import RasterInfo
from bandsight.sensors.wavelengths import Wavelengths, known_wavelengths

# Profile for scenes that state their wavelengths and match no other profile.
SPECTRAL = "hyperspectral"
USER = "sensor given by the user"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedQuality:
    """A quality band and its location."""

    quality: Quality
    """The quality band of the profile."""
    href: str
    """File that contains it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The profile of a scene and the bands for the model."""

    profile: Profile
    """The sensor."""
    bands: tuple[MatchedBand, ...]
    """Bands in the model's order."""
    origin: str
    """How the bands were identified, as text for the user."""
    wavelengths_from: str = "the profile"
    """Source of the wavelengths."""
    evidence: tuple[Evidence, ...] = ()
    """Evidence for the profile."""
    quality: MatchedQuality | None = None
    """The quality band, if any."""
    not_applied: str = ""
    """The user's sensor, if it was ignored because the scene matches another one."""


def match(
    files: Sequence[RasterInfo],
    sensor: str | None = None,
    profiles: Sequence[Profile] | None = None,
    *,
    force: bool = False,
) -> Match:
    """Return the profile and bands of a scene.

    Precedence: wavelengths or sensor given by the user or a sidecar; wavelengths in a STAC item, the product's metadata
    or the files; then the profile with the strongest evidence, from names of products, band files and bands, and from
    colours. `sensor` applies to scenes that match nothing.

    Args:
        files: All files of the scene, including quality bands.
        sensor: Profile for a scene that matches no profile.
        profiles: Profiles to choose from; None for the built-in ones.
        force: Apply `sensor` even if the scene matches another profile.

    Raises:
        SensorError: No profile matches, several match equally well, bands are missing, or a profile matches only some
            bands.
    """
    known = load_profiles() if profiles is None else tuple(profiles)
    pictures = [info for info in files if not _quality_of(info, known)]
    if not pictures:
        raise SensorError(refusals.only_quality(files))
    beside = next((info.sensor for info in files if info.sensor), None)
    name = sensor or beside
    given = profile_named(name, known) if name else None
    # A sidecar applies to one scene, the command line to all.
    own = None if given is None or force or (beside and not sensor) else _own_match(pictures, known, given)
    found = own or _decided(pictures, known, given)
    return replace(found, quality=_quality(found.profile, files))


def _own_match(files: Sequence[RasterInfo], known: Sequence[Profile], given: Profile) -> Match | None:
    """Return the match if it is certain and differs from the user's profile, or None."""
    try:
        found = _decided(files, known, None)
    except SensorError:
        return None
    if found.profile.name in {given.name, SPECTRAL}:
        return None
    return replace(found, not_applied=given.name)


def _decided(files: Sequence[RasterInfo], known: Sequence[Profile], given: Profile | None) -> Match:
    waves = known_wavelengths(files)
    if waves is not None and (given is None or not given.bands or waves.from_user):
        return _by_wavelengths(files, waves, given, known)
    if given is not None:
        found = candidate(given, files, forced=True)
        if found is None:
            raise SensorError(refusals.misfit(given, files))
        evidence = (Evidence(kind="user", found=given.name, score=100.0), *found.evidence)
        return _chosen(replace(found, evidence=evidence), files, USER)
    best = _best(files, known)
    return _chosen(best, files, _origin(best, files))


def candidates(files: Sequence[RasterInfo], known: Sequence[Profile]) -> list[Candidate]:
    """Return all profiles that match any bands of a scene, best first."""
    found = [one for profile in known if (one := candidate(profile, files)) is not None]
    return sorted(found, key=lambda one: (bool(one.unexplained), not one.is_enough, -one.score, one.profile.name))


def _eligible(files: Sequence[RasterInfo], known: Sequence[Profile]) -> list[Candidate]:
    """Return the candidates that may be chosen automatically, best first."""
    return [one for one in candidates(files, known) if one.is_named and one.is_enough and not one.unexplained]


def _best(files: Sequence[RasterInfo], known: Sequence[Profile]) -> Candidate:
    """Return the candidate with the strongest evidence.

    Raises:
        SensorError: There are no candidates, or several are equally good.
    """
    eligible = _eligible(files, known)
    every = candidates(files, known)
    named = max((one.score for one in every if one.is_named), default=0.0)
    best = [one for one in eligible if one.score == eligible[0].score]
    # Do not discard a product name for a weaker match that happens to be complete.
    stronger = [one for one in every if one.is_named and one not in eligible and one.score == named]
    doubtful = best and best[0].by_colours_alone and _has_no_blue(files, known)
    if not best or doubtful or (stronger and named > best[0].score + 1):
        raise SensorError(refusals.unmatched(files, stronger or every, known))
    if len(best) > 1:
        raise SensorError(refusals.ambiguous(files, best))
    return best[0]


def _has_no_blue(files: Sequence[RasterInfo], known: Sequence[Profile]) -> bool:
    """Return whether the file belongs to a sensor without a blue band; its colour tags are then just defaults."""
    return any(
        profile.bands and is_product(profile, files) and not any(band.common_name == "blue" for band in profile.bands)
        for profile in known
    )


def _origin(chosen: Candidate, files: Sequence[RasterInfo]) -> str:
    kinds = {one.kind for one in chosen.evidence}
    if kinds & {"product in metadata", "platform"}:
        return f"product named by {files[0].stated_by}"
    if "product name" in kinds:
        return "file names"
    return "band descriptions" if "band names" in kinds else "colour interpretation"


def _by_wavelengths(
    files: Sequence[RasterInfo], waves: Wavelengths, given: Profile | None, known: Sequence[Profile]
) -> Match:
    """Match by the wavelengths stated for the scene; the rest comes from a profile, if one matches."""
    fits = [one for one in _eligible(files, known) if one.is_certain] if given is None and not waves.from_user else []
    best = [one for one in fits if one.score == fits[0].score]
    if len(best) == 1:
        bands = tuple(replace(m, band=_with_wavelength(m.band, waves, m)) for m in best[0].bands)
        found = _chosen(replace(best[0], bands=bands), files, waves.origin)
        return replace(found, wavelengths_from=waves.origin)
    profile = given if given is not None and not given.bands else _spectral(files, known)
    parts = refusals.are_parts(files)
    everything = [
        MatchedBand(
            band=Band(
                name=waves.names.get((info.href, index))
                or (info.path.name if parts and info.count == 1 else f"b{index}"),
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
    evidence = (Evidence(kind="wavelengths", found=waves.origin, score=10.0),)
    return Match(
        profile=profile,
        bands=kept or tuple(everything),
        origin=waves.origin,
        wavelengths_from=waves.origin,
        evidence=evidence,
    )


def _with_wavelength(band: Band, waves: Wavelengths, matched: MatchedBand) -> Band:
    key = (matched.href, matched.index)
    return replace(
        band, wavelength_um=waves.centres.get(key, band.wavelength_um), fwhm_um=waves.widths.get(key, band.fwhm_um)
    )


def _spectral(files: Sequence[RasterInfo], known: Sequence[Profile]) -> Profile:
    own = [profile for profile in known if not profile.bands and is_product(profile, files)]
    return own[0] if own else profile_named(SPECTRAL, known)


def _chosen(found: Candidate, files: Sequence[RasterInfo], origin: str) -> Match:
    by_name = {matched.band.name: matched for matched in found.bands}
    profile = found.profile
    bands = tuple(by_name[name] for name in profile.default_bands if name in by_name)
    if len(bands) < profile.min_bands:
        raise SensorError(refusals.too_few(found, files))
    return Match(profile=profile.for_path(PurePath(bands[0].href)), bands=bands, origin=origin, evidence=found.evidence)


def _quality_of(info: RasterInfo, known: Sequence[Profile]) -> bool:
    return info.count == 1 and any(
        q.file.search(bare_stem(info.path.stem)) for profile in known for q in profile.quality
    )


def _quality(profile: Profile, files: Sequence[RasterInfo]) -> MatchedQuality | None:
    for quality in profile.quality:
        for info in files:
            if quality.file.search(bare_stem(info.path.stem)) and (
                quality.path is None or quality.path.search(place(info))
            ):
                return MatchedQuality(quality=quality, href=info.href)
    return None
