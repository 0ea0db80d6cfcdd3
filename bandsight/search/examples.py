"""Kinds of examples, one class each: sentences, images, tiles, points, areas, vectors.

To add a kind, write a class with the methods of `ExampleKind`, list it in `KINDS`, and add its member to `Example`.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from bandsight.archive import Archive
from bandsight.attributes.fields import MAX_ID
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.geo.vertices import check_vertices
from bandsight.imagery.tile_mark import read_mark
from bandsight.model.scoring import sentence_vectors
from bandsight.search.limits import MAX_AREA_TILES, MAX_CHARS, MAX_EXAMPLES, MAX_WAVELENGTHS, MAX_WEIGHT
from bandsight.search.searcher import Searcher, unfamiliar

# Vectors whose mean is shorter than this cancel out; rounding errors of unit vectors are smaller.
_TOLERANCE = 1e-3
Lifetime = Literal["always", "paging", "request"]
"""Where an example keeps its meaning: always; in saved searches but not across pages ("paging"), because new scenes
change it; or only within the request."""


def check_text(text: str) -> str:
    """Strip and check a sentence.

    Raises:
        QueryError: It is empty, too long, or not valid Unicode.
    """
    stripped = text.strip()
    if not stripped:
        raise QueryError("query: the text is empty; describe the place, e.g. 'a river beside fields'")
    if any("\ud800" <= one <= "\udfff" for one in stripped):
        raise QueryError("query: the text contains a lone surrogate; send valid UTF-8")
    if len(stripped) > MAX_CHARS:
        raise QueryError(
            f"query: the text has {len(stripped)} characters; at most {MAX_CHARS} are allowed, so shorten it"
        )
    return stripped


_MAX_LON, _MAX_LAT = 180, 90


def _decoded(value: object) -> object:
    """Decode base64 text, with or without a data URL prefix."""
    if not isinstance(value, str):
        return value
    text = value.partition(",")[2] if value.startswith("data:") else value
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ValueError("need base64") from error


def _on_earth(point: list[float]) -> list[float]:
    lon, lat = point
    if abs(lon) > _MAX_LON or abs(lat) > _MAX_LAT:
        raise ValueError("need [longitude -180..180, latitude -90..90]")
    return point


Base64 = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
Point = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_on_earth)]
TileId = Annotated[int, Field(ge=0, le=MAX_ID)]
Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT)]
Texts = str | Annotated[list[str], Field(min_length=1, max_length=MAX_EXAMPLES)]


class Strict(BaseModel):
    """A model that rejects unknown members, and values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Picture(Strict):
    """An image: PNG, JPEG, or a GeoTIFF with any bands."""

    data: Base64
    wavelengths: list[float] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_WAVELENGTHS,
        description="Wavelengths of the bands in µm, for a GeoTIFF that does not state them",
    )


class Vector(Strict):
    """A vector of the archive's model, as stored by saved searches in place of images and areas."""

    data: Base64 = Field(description="float32, little-endian")
    digest: str = Field(max_length=100, description="Digest of the model")
    tiles: list[TileId] = Field(
        default=[],
        max_length=MAX_AREA_TILES,
        description="Tiles from which it was computed; they do not appear in the results",
    )


class Example(Strict):
    """One example: a sentence (or several with the same meaning), an image, a tile, a point or an area."""

    kinds: ClassVar[tuple[str, ...]] = ("text", "image", "id", "point", "area", "vector")
    """Members of which an example has exactly one; `KINDS` has a class for each."""

    text: Texts | None = Field(
        default=None, description="One or more sentences; several count as one example, their mean"
    )
    image: Picture | None = None
    id: TileId | None = Field(default=None, description="Id of a tile")
    point: Point | None = Field(
        default=None, description="Longitude, latitude: the mean of the tiles that cover the point"
    )
    area: dict[str, Any] | None = Field(default=None, description="GeoJSON polygon: the mean of the tiles inside")
    vector: Vector | None = None
    weight: Weight | None = Field(default=None, description="Weight for the strategy `average`; default: 1")
    label: str | None = Field(
        default=None, min_length=1, max_length=1000, description="Name of the example in `bandsight:matched`"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [kind for kind in self.kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"found {' and '.join(given) or 'none of them'}; need one of {', '.join(self.kinds)}")
        return self

    @property
    def kind(self) -> str:
        """Name of the member that is set."""
        return next(kind for kind in self.kinds if getattr(self, kind) is not None)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meaning:
    """The resolved meaning of an example."""

    vector: NDArray[np.float32]
    """Unit vector, shape (dim,)."""
    label: str
    """Name of the example in results."""
    is_text: bool = False
    """Whether it consists of sentences, which have probabilities."""
    unfamiliar: str | None = None
    """Why its sentences have no probability, or None if they have one."""
    tiles: tuple[int, ...] = ()
    """Tiles of the archive that it refers to."""
    lifetime: Lifetime = "always"
    """When its vector replaces it."""


class ExampleKind(Protocol):
    """Turns examples of one kind into vectors."""

    def sentences(self, value: Any) -> list[str]:
        """Return the sentences of an example, to be encoded in one batch with others."""

    def meaning(self, searcher: Searcher, value: Any, texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the meaning of an example.

        Args:
            searcher: Archive and model.
            value: Value of the example's member.
            texts: Vectors of its sentences, shape (sentences, dim).
            number: Position of the example, from 1.

        Raises:
            QueryError: The example is invalid.
            NotFoundError: A tile is not in the archive.
        """


class Sentences:
    """One or several sentences that describe the same thing."""

    def sentences(self, value: str | list[str]) -> list[str]:
        """Return the checked sentences; see `ExampleKind`."""
        return [check_text(text) for text in ([value] if isinstance(value, str) else value)]

    def meaning(self, searcher: Searcher, value: str | list[str], texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the mean of the sentences; see `ExampleKind`."""
        said = self.sentences(value)
        reasons = [reason for text in said if (reason := unfamiliar(text)) is not None]
        return Meaning(
            vector=unit_mean(texts),
            label=", ".join(said),
            is_text=True,
            unfamiliar=reasons[0] if reasons else None,
        )


class _Wordless:
    """A kind without sentences."""

    def sentences(self, value: Any) -> list[str]:
        """Return none; see `ExampleKind`."""
        return []


class Pictures(_Wordless):
    """An image, encoded by the model."""

    def meaning(self, searcher: Searcher, value: Picture, texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the vector of the image, or of its tile if it is a thumbnail; see `ExampleKind`."""
        vector = _of_thumbnail(searcher.archive, value.data)
        if vector is None:
            vector = searcher.embed_picture(value.data, value.wavelengths)[0]
        return Meaning(vector=vector, label=f"image {number}", lifetime="request")


class TileIds(_Wordless):
    """A tile of the archive."""

    def meaning(self, searcher: Searcher, value: int, texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the vector of the tile; see `ExampleKind`."""
        return Meaning(vector=unit_mean(searcher.archive.vectors([value])), label=f"tile {value}", tiles=(value,))


class Points(_Wordless):
    """A point: the mean of all tiles that cover it, across scenes, scales and dates."""

    def meaning(self, searcher: Searcher, value: list[float], texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the mean of the tiles there; see `ExampleKind`."""
        lon, lat = value
        here = Area.from_box(LonLatBox(west=lon, south=lat, east=lon, north=lat))
        ids = _tiles_meeting(searcher.archive, here, "point")
        if not ids:
            raise QueryError(f"point: no tile in this archive covers {lon:g},{lat:g}; choose a place that was indexed")
        return _of_tiles(searcher.archive, ids, f"point {lon:g},{lat:g}")


class Areas(_Wordless):
    """A polygon: the mean of the tiles inside it or, if it is smaller than a tile, of those around it."""

    def meaning(self, searcher: Searcher, value: dict[str, Any], texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the mean of the tiles there; see `ExampleKind`."""
        check_vertices(value, "area")
        area, archive = Area.from_geojson(value, "area"), searcher.archive
        ids = _tiles_meeting(archive, area, "area")
        if not ids:
            raise QueryError("area: this archive has no tiles there; draw it over indexed scenes")
        shapely.prepare(area.geometry)
        inside = shapely.covers(area.geometry, archive.footprints(ids))
        chosen = [one for one, within in zip(ids, inside, strict=True) if within] or ids
        return _of_tiles(archive, chosen, f"area {number}")


class Vectors(_Wordless):
    """A vector of the archive's model, as stored in saved searches and page tokens."""

    def meaning(self, searcher: Searcher, value: Vector, texts: NDArray[np.float32], number: int) -> Meaning:
        """Return the vector; see `ExampleKind`."""
        model = searcher.archive.model
        if value.digest != model.digest:
            raise QueryError(
                f"vector: found one of model {value.digest[:12]!r}; this archive has {model.name} "
                f"({model.digest[:12]}), so send the sentence or the image instead"
            )
        if len(value.data) != 4 * model.dim:
            raise QueryError(f"vector: found {len(value.data)} bytes; need {model.dim} float32 numbers")
        vector = np.frombuffer(value.data, "<f4").astype(np.float32)
        norm = float(np.linalg.norm(vector.astype(np.float64)))
        if not abs(norm - 1) < _TOLERANCE:
            raise QueryError(f"vector: found one of length {norm:g}; need finite numbers of length 1")
        return Meaning(vector=vector, label=f"vector {number}", tiles=tuple(value.tiles))


KINDS: Mapping[str, ExampleKind] = {
    "text": Sentences(),
    "image": Pictures(),
    "id": TileIds(),
    "point": Points(),
    "area": Areas(),
    "vector": Vectors(),
}
"""The kinds, by their member of `Example`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResolvedExample:
    """An example with its meaning."""

    meaning: Meaning
    """Its vector, label and tiles."""
    weight: float
    """Weight in the mean."""
    saved_form: Example
    """The example for saving: images become vectors."""
    page_form: Example
    """The example for later pages: places become vectors too, so that new scenes do not change them."""


def resolve_examples(
    searcher: Searcher, examples: Sequence[Example], kinds: Mapping[str, ExampleKind] = KINDS
) -> list[ResolvedExample]:
    """Resolve examples to vectors; all sentences are encoded in one batch.

    Args:
        searcher: Archive and model.
        examples: The examples.
        kinds: The implementation of each kind.

    Raises:
        QueryError: An example is invalid.
        NotFoundError: A tile is not in the archive.
    """
    values = [getattr(example, example.kind) for example in examples]
    sentences = [kinds[example.kind].sentences(value) for example, value in zip(examples, values, strict=True)]
    flat = [text for several in sentences for text in several]
    vectors = sentence_vectors(searcher.encoder, flat) if flat else np.empty((0, searcher.dim), np.float32)
    ends = np.cumsum([len(several) for several in sentences])
    found = []
    for number, (example, value, texts) in enumerate(
        zip(examples, values, np.split(vectors, ends[:-1]) if examples else [], strict=True), 1
    ):
        meaning = kinds[example.kind].meaning(searcher, value, texts, number)
        found.append(_resolved(searcher, example, meaning))
    return found


def unit_mean(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of rows as a unit vector, shape (dim,).

    Raises:
        QueryError: They cancel out.
    """
    mean = rows.astype(np.float64).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    if norm < _TOLERANCE:
        raise QueryError("semantic: the parts of an example cancel out; split it into several examples")
    return np.asarray(mean / norm, np.float32)


def _resolved(searcher: Searcher, example: Example, meaning: Meaning) -> ResolvedExample:
    meaning = replace(meaning, label=example.label or meaning.label)
    data, digest = meaning.vector.astype("<f4").tobytes(), searcher.archive.model.digest
    vector = Vector(data=data, digest=digest, tiles=list(meaning.tiles))
    as_vector = Example(vector=vector, weight=example.weight, label=meaning.label)
    return ResolvedExample(
        meaning=meaning,
        weight=1.0 if example.weight is None else example.weight,
        saved_form=as_vector if meaning.lifetime == "request" else example,
        page_form=example if meaning.lifetime == "always" else as_vector,
    )


def _of_tiles(archive: Archive, ids: Sequence[int], label: str) -> Meaning:
    return Meaning(vector=unit_mean(archive.vectors(ids)), label=label, tiles=tuple(ids), lifetime="paging")


def _of_thumbnail(archive: Archive, picture: bytes) -> NDArray[np.float32] | None:
    """Return the unit vector of the tile whose thumbnail an image is, or None if it is not one of this archive."""
    mark = read_mark(picture)
    tile = None if mark is None else archive.tiles_by_id([mark.tile]).get(mark.tile)
    if mark is None or tile is None:
        return None
    scene = archive.scenes_by_id([tile.scene_id]).get(tile.scene_id)
    return unit_mean(archive.vectors([tile.id])) if scene is not None and scene.key == mark.scene else None


def _tiles_meeting(archive: Archive, area: Area, name: str) -> list[int]:
    ids: list[int] = archive.tile_ids(Filter(area=area)).tolist()
    if len(ids) > MAX_AREA_TILES:
        raise QueryError(f"{name}: found {len(ids):,} tiles there; at most {MAX_AREA_TILES:,} are allowed")
    return ids
