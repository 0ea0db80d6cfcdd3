"""Simulates multispectral images of 10 to 30 m: land cover with typical spectra, on hills and in fields.

Captioned images are so detailed that a hill, a lake or a forest seldom fits into one, and they have no infrared. Here,
each pixel is a mixture of a few kinds of ground with typical spectra, arranged by fractal noise or in fields, and lit
from one side. This teaches the model to distinguish bare from wooded hills, water from shadow and fields from soil in
any bands. The real scenes teach what such places look like.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from training.simulate import covering, fractal
from training.sky import clouds, snow
from training.spectra import KINDS, SENSORS, at

_SOILS = ("bright soil", "dark soil", "concrete", "asphalt")
_PLANTS = ("green plants", "dark woods")
_WATERS = ("clear water", "turbid water")
# Kinds of ground in each kind of place; several kinds are arranged by noise.
PLACES = {
    "bare": ((*_SOILS, "dry plants"), 0.3),
    "forest": (_PLANTS, 0.25),
    "farmland": (("green plants", "dry plants", "dark soil", "bright soil"), 0.2),
    # Towns with trees are more frequent than woods with houses.
    "city": (("concrete", "asphalt", "red roof", "green plants"), 0.45),
    "water": (_WATERS, 0.15),
    "shore": (_WATERS, 0.15),
    "mixed": ((*_PLANTS, *_SOILS, "dry plants"), 0.0),
    # Places with houses on other ground.
    "village": ((), 0.0),
}
# Bare ground is drawn twice as often as other places, because it varies most, from sand to rock and dry steppe.
_OFTEN = np.array([2.0 if place == "bare" else 1.0 for place in PLACES])
_OFTEN /= _OFTEN.sum()
# Share of bare ground with ridges and gullies.
_CUT = 0.5
# Built-up share of a village, and the share from which other land with houses counts as one.
_VILLAGE, _HAMLET = (0.1, 0.4), 0.08
# Minimum and maximum side of fields and built-up blocks, pixels, and minimum number of kinds. Fields have a few pixels,
# or are so large that hardly one fits the view, and are often similar: all ploughed, or all green.
_BLOCKS = {"farmland": (5.0, 80.0, 1), "city": (2.0, 6.0, 4)}
# Share of views with clouds or snow.
_CLOUDS, _SNOWY = 0.12, 0.06
_NAMES = tuple(KINDS)
# Rows of water: it reflects the sky, so it has any shade of blue, and varies slowly, by at most this much.
_WET = [_NAMES.index(kind) for kind in _WATERS]
_RIPPLES = 0.1
# Contrast of tree crowns and gaps (minimum, maximum), which are visible at any resolution. Half of all woods consist of
# different stands, with sides of this many pixels.
_CROWNS, _STANDS = (0.08, 0.3), (8.0, 40.0, 1)
# Kinds of ground of tracks and hedges through farmland, share of farmland that has some, and their maximum number.
_LANES, _LANED, _MOST_LANES = ("dark woods", "green plants", "bright soil", "concrete", "asphalt"), 0.7, 5
# Share of batches with smaller tiles than a view, like those of a coarse sensor, and their minimum size.
_COARSE, _LEAST = 0.6, 0.35
# Share of views with haze, and the maximum light that it scatters; without haze, woods would never be as blue as water.
_HAZY, _HAZE = 0.4, 0.1
_BLUE_UM, _GREEN_UM = 0.49, 0.56
Shares = NDArray[np.float32]
"""Share of each kind of `_NAMES` in each pixel, shape (kinds, size, size)."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Views of one list of bands."""

    views: Tensor
    """0..1, shape (n, bands, size, size)."""
    wavelengths: tuple[float, ...]
    """µm."""
    labels: list[str | None]
    """Label of vocabulary.toml for each view; None if no kind prevails."""


def ground(n: int, size: int, rng: np.random.Generator, weather: float = 1.0) -> Ground:
    """Return n views in all bands of one sensor, with clouds and snow `weather` times as often as usual."""
    waves = SENSORS[int(rng.integers(len(SENSORS)))]
    spectra = at(np.array([*KINDS.values()], np.float32), waves)
    shown = size
    if rng.random() < _COARSE:
        size = round(size * rng.uniform(_LEAST, 1))
    views = np.empty((n, len(waves), size, size), np.float32)
    labels: list[str | None] = []
    for row in range(n):
        place = str(rng.choice([*PLACES], p=_OFTEN))
        shares, label = covers(place, size, rng)
        own = spectra * rng.uniform(0.8, 1.25, (len(spectra), 1)) * rng.uniform(0.92, 1.08, spectra.shape)
        own[_WET] *= rng.uniform(0.7, 1.5) * (np.array(waves) / _GREEN_UM) ** -rng.uniform(0, 2.5)
        lit = np.tensordot(own.astype(np.float32).T, shares, axes=1) * _light(shares, place, size, rng)
        hazy = _air(lit, waves, rng) if rng.random() < _HAZY else lit
        under, label = _weather(hazy, waves, label, rng, weather)
        views[row] = _stretched(under, waves, rng)
        labels.append(label)
    return Ground(enlarged(views, shown), waves, labels)


def enlarged(views: NDArray[np.float32], size: int) -> Tensor:
    """Resize views (n, bands, H, H), 0..1, to `size` pixels, as small tiles are resized for a model."""
    seen = torch.from_numpy(views)
    if seen.shape[-1] == size:
        return seen
    return functional.interpolate(seen, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def covers(place: str, size: int, rng: np.random.Generator) -> tuple[Shares, str | None]:
    """Return the land cover of each pixel of a kind of place (a key of `PLACES`), and the label."""
    shares = np.zeros((len(_NAMES), size, size), np.float32)
    if place == "village":
        _lay(shares, str(rng.choice(["farmland", "forest", "bare"], p=[0.6, 0.25, 0.15])), rng)
        if rng.random() < _LANED:
            _cross(shares, rng)
        _cover_with(shares, "city", rng.uniform(*_VILLAGE), rng)
        return shares, "village"
    _lay(shares, place, rng)
    if place == "farmland" and rng.random() < _LANED:
        _cross(shares, rng)
    if place == "shore":
        _cover_with(shares, str(rng.choice(["forest", "farmland", "bare"])), rng.uniform(0.3, 0.7), rng)
        return shares, "shore"
    strange = PLACES[place][1]
    if strange and rng.random() < 0.5:
        # Mix in a little of another kind.
        other = str(rng.choice([name for name in PLACES if name not in {place, "shore", "mixed", "village"}]))
        share = rng.uniform(0.02, strange)
        _cover_with(shares, other, share, rng)
        if other == "city" and share > _HAMLET and place != "water":
            return shares, "village"
    return shares, None if place == "mixed" else place


def _lay(shares: Shares, place: str, rng: np.random.Generator) -> None:
    """Fill shares, initially 0, with the kinds of ground of a kind of place."""
    kinds, size = PLACES[place][0], shares.shape[1]
    blocks = _BLOCKS.get(place)
    layout = _patches(size, len(kinds), rng) if blocks is None else _fields(size, len(kinds), blocks, rng)
    for kind, share in zip(kinds, layout, strict=True):
        shares[_NAMES.index(kind)] = share


def _patches(size: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return shares of kinds with gradual transitions, often one kind per pixel, shape (count, size, size)."""
    fields = fractal(count, size, rng, (0.8, 2.0)) + rng.normal(0, 0.5, (count, 1, 1))
    exponents = rng.uniform(3, 14) * fields
    weights = np.exp(exponents - exponents.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def _fields(size: int, count: int, blocks: tuple[float, float, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return shares of kinds in fields or blocks with straight edges, each of one kind, shape (count, size, size)."""
    low, high, least = blocks
    angle = rng.uniform(0, np.pi)
    width, height = low * (high / low) ** rng.random(), 0.8 * low * (high / low) ** rng.random()
    y, x = np.mgrid[:size, :size].astype(np.float32)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    strip = np.floor(along / height).astype(np.int64)
    # The fields of each strip have their own offset, and strips differ in width.
    starts, widths = rng.uniform(0, width, 64), width * rng.uniform(0.6, 1.8, 64)
    part = np.floor((across + starts[strip % 64]) / widths[strip % 64]).astype(np.int64)
    kinds = rng.permutation(count)[: rng.integers(least, count + 1)]
    which = rng.choice(kinds, 997)[(strip * 131 + part * 17) % 997]
    bright = rng.uniform(0.75, 1.25, 997)[(strip * 131 + part * 17) % 997]
    return np.asarray((which[None] == np.arange(count)[:, None, None]) * bright, np.float32)


def _cover_with(shares: Shares, place: str, share: float, rng: np.random.Generator) -> None:
    """Cover a share of the pixels with another place, with a sharp edge."""
    size = shares.shape[1]
    field = fractal(1, size, rng, (1.4, 2.4))[0]
    inside = covering(field, share, 0.02)
    over = np.zeros_like(shares)
    _lay(over, place, rng)
    shares *= 1 - inside
    shares += over * inside


def _cross(shares: Shares, rng: np.random.Generator) -> None:
    """Draw straight tracks or hedges, one or two pixels wide, through a view."""
    size = shares.shape[1]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for _ in range(int(rng.integers(1, _MOST_LANES + 1))):
        angle, where = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5) * size
        away = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle) - where
        lane = np.clip(rng.uniform(0.7, 1.5) - np.abs(away), 0, 1)
        shares *= 1 - lane
        shares[_NAMES.index(str(rng.choice(_LANES)))] += lane


def _light(shares: Shares, place: str, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the illumination of each pixel: relief, tree crowns and stands, and surface texture.

    Bare ground always has relief, and ploughed land hardly any: nothing else distinguishes them if fields are large.
    Woods are rough, and water never is: in red, green and blue, nothing else distinguishes these.
    """
    water = shares[_WET].sum(axis=0)
    woods = shares[_NAMES.index("dark woods")] + shares[_NAMES.index("green plants")] * (place == "forest")
    height = fractal(1, size, rng, (1.6, 2.4))[0] * size
    if place == "bare" and rng.random() < _CUT:
        # Noise folded at its mean: ridges with gullies between them.
        height = -np.abs(height - np.median(height)) - 0.5 * np.abs(fractal(1, size, rng, (1.4, 2.0))[0] - 0.5) * size
    slope_y, slope_x = np.gradient(height)
    sun = rng.uniform(0, 2 * np.pi)
    shade = np.cos(sun) * slope_x + np.sin(sun) * slope_y
    steep = {"bare": rng.uniform(0.08, 0.45), "farmland": rng.uniform(0, 0.08), "city": 0.0}.get(
        place, rng.uniform(0, 0.45) * (rng.random() < 0.7)
    )
    grain = rng.uniform(0.02, 0.15) * rng.standard_normal((size, size))
    lit = 1 + (steep * _even(shade) + grain) * (1 - water)
    lit += rng.uniform(0, _RIPPLES) * _even(fractal(1, size, rng, (1.6, 2.6))[0]) * water
    lit += rng.uniform(*_CROWNS) * _even(fractal(1, size, rng, (0.0, 1.0))[0]) * woods
    if rng.random() < 0.5:
        lit *= 1 + (_fields(size, 1, _STANDS, rng)[0] - 1) * woods
    return np.asarray(np.clip(lit, 0.15, 2.5), np.float32)


def _even(field: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise a field to mean 0 and standard deviation 1."""
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _air(lit: NDArray[np.float32], waves: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Add haze to a view: scattered light, more at shorter wavelengths. Haze does not count as cloud."""
    light = rng.uniform(0, _HAZE) * (np.array(waves, np.float32) / _BLUE_UM) ** -rng.uniform(1, 4)
    return np.asarray(lit * (1 - 2 * light)[:, None, None].clip(0.5) + light[:, None, None], np.float32)


def _weather(
    lit: NDArray[np.float32],
    waves: tuple[float, ...],
    label: str | None,
    rng: np.random.Generator,
    often: float,
) -> tuple[NDArray[np.float32], str | None]:
    """Add clouds or snow to some views; return the view and its new label."""
    chance = rng.random()
    if chance > often * (_CLOUDS + _SNOWY):
        return lit, label
    over = (snow if chance > often * _CLOUDS else clouds)(lit.shape[1], waves, rng)
    return over.over(lit, rng.uniform(0.6, 1.0)), label if over.label == "clear" else over.label


def _stretched(bands: NDArray[np.float32], waves: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Scale reflectance to 0..1: by a fixed range, or by the range of the view."""
    visible = np.array(waves) < 0.7
    draw = rng.random()
    if draw < 0.15:
        # By the reflectance of clouds elsewhere in the scene.
        return np.asarray(np.clip(bands / rng.uniform(0.5, 1.0), 0, 1), np.float32)
    if draw < 0.55:
        full = np.where(visible, rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.6))[:, None, None]
        return np.asarray(np.clip(bands / full, 0, 1), np.float32)
    low, high = np.percentile(bands, (1, 99), axis=(1, 2))
    # Visible bands keep their colours, and a uniform view is not stretched to full contrast.
    low[visible], high[visible] = low[visible].min(), high[visible].max()
    reach = np.maximum(high - low, rng.uniform(0.08, 0.3))
    return np.asarray(np.clip((bands - low[:, None, None]) / reach[:, None, None], 0, 1), np.float32)
