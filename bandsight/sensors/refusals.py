"""What to say when no profile can be chosen: what was found, what is missing, and options that work."""

from collections.abc import Sequence
from dataclasses import replace

from bandsight.sensors.candidates import Candidate, candidate
from bandsight.sensors.groups import is_no_picture
from bandsight.sensors.profile import Profile
from bandsight.sensors.raster_info import RasterInfo

# More names than these are no advice.
_FEW, _FEW_SENSORS = 6, 12


def too_few(found: Candidate, files: Sequence[RasterInfo]) -> str:
    """Return that a profile's bands are incomplete."""
    names, profile = [matched.band.name for matched in found.bands], found.profile
    missing = [name for name in profile.default_bands if name not in names]
    # Users cannot easily add a variable to a NetCDF file.
    more = "" if are_parts(files) else "put their files beside it, or "
    return (
        f"{files[0].href}: found {', '.join(names)} of {profile.name}, need at least {profile.min_bands} of its bands; "
        f"missing {', '.join(missing)}: {more}{_wavelengths(files)}"
    )


def only_quality(files: Sequence[RasterInfo]) -> str:
    """Return that there is a quality band or another layer of a product and no picture beside it."""
    return (
        f"{files[0].href}: by its name a layer that its product has beside the bands, which is no picture; leave it "
        "out, or pass it with the bands of its scene"
    )


def not_applied(scene: str, matched: str, sensor: str) -> str:
    """Return that a scene matches another profile than the user's, and how the user's is applied."""
    return f"{scene}: matches {matched}, so --sensor {sensor} was not applied; pass --force to override"


def misfit(profile: Profile, files: Sequence[RasterInfo]) -> str:
    """Return that files do not hold the bands of the profile that the user named."""
    found = f"{files[0].count} bands" if len(files) == 1 else f"{len(files)} files"
    if not profile.bands:
        return f"{files[0].href}: {found} without wavelengths; {_wavelengths(files)}"
    orders = " or ".join(sorted({" ".join(layout.bands) for layout in profile.layouts}))
    single = f"a file with the bands {orders}" if orders else ""
    several = "one file for each band, named like the operator's" if any(b.file for b in profile.bands) else ""
    needed = ", or ".join(part for part in (single, several) if part)
    return (
        f"{files[0].href}: {found}, sensor {profile.name} needs {needed}; "
        "choose another --sensor (see: bandsight sensors list)"
    )


def ambiguous(files: Sequence[RasterInfo], best: Sequence[Candidate]) -> str:
    """Return that several profiles fit equally well."""
    names = ", ".join(sorted(one.profile.name for one in best))
    kinds = {"band names", "file names"}
    found = "; ".join(sorted({one.found for each in best for one in each.evidence if one.kind in kinds}))
    shown = f" ({found})" if found else ""
    return (
        f"{_found(files)}{shown}: more than one sensor profile fits; pass --sensor ({names}), or {_wavelengths(files)}"
    )


def unmatched(files: Sequence[RasterInfo], nearest: Sequence[Candidate], known: Sequence[Profile]) -> str:
    """Return that no profile explains the files, and the few that the user could name."""
    if len(files) == 1 and is_no_picture(files[0].path.stem):
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
            f"{_found(files)}: sensor {first.profile.name} explains {len(first.bands)} of {total}, not {left}; "
            f"{take}{_wavelengths(files)}"
        )
    return f"{_found(files)}, and nothing says which bands these are; {choice}{_wavelengths(files)}"


def are_parts(files: Sequence[RasterInfo]) -> bool:
    """Say whether files are parts of one container, such as variables of a NetCDF file."""
    return len(files) > 1 and len({info.sidecar for info in files}) == 1 and bool(files[0].sidecar)


def _fits(profile: Profile, files: Sequence[RasterInfo]) -> bool:
    """Say whether a user who names this profile gets all bands explained, and enough of them."""
    if files[0].dtype.startswith("complex") and not any(band.polarisation for band in profile.bands):
        # Only radar has those.
        return False
    own = [layout for layout in profile.layouts if len(files) > 1 or layout.dtype in {None, files[0].dtype}]
    found = candidate(replace(profile, layouts=tuple(own)), files, forced=True)
    if found is None or not found.is_enough or found.unexplained:
        return False
    taken = {(matched.href, matched.index) for matched in found.bands}
    # Without leaving out a band that is no opacity.
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
        name, what = f"{name}, and so beside the others", "its wavelength"
    else:
        what = "its wavelength" if count == 1 else f"the wavelengths of its {count} bands"
    return f'write {{"wavelengths_um": […]}} with {what} into {name}'
