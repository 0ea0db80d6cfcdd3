"""What something beside the rasters says about a scene: a STAC item, or the metadata file of its product."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bandsight.sensors.raster_info import SaidBand


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Empty where nothing is said."""

    by: str = ""
    """What said it, for people."""
    acquired: datetime | None = None
    """Acquisition, UTC."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Under STAC's names, e.g. `eo:cloud_cover`, `view:sun_elevation`, `platform`."""
    hints: tuple[str, ...] = ()
    """Names of the product, to be recognised like file names."""
    bands: Mapping[str, tuple[SaidBand, ...]] = field(default_factory=dict)
    """The bands in each file, by href."""
    scales: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """(scale, offset) from stored numbers to physical values, by href."""
