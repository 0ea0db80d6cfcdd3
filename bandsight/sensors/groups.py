"""Which files of a folder are bands of one scene, by their names alone."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bandsight.sensors.band_names import bare_stem
from bandsight.sensors.profile import Profile, load_profiles

# Layers that operators ship beside their bands and that are no picture, by their own names: Sentinel-2 (ESA, product
# specification), Landsat Collection 2 (USGS, data format control book), HLS, MODIS land products (LP DAAC), and
# Planet's masks. Words such as SR_ or QA_ alone say nothing: people use them in names of their own.
_NO_PICTURE = re.compile(
    r"(?:^|[_\s,.-])(?:QA60|TCI|PVI|AOT|WVP|CLDPRB|SNWPRB|CFMASK|MSK_(?:CLDPRB|SNWPRB|CLASSI|CLOUDS|DETFOO|QUALIT|TECQUA|DEFECT"
    r"|NODATA|SATURA)\w*"
    r"|QA_RADSAT|SR_QA_AEROSOL|SR_AEROSOL|SR_CLOUD_QA|SR_ATMOS_OPACITY|ST_(?:QA|ATRAN|CDIST|DRAD|EMIS|EMSD|TRAD|URAD)"
    r"|QC_(?:Day|Night)|(?:Day|Night)_view_(?:time|angl)|Clear_(?:day|night)_cov|Emis_3[12]|(?:16_days|monthly)_(?:NDVI|EVI"
    r"|VI_Quality|view_zenith_angle|sun_zenith_angle|relative_azimuth_angle|composite_day_of_the_year)"
    r"|[SV][AZ]A|udm2?|S\d_(?:radiance|BT)_[abcfi]o)(?:_\d+m|_clip|_harmonized)*$",
    re.IGNORECASE,
)
# The same by the product's name and its layer's: Copernicus DEM (ESA, product handbook: editing, filling, error and
# water masks, quicklooks), Landsat of Geoscience Australia (angles and terrain), MCD43A4 and EMIT (LP DAAC).
_NO_PICTURE_OF = re.compile(
    r"^Copernicus_DSM_.*_(?:(?:EDM|FLM|HEM|WBM|ACM|SRC)(?:_QL)?|QL)$|^ga_ls\w*_oa_(?!.*_fmask$)"
    r"|^ga_ls.*_nbart-contiguity$|^M[COY]D43\w*\..*_Band_Mandatory_Quality_Band\d$"
    r"|^EMIT_L\w*?_(?:OBS|MASK|RFLUNCERT)_\d{3}_\d{8}T",
    re.IGNORECASE,
)


def group_bands(
    files: Iterable[Path], profiles: Sequence[Profile] | None = None, left_out: list[Path] | None = None
) -> list[tuple[str, list[Path]]]:
    """Return (common part of the names, files) of each scene among the files of one folder.

    Band files that differ in nothing but the band belong together, with their quality band. Any other file is a scene
    of its own.

    Args:
        files: Of one folder.
        profiles: They know the names of bands; None for the shipped ones.
        left_out: Gets the files that belong to a product and are no picture.
    """
    known = load_profiles() if profiles is None else profiles
    groups: dict[str, list[Path]] = {}
    alone: list[Path] = []
    masks: dict[str, list[Path]] = {}
    other: list[Path] = []
    for file in files:
        stem, mask = _without_band(file.stem, known), _without_mask(file.stem, known)
        if mask is not None:
            masks.setdefault(f"{mask}|{file.suffix.lower()}", []).append(file)
        elif is_no_picture(file.stem):
            other.append(file)
        elif stem is None:
            alone.append(file)
        else:
            groups.setdefault(f"{stem}|{file.suffix.lower()}", []).append(file)
    for key, found in masks.items():
        if key in groups:
            groups[key] += found
        else:
            other += found
    out = [(key.rsplit("|", 1)[0].strip(" _-,."), group) for key, group in groups.items()]
    # Masks and the like whose product is not here were named on purpose.
    if not groups and not alone:
        out += [(file.stem, [file]) for file in other]
    elif left_out is not None:
        left_out += other
    return out + [(file.stem, [file]) for file in alone]


def is_no_picture(stem: str) -> bool:
    """Say whether a file is, by its name without suffix, a layer that a product has beside its bands."""
    bare = bare_stem(stem)
    return bool(_NO_PICTURE.search(bare) or _NO_PICTURE_OF.search(bare))


def _without_band(stem: str, known: Sequence[Profile]) -> str | None:
    """Return a file's name without its band or bands, None when no profile finds them in it."""
    patterns = [band.file for profile in known for band in profile.bands]
    return _without(stem, patterns + [layout.file for profile in known for layout in profile.layouts])


def _without_mask(stem: str, known: Sequence[Profile]) -> str | None:
    return _without(stem, (quality.file for profile in known for quality in profile.quality))


def _without(stem: str, patterns: Iterable[re.Pattern[str] | None]) -> str | None:
    # The longest match: `_SR_B4` rather than the `_B4` in it.
    bare = bare_stem(stem)
    matches = [match for pattern in patterns if pattern and (match := pattern.search(bare))]
    best = min(matches, key=lambda match: match.start(), default=None)
    return stem[: best.start()] + stem[best.end() :] if best else None
