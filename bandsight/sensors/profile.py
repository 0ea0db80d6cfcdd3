"""Sensor profiles: bands, wavelengths, scaling and how files are recognised, as data in TOML files."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any, TypeVar

from bandsight.errors import SensorError
from bandsight.sensors.quality import Quality
from bandsight.sensors.scaling import Scaling
from bandsight.sensors.styles import Style
from bandsight.wavelength_range import wavelength_problem

_FOLDER = Path(__file__).parent / "profiles"
_T = TypeVar("_T")


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
    frequency_ghz: float | None = None
    """Radar: centre frequency, GHz."""
    polarisation: str | None = None
    """Radar: sent and received, e.g. `VH`."""
    file: re.Pattern[str] | None = None
    """Finds the band in the name of its own file, without suffix."""
    low: float | None = None
    """Overrides the low end of the profile's linear rules for this band, a physical value."""
    high: float | None = None
    """Overrides the high end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A single file that holds several bands, as a profile recognises it."""

    bands: tuple[str, ...]
    """Band names in the order of the file."""
    colorinterp: tuple[str, ...] | None = None
    """GDAL colour interpretation that identifies the layout; None where the product's name must."""
    dtype: str | None = None
    """Data type it must have; None for any."""
    file: re.Pattern[str] | None = None
    """Finds it in the name of its file, without suffix, where a product has several files of several bands."""
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
    scaling: Mapping[str, tuple[Scaling, ...]]
    """Rules by data type, `default` for the others; where there are several, the first that is plausible holds."""
    bands: tuple[Band, ...] = ()
    """All bands; empty where wavelengths come with the scene."""
    default_bands: tuple[str, ...] = ()
    """The bands given to the model, in this order, as far as they are there."""
    min_bands: int = 1
    """Fewer than this is an error."""
    skip_um: tuple[tuple[float, float], ...] = ()
    """Where wavelengths come with the scene: bands in these ranges are not given to the model."""
    nodata: float | None = None
    """Value without data, unless the file names one."""
    fill_values: tuple[float, ...] = ()
    """A pixel that has one of these in every band holds no data."""
    product: re.Pattern[str] | None = None
    """Found in `folder/name` of the sensor's products."""
    layouts: tuple[Layout, ...] = ()
    """Single files that hold several bands."""
    quality: tuple[Quality, ...] = ()
    """Its quality bands; the first whose names fit is used."""
    collar: bool = True
    """Black that is connected to the edge holds no data; not so where 0 is a number like any other, as of heights."""
    styles: tuple[Style, ...] = ()
    """Pictures for people; where empty they are derived from the wavelengths."""
    toa_reflectance: bool = False
    """`linear` rules give reflectance at the top of the atmosphere, from which what the air adds is taken away."""
    sun_corrected: bool = True
    """That reflectance is for the sun's light as it falls, less the lower the sun stands."""
    offset_path: re.Pattern[str] | None = None
    """Found in the path of products whose numbers are `offset_dn` higher than the rules say."""
    offset_dn: float = 0.0
    """Added by the operator to the stored numbers of those products."""
    file: str | None = None
    """The user's file that it was read from; None for a shipped profile."""

    def band(self, name: str) -> Band:
        """Return a band by name."""
        return next(band for band in self.bands if band.name == name)

    def rules_for(self, dtype: str) -> tuple[Scaling, ...]:
        """Return the rules for a data type, as rasterio names it."""
        return self.scaling.get(dtype) or self.scaling["default"]

    def for_path(self, path: PurePath) -> "Profile":
        """Return the profile with the rules that hold for a file's processing version, as its path tells."""
        if self.offset_path is None or not self.offset_path.search(path.as_posix()):
            return self
        rules = {dtype: tuple(self._shifted(rule) for rule in several) for dtype, several in self.scaling.items()}
        return replace(self, scaling=rules)

    def _shifted(self, rule: Scaling) -> Scaling:
        # Only the operator's own integers have the offset, not what somebody made of them.
        own = rule.kind == "linear" and rule.scale != 1
        return replace(rule, offset=rule.offset - self.offset_dn * rule.scale) if own else rule


def load_profiles(folder: Path | None = None) -> tuple[Profile, ...]:
    """Return all profiles, by name: those that ship with the package and the user's.

    Args:
        folder: The user's TOML files; one with the name of a shipped profile replaces it.

    Raises:
        SensorError: The folder is not there, or holds no profile or a broken one.
    """
    shipped = _shipped()
    if folder is None:
        return shipped
    if not folder.is_dir():
        raise SensorError(f"{folder}: no such folder; pass one with profiles as TOML files, see docs/sensors.md")
    own = {path.stem: replace(_read(path), file=str(path)) for path in sorted(folder.glob("*.toml"))}
    if not own:
        raise SensorError(f"{folder}: no *.toml in it; put one file for each sensor there, see docs/sensors.md")
    together = {profile.name: profile for profile in shipped} | own
    return tuple(together[name] for name in sorted(together))


def profile_named(name: str, profiles: Sequence[Profile] | None = None) -> Profile:
    """Return a profile.

    Args:
        name: Its name.
        profiles: Those to look in; None for the shipped ones.

    Raises:
        SensorError: There is none of this name.
    """
    known = load_profiles() if profiles is None else profiles
    for profile in known:
        if profile.name == name:
            return profile
    names = ", ".join(profile.name for profile in known)
    raise SensorError(f"sensor {name!r}: no such profile; need one of {names}")


@lru_cache
def _shipped() -> tuple[Profile, ...]:
    return tuple(_read(path) for path in sorted(_FOLDER.glob("*.toml")))


def _read(path: Path) -> Profile:
    try:
        return _profile(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        raise SensorError(
            f"{path}: no sensor profile ({type(error).__name__}: {error}); see docs/sensors.md"
        ) from error


def _profile(name: str, said: dict[str, Any]) -> Profile:
    if "file" in said:
        raise ValueError("unknown file")
    if "hazy" in said:
        # Its name in earlier versions.
        said["toa_reflectance"] = said.pop("hazy")
    bands = tuple(_table(Band, band) for band in said.pop("bands", []))
    for band in bands:
        if problem := wavelength_problem(band.wavelength_um):
            raise ValueError(f"wavelength_um {band.wavelength_um:g} of {band.name} {problem}")
    rules = {dtype: tuple(_rules(rule)) for dtype, rule in said.pop("scaling").items()}
    if "default" not in rules:
        raise ValueError("scaling.default is missing")
    layouts = tuple(_table(Layout, layout) for layout in said.pop("layouts", []))
    quality = tuple(_table(Quality, band) for band in said.pop("quality", []))
    styles = tuple(_table(Style, style) for style in said.pop("styles", []))
    said.setdefault("default_bands", [band.name for band in bands])
    tables = {"bands": bands, "scaling": rules, "layouts": layouts, "quality": quality, "styles": styles}
    profile: Profile = _table(Profile, {**said, "name": name, **tables})
    known = {band.name for band in bands}
    if len(known) < len(bands):
        raise ValueError("two bands have one name; need a name for each")
    named = {*profile.default_bands, *(band for layout in layouts for band in layout.bands)}
    named |= {band for style in styles for band in style.needs}
    if named - known:
        raise ValueError(f"{', '.join(sorted(named - known))} among default_bands, layouts or styles, but not in bands")
    return profile


def _rules(said: dict[str, Any] | list[dict[str, Any]]) -> Iterator[Scaling]:
    for rule in said if isinstance(said, list) else [said]:
        yield _table(Scaling, rule)


def _table(kind: type[_T], said: Mapping[str, Any]) -> _T:
    """Make a value of a TOML table: arrays become tuples, patterns are compiled."""
    types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    unknown = set(said) - set(types)
    if unknown:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; need some of {', '.join(types)}")
    for key, value in said.items():
        _check_type(key, value, types[key])
    return kind(**{key: _value(value, types[key]) for key, value in said.items()})


def _check_type(key: str, value: Any, type_name: str) -> None:
    """Refuse a value of another type than the field has, where that is a plain one.

    Raises:
        ValueError: It has another.
    """
    plain = type_name.removesuffix(" | None").removeprefix("<class '").removesuffix("'>")
    needed, fits = {
        "str": ("a text", isinstance(value, str)),
        "re.Pattern[str]": ("a pattern as text", isinstance(value, str)),
        "int": ("a whole number", isinstance(value, int) and not isinstance(value, bool)),
        "float": ("a number", isinstance(value, int | float) and not isinstance(value, bool)),
        "bool": ("true or false", isinstance(value, bool)),
    }.get(plain, ("", True))
    if plain.startswith("tuple["):
        needed, fits = "a list", isinstance(value, list | tuple)
    if not fits:
        raise ValueError(f"{key} is {value!r}; need {needed}")


def _value(value: Any, type_name: str) -> Any:
    if "Pattern" in type_name and isinstance(value, str):
        return re.compile(value, re.IGNORECASE)
    if isinstance(value, list):
        return tuple(tuple(part) if isinstance(part, list) else part for part in value)
    return value
