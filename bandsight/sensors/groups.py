"""Groups the files of a folder into scenes, by file names only."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from bandsight.sensors.band_names import bare_stem
from bandsight.sensors.profile import Profile, load_profiles

# Ancillary layers that ship with the bands of a product, by their distinctive names: Sentinel-2 (ESA, product
# specification), Landsat Collection 2 (USGS, data format control book), HLS, MODIS land products (LP DAAC), and
# Planet's masks. SR_ or QA_ alone are not distinctive: users have them in their own file names.
_ANCILLARY = re.compile(
    r"(?:^|[_\s,.-])(?:QA60|TCI|PVI|AOT|WVP|CLDPRB|SNWPRB|CFMASK|MSK_(?:CLDPRB|SNWPRB|CLASSI|CLOUDS|DETFOO|QUALIT|TECQUA|DEFECT"
    r"|NODATA|SATURA)\w*"
    r"|QA_RADSAT|SR_QA_AEROSOL|SR_AEROSOL|SR_CLOUD_QA|SR_ATMOS_OPACITY|ST_(?:QA|ATRAN|CDIST|DRAD|EMIS|EMSD|TRAD|URAD)"
    r"|QC_(?:Day|Night)|(?:Day|Night)_view_(?:time|angl)|Clear_(?:day|night)_cov|Emis_3[12]|(?:16_days|monthly)_(?:NDVI|EVI"
    r"|VI_Quality|view_zenith_angle|sun_zenith_angle|relative_azimuth_angle|composite_day_of_the_year)"
    r"|[SV][AZ]A|udm2?|S\d_(?:radiance|BT)_[abcfi]o)(?:_\d+m|_clip|_harmonized)*$",
    re.IGNORECASE,
)
# Ancillary layers recognised by the names of both product and layer: Copernicus DEM (ESA, product handbook: editing,
# filling, error and water masks, quicklooks), Landsat of Geoscience Australia (angles and terrain), MCD43A4 and EMIT
# (LP DAAC).
_ANCILLARY_OF = re.compile(
    r"^Copernicus_DSM_.*_(?:(?:EDM|FLM|HEM|WBM|ACM|SRC)(?:_QL)?|QL)$|^ga_ls\w*_oa_(?!.*_fmask$)"
    r"|^ga_ls.*_nbart-contiguity$|^M[COY]D43\w*\..*_Band_Mandatory_Quality_Band\d$"
    r"|^EMIT_L\w*?_(?:OBS|MASK|RFLUNCERT)_\d{3}_\d{8}T",
    re.IGNORECASE,
)


def group_bands(
    files: Iterable[Path], profiles: Sequence[Profile] | None = None, left_out: list[Path] | None = None
) -> list[tuple[str, list[Path]]]:
    """Return (common part of the names, files) for each scene in a folder.

    Files whose names differ only in the band form one scene, together with their quality band. Any other file is a
    scene of its own.

    Args:
        files: Files of one folder.
        profiles: Profiles that define the band names; None for the built-in ones.
        left_out: List to which ancillary files are appended.
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
        elif is_ancillary(file.stem):
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
    # Masks without their product were passed on purpose.
    if not groups and not alone:
        out += [(file.stem, [file]) for file in other]
    elif left_out is not None:
        left_out += other
    return out + [(file.stem, [file]) for file in alone]


def is_ancillary(stem: str) -> bool:
    """Return whether a file stem names an ancillary layer of a product, not image bands."""
    bare = bare_stem(stem)
    return bool(_ANCILLARY.search(bare) or _ANCILLARY_OF.search(bare))


def _without_band(stem: str, known: Sequence[Profile]) -> str | None:
    """Return a file stem without its band name, or None if no profile recognises one."""
    patterns = [band.file for profile in known for band in profile.bands]
    return _without(stem, patterns + [layout.file for profile in known for layout in profile.layouts])


def _without_mask(stem: str, known: Sequence[Profile]) -> str | None:
    return _without(stem, (quality.file for profile in known for quality in profile.quality))


def _without(stem: str, patterns: Iterable[re.Pattern[str] | None]) -> str | None:
    # Prefer the longest match: `_SR_B4` over `_B4`.
    bare = bare_stem(stem)
    matches = [match for pattern in patterns if pattern and (match := pattern.search(bare))]
    best = min(matches, key=lambda match: match.start(), default=None)
    return stem[: best.start()] + stem[best.end() :] if best else None
