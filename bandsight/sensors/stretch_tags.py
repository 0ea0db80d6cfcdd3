"""GeoTIFF tags that record how each band of an exported tile was stretched for the model."""

import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from bandsight.sensors.scaling import Decibel

_LOW, _HIGH, _TO_DB = "BANDSIGHT_LOW", "BANDSIGHT_HIGH", "BANDSIGHT_TO_DB"


def stretch_tags(stretch: Mapping[str, Any], position: int) -> dict[str, str]:
    """Return the tags for a band.

    Args:
        stretch: The scene's scaling to 0..255, as stored in the catalog.
        position: Position of the band in the scene, from 0.
    """
    tags = {_LOW: repr(float(stretch["low"][position])), _HIGH: repr(float(stretch["high"][position]))}
    return tags | {_TO_DB: stretch["to_db"]} if stretch.get("to_db") else tags


def read_stretch_tags(tags: Mapping[str, str]) -> tuple[float, float, Decibel | None] | None:
    """Return the values that map to 0 and 255 and the conversion to dB, or None if a tag is missing or invalid."""
    try:
        low, high = float(tags[_LOW]), float(tags[_HIGH])
    except (KeyError, ValueError):
        return None
    to_db = tags.get(_TO_DB)
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or to_db not in {None, *get_args(Decibel)}:
        return None
    return low, high, cast("Decibel | None", to_db)
