"""Display styles: natural colour, false colour, radar, thermal, and single bands."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).parent / "styles.toml"
_COLOURS = 3
RATIO = "/"
"""Separator of a ratio of two radar bands, which is a difference in dB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A way to display a scene."""

    name: str
    """Name for `style=`."""
    title: str
    """Human-readable title."""
    bands: tuple[str, ...]
    """One band, or three for red, green and blue. `A/B` is a ratio of radar bands, in dB."""
    ranges: tuple[tuple[float, float], ...] = ()
    """Range (low, high) mapped to 0..255 for each band: fractions of the band's linear stretch, or dB for a ratio.
    Empty means (0, 1)."""
    colormap: str | None = None
    """Name of a rio-tiler colormap for a single band; None for grey."""

    def __post_init__(self) -> None:
        if len(self.bands) not in {1, _COLOURS}:
            raise ValueError(f"style {self.name}: {len(self.bands)} bands; need 1, or 3 for red, green and blue")
        if self.ranges and len(self.ranges) != len(self.bands):
            raise ValueError(f"style {self.name}: {len(self.ranges)} ranges for {len(self.bands)} bands")
        if any(RATIO in band for band in self.bands) and not self.ranges:
            raise ValueError(f"style {self.name}: a ratio needs a range in dB")

    @property
    def needs(self) -> tuple[str, ...]:
        """The bands to read, without duplicates."""
        return tuple(dict.fromkeys(part for band in self.bands for part in band.split(RATIO)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Combination:
    """A composite, defined by wavelengths."""

    name: str
    """Name of the style."""
    title: str
    """Human-readable title."""
    centres_um: tuple[float, ...]
    """Wavelengths shown as red, green and blue, µm."""
    within_um: tuple[float, ...]
    """Maximum distance of a band from each of these, µm."""
    reach: tuple[float, ...]
    """Fraction of each band's linear range that maps to 0..255."""


def styles_of(bands: Sequence[tuple[str, float]], own: Sequence[Style] = ()) -> tuple[Style, ...]:
    """Return the styles available for a scene, the default first.

    Args:
        bands: (name, wavelength in µm) of each distinct band.
        own: Styles of the sensor's profile. If there are any, no composites are derived from wavelengths.
    """
    names = {name for name, _ in bands}
    fitting = [style for style in own if names.issuperset(style.needs)]
    # A profile with its own styles has no true wavelengths (radar codes), or colour composites make no sense.
    colours = () if own else _colours(bands)
    shown = {style.bands for style in fitting if len(style.bands) == 1}
    single = [_single(name, wave, heat=not own) for name, wave in bands if (name,) not in shown]
    return (*fitting, *colours, *single)


def _colours(bands: Sequence[tuple[str, float]]) -> Iterator[Style]:
    for one in _table():
        nearest = [
            min(((abs(wave - centre), name) for name, wave in bands), default=(100.0, "")) for centre in one.centres_um
        ]
        near = all(away <= within for (away, _), within in zip(nearest, one.within_um, strict=True))
        names = tuple(name for _, name in nearest)
        if near and len(set(names)) == _COLOURS:
            ranges = tuple((0.0, reach) for reach in one.reach)
            yield Style(name=one.name, title=one.title, bands=names, ranges=ranges)


def _single(name: str, wavelength_um: float, *, heat: bool) -> Style:
    thermal = _config()["heat"]
    is_heat = heat and thermal["from_um"] <= wavelength_um <= thermal["to_um"]
    title = f"{name} ({wavelength_um:g} µm)" if heat else name
    return Style(name=name, title=title, bands=(name,), colormap=thermal["colormap"] if is_heat else None)


@lru_cache(maxsize=1)
def _config() -> Mapping[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _table() -> tuple[_Combination, ...]:
    rows = _config()["colours"]
    return tuple(
        _Combination(
            name=row["name"],
            title=row["title"],
            centres_um=tuple(row["centres_um"]),
            within_um=tuple(row["within_um"]),
            reach=tuple(row["reach"]),
        )
        for row in rows
    )
