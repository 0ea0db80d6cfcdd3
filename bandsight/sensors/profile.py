"""Sensor profiles: bands, wavelengths, scaling and how files are recognised, as data in TOML files."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from bandsight.errors import SensorError
from bandsight.sensors.scaling import Scaling

_FOLDER = Path(__file__).parent / "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """One band of a sensor."""

    name: str
    """As the operator names it, e.g. `B04`."""
    wavelength_um: float
    """Centre wavelength, µm; for radar the code that the models know (see the profile)."""
    common_name: str | None = None
    """STAC common name, e.g. `red`."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""
    file: re.Pattern[str] | None = None
    """Finds the band in the name of its own file, without suffix."""
    low: float | None = None
    """Overrides the profile's linear scaling for this band."""
    high: float | None = None
    """Overrides the profile's linear scaling for this band."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A single file that holds several bands, as a profile recognises it."""

    bands: tuple[str, ...]
    """Band names in the order of the file."""
    colorinterp: tuple[str, ...] | None = None
    """GDAL colour interpretation that says so by itself; None where the product's name must say it."""
    dtype: str | None = None
    """Data type it must have; None for any."""
    repeat: bool = False
    """The file holds one band, which stands for all of `bands`: models see grey as three equal bands."""

    @property
    def stored(self) -> int:
        """Bands in the file, beside a mask."""
        return 1 if self.repeat else len(self.bands)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is known about the scenes of one sensor."""

    name: str
    """What `--sensor` takes."""
    title: str
    """For people."""
    collection: str
    """STAC collection of its scenes."""
    bands: tuple[Band, ...]
    """All bands; empty where wavelengths come with the scene."""
    default_bands: tuple[str, ...]
    """The bands given to the model, in this order, as far as they are there."""
    min_bands: int
    """Fewer than this is an error."""
    nodata: float | None
    """Value without data, unless the file names one."""
    fill_values: tuple[float, ...]
    """A pixel that has one of these in every band holds no data."""
    product: re.Pattern[str] | None
    """Found in `folder/name` of the sensor's products."""
    layouts: tuple[Layout, ...]
    """Single files that hold several bands."""
    scaling: Mapping[str, Scaling]
    """Rules by data type, `default` for the others."""
    offset_path: re.Pattern[str] | None = None
    """Found in the path of products whose numbers are `offset_dn` higher than the rules say."""
    offset_dn: float = 0.0
    """Added by the operator to the stored numbers of those products."""

    def band(self, name: str) -> Band:
        """Return a band by name."""
        return next(band for band in self.bands if band.name == name)

    def scaling_for(self, dtype: str) -> Scaling:
        """Return the rule for a data type, as rasterio names it."""
        return self.scaling.get(dtype) or self.scaling["default"]

    def for_path(self, path: Path) -> "Profile":
        """Return the profile with the rules that hold for a file's processing version, as its path tells."""
        if self.offset_path is None or not self.offset_path.search(path.as_posix()):
            return self
        rules = {
            dtype: replace(rule, low=rule.low + self.offset_dn, high=rule.high + self.offset_dn)
            if rule.kind == "linear"
            else rule
            for dtype, rule in self.scaling.items()
        }
        return replace(self, scaling=rules)


@lru_cache
def load_profiles() -> tuple[Profile, ...]:
    """Return the profiles that ship with the package, by name."""
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.toml")))


def profile_named(name: str) -> Profile:
    """Return a profile.

    Raises:
        SensorError: There is none of this name.
    """
    for profile in load_profiles():
        if profile.name == name:
            return profile
    known = ", ".join(profile.name for profile in load_profiles())
    raise SensorError(f"sensor {name!r}: no such profile; need one of {known}")


def _read(path: Path) -> Profile:
    try:
        return _profile(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise SensorError(
            f"{path}: no sensor profile ({type(error).__name__}: {error}); see docs/sensors.md"
        ) from error


def _profile(name: str, said: dict[str, Any]) -> Profile:
    bands = []
    for band in said.get("bands", []):
        file = re.compile(band.pop("file"), re.IGNORECASE) if "file" in band else None
        bands.append(Band(file=file, **band))
    rules = {
        dtype: Scaling(**{**rule, "plausible": tuple(rule["plausible"]) if "plausible" in rule else None})
        for dtype, rule in said["scaling"].items()
    }
    layouts = [
        Layout(
            bands=tuple(layout["bands"]),
            colorinterp=tuple(layout["colorinterp"]) if "colorinterp" in layout else None,
            dtype=layout.get("dtype"),
            repeat=layout.get("repeat", False),
        )
        for layout in said.get("layouts", [])
    ]
    if "default" not in rules:
        raise ValueError("scaling.default is missing")
    return Profile(
        name=name,
        title=said["title"],
        collection=said["collection"],
        bands=tuple(bands),
        default_bands=tuple(said.get("default_bands", [band.name for band in bands])),
        min_bands=said.get("min_bands", 1),
        nodata=said.get("nodata"),
        fill_values=tuple(said.get("fill_values", ())),
        product=re.compile(said["product"], re.IGNORECASE) if "product" in said else None,
        layouts=tuple(layouts),
        scaling=rules,
        offset_path=re.compile(said["offset_path"]) if "offset_path" in said else None,
        offset_dn=said.get("offset_dn", 0.0),
    )
