"""Settles how a scene's numbers become 0..255, from its profile and from a look at the scene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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

# Bands of longer waves are heat.
_REFLECTIVE_UM = 3.0
# Largest share of a band's range that is left to the air.
_MOST_AIR = 0.6

Scale = tuple[float, float, str]
"""Scale and offset from stored numbers to physical values, and what states them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchLimits:
    """How a scene's numbers become bytes, band by band."""

    rules: tuple[Scaling, ...]
    """The rule of each band; bands of one data type have one rule."""
    low: tuple[float, ...]
    """Stored number (dB where the rule is in dB) that becomes 0, for each band."""
    high: tuple[float, ...]
    """The one that becomes 255."""
    scales: tuple[Scale, ...]
    """From stored numbers to physical values, for each band."""
    path_reflectance: tuple[float | None, ...]
    """What the air adds in each band; None where it was not estimated."""
    display_ranges: tuple[tuple[float, float] | None, ...]
    """Dark and bright end of each band in pictures; None where the rule says it."""

    @property
    def to_db(self) -> Decibel | None:
        """What becomes dB first."""
        return self.rules[0].to_db


def limits(
    raster: SceneRaster,
    files: OpenFiles,
    matched: Match,
    scales: Mapping[str, Scale],
    sun_elevation: float | None = None,
) -> StretchLimits:
    """Return the rules that hold for a scene, and the stored numbers that become 0 and 255 in each band.

    Args:
        raster: The scene; its scaling is not looked at.
        files: Its files.
        matched: The profile and the bands.
        scales: Of the files whose product or catalogue states them, by href.
        sun_elevation: Degrees above the horizon, where the product or catalogue states it.

    Raises:
        SceneError: No rule of the profile fits such numbers, or there are none.
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
        raise SceneError(f"{raster.name}: some of its bands are amplitudes, others not; index them as two scenes")
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


class _Samples:
    """The valid numbers of each band, read when they are first needed."""

    def __init__(self, raster: SceneRaster, files: OpenFiles) -> None:
        self._raster, self._files = raster, files
        self._read: list[NDArray[np.float32]] | None = None

    def of(self, position: int) -> NDArray[np.float32]:
        """Return a band's numbers as they are stored, shape (numbers,).

        Raises:
            SceneError: A band has none.
        """
        if self._read is None:
            self._read = sample_values(self._raster, self._files)
            if not all(len(sample) for sample in self._read):
                raise SceneError(f"{self._raster.name}: no valid pixel in it, so there is nothing to index")
        return self._read[position]

    def seen_by(self, rule: Scaling, position: int) -> NDArray[np.float32]:
        """Return them as a rule takes them."""
        numbers = self.of(position)
        if not rule.to_db:
            return numbers
        # Zeros among the speckle are data, and have no dB.
        return decibel(numbers[numbers > 0] if (numbers > 0).any() else numbers, rule.to_db)


def _plausible(rules: Sequence[Scaling], samples: _Samples, at: Sequence[int], sensor: str, name: str) -> Scaling:
    """Return the first rule that these bands' numbers fit."""
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
        f"{name}: its numbers have median {middle:g}, sensor {sensor} has {' or '.join(found)}; "
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
    """Fill in the ends of the bands with a linear rule; return what the air adds in each band."""
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
    """Return the share of reflectance that a band's numbers are, as the sun stood: 1 where they are all of it."""
    if matched.profile.sun_corrected or sun_elevation is None or wavelength_um >= _REFLECTIVE_UM:
        return 1.0
    return sun_height(sun_elevation)


def _air(
    matched: Match, at: Sequence[int], own: Sequence[Scaling], samples: _Samples, sun_elevation: float | None
) -> list[float | None]:
    """Return what the air adds in each band; None for heat, which the ground sends out itself."""
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
    """Return the rule with the scale that the product or the file states, where the rule is for scaled integers."""
    dataset = stored(files.dataset(href))
    scale, offset, stated = scales.get(href) or (dataset.scales[index - 1], dataset.offsets[index - 1], "the file")
    if rule.scale == 1 or (scale, offset) == (1, 0) or scale <= 0:
        return rule, "the profile"
    return replace(rule, scale=scale, offset=offset), stated
