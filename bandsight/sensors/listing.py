"""Formats sensor profiles as text."""

from collections.abc import Iterator, Sequence

from bandsight.sensors.profile import Band, Profile
from bandsight.sensors.scaling import Scaling


def profile_lines(profiles: Sequence[Profile]) -> Iterator[str]:
    """Yield one line per profile: name, bands, title."""
    width = max(len(profile.name) for profile in profiles)
    for profile in profiles:
        bands = f"{len(profile.default_bands)} bands" if profile.bands else "any bands"
        yield f"{profile.name:<{width}}  {bands:>9}  {profile.title}"


def profile_text(profile: Profile) -> str:
    """Return a full description of a profile."""
    lines = [f"{profile.name}: {profile.title}", f"collection: {profile.collection}", "bands:"]
    lines += [_band(band, profile) for band in profile.bands] or ["  bands and wavelengths come from the scene itself"]
    for low, high in profile.skip_um:
        lines.append(f"  excluded: {low:g} to {high:g} µm")
    if profile.nodata is not None:
        lines.append(f"nodata: {profile.nodata:g}")
    if profile.fill_values:
        lines.append(f"nodata if every band is: {', '.join(f'{value:g}' for value in profile.fill_values)}")
    for dtype, rules in profile.scaling.items():
        lines += [f"scaling ({dtype}): {rule_text(rule)}" for rule in rules]
    if profile.toa_reflectance:
        lines.append("reflectance starts above the path radiance of each scene")
    lines += [f"quality band: {quality.name}" for quality in profile.quality]
    if profile.product:
        lines.append(f"recognised by: {profile.product.pattern}")
    return "\n".join(lines)


def rule_text(rule: Scaling) -> str:
    """Return a scaling rule as text."""
    first = f"{rule.to_db} to dB, " if rule.to_db else ""
    if rule.kind == "as_is":
        return "stored values are 0..255"
    if rule.kind == "percentile":
        return f"{first}1st to 99th percentile of the scene"
    value = "stored" if (rule.scale, rule.offset) == (1, 0) else f"stored × {rule.scale:g} + {rule.offset:g}"
    sane = f", for medians of {rule.plausible[0]:g} to {rule.plausible[1]:g}" if rule.plausible else ""
    return f"{first}{rule.quantity} = {value}; {rule.low:g} to {rule.high:g} become 0 to 255{sane}"


def _band(band: Band, profile: Profile) -> str:
    parts = [f"  {band.name:<13}{band.wavelength_um:g} µm"]
    if band.fwhm_um:
        parts.append(f"width {band.fwhm_um:g} µm")
    if band.common_name:
        parts.append(band.common_name)
    if band.frequency_ghz:
        parts.append(f"{band.frequency_ghz:g} GHz {band.polarisation or ''}".rstrip())
    if band.name not in profile.default_bands:
        parts.append("(not used by the model)")
    return "  ".join(parts)
