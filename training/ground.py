"""Imitates ground as sensors of 10 to 30 m see it, in all their bands: covers with their spectra, on hills, in fields.

Captioned images show the ground from so near that a hill, a lake or a forest seldom fits one of them, and they have no
infrared. Here each pixel is a mixture of a few kinds of ground with typical spectra, laid out by fractal noise or in
fields, and lit from one side. It teaches what separates bare hills from wooded ones, water from shade and fields from
soil in any bands; what such places really look like, the scenes teach.
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
# What a kind of place is made of; where it is made of several, noise lays them out.
PLACES = {
    "bare": ((*_SOILS, "dry plants"), 0.3),
    "forest": (_PLANTS, 0.25),
    "farmland": (("green plants", "dry plants", "dark soil", "bright soil"), 0.2),
    # Towns lie among trees more than woods have houses in them.
    "city": (("concrete", "asphalt", "red roof", "green plants"), 0.45),
    "water": (_WATERS, 0.15),
    "shore": (_WATERS, 0.15),
    "mixed": ((*_PLANTS, *_SOILS, "dry plants"), 0.0),
    # Houses on other ground, whose kinds of ground are drawn with it.
    "village": ((), 0.0),
}
# Bare ground is drawn twice as often as any other place: it has most looks, from sand to rock and dry steppe.
_OFTEN = np.array([2.0 if place == "bare" else 1.0 for place in PLACES])
_OFTEN /= _OFTEN.sum()
# Share of bare ground that water has cut into ridges and gullies.
_CUT = 0.5
# Share of the ground that is built on in a village, and from which on other land with houses counts as one.
_VILLAGE, _HAMLET = (0.1, 0.4), 0.08
# Least and greatest side of fields and of what is built, pixels, and of how many kinds they are at least. Fields are of
# a few pixels, or so wide that hardly one fits the view, and often much alike: all ploughed, or all green.
_BLOCKS = {"farmland": (5.0, 80.0, 1), "city": (2.0, 6.0, 4)}
# Share of the views that clouds or snow cover.
_CLOUDS, _SNOWY = 0.12, 0.06
_NAMES = tuple(KINDS)
# The rows of water: it mirrors the sky, so it is of any blue, and has no grain but slow changes, at most so great.
_WET = [_NAMES.index(kind) for kind in _WATERS]
_RIPPLES = 0.1
# Crowns and gaps of woods are seen from any height, at least and at most so strong; stands differ, half of all woods
# have them, with sides of so many pixels.
_CROWNS, _STANDS = (0.08, 0.3), (8.0, 40.0, 1)
# What the ways and hedges through farmland are made of; share of farmland that has some, and most of them.
_LANES, _LANED, _MOST_LANES = ("dark woods", "green plants", "bright soil", "concrete", "asphalt"), 0.7, 5
# Share of batches that are of less than a view's pixels, as small tiles of a coarse sensor are, and how many at least.
_COARSE, _LEAST = 0.6, 0.35
# Share of views with haze, and most light that it scatters; without, woods are never as blue as water.
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
    """Label of vocabulary.toml of each view, None where nothing prevails."""


def ground(n: int, size: int, rng: np.random.Generator, weather: float = 1.0) -> Ground:
    """Return n views in all bands of one sensor; clouds and snow `weather` times as often as they are mostly."""
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
    """Return views (n, bands, H, H) of 0..1 with sides of `size` pixels, as small tiles are shown to a model."""
    seen = torch.from_numpy(views)
    if seen.shape[-1] == size:
        return seen
    return functional.interpolate(seen, size=(size, size), mode="bicubic", align_corners=False).clamp(0, 1)


def covers(place: str, size: int, rng: np.random.Generator) -> tuple[Shares, str | None]:
    """Return what covers each pixel of a kind of place (a key of `PLACES`), and the label."""
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
        # A little of something else lies among it.
        other = str(rng.choice([name for name in PLACES if name not in {place, "shore", "mixed", "village"}]))
        share = rng.uniform(0.02, strange)
        _cover_with(shares, other, share, rng)
        if other == "city" and share > _HAMLET and place != "water":
            return shares, "village"
    return shares, None if place == "mixed" else place


def _lay(shares: Shares, place: str, rng: np.random.Generator) -> None:
    """Fill shares, all 0, with what a kind of place is made of."""
    kinds, size = PLACES[place][0], shares.shape[1]
    blocks = _BLOCKS.get(place)
    layout = _patches(size, len(kinds), rng) if blocks is None else _fields(size, len(kinds), blocks, rng)
    for kind, share in zip(kinds, layout, strict=True):
        shares[_NAMES.index(kind)] = share


def _patches(size: int, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return shares of kinds that pass into each other, one of them often alone, shape (count, size, size)."""
    fields = fractal(count, size, rng, (0.8, 2.0)) + rng.normal(0, 0.5, (count, 1, 1))
    exponents = rng.uniform(3, 14) * fields
    weights = np.exp(exponents - exponents.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0), np.float32)


def _fields(size: int, count: int, blocks: tuple[float, float, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return shares of kinds in straight-edged fields or blocks, each of one kind, shape (count, size, size)."""
    low, high, least = blocks
    angle = rng.uniform(0, np.pi)
    width, height = low * (high / low) ** rng.random(), 0.8 * low * (high / low) ** rng.random()
    y, x = np.mgrid[:size, :size].astype(np.float32)
    across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    strip = np.floor(along / height).astype(np.int64)
    # Fields of a strip begin where they like, and no two strips are as wide.
    starts, widths = rng.uniform(0, width, 64), width * rng.uniform(0.6, 1.8, 64)
    part = np.floor((across + starts[strip % 64]) / widths[strip % 64]).astype(np.int64)
    kinds = rng.permutation(count)[: rng.integers(least, count + 1)]
    which = rng.choice(kinds, 997)[(strip * 131 + part * 17) % 997]
    bright = rng.uniform(0.75, 1.25, 997)[(strip * 131 + part * 17) % 997]
    return np.asarray((which[None] == np.arange(count)[:, None, None]) * bright, np.float32)


def _cover_with(shares: Shares, place: str, share: float, rng: np.random.Generator) -> None:
    """Lay another place over a share of the pixels, with a clear edge."""
    size = shares.shape[1]
    field = fractal(1, size, rng, (1.4, 2.4))[0]
    inside = covering(field, share, 0.02)
    over = np.zeros_like(shares)
    _lay(over, place, rng)
    shares *= 1 - inside
    shares += over * inside


def _cross(shares: Shares, rng: np.random.Generator) -> None:
    """Lay ways or hedges of one or two pixels straight through a view."""
    size = shares.shape[1]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    for _ in range(int(rng.integers(1, _MOST_LANES + 1))):
        angle, where = rng.uniform(0, np.pi), rng.uniform(-0.5, 0.5) * size
        away = (x - size / 2) * np.cos(angle) + (y - size / 2) * np.sin(angle) - where
        lane = np.clip(rng.uniform(0.7, 1.5) - np.abs(away), 0, 1)
        shares *= 1 - lane
        shares[_NAMES.index(str(rng.choice(_LANES)))] += lane


def _light(shares: Shares, place: str, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return how bright the sun makes each pixel: hills, crowns and stands of woods, the grain of what stands there.

    Bare ground has a relief always, and ploughed land hardly any: nothing else tells them apart where fields are wide.
    Woods are rough, and water never is: in red, green and blue nothing else tells those apart.
    """
    water = shares[_WET].sum(axis=0)
    woods = shares[_NAMES.index("dark woods")] + shares[_NAMES.index("green plants")] * (place == "forest")
    height = fractal(1, size, rng, (1.6, 2.4))[0] * size
    if place == "bare" and rng.random() < _CUT:
        # Noise folded at its middle: crests with gullies between them.
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
    """Return a field with mean 0 and deviation 1."""
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), np.float32)


def _air(lit: NDArray[np.float32], waves: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Lay hazy air over a view: light that it scatters, more the shorter the wave. Haze is no cloud."""
    light = rng.uniform(0, _HAZE) * (np.array(waves, np.float32) / _BLUE_UM) ** -rng.uniform(1, 4)
    return np.asarray(lit * (1 - 2 * light)[:, None, None].clip(0.5) + light[:, None, None], np.float32)


def _weather(
    lit: NDArray[np.float32],
    waves: tuple[float, ...],
    label: str | None,
    rng: np.random.Generator,
    often: float,
) -> tuple[NDArray[np.float32], str | None]:
    """Lay cloud or snow over some views; return the view, and what it is to be called now."""
    chance = rng.random()
    if chance > often * (_CLOUDS + _SNOWY):
        return lit, label
    over = (snow if chance > often * _CLOUDS else clouds)(lit.shape[1], waves, rng)
    return over.over(lit, rng.uniform(0.6, 1.0)), label if over.label == "clear" else over.label


def _stretched(bands: NDArray[np.float32], waves: tuple[float, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return reflectance as 0..1: by a fixed range, or stretched over what the view holds."""
    visible = np.array(waves) < 0.7
    draw = rng.random()
    if draw < 0.15:
        # By what clouds elsewhere in the scene reflect.
        return np.asarray(np.clip(bands / rng.uniform(0.5, 1.0), 0, 1), np.float32)
    if draw < 0.55:
        full = np.where(visible, rng.uniform(0.2, 0.4), rng.uniform(0.3, 0.6))[:, None, None]
        return np.asarray(np.clip(bands / full, 0, 1), np.float32)
    low, high = np.percentile(bands, (1, 99), axis=(1, 2))
    # Visible bands keep their colours; a view of one thing is not torn to full contrast.
    low[visible], high[visible] = low[visible].min(), high[visible].max()
    reach = np.maximum(high - low, rng.uniform(0.08, 0.3))
    return np.asarray(np.clip((bands - low[:, None, None]) / reach[:, None, None], 0, 1), np.float32)
