"""Sidecars: metadata for a raster from the user, in `FILE.bandsight.json` next to it."""

import json
from dataclasses import dataclass
from pathlib import Path

from bandsight.errors import SceneError
from bandsight.raster.drivers import local_file

SUFFIX = ".bandsight.json"
_FIELDS = {"crs", "bounds", "datetime", "sensor", "wavelengths_um"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """The user's metadata for a raster; takes precedence over the file's own."""

    crs: str | None = None
    """Coordinate reference system, e.g. `EPSG:32616`."""
    bounds: tuple[float, float, float, float] | None = None
    """Outer edges (left, bottom, right, top) in that CRS."""
    datetime: str | None = None
    """Acquisition time, RFC 3339."""
    sensor: str | None = None
    """Name of a sensor profile."""
    wavelengths_um: tuple[float, ...] | None = None
    """Centre wavelength of each band, µm."""


def read_sidecar(href: str) -> Sidecar:
    """Read the sidecar of a raster; empty if there is none, and for remote rasters.

    Raises:
        SceneError: The sidecar is invalid.
    """
    raster = local_file(href)
    path = sidecar_path(raster) if raster else None
    if path is None or not path.is_file():
        return Sidecar()
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(said, dict):
            raise SceneError(f"{path}: found a JSON {type(said).__name__}, need an object, see docs/sensors.md")
        unknown = set(said) - _FIELDS
        if unknown:
            raise SceneError(
                f"{path}: unknown {', '.join(sorted(unknown))}; valid fields are {', '.join(sorted(_FIELDS))}"
            )
        for name, example in (("crs", "EPSG:32616"), ("datetime", "2020-05-01T10:00:00Z"), ("sensor", "rgb")):
            if not isinstance(said.get(name), str | None):
                raise SceneError(f'{path}: {name} is {said[name]!r}; need text, e.g. "{example}"')
        for name in ("bounds", "wavelengths_um"):
            if not isinstance(said.get(name), list | None):
                raise SceneError(f"{path}: {name} is {said[name]!r}; need a list of numbers")
        bounds = tuple(float(value) for value in said["bounds"]) if said.get("bounds") else None
        if bounds is not None and not (len(bounds) == 4 and bounds[0] < bounds[2] and bounds[1] < bounds[3]):  # noqa: PLR2004
            raise SceneError(f"{path}: bounds {list(bounds)}; need left, bottom, right, top")
        waves = said.get("wavelengths_um")
        return Sidecar(
            crs=said.get("crs"),
            bounds=bounds,
            datetime=said.get("datetime"),
            sensor=said.get("sensor"),
            wavelengths_um=tuple(float(value) for value in waves) if waves else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise SceneError(f"{path}: not a sidecar ({error}); need a JSON object, see docs/sensors.md") from error


def sidecar_path(raster: Path) -> Path:
    """Return the sidecar path of a raster."""
    return raster.with_name(raster.name + SUFFIX)
