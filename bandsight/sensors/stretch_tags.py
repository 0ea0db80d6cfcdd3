"""How a GeoTIFF cut from a scene says what the model saw of each band, so that it can be asked with unchanged."""

import math
from collections.abc import Mapping
from typing import Any, cast, get_args

from bandsight.sensors.scaling import Decibel

_LOW, _HIGH, _TO_DB = "BANDSIGHT_LOW", "BANDSIGHT_HIGH", "BANDSIGHT_TO_DB"


def stretch_tags(stretch: Mapping[str, Any], position: int) -> dict[str, str]:
    """Return the tags of a band.

    Args:
        stretch: How the scene's numbers became 0..255, as the catalog keeps it.
        position: Of the band in the scene, from 0.
    """
    tags = {_LOW: repr(float(stretch["low"][position])), _HIGH: repr(float(stretch["high"][position]))}
    return tags | {_TO_DB: stretch["to_db"]} if stretch.get("to_db") else tags


def said_stretch(tags: Mapping[str, str]) -> tuple[float, float, Decibel | None] | None:
    """Return the numbers that become 0 and 255, and what becomes dB first; None where the tags do not say it."""
    try:
        low, high = float(tags[_LOW]), float(tags[_HIGH])
    except (KeyError, ValueError):
        return None
    to_db = tags.get(_TO_DB)
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or to_db not in {None, *get_args(Decibel)}:
        return None
    return low, high, cast("Decibel | None", to_db)
