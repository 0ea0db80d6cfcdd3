"""Settles how a scene's numbers become 0..255, from its profile and from a look at the scene."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from bandsight.errors import SceneError
from bandsight.sensors.match import Match
from bandsight.sensors.scaling import Scaling, decibel, percentile_limits
from indexer.path_radiance import DARKEST, path_reflectance, sun_height

# Longest side of the overview from which a percentile stretch is computed.
_OVERVIEW_PX = 1024
# Most values of one file in that overview, over all its bands.
_OVERVIEW_VALUES = 40_000_000
# Bands of longer waves are heat.
_REFLECTIVE_UM = 3.0
# Share of a band's range that is left to the air at most.
_MOST_AIR = 0.6


def limits(
    used: Mapping[str, DatasetReader],
    matched: Match,
    nodata: float | None,
    name: str,
    scales: Mapping[str, tuple[float, float]],
    sun_elevation: float | None = None,
) -> tuple[Scaling, tuple[float, ...], tuple[float, ...]]:
    """Return the rule that holds for the scene, and the stored values that become 0 and 255, for each band.

    Args:
        used: Open files, by href.
        matched: The profile and the bands.
        nodata: Value without data.
        name: The scene's, for errors.
        scales: (scale, offset) of the files whose product or catalogue states them, by href.
        sun_elevation: Degrees above the horizon, where the product or catalogue states it.

    Raises:
        SceneError: No rule of the profile is for such numbers, or there are none.
    """
    bands = [m.band for m in matched.bands]
    first = used[matched.bands[0].href]
    rules = matched.profile.rules_for(first.dtypes[0])
    samples: list[NDArray[np.float32]] = []
    if any(rule.kind == "percentile" or rule.plausible for rule in rules):
        samples = _overviews(used, matched, nodata)
        if not all(len(sample) for sample in samples):
            raise SceneError(f"{name}: no valid pixel in it, so there is nothing to index")
    rule, samples = _plausible(rules, samples, matched.profile.name, name)
    if rule.kind == "as_is":
        return rule, (0.0,) * len(bands), (255.0,) * len(bands)
    if rule.kind == "linear":
        own = [_of_file(rule, used[m.href], m.index, scales.get(m.href)) for m in matched.bands]
        light = _light(matched, sun_elevation)
        begin = [part * (o.low if b.low is None else b.low) for o, b, part in zip(own, bands, light, strict=True)]
        end = [part * (o.high if b.high is None else b.high) for o, b, part in zip(own, bands, light, strict=True)]
        if matched.profile.hazy:
            samples = samples or _overviews(used, matched, nodata)
            air = _air(matched, [o.physical(s) for o, s in zip(own, samples, strict=True)], sun_elevation)
            begin = [max(b, min(a, b + _MOST_AIR * (e - b))) for b, e, a in zip(begin, end, air, strict=True)]
        low, high = ([o.stored(v) for o, v in zip(own, values, strict=True)] for values in (begin, end))
        return rule, tuple(low), tuple(high)
    pairs = percentile_limits(samples, [band.wavelength_um for band in bands])
    return rule, tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def _plausible(
    rules: Sequence[Scaling], samples: list[NDArray[np.float32]], sensor: str, name: str
) -> tuple[Scaling, list[NDArray[np.float32]]]:
    """Return the first rule whose numbers these can be, and the samples as it sees them."""
    found = []
    for rule in rules:
        seen = [decibel(sample, rule.to_db) for sample in samples] if rule.to_db else samples
        if rule.plausible is None:
            return rule, seen
        middle = float(np.median([np.median(sample) for sample in seen]))
        if rule.plausible[0] <= middle <= rule.plausible[1]:
            return rule, seen
        found.append(f"{rule.plausible[0]:g} to {rule.plausible[1]:g}" + (" after dB" if rule.to_db else ""))
    middle = float(np.median([np.median(sample) for sample in samples]))
    raise SceneError(
        f"{name}: its numbers have median {middle:g}, sensor {sensor} has {' or '.join(found)}; "
        "choose another --sensor or convert the scene"
    )


def _light(matched: Match, sun_elevation: float | None) -> list[float]:
    """Return, for each band, the share of reflectance that its numbers are, as the sun stood: 1 where they are all."""
    if matched.profile.sun_corrected or sun_elevation is None:
        return [1.0] * len(matched.bands)
    height = sun_height(sun_elevation)
    return [height if m.band.wavelength_um < _REFLECTIVE_UM else 1.0 for m in matched.bands]


def _air(matched: Match, reflectance: Sequence[NDArray[np.float32]], sun_elevation: float | None) -> list[float]:
    """Return what the air adds in each band; nothing to heat, which the ground sends out itself."""
    waves = np.array([m.band.wavelength_um for m in matched.bands])
    known = [i for i, sample in enumerate(reflectance) if waves[i] < _REFLECTIVE_UM and len(sample)]
    darkest = [float(np.percentile(reflectance[i], DARKEST)) for i in known]
    out = [0.0] * len(waves)
    corrected = matched.profile.sun_corrected
    found = path_reflectance(waves[known], darkest, sun_elevation=sun_elevation, sun_corrected=corrected)
    for i, air in zip(known, found, strict=True):
        out[i] = float(air)
    return out


def _of_file(rule: Scaling, dataset: DatasetReader, index: int, said: tuple[float, float] | None) -> Scaling:
    """Return the rule with the scale that the product or the file states, where the rule is for scaled integers."""
    scale, offset = said or (dataset.scales[index - 1], dataset.offsets[index - 1])
    if rule.scale == 1 or (scale, offset) == (1, 0) or scale <= 0:
        return rule
    return replace(rule, scale=scale, offset=offset)


def _overviews(used: Mapping[str, DatasetReader], matched: Match, nodata: float | None) -> list[NDArray[np.float32]]:
    """Return the valid values of each band, from a picture of the scene small enough to be held at once."""
    found: dict[tuple[str, int], NDArray[np.float32]] = {}
    for path, dataset in used.items():
        indexes = [m.index for m in matched.bands if m.href == path]
        pixels = dataset.width * dataset.height
        shrink = max(1.0, math.sqrt(pixels * len(indexes) / _OVERVIEW_VALUES), math.sqrt(pixels) / _OVERVIEW_PX)
        shape = (len(indexes), math.ceil(dataset.height / shrink), math.ceil(dataset.width / shrink))
        try:
            data = dataset.read(indexes, out_shape=shape, resampling=Resampling.nearest)
            seen = dataset.read_masks(indexes, out_shape=shape, resampling=Resampling.nearest) > 0
        except RasterioError as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise SceneError(f"{path}: cannot be read ({reason}); get the file again") from error
        values = np.abs(data) if np.iscomplexobj(data) else data
        if nodata is not None:
            seen &= values != nodata
        for fill in matched.profile.fill_values:
            seen &= ~(values == fill).all(axis=0)
        for index, band, valid in zip(indexes, values, seen, strict=True):
            # Larger numbers than float32 has are none here, as they are none in a tile.
            with np.errstate(over="ignore"):
                numbers = np.asarray(band[valid], np.float32)
            found[path, index] = numbers[np.isfinite(numbers)]
    return [found[m.href, m.index] for m in matched.bands]
