"""Determines a scene's scaling to 0..255, from its profile and sampled values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.errors import SceneError
from bandsight.raster.drivers import stored
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.samples import sample_values
from bandsight.raster.scene_raster import SceneRaster
from bandsight.sensors.match import Match
from bandsight.sensors.scaling import Decibel, Scaling, decibel, display_range, percentile_limits
from indexer.path_radiance import DARKEST, path_reflectance, sun_height

# Bands at longer wavelengths are thermal.
_REFLECTIVE_UM = 3.0
# Maximum fraction of a band's range attributed to path radiance.
_MOST_AIR = 0.6

Scale = tuple[float, float, str]
"""Scale and offset from stored to physical values, and their source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchLimits:
    """Scaling of a scene to bytes, band by band."""

    rules: tuple[Scaling, ...]
    """Rule of each band; bands with the same data type share a rule."""
    low: tuple[float, ...]
    """Stored value (dB if the rule uses dB) that maps to 0, for each band."""
    high: tuple[float, ...]
    """The same for 255."""
    scales: tuple[Scale, ...]
    """Scale from stored to physical values, for each band."""
    path_reflectance: tuple[float | None, ...]
    """Path reflectance of each band; None if not estimated."""
    display_ranges: tuple[tuple[float, float] | None, ...]
    """Display range of each band; None to use the rule's."""

    @property
    def to_db(self) -> Decibel | None:
        """Conversion to dB, applied first."""
        return self.rules[0].to_db


def limits(
    raster: SceneRaster,
    files: OpenFiles,
    matched: Match,
    scales: Mapping[str, Scale],
    sun_elevation: float | None = None,
) -> StretchLimits:
    """Return the scaling rules of a scene, and the stored values that map to 0 and 255 in each band.

    Args:
        raster: The scene; its scaling is ignored.
        files: Open files of the scene.
        matched: Matched profile and bands.
        scales: Scales stated by the product or catalogue, by href.
        sun_elevation: Degrees above the horizon, if stated by the product or catalogue.

    Raises:
        SceneError: No rule of the profile matches the values, or there are none.
    """
    kinds = [files.dataset(band.href).dtypes[band.index - 1] for band in raster.bands]
    samples = _Samples(raster, files)
    rules: list[Scaling] = [Scaling(kind="as_is")] * len(kinds)
    low, high = [0.0] * len(kinds), [255.0] * len(kinds)
    shown: list[tuple[float, float] | None] = [None] * len(kinds)
    for dtype in dict.fromkeys(kinds):
        at = [position for position, kind in enumerate(kinds) if kind == dtype]
        rule = _plausible(matched.profile.rules_for(dtype), samples, at, matched.profile.name, raster.name)
        for position in at:
            rules[position] = rule
        if rule.kind == "percentile":
            for position in at:
                shown[position] = display_range(samples.seen_by(rule, position))
            waves = [matched.bands[position].band.wavelength_um for position in at]
            pairs = percentile_limits([samples.seen_by(rule, position) for position in at], waves)
            for position, (begin, end) in zip(at, pairs, strict=True):
                low[position], high[position] = begin, end
    if len({rule.to_db for rule in rules}) > 1:
        raise SceneError(f"{raster.name}: some bands are amplitudes, others are not; index them as two scenes")
    own = [_of_file(rule, files, m.href, m.index, scales) for rule, m in zip(rules, matched.bands, strict=True)]
    air = _linear(matched, rules, [scaled for scaled, _ in own], samples, sun_elevation, low, high)
    return StretchLimits(
        rules=tuple(rules),
        low=tuple(low),
        high=tuple(high),
        scales=tuple((scaled.scale, scaled.offset, stated) for scaled, stated in own),
        path_reflectance=tuple(air),
        display_ranges=tuple(shown),
    )


def stretch_record(stretched: StretchLimits) -> dict[str, Any]:
    """Return the scaling in the catalog's format."""
    first, kinds = stretched.rules[0], [rule.kind for rule in stretched.rules]
    kept = {
        "kind": first.kind,
        "to_db": stretched.to_db,
        "low": list(stretched.low),
        "high": list(stretched.high),
        "quantity": first.quantity,
        "scale": first.scale,
        "offset": first.offset,
    }
    return kept if len(set(kinds)) == 1 else {**kept, "kinds": kinds}


class _Samples:
    """Valid values of each band, read lazily."""

    def __init__(self, raster: SceneRaster, files: OpenFiles) -> None:
        self._raster, self._files = raster, files
        self._read: list[NDArray[np.float32]] | None = None

    def of(self, position: int) -> NDArray[np.float32]:
        """Return the stored values of a band, shape (values,).

        Raises:
            SceneError: A band has no valid values.
        """
        if self._read is None:
            self._read = sample_values(self._raster, self._files)
            if not all(len(sample) for sample in self._read):
                raise SceneError(f"{self._raster.name}: no valid pixels, so there is nothing to index")
        return self._read[position]

    def seen_by(self, rule: Scaling, position: int) -> NDArray[np.float32]:
        """Return the values as input of a rule, in dB if it uses dB."""
        numbers = self.of(position)
        if not rule.to_db:
            return numbers
        # Zeros in speckle are valid data, but have no dB value.
        return decibel(numbers[numbers > 0] if (numbers > 0).any() else numbers, rule.to_db)


def _plausible(rules: Sequence[Scaling], samples: _Samples, at: Sequence[int], sensor: str, name: str) -> Scaling:
    """Return the first rule that is plausible for these bands' values."""
    found = []
    for rule in rules:
        if rule.plausible is None:
            return rule
        middle = float(np.median([np.median(samples.seen_by(rule, position)) for position in at]))
        if rule.plausible[0] <= middle <= rule.plausible[1]:
            return rule
        found.append(f"{rule.plausible[0]:g} to {rule.plausible[1]:g}" + (" after dB" if rule.to_db else ""))
    middle = float(np.median([np.median(samples.of(position)) for position in at]))
    raise SceneError(
        f"{name}: its values have median {middle:g}, but sensor {sensor} has {' or '.join(found)}; "
        "choose another --sensor or convert the scene"
    )


def _linear(
    matched: Match,
    rules: Sequence[Scaling],
    own: Sequence[Scaling],
    samples: _Samples,
    sun_elevation: float | None,
    low: list[float],
    high: list[float],
) -> list[float | None]:
    """Set the limits of bands with a linear rule. Returns the path reflectance of each band."""
    at = [position for position, rule in enumerate(rules) if rule.kind == "linear"]
    air: list[float | None] = [None] * len(rules)
    if at and matched.profile.toa_reflectance:
        air = _air(matched, at, own, samples, sun_elevation)
    for position in at:
        band, rule = matched.bands[position].band, own[position]
        light = _light(matched, band.wavelength_um, sun_elevation)
        begin = light * (rule.low if band.low is None else band.low)
        end = light * (rule.high if band.high is None else band.high)
        added = air[position]
        if added is not None:
            begin = max(begin, min(added, begin + _MOST_AIR * (end - begin)))
        low[position], high[position] = rule.stored(begin), rule.stored(end)
    return air


def _light(matched: Match, wavelength_um: float, sun_elevation: float | None) -> float:
    """Return the factor by which uncorrected reflectance is reduced by the sun elevation; 1 if corrected."""
    if matched.profile.sun_corrected or sun_elevation is None or wavelength_um >= _REFLECTIVE_UM:
        return 1.0
    return sun_height(sun_elevation)


def _air(
    matched: Match, at: Sequence[int], own: Sequence[Scaling], samples: _Samples, sun_elevation: float | None
) -> list[float | None]:
    """Return the path reflectance of each band; None for thermal bands."""
    waves = np.array([m.band.wavelength_um for m in matched.bands])
    known = [position for position in at if waves[position] < _REFLECTIVE_UM]
    darkest = [float(np.percentile(own[position].physical(samples.of(position)), DARKEST)) for position in known]
    out: list[float | None] = [None] * len(waves)
    corrected = matched.profile.sun_corrected
    found = path_reflectance(waves[known], darkest, sun_elevation=sun_elevation, sun_corrected=corrected)
    for position, added in zip(known, found, strict=True):
        out[position] = float(added)
    return out


def _of_file(
    rule: Scaling, files: OpenFiles, href: str, index: int, scales: Mapping[str, Scale]
) -> tuple[Scaling, str]:
    """Return the rule with the scale stated by the product or file, if the rule is for scaled integers."""
    dataset = stored(files.dataset(href))
    scale, offset, stated = scales.get(href) or (dataset.scales[index - 1], dataset.offsets[index - 1], "the file")
    if rule.scale == 1 or (scale, offset) == (1, 0) or scale <= 0:
        return rule, "the profile"
    return replace(rule, scale=scale, offset=offset), stated
