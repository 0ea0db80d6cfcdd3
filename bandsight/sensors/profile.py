"""Sensor profiles, read from TOML files: bands, wavelengths, scaling, and patterns that identify files."""

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
    """Operator's name, e.g. `B04`."""
    wavelength_um: float
    """Centre wavelength, µm; for radar, the code that the models were trained with (see the profile)."""
    common_name: str | None = None
    """STAC common name, e.g. `red`."""
    fwhm_um: float | None = None
    """Full width at half maximum, µm."""
    frequency_ghz: float | None = None
    """Radar: centre frequency, GHz."""
    polarisation: str | None = None
    """Radar: transmit and receive polarisation, e.g. `VH`."""
    file: re.Pattern[str] | None = None
    """Pattern for the stem of a single-band file."""
    low: float | None = None
    """Physical value that overrides `low` of the profile's linear rules for this band."""
    high: float | None = None
    """The same for `high`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The bands of a multi-band file."""

    bands: tuple[str, ...]
    """Band names in the order of the file."""
    colorinterp: tuple[str, ...] | None = None
    """GDAL colour interpretation that identifies the layout; None if only the product name can."""
    dtype: str | None = None
    """Required data type; None for any."""
    file: re.Pattern[str] | None = None
    """Pattern for the file stem, if a product has several multi-band files."""
    repeat: bool = False
    """The file has a single band that is repeated for all of `bands`, e.g. panchromatic as red, green and blue."""

    @property
    def stored(self) -> int:
        """Number of bands in the file, without a mask."""
        return 1 if self.repeat else len(self.bands)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A sensor or product: its bands, scaling, and how to identify its files."""

    name: str
    """Name for `--sensor`."""
    title: str
    """Human-readable title."""
    collection: str
    """STAC collection of its scenes."""
    scaling: Mapping[str, tuple[Scaling, ...]]
    """Scaling rules by data type, `default` for others. The first plausible rule of several applies."""
    bands: tuple[Band, ...] = ()
    """All bands; empty if the scenes state their wavelengths."""
    default_bands: tuple[str, ...] = ()
    """Bands for the model, in order. Missing ones are skipped."""
    min_bands: int = 1
    """Minimum number of bands for the model."""
    skip_um: tuple[tuple[float, float], ...] = ()
    """Wavelength ranges (low, high), µm, that are not used by the model. For scenes that state their wavelengths."""
    nodata: float | None = None
    """Nodata value for files that do not define one."""
    fill_values: tuple[float, ...] = ()
    """A pixel with one of these values in every band is nodata."""
    product: re.Pattern[str] | None = None
    """Pattern for `folder/name` of the sensor's products."""
    layouts: tuple[Layout, ...] = ()
    """Layouts of multi-band files."""
    quality: tuple[Quality, ...] = ()
    """Quality bands; the first match is used."""
    collar: bool = True
    """Zeros connected to the image edge are nodata. False if 0 is an ordinary value, as in elevation models."""
    styles: tuple[Style, ...] = ()
    """Display styles; empty to derive them from the wavelengths."""
    toa_reflectance: bool = False
    """`linear` rules yield top-of-atmosphere reflectance, from which path radiance is subtracted."""
    sun_corrected: bool = True
    """Top-of-atmosphere reflectance is already corrected for the solar zenith angle."""
    offset_path: re.Pattern[str] | None = None
    """Pattern for the path of products whose stored values are shifted by `offset_dn`."""
    offset_dn: float = 0.0
    """Offset that the operator added to the stored values of those products."""
    file: str | None = None
    """The user's file it was read from; None for a built-in profile."""

    def band(self, name: str) -> Band:
        """Return a band by name."""
        return next(band for band in self.bands if band.name == name)

    def rules_for(self, dtype: str) -> tuple[Scaling, ...]:
        """Return the rules for a data type, as rasterio names it."""
        return self.scaling.get(dtype) or self.scaling["default"]

    def for_path(self, path: PurePath) -> "Profile":
        """Return the profile with scaling for the processing version that the path indicates."""
        if self.offset_path is None or not self.offset_path.search(path.as_posix()):
            return self
        rules = {dtype: tuple(self._shifted(rule) for rule in several) for dtype, several in self.scaling.items()}
        return replace(self, scaling=rules)

    def _shifted(self, rule: Scaling) -> Scaling:
        # Only the operator's integers have the offset, not rescaled derivatives.
        own = rule.kind == "linear" and rule.scale != 1
        return replace(rule, offset=rule.offset - self.offset_dn * rule.scale) if own else rule


def load_profiles(folder: Path | None = None) -> tuple[Profile, ...]:
    """Return the built-in and the user's profiles, sorted by name.

    Args:
        folder: Folder with the user's TOML files. A file named like a built-in profile replaces it.

    Raises:
        SensorError: The folder does not exist, or contains no profiles or an invalid one.
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
        name: Name of the profile.
        profiles: Profiles to search; None for the built-in ones.

    Raises:
        SensorError: There is no profile with this name.
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
            f"{path}: not a valid sensor profile ({type(error).__name__}: {error}); see docs/sensors.md"
        ) from error


def _profile(name: str, table: dict[str, Any]) -> Profile:
    if "file" in table:
        raise ValueError("unknown file")
    if "hazy" in table:
        # Name in earlier versions.
        table["toa_reflectance"] = table.pop("hazy")
    bands = tuple(_table(Band, band) for band in table.pop("bands", []))
    for band in bands:
        if problem := wavelength_problem(band.wavelength_um):
            raise ValueError(f"wavelength_um {band.wavelength_um:g} of {band.name} {problem}")
    rules = {dtype: tuple(_rules(rule)) for dtype, rule in table.pop("scaling").items()}
    if "default" not in rules:
        raise ValueError("scaling.default is missing")
    layouts = tuple(_table(Layout, layout) for layout in table.pop("layouts", []))
    quality = tuple(_table(Quality, band) for band in table.pop("quality", []))
    styles = tuple(_table(Style, style) for style in table.pop("styles", []))
    table.setdefault("default_bands", [band.name for band in bands])
    tables = {"bands": bands, "scaling": rules, "layouts": layouts, "quality": quality, "styles": styles}
    profile: Profile = _table(Profile, {**table, "name": name, **tables})
    known = {band.name for band in bands}
    if len(known) < len(bands):
        raise ValueError("two bands have the same name; need unique names")
    named = {*profile.default_bands, *(band for layout in layouts for band in layout.bands)}
    named |= {band for style in styles for band in style.needs}
    if named - known:
        raise ValueError(
            f"{', '.join(sorted(named - known))} used in default_bands, layouts or styles, but not defined in bands"
        )
    return profile


def _rules(table: dict[str, Any] | list[dict[str, Any]]) -> Iterator[Scaling]:
    for rule in table if isinstance(table, list) else [table]:
        yield _table(Scaling, rule)


def _table(kind: type[_T], table: Mapping[str, Any]) -> _T:
    """Build a dataclass from a TOML table: arrays become tuples, patterns are compiled."""
    types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    unknown = set(table) - set(types)
    if unknown:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}; valid keys are {', '.join(types)}")
    for key, value in table.items():
        _check_type(key, value, types[key])
    return kind(**{key: _value(value, types[key]) for key, value in table.items()})


def _check_type(key: str, value: Any, type_name: str) -> None:
    """Check the type of a value against the field's, for basic types.

    Raises:
        ValueError: The type is wrong.
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
