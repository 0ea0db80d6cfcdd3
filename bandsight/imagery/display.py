"""Natural-looking display of scenes: one stretch per scene, haze removal, and a gentle tone curve.

For display only. The model's input comes from `bandsight.raster.byte_scaling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene
from bandsight.imagery.scene_raster import band_decisions, raster_of
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.samples import sample_values
from bandsight.sensors.scaling import Decibel, decibel, display_range

Tone = Literal["linear", "soft", "reflectance"]
"""`linear` changes nothing. `soft` brightens dark tones slightly. `reflectance` does the same and leaves headroom above
the range, so that clouds, snow and sand keep their texture."""
Range = tuple[float, float]
_GAMMA = 1 / 1.35
# Tones above this are compressed instead of clipped: a reflectance of 0.3 is shown at 85%, 0.7 at 98%.
_SHOULDER = 0.6
# The path radiance estimate assumes that the darkest ground is almost black. Dry land is not, and would turn orange.
_HAZE = 0.9
# The surfaces darkest in blue and red, water and forest, reflect slightly more in green. Without this, soil turns
# purple.
_GREEN_UM, _GREEN_REFLECTANCE = (0.5, 0.6), 0.01
_COLOURS = 3
# Bands at longer wavelengths are thermal.
_REFLECTIVE_UM = 3.0
# Maximum ratio between the stretches of two bands, so that noise on a uniform surface stays grey.
_MOST_GAIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """The stretch of a display image, the same everywhere in a scene."""

    ranges: tuple[Range, ...]
    """Range (low, high) of each channel, in stored values (dB for radar)."""
    tone: Tone = "linear"
    """The tone curve."""


def toned(values: NDArray[np.float32], low: float, high: float, tone: Tone) -> NDArray[np.uint8]:
    """Map values to 0..255, any shape: `low` to 0, and `high` to 255 unless the tone leaves headroom."""
    # The smallest float32 is a common nodata value. It maps to 0 even if it overflows.
    with np.errstate(over="ignore"):
        share = np.maximum((values - np.float32(low)) / np.float32(max(high - low, 1e-12)), 0)
    if tone != "linear":
        share = share**_GAMMA
    if tone == "reflectance":
        above = 1 - _SHOULDER
        share = np.where(share > _SHOULDER, 1 - above * np.exp((_SHOULDER - share) / above), share)
    return np.asarray(np.rint(np.clip(share, 0, 1) * 255), np.uint8)


def is_radar(scene: Scene) -> bool:
    """Return whether a scene is radar: its bands have a frequency or polarisation."""
    known = band_decisions(scene)
    return bool(known) and all(band is not None and bool(band.frequency_ghz or band.polarisation) for band in known)


def decibel_of(scene: Scene) -> Decibel | None:
    """Return whether stored values are amplitude or power if they are converted to dB, or None."""
    to_db = scene.stretch.get("to_db")
    return ("power" if to_db == "power" else "amplitude") if to_db else None


def display_of(scene: Scene, positions: Sequence[int], shares: Sequence[Range]) -> Display:
    """Return the stretch of bands of a scene, one channel per band.

    Args:
        scene: The scene.
        positions: Positions of the bands in the scene.
        shares: Part of each band's range to show, (0, 1) for all of it; styles may show more or less.

    Raises:
        SceneError: The range must be computed from the scene's pixels, and a file is missing or cannot be read.
    """
    kind, radar = scene.stretch.get("kind"), is_radar(scene)
    if kind == "as_is" and not radar:
        return Display(ranges=((0.0, 255.0),) * len(positions))
    if kind == "linear":
        heat = any(scene.bands[at].wavelength_um >= _REFLECTIVE_UM for at in positions)
        if not heat and not radar and str(scene.stretch.get("quantity")).startswith("reflectance"):
            return Display(ranges=_reflectance(scene, positions, shares), tone="reflectance")
        ranges = [_part(*_model_range(scene, at), share) for at, share in zip(positions, shares, strict=True)]
        return Display(ranges=tuple(ranges))
    if len(positions) != _COLOURS and not radar:
        return Display(ranges=tuple(_model_range(scene, at) for at in positions))
    ends = _ends(scene)
    own = [ends[at] for at in positions]
    if radar:
        return Display(ranges=tuple(own), tone="soft" if kind == "as_is" else "linear")
    least = max(high - low for low, high in own) / _MOST_GAIN
    return Display(ranges=tuple((low, low + max(high - low, least)) for low, high in own), tone="soft")


def _model_range(scene: Scene, position: int) -> Range:
    return float(scene.stretch["low"][position]), float(scene.stretch["high"][position])


def _part(low: float, high: float, share: Range) -> Range:
    return low + share[0] * (high - low), low + share[1] * (high - low)


def _reflectance(scene: Scene, positions: Sequence[int], shares: Sequence[Range]) -> tuple[Range, ...]:
    """Return the ranges of reflective bands, with the same gain in surface reflectance to preserve hues."""
    known = band_decisions(scene)
    found = []
    for at, (begin, end) in zip(positions, shares, strict=True):
        low, high = _model_range(scene, at)
        band = known[at]
        if scene.decisions is None or band is None:
            found.append(_part(low, high, (begin, end)))
            continue
        air = _haze(band.path_reflectance, scene.bands[at].wavelength_um)
        zero, dark = -band.offset / band.scale, (air - band.offset) / band.scale
        # The atmosphere attenuates by about as much as it adds, both down and up.
        span = (1 - 2 * air) * (high - zero)
        found.append((dark + begin * span, dark + end * span))
    return tuple(found)


def _haze(path_reflectance: float | None, wavelength_um: float) -> float:
    """Return the reflectance to subtract as haze."""
    if path_reflectance is None:
        return 0.0
    greener = _GREEN_REFLECTANCE if _GREEN_UM[0] < wavelength_um < _GREEN_UM[1] else 0.0
    return max(0.0, _HAZE * path_reflectance - greener)


def _ends(scene: Scene) -> tuple[Range, ...]:
    """Return the display range of each band, as stored at indexing or computed from the pixels."""
    stored = [band.display_range for band in band_decisions(scene) if band is not None and band.display_range]
    return tuple(stored) if len(stored) == len(scene.bands) else _measured(_Keyed(scene))


class _Keyed:
    """A scene as a cache key."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def __hash__(self) -> int:
        return hash(self.scene.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.scene.key == other.scene.key


@lru_cache(maxsize=1024)
def _measured(keyed: _Keyed) -> tuple[Range, ...]:
    scene = keyed.scene
    to_db = decibel_of(scene)
    with OpenFiles() as files:
        samples = sample_values(raster_of(scene), files)
    return tuple(display_range(decibel(one, to_db) if to_db else one) for one in samples)
