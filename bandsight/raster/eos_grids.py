"""Reads the grids of HDF-EOS files from their structural metadata (NASA, HDF-EOS library user's guide)."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS

from bandsight.errors import SceneError

_GROUP = re.compile(r"GROUP=GRID_\d+\s(.*?)END_GROUP=GRID_\d+\s", re.DOTALL)
_FIELD = re.compile(r"OBJECT=DataField_\d+\s(.*?)END_OBJECT=DataField_\d+", re.DOTALL)
_VALUE = re.compile(r"^\s*(\w+)=(.*?)\s*$", re.MULTILINE)
_SIX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class EosGrid:
    """A grid of an HDF-EOS file."""

    name: str
    """Its name, e.g. `MODIS_Grid_500m_2D`."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    transform: Affine
    """Affine from pixels to the CRS."""
    crs: CRS
    """Coordinate reference system."""
    fields: Mapping[str, tuple[str, ...]]
    """Dimensions of each raster on the grid, by its name; rows are `YDim`, columns `XDim`."""


def eos_grids(text: str, name: str) -> list[EosGrid]:
    """Return the grids that structural metadata describe; empty if there are none.

    Args:
        text: The attribute `StructMetadata.0`, with the parts that follow it.
        name: Name of the file, for messages.

    Raises:
        SceneError: A grid is incomplete, or in a projection that is not supported.
    """
    return [_grid(found[1], name) for found in _GROUP.finditer(text)]


def _grid(text: str, name: str) -> EosGrid:
    stated = dict(_VALUE.findall(text.partition("GROUP=Dimension")[0]))
    try:
        width, height = int(stated["XDim"]), int(stated["YDim"])
        (west, north), (east, south) = (_numbers(stated[key]) for key in ("UpperLeftPointMtrs", "LowerRightMtrs"))
    except (KeyError, ValueError) as error:
        raise SceneError(f"{name}: its HDF-EOS grid is incomplete ({error}); download it again") from error
    projection = stated.get("Projection", "")
    if projection == "GCTP_GEO":
        west, north, east, south = (_degrees(value) for value in (west, north, east, south))
    if not (width > 0 and height > 0 and east > west and north != south):
        raise SceneError(f"{name}: its HDF-EOS grid has no area; download it again")
    if stated.get("GridOrigin", "HDFE_GD_UL") != "HDFE_GD_UL":
        north, south = south, north
    step = Affine((east - west) / width, 0, west, 0, (south - north) / height, north)
    return EosGrid(
        name=stated.get("GridName", "").strip('"'),
        width=width,
        height=height,
        transform=step,
        crs=_crs(projection, stated.get("ProjParams", ""), name),
        fields=dict(_fields(text)),
    )


def _fields(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for found in _FIELD.finditer(text):
        stated = dict(_VALUE.findall(found[1]))
        dimensions = re.findall(r'"([^"]*)"', stated.get("DimList", ""))
        yield stated.get("DataFieldName", "").strip('"'), tuple(dimensions)


def _crs(projection: str, parameters: str, name: str) -> CRS:
    """Return the CRS of a projection of the General Cartographic Transformation Package."""
    if projection == "GCTP_GEO":
        return CRS.from_epsg(4326)
    if projection == "GCTP_SNSOID":
        numbers = [*_numbers(parameters or "(0)"), *[0.0] * _SIX]
        # Radius, central meridian (packed degrees), false easting and northing.
        radius, middle, easting, northing = numbers[0] or 6_371_007.181, _degrees(numbers[4]), numbers[6], numbers[7]
        return CRS.from_proj4(
            f"+proj=sinu +lon_0={middle:g} +x_0={easting:g} +y_0={northing:g} +R={radius!r} +units=m +no_defs"
        )
    raise SceneError(
        f"{name}: its grid is in the projection {projection or 'none'}, but only sinusoidal grids and grids in degrees "
        "are read from HDF-EOS; convert it to GeoTIFF"
    )


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.strip("() ").split(",")]


def _degrees(packed: float) -> float:
    """Return degrees from DDDMMMSSS.SS."""
    whole = abs(packed)
    degrees, rest = divmod(whole, 1_000_000)
    minutes, seconds = divmod(rest, 1_000)
    return math.copysign(degrees + minutes / 60 + seconds / 3600, packed) if packed else 0.0
