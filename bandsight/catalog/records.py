"""What the catalog keeps, as plain values: scenes, tiles, hits and the identity of a model."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model whose vectors an archive holds."""

    name: str
    """What it was loaded as, e.g. `embedded`."""
    digest: str
    """SHA-256 of weights and preprocessing."""
    dim: int
    """Length of a vector."""
    license: str
    """Licence of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRecord:
    """One indexed scene."""

    key: str
    """Identity of content and tiling: equal keys give equal tiles."""
    href: str
    """Primary file or folder; one scene per href."""
    name: str
    """Short name for people."""
    collection: str
    """STAC collection."""
    sensor: str
    """Name of the sensor profile."""
    datetime: dt.datetime | None
    """Acquisition, UTC; None where it is unknown."""
    crs: str
    """Coordinate reference system, `EPSG:n` or WKT."""
    transform: tuple[float, float, float, float, float, float]
    """Affine (a, b, c, d, e, f): x = a·col + b·row + c, y = d·col + e·row + f."""
    width: int
    """Columns of the reference grid."""
    height: int
    """Rows of the reference grid."""
    gsd_m: float | None
    """Ground sample distance of the reference grid, m."""
    bands: tuple[BandRef, ...]
    """In the order in which the model saw them."""
    stretch: dict[str, Any]
    """How DN became 0..255: `{"kind": …, "low": [per band], "high": [per band]}`."""
    properties: dict[str, Any] = field(default_factory=dict)
    """Further STAC properties."""
    geometry: dict[str, Any]
    """Footprint, GeoJSON."""
    boxes: tuple[LonLatBox, ...]
    """Boxes of the footprint; two when it crosses ±180°."""
    tiling: dict[str, Any] = field(default_factory=dict)
    """Tile size, scales, least valid share."""
    source: dict[str, Any] | None = None
    """What it was opened from, to open it again; None where an older version has indexed it."""
    decisions: dict[str, Any] | None = None
    """How its pixels are read and shown, and what each decision came from, as `bandsight.raster.decisions` writes it;
    None where an older version has indexed it."""
    identity: str | None = None
    """What the scene is, independent of where it lies: a STAC collection and item, a URL without its signature, or the
    content of its files; None where an older version has indexed it."""
    start_datetime: dt.datetime | None = None
    """Start of its time interval, UTC; None for a scene of a single moment."""
    end_datetime: dt.datetime | None = None
    """End of its time interval, UTC."""

    @property
    def wavelengths_um(self) -> tuple[float, ...]:
        """Centre wavelength of each band as the model saw them, µm."""
        return tuple(band.wavelength_um for band in self.bands)

    @property
    def replaced_hrefs(self) -> frozenset[str]:
        """Hrefs of scenes that this one takes the place of: its own and, of band files, each of them.

        A folder that gets another band file is still the same scene, though the new one may now be the first. Items of
        a catalogue may well share files.
        """
        source = self.source or {}
        files = () if source.get("said") is not None else source.get("hrefs", ())
        return frozenset((self.href, *files))


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecord:
    """One tile of a scene."""

    cell: str
    """Id of its cell on the shared grid."""
    scale: int
    """1 is native resolution; s means s×s native pixels in one."""
    col_off: int
    """First column of its window, native pixels; may be negative."""
    row_off: int
    """First row of its window."""
    width: int
    """Columns of its window, native pixels."""
    height: int
    """Rows of its window."""
    valid_fraction: float
    """Share of valid pixels, 0..1."""
    geometry: dict[str, Any]
    """Footprint, GeoJSON."""
    boxes: tuple[LonLatBox, ...]
    """Boxes of the footprint; two when it crosses ±180°."""
    cloud_fraction: float | None = None
    """Share of the valid pixels that are cloud or its shadow, 0..1; None where there is no quality band."""
    attributes: Mapping[str, float | None] = field(default_factory=dict)
    """Further fields of `bandsight.attributes.fields`, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(SceneRecord):
    """A scene in the catalog."""

    id: int
    """Row id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile(TileRecord):
    """A tile in the catalog."""

    id: int
    """Row id, never used twice; also the id of its vector."""
    scene_id: int
    """The scene it was cut from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCell:
    """The cell of a tile that matches best."""

    row: int
    """From the top, 0 first."""
    column: int
    """From the left, 0 first."""
    side: int
    """Cells along a side of the tile."""

    def window(self, tile: TileRecord) -> tuple[float, float, float, float]:
        """Return its first column and row, columns and rows in its scene, native pixels."""
        width, height = tile.width / self.side, tile.height / self.side
        return tile.col_off + self.column * width, tile.row_off + self.row * height, width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One result of a search."""

    tile: Tile
    """The place."""
    scene: Scene
    """What it was cut from."""
    score: float
    """Cosine with the query, -1..1."""
    rank: int
    """1 is best."""
    probability: float | None = None
    """That the tile shows what the sentence says; None where the query has no sentence, or no calibration applies."""
    probability_reason: str | None = None
    """Why there is no probability; None where there is one, and where the query has no sentence."""
    match: bool | None = None
    """Whether the probability reaches the model's threshold for this imagery; None where it has none."""
    matched: str | None = None
    """The example that the tile is most like."""
    cell: BestCell | None = None
    """The cell that the score is of; None for a score of the whole tile."""
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """The tile's vector, where it was requested, shape (dim,)."""
