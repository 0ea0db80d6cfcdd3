"""Candidate profiles for the files of a scene, and the evidence for each."""

from collections.abc import Sequence
from dataclasses import dataclass

from bandsight.sensors.band_names import bare_stem, is_auxiliary, is_exact, is_height, named_band, plain
from bandsight.sensors.evidence import Evidence
from bandsight.sensors.profile import Band, Layout, Profile
from bandsight.sensors.raster_info import BandMetadata, RasterInfo

# Weights of evidence. The product name outranks everything else; the file itself outranks its platform's usual
# products; colour tags count little, because writers set them by default.
PRODUCT_IN_FILE, PRODUCT_IN_METADATA, PLATFORM = 8.0, 7.0, 2.0
BAND_NAMES, COMMON_NAMES, FILE_NAMES, COLOURS, POSITION = 4.0, 2.5, 3.0, 2.0, 0.5
IN_ORDER, GENERAL, DATA_TYPE = 1.0, 0.5, 0.25
_ELEVATION = "elevation"
_RGB = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedBand:
    """A band and its location."""

    band: Band
    """The band of the profile."""
    href: str
    """File that contains the band."""
    index: int
    """Band index in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A profile that matches at least some bands of a scene."""

    profile: Profile
    """The profile."""
    bands: tuple[MatchedBand, ...]
    """The matched bands, in the profile's order."""
    unexplained: tuple[str, ...] = ()
    """Names of bands or files that it does not match."""
    evidence: tuple[Evidence, ...] = ()
    """Evidence for the profile."""

    @property
    def score(self) -> float:
        """Sum of the evidence scores."""
        return sum(one.score for one in self.evidence)

    @property
    def default_count(self) -> int:
        """Number of matched default bands."""
        return sum(matched.band.name in self.profile.default_bands for matched in self.bands)

    @property
    def is_enough(self) -> bool:
        """Whether enough bands are matched for the model."""
        return self.default_count >= self.profile.min_bands

    @property
    def is_named(self) -> bool:
        """Whether any evidence names the product or its bands. A band count, or `B2` in a file name, does not."""
        kinds = {one.kind for one in self.evidence}
        return bool(kinds & {"product name", "product in metadata", "platform", "band names", "colours"})

    @property
    def by_colours_alone(self) -> bool:
        """Whether colour tags are the only evidence."""
        return not {one.kind for one in self.evidence} - {"colours", "general", "data type"}

    @property
    def is_certain(self) -> bool:
        """Whether there is more evidence than colour names, which many sensors share."""
        named = [one for one in self.evidence if one.kind == "band names"]
        others = len(self.evidence) - len(named) - self._general
        return self.is_named and (others > 0 or any(one.score >= BAND_NAMES for one in named))

    @property
    def _general(self) -> int:
        return sum(one.kind in {"general", "data type", "number of bands", "file names"} for one in self.evidence)


def candidate(profile: Profile, files: Sequence[RasterInfo], *, forced: bool = False) -> Candidate | None:
    """Return the bands of a scene that a profile matches, or None if there are none.

    Args:
        profile: The profile.
        files: The scene's files, without quality bands.
        forced: The user named the profile: layouts match without further evidence.
    """
    named = _product_evidence(profile, files)
    repeated = any(layout.repeat for layout in profile.layouts)
    if len(files) == 1 and (repeated or files[0].count > 1 or not _of_file(profile, files[0])):
        found = _of_one_file(profile, files[0], named=bool(named), forced=forced)
    else:
        found = _of_band_files(profile, files)
    if found is None:
        return None
    bands, unexplained, evidence = found
    order = {band.name: position for position, band in enumerate(profile.bands)}
    bands = sorted(bands, key=lambda matched: order[matched.band.name])
    extra = [] if profile.product else [Evidence(kind="general", found="generic profile", score=GENERAL)]
    if files[0].dtype in profile.scaling:
        extra.append(Evidence(kind="data type", found=files[0].dtype, score=DATA_TYPE))
    return Candidate(
        profile=profile, bands=tuple(bands), unexplained=tuple(unexplained), evidence=(*named, *evidence, *extra)
    )


def is_product(profile: Profile, files: Sequence[RasterInfo]) -> bool:
    """Return whether the path or metadata names one of the profile's products."""
    return bool(_product_evidence(profile, files))


def place(info: RasterInfo) -> str:
    """Return the part of the path that identifies products: folder and file name."""
    return f"{info.path.parent.name}/{info.path.name}"


def described(info: RasterInfo) -> list[str]:
    """Return the name of each band, from the catalogue or product metadata, else from the file's descriptions."""
    if info.stated:
        return [band.name or "" for band in info.stated]
    # Ignore the default descriptions of some GDAL drivers: Band 1, Band 2, …
    return ["" if plain(text) == f"band {index}" else text or "" for index, text in enumerate(info.descriptions, 1)]


def is_opacity(info: RasterInfo, index: int) -> bool:
    """Return whether a band (index from 1) is tagged as alpha."""
    return info.colorinterp[index - 1] == "alpha"


_Found = tuple[list[MatchedBand], list[str], list[Evidence]]


def _product_evidence(profile: Profile, files: Sequence[RasterInfo]) -> list[Evidence]:
    if profile.product is None:
        return []
    first = files[0]
    found = []
    if match := profile.product.search(place(first)):
        found.append(Evidence(kind="product name", found=match[0].strip("/") or place(first), score=PRODUCT_IN_FILE))
    for hint in first.hints:
        if profile.product.search(hint):
            text = f"{hint} ({first.stated_by})"
            found.append(Evidence(kind="product in metadata", found=text, score=PRODUCT_IN_METADATA))
            break
    if not found and first.platform and profile.product.search(first.platform):
        found.append(Evidence(kind="platform", found=first.platform, score=PLATFORM))
    return found


def _of_one_file(profile: Profile, info: RasterInfo, *, named: bool, forced: bool) -> _Found | None:
    """Match the bands of a single file by descriptions, colours or position."""
    return (
        _by_descriptions(profile, info)
        or _by_colours(profile, info, forced)
        or _by_position(profile, info, named, forced)
    )


def _by_descriptions(profile: Profile, info: RasterInfo) -> _Found | None:
    names = described(info)
    if profile.name == _ELEVATION:
        return _as_height(profile, info, names)
    bands: dict[str, MatchedBand] = {}
    unexplained, exact = [], []
    for index, name in enumerate(names, 1):
        if is_opacity(info, index) or is_auxiliary(name):
            continue
        band = named_band(name, profile.bands)
        if band is None or band.name in bands:
            unexplained.append(name or f"band {index}")
        else:
            bands[band.name] = MatchedBand(band=band, href=info.href, index=index)
            exact.append(is_exact(name, band))
    if not bands:
        return None
    score = BAND_NAMES if all(exact) else COMMON_NAMES
    order = [plain(name) for name in names if name]
    ordered = any([plain(band) for band in layout.bands] == order for layout in profile.layouts)
    short = ", ".join(name for name in names if name)
    text = short if len(short) < 80 else f"{short[:80]}…"  # noqa: PLR2004  (fits on a line)
    evidence = [Evidence(kind="band names", found=text, score=score + (IN_ORDER if ordered else 0))]
    return list(bands.values()), unexplained, evidence


def _as_height(profile: Profile, info: RasterInfo, names: Sequence[str]) -> _Found | None:
    if info.count != 1 or not is_height(names):
        return None
    return _repeated(profile, info, Evidence(kind="band names", found=names[0], score=BAND_NAMES))


def _by_colours(profile: Profile, info: RasterInfo, forced: bool) -> _Found | None:
    """Match bands by GDAL's colour interpretation, in any order."""
    known = {layout.colorinterp for layout in profile.layouts if layout.colorinterp}
    if info.colorinterp == ("palette",) and _RGB in known and info.dtype in {"uint8", "uint16"}:
        bands = [MatchedBand(band=profile.band(name), href=info.href, index=i) for i, name in enumerate(_RGB, 1)]
        return bands, [], [Evidence(kind="colours", found="a palette, expanded", score=COLOURS)]
    colours = [(index, colour) for index, colour in enumerate(info.colorinterp, 1) if colour != "alpha"]
    if not any(sorted(layout) == sorted(colour for _, colour in colours) for layout in known if layout):
        return None
    if len(colours) < info.count and not info.true_alpha and not forced:
        # GDAL tags the first four bands like this by default.
        return None
    by_colour = {band.common_name: band for band in profile.bands}
    bands = [MatchedBand(band=by_colour[colour], href=info.href, index=index) for index, colour in colours]
    return bands, [], [Evidence(kind="colours", found=", ".join(colour for _, colour in colours), score=COLOURS)]


def _by_position(profile: Profile, info: RasterInfo, named: bool, forced: bool) -> _Found | None:
    """Match bands by position, if the product name or the user identifies the profile."""
    if not (named or forced):
        return None
    alpha = info.colorinterp.count("alpha")
    # Many writers tag any fourth band as alpha, so a four-band product may really have four.
    counts = [info.count] if not alpha or not info.true_alpha else []
    counts += [info.count - alpha] if alpha else []
    counts += [info.count] if forced and info.count not in counts else []
    stem = bare_stem(info.path.stem)
    layouts = sorted(profile.layouts, key=lambda one: not (one.file and one.file.search(stem)))
    for count in counts:
        for layout in layouts:
            named_so = layout.file is None or forced or layout.file.search(stem)
            if layout.stored == count and named_so and (layout.dtype is None or forced or layout.dtype == info.dtype):
                evidence = Evidence(kind="number of bands", found=f"{count} bands", score=POSITION)
                if layout.repeat:
                    return _repeated(profile, info, evidence)
                return _placed(profile, info, layout), [], [evidence]
    return None


def _placed(profile: Profile, info: RasterInfo, layout: Layout) -> list[MatchedBand]:
    return [
        MatchedBand(band=profile.band(name), href=info.href, index=index) for index, name in enumerate(layout.bands, 1)
    ]


def _repeated(profile: Profile, info: RasterInfo, evidence: Evidence) -> _Found | None:
    """Return the single stored band for each band of a repeating layout."""
    layout = next((one for one in profile.layouts if one.repeat), None)
    if layout is None:
        return None
    return [MatchedBand(band=profile.band(name), href=info.href, index=1) for name in layout.bands], [], [evidence]


def _of_band_files(profile: Profile, files: Sequence[RasterInfo]) -> _Found | None:
    """Match files with one band each."""
    bands: dict[str, MatchedBand] = {}
    unexplained: list[str] = []
    names: list[str] = []
    exact: list[bool | None] = []
    for info in files:
        if info.count == 1 and len(files) > 1 and is_auxiliary(described(info)[0]):
            continue
        if info.count > 1:
            by_name = _by_descriptions(profile, info)
            if by_name is not None and not by_name[1]:
                placed = by_name[0]
                exact.append(by_name[2][0].score >= BAND_NAMES)
                names += [matched.band.name for matched in placed]
            else:
                placed = _placed_by_file(profile, info)
                exact.append(None)
                (names if placed else unexplained).append(info.path.name)
            bands |= {matched.band.name: matched for matched in placed}
            continue
        band = _of_file(profile, info)
        if band is None or band.name in bands:
            unexplained.append(info.path.name)
            continue
        bands[band.name] = MatchedBand(band=band, href=info.href, index=1)
        stated = described(info)[0]
        exact.append(is_exact(stated, band) if stated else None)
        names.append(stated or info.path.stem)
    if not bands:
        return None
    stated_all = exact and all(one is not None for one in exact)
    kind, score = "file names", FILE_NAMES
    if stated_all:
        kind, score = "band names", BAND_NAMES if all(exact) else COMMON_NAMES
    return list(bands.values()), unexplained, [Evidence(kind=kind, found=", ".join(names[:13]), score=score)]


def _placed_by_file(profile: Profile, info: RasterInfo) -> list[MatchedBand]:
    """Match one of several multi-band files by its name; empty if the name is not known."""
    found = [one for one in profile.layouts if one.file and one.file.search(bare_stem(info.path.stem))]
    fitting = [one for one in found if one.stored == info.count]
    return _placed(profile, info, fitting[0]) if fitting else []


def _of_file(profile: Profile, info: RasterInfo) -> Band | None:
    """Match a single-band file by its metadata, else by its name."""
    stated = info.stated[0] if info.stated else BandMetadata(name=described(info)[0] if info.descriptions else None)
    name = stated.name or ""
    exact = next((band for band in profile.bands if name and is_exact(name, band)), None)
    by_file = next((band for band in profile.bands if band.file and band.file.search(bare_stem(info.path.stem))), None)
    alike = [band for band in profile.bands if stated.common_name and band.common_name == stated.common_name]
    return exact or by_file or (alike[0] if len(alike) == 1 else None) or named_band(name, profile.bands)
