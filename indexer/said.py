"""What something beside the rasters says about a scene: a STAC item, or the metadata file of its product."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "by": self.by,
            "acquired": None if self.acquired is None else self.acquired.isoformat(),
            "properties": dict(self.properties),
            "hints": list(self.hints),
            "bands": {href: [asdict(band) for band in bands] for href, bands in self.bands.items()},
            "scales": {href: list(scale) for href, scale in self.scales.items()},
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Said":
        """Return what `as_dict` was made of."""
        return cls(
            by=kept["by"],
            acquired=None if kept["acquired"] is None else datetime.fromisoformat(kept["acquired"]),
            properties=kept["properties"],
            hints=tuple(kept["hints"]),
            bands={href: tuple(SaidBand(**band) for band in bands) for href, bands in kept["bands"].items()},
            scales={href: (scale, offset) for href, (scale, offset) in kept["scales"].items()},
        )
