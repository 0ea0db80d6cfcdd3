"""Error messages for scenes without a matching profile: what was found, what is missing, and how to fix it."""

from collections.abc import Sequence
from dataclasses import replace

from bandsight.sensors.candidates import Candidate, candidate
from bandsight.sensors.groups import is_ancillary
from bandsight.sensors.profile import Profile
from bandsight.sensors.raster_info import RasterInfo

# Longer lists of names would not help the user.
_FEW, _FEW_SENSORS = 6, 12


def too_few(found: Candidate, files: Sequence[RasterInfo]) -> str:
    """Return the message for a profile whose bands are incomplete."""
    names, profile = [matched.band.name for matched in found.bands], found.profile
    missing = [name for name in profile.default_bands if name not in names]
    # A variable cannot easily be added to a NetCDF file.
    more = "" if are_parts(files) else "put their files beside it, or "
    return (
        f"{files[0].href}: found {', '.join(names)} of {profile.name}, need at least {profile.min_bands} of its bands; "
        f"missing {', '.join(missing)}: {more}{_wavelengths(files)}"
    )


def only_quality(files: Sequence[RasterInfo]) -> str:
    """Return the message for a quality band or other ancillary layer without image bands."""
    return (
        f"{files[0].href}: by its name an ancillary layer of a product, without image bands; leave it "
        "out, or pass it with the bands of its scene"
    )


def not_applied(scene: str, matched: str, sensor: str) -> str:
    """Return the message for a scene that matches another profile than the user's."""
    return f"{scene}: matches {matched}, so --sensor {sensor} was not applied; pass --force to override"


def misfit(profile: Profile, files: Sequence[RasterInfo]) -> str:
    """Return the message for files without the bands of the profile that the user named."""
    found = f"{files[0].count} bands" if len(files) == 1 else f"{len(files)} files"
    if not profile.bands:
        return f"{files[0].href}: {found} without wavelengths; {_wavelengths(files)}"
    orders = " or ".join(sorted({" ".join(layout.bands) for layout in profile.layouts}))
    single = f"a file with the bands {orders}" if orders else ""
    several = "one file for each band, named as by the operator" if any(b.file for b in profile.bands) else ""
    needed = ", or ".join(part for part in (single, several) if part)
    return (
        f"{files[0].href}: {found}, sensor {profile.name} needs {needed}; "
        "choose another --sensor (see: bandsight sensors list)"
    )


def ambiguous(files: Sequence[RasterInfo], best: Sequence[Candidate]) -> str:
    """Return the message for several profiles that match equally well."""
    names = ", ".join(sorted(one.profile.name for one in best))
    kinds = {"band names", "file names"}
    found = "; ".join(sorted({one.found for each in best for one in each.evidence if one.kind in kinds}))
    shown = f" ({found})" if found else ""
    return f"{_found(files)}{shown}: several sensor profiles match; pass --sensor ({names}), or {_wavelengths(files)}"


def unmatched(files: Sequence[RasterInfo], nearest: Sequence[Candidate], known: Sequence[Profile]) -> str:
    """Return the message for files that no profile matches, with the profiles the user could name."""
    if len(files) == 1 and is_ancillary(files[0].path.stem):
        return only_quality(files)
    partial = [one for one in nearest if one.is_named and one.unexplained and one.is_enough]
    few = [one for one in nearest if one.is_named and not one.unexplained and not one.is_enough]
    if few and not partial:
        return too_few(few[0], files)
    fitting = sorted(profile.name for profile in known if _fits(profile, files))
    choice = f"pass --sensor ({', '.join(fitting)}), or " if 0 < len(fitting) <= _FEW_SENSORS else ""
    if partial:
        first = partial[0]
        left = ", ".join(first.unexplained[:_FEW]) + (", …" if len(first.unexplained) > _FEW else "")
        total = len(first.bands) + len(first.unexplained)
        take = f"pass --sensor {first.profile.name} --force to index only those, or "
        return (
            f"{_found(files)}: sensor {first.profile.name} matches {len(first.bands)} of {total} bands, not {left}; "
            f"{take}{_wavelengths(files)}"
        )
    return f"{_found(files)}, and nothing says which bands these are; {choice}{_wavelengths(files)}"


def are_parts(files: Sequence[RasterInfo]) -> bool:
    """Return whether files are subdatasets of one container, such as variables of a NetCDF file."""
    return len(files) > 1 and len({info.sidecar for info in files}) == 1 and bool(files[0].sidecar)


def _fits(profile: Profile, files: Sequence[RasterInfo]) -> bool:
    """Return whether this profile, named by the user, would match all bands, and enough of them."""
    if files[0].dtype.startswith("complex") and not any(band.polarisation for band in profile.bands):
        # Complex values occur in radar only.
        return False
    own = [layout for layout in profile.layouts if len(files) > 1 or layout.dtype in {None, files[0].dtype}]
    found = candidate(replace(profile, layouts=tuple(own)), files, forced=True)
    if found is None or not found.is_enough or found.unexplained:
        return False
    taken = {(matched.href, matched.index) for matched in found.bands}
    # No band other than alpha may be left over.
    return len(files) > 1 or files[0].colorinterp == ("palette",) or len(taken) == len(files[0].pictured)


def _found(files: Sequence[RasterInfo]) -> str:
    info = files[0]
    found = f"{info.count} bands of {info.dtype}" if len(files) == 1 else f"{len(files)} band files"
    if len(files) == 1 and info.count == 1:
        found = f"1 band of {info.dtype}"
    return f"{info.href}: {found}"


def _wavelengths(files: Sequence[RasterInfo]) -> str:
    count, name = len(files[0].pictured), files[0].sidecar or f"{files[0].path.name}.bandsight.json"
    if are_parts(files):
        what = f"the wavelengths of its {len(files)} parts in this order: {', '.join(info.path.name for info in files)}"
    elif len(files) > 1:
        name, what = f"{name}, and likewise for the others", "its wavelength"
    else:
        what = "its wavelength" if count == 1 else f"the wavelengths of its {count} bands"
    return f'write {{"wavelengths_um": […]}} with {what} into {name}'
