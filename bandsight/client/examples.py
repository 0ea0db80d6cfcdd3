"""Converts examples to the JSON format of the API."""

import base64
import io
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from bandsight.errors import QueryError

_NEEDED = (
    "need a sentence, a tile's number or Item, a place (lon, lat), a GeoJSON polygon, an image (path, bytes, or a "
    "Pillow image), or an example as in POST /search"
)


def examples(given: Any) -> list[dict[str, Any]]:
    """Return examples in the format of `semantic`.

    Args:
        given: One example or a list: a sentence, the number of a tile or its Item, a place (lon, lat), a GeoJSON
            polygon, an image (path, bytes or Pillow image), or an example in the API format, e.g. with a weight.

    Raises:
        QueryError: An example is none of these, or a file cannot be read.
    """
    if given is None:
        return []
    several = given if isinstance(given, (list, set, frozenset)) else [given]
    return [example(one) for one in several]


def example(given: Any) -> dict[str, Any]:
    """Return one example; see `examples`."""
    made: dict[str, Any] | None = None
    match given:
        case bool():
            pass
        case str():
            made = {"text": given}
        case Integral():
            made = {"id": int(given)}
        case bytes() | os.PathLike():
            made = {"image": picture(given)}
        case (Real(), Real()):
            made = {"point": [float(given[0]), float(given[1])]}
        case Mapping():
            made = _of_mapping(given)
        case _ if hasattr(given, "save") and hasattr(given, "convert"):
            made = {"image": picture(given)}
        case _ if str(getattr(given, "id", "")).isdecimal():
            made = {"id": int(given.id)}
        case _ if hasattr(given, "__geo_interface__"):
            made = {"area": given.__geo_interface__}
    if made is None:
        raise QueryError(f"example: found {str(given)[:60]!r} ({type(given).__name__}); {_NEEDED}")
    return made


def _of_mapping(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example from a tile's Item, GeoJSON, or the API format."""
    if "bandsight:window" in given.get("properties", {}):
        return {"id": int(given["id"])}
    shape = given.get("geometry") if given.get("type") == "Feature" else given
    return {"area": shape} if isinstance(shape, Mapping) and "coordinates" in shape else dict(given)


def picture(given: Any, wavelengths: Iterable[float] | None = None) -> dict[str, Any]:
    """Return an image in the API format.

    Args:
        given: A path, the bytes of a file, or a Pillow image.
        wavelengths: Wavelengths of the bands of a GeoTIFF that does not state them, µm.

    Raises:
        QueryError: The file cannot be read.
    """
    if isinstance(given, bytes):
        data = given
    elif hasattr(given, "save"):
        out = io.BytesIO()
        given.convert("RGB").save(out, "PNG")
        data = out.getvalue()
    else:
        try:
            data = Path(given).read_bytes()
        except OSError as error:
            raise QueryError(f"{given}: cannot be read ({error.strerror}); check the path") from error
    made: dict[str, Any] = {"data": base64.b64encode(data).decode()}
    return made if wavelengths is None else made | {"wavelengths": [float(wave) for wave in wavelengths]}
