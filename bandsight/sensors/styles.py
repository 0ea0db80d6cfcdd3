"""Which bands make a picture for people: natural colour, false colours, radar, heat, and single bands."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).parent / "styles.toml"
_COLOURS = 3
RATIO = "/"
"""Between two bands of radar: their ratio, which is a difference of dB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One way to show a scene."""

    name: str
    """What `style=` takes."""
    title: str
    """For people."""
    bands: tuple[str, ...]
    """One band, or those shown as red, green and blue; `A/B` is a ratio of radar bands, in dB."""
    ranges: tuple[tuple[float, float], ...] = ()
    """What becomes 0 and 255, for each band: shares of the band's own linear stretch, (0, 1) where empty; of a ratio
    dB."""
    colormap: str | None = None
    """Colours for one band, a name that rio-tiler knows; None for grey."""

    def __post_init__(self) -> None:
        if len(self.bands) not in {1, _COLOURS}:
            raise ValueError(f"style {self.name}: {len(self.bands)} bands; need 1, or 3 for red, green and blue")
        if self.ranges and len(self.ranges) != len(self.bands):
            raise ValueError(f"style {self.name}: {len(self.ranges)} ranges for {len(self.bands)} bands")
        if any(RATIO in band for band in self.bands) and not self.ranges:
            raise ValueError(f"style {self.name}: a ratio needs its range, dB")

    @property
    def needs(self) -> tuple[str, ...]:
        """The bands that are read, each once."""
        return tuple(dict.fromkeys(part for band in self.bands for part in band.split(RATIO)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Combination:
    """Colours that stand for parts of the spectrum."""

    name: str
    """Of the style."""
    title: str
    """For people."""
    centres_um: tuple[float, ...]
    """Wavelengths shown as red, green and blue, µm."""
    within_um: tuple[float, ...]
    """A band farther away cannot stand for one of them, µm."""
    reach: tuple[float, ...]
    """So many times the band's own linear range becomes 0..255."""


def styles_of(bands: Sequence[tuple[str, float]], own: Sequence[Style] = ()) -> tuple[Style, ...]:
    """Return the styles that suit a scene, the one to begin with first.

    Args:
        bands: Name and wavelength, µm, of each different band.
        own: What the sensor's profile says; it comes first, and colours are not derived from its wavelengths.
    """
    names = {name for name, _ in bands}
    fitting = [style for style in own if names.issuperset(style.needs)]
    # Where a profile has styles of its own, its wavelengths are codes of the model, or colours say little.
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
    said = _said()["heat"]
    is_heat = heat and said["from_um"] <= wavelength_um <= said["to_um"]
    title = f"{name} ({wavelength_um:g} µm)" if heat else name
    return Style(name=name, title=title, bands=(name,), colormap=said["colormap"] if is_heat else None)


@lru_cache(maxsize=1)
def _said() -> Mapping[str, Any]:
    return tomllib.loads(_TABLE.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _table() -> tuple[_Combination, ...]:
    rows = _said()["colours"]
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
