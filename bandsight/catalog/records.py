"""Catalog records, as plain values: scenes, tiles, hits and model identities."""

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
    """Source it was loaded from, e.g. `embedded`."""
    digest: str
    """SHA-256 of weights and preprocessing."""
    dim: int
    """Length of a vector."""
    license: str
    """Licence of the weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRecord:
    """An indexed scene."""

    key: str
    """Hash of content and tiling; equal keys mean equal tiles."""
    href: str
    """Primary file or folder; unique."""
    name: str
    """Short human-readable name."""
    collection: str
    """STAC collection."""
    sensor: str
    """Name of the sensor profile."""
    datetime: dt.datetime | None
    """Acquisition time, UTC; None if unknown."""
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
    """Bands in the model's order."""
    stretch: dict[str, Any]
    """Scaling of stored values to 0..255: `{"kind": …, "low": [per band], "high": [per band]}`."""
    properties: dict[str, Any] = field(default_factory=dict)
    """Other STAC properties."""
    geometry: dict[str, Any]
    """Footprint, GeoJSON."""
    boxes: tuple[LonLatBox, ...]
    """Bounding boxes of the footprint; two if it crosses ±180°."""
    tiling: dict[str, Any] = field(default_factory=dict)
    """Tile size, scales, minimum valid fraction."""
    source: dict[str, Any] | None = None
    """How to reopen the scene; None if an older version indexed it."""
    decisions: dict[str, Any] | None = None
    """Decisions on reading and display, serialized by `bandsight.raster.decisions`; None if an older version indexed
    it."""
    identity: str | None = None
    """Identity independent of location: a STAC collection and item, a URL without its signature, or a hash of the
    files' content; None if an older version indexed it."""
    start_datetime: dt.datetime | None = None
    """Start of the time interval, UTC; None for a single time."""
    end_datetime: dt.datetime | None = None
    """End of the time interval, UTC."""

    @property
    def wavelengths_um(self) -> tuple[float, ...]:
        """Centre wavelength of each band as passed to the model, µm."""
        return tuple(band.wavelength_um for band in self.bands)

    @property
    def replaced_hrefs(self) -> frozenset[str]:
        """Hrefs of scenes that this one replaces: its own, and those of its band files.

        If a folder gets another band file, it is still the same scene, though the new file may now be the first. This
        does not apply to STAC items, which may share files.
        """
        source = self.source or {}
        files = () if source.get("said") is not None else source.get("hrefs", ())
        return frozenset((self.href, *files))


@dataclass(frozen=True, slots=True, kw_only=True)
class TileRecord:
    """A tile of a scene."""

    cell: str
    """Id of the grid cell."""
    scale: int
    """Native pixels per tile pixel, along each side; 1 is native resolution."""
    col_off: int
    """First column of the window, native pixels; may be negative."""
    row_off: int
    """First row of the window."""
    width: int
    """Columns of the window, native pixels."""
    height: int
    """Rows of the window."""
    valid_fraction: float
    """Fraction of valid pixels, 0..1."""
    geometry: dict[str, Any]
    """Footprint, GeoJSON."""
    boxes: tuple[LonLatBox, ...]
    """Bounding boxes of the footprint; two if it crosses ±180°."""
    cloud_fraction: float | None = None
    """Fraction of valid pixels with cloud or cloud shadow, 0..1; None without a quality band."""
    attributes: Mapping[str, float | None] = field(default_factory=dict)
    """Other fields of `bandsight.attributes.fields`, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(SceneRecord):
    """A scene in the catalog."""

    id: int
    """Row id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile(TileRecord):
    """A tile in the catalog."""

    id: int
    """Row id, never reused; also the id of its vector."""
    scene_id: int
    """Id of its scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestCell:
    """The best-matching cell of a tile."""

    row: int
    """Row of the cell, from 0 at the top."""
    column: int
    """Column of the cell, from 0 at the left."""
    side: int
    """Number of cells along each side of the tile."""

    def window(self, tile: TileRecord) -> tuple[float, float, float, float]:
        """Return its column and row offset, width and height in the scene, native pixels."""
        width, height = tile.width / self.side, tile.height / self.side
        return tile.col_off + self.column * width, tile.row_off + self.row * height, width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A search result."""

    tile: Tile
    """The matching tile."""
    scene: Scene
    """The tile's scene."""
    score: float
    """Cosine similarity with the query, -1..1."""
    rank: int
    """Rank, from 1."""
    probability: float | None = None
    """Probability that the tile shows what the sentence describes; None without a sentence or calibration."""
    probability_reason: str | None = None
    """Why there is no probability; None if there is one, or if the query has no sentence."""
    match: bool | None = None
    """Whether the probability reaches the model's threshold for this imagery; None if there is none."""
    matched: str | None = None
    """The most similar example."""
    cell: BestCell | None = None
    """The cell that the score refers to; None if it refers to the whole tile."""
    vector: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    """The tile's vector, if requested, shape (dim,)."""
