"""Queries for items, from the parameters of a request, and pages of items: listed from the catalog or ranked."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bandsight.archive import Archive
from bandsight.attributes.cql2 import NOTHING, Kind, parse_json, parse_text, to_filter
from bandsight.attributes.fields import MAX_ID, scene_ids, scenes_collection, tile_ids, tiles_collection
from bandsight.attributes.filters import Filter, parse_datetime
from bandsight.catalog.records import Hit
from bandsight.errors import NotFoundError, QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.geo.vertices import check_vertices
from bandsight.search.classifiers import ClassifierTerm, passing
from bandsight.search.item_fields import Fields
from bandsight.search.listing import Key, Position, Row, browse
from bandsight.search.ranking import Ranking
from bandsight.search.searcher import Searcher

# Version of tokens, which covers their contents and the digested queries.
_VERSION = 2
_PARTS = 4
MAX_CHARS = 4000
Language = Literal["cql2-text", "cql2-json"]


def query_digest(key: Any) -> str:
    """Return a digest that identifies a query."""
    return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token for the page after another one."""

    question: str
    """Digest of the query; a token is only valid for the same query."""
    generation: int
    """Generation of the page."""
    place: list[Any]
    """Start of the next page, in the ranking's or listing's own format."""

    def text(self) -> str:
        """Serialize the token."""
        values = json.dumps([_VERSION, self.question, self.generation, self.place], separators=(",", ":"))
        return base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, *, question: str, generation: int) -> "Token":
        """Parse a token of a query.

        Raises:
            QueryError: It is not a token, or belongs to another query, another version of Bandsight, or a generation
                that this archive never had.
        """
        try:
            values = json.loads(base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError) as error:
            raise bad_token(text) from error
        if not isinstance(values, list) or not values:
            raise bad_token(text)
        if values[0] != _VERSION:
            raise QueryError("token: it was created by another version of Bandsight; search again without a token")
        if len(values) != _PARTS:
            raise bad_token(text)
        _, own_question, own_generation, place = values
        if not isinstance(own_question, str) or type(own_generation) is not int or not isinstance(place, list):
            raise bad_token(text)
        if own_question != question:
            raise QueryError(
                "token: it belongs to another query; repeat the parameters of the first page (limit may differ)"
            )
        if own_generation > generation:
            raise QueryError(
                f"token: it is of generation {own_generation}, but this archive is at {generation} (restored from a "
                "backup?); search again without a token"
            )
        return cls(question=own_question, generation=own_generation, place=place)


def bad_token(text: str) -> QueryError:
    """Return the error for an invalid token."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004
    return QueryError(f"token: found {shown!r}; need the one from the link `next` of the previous page, unchanged")


# A position in a token: sort values, kind, id, newest tile, newest scene.
_POSITION_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemQuery:
    """A query for items: filters, limit and order."""

    where: Filter = field(default_factory=Filter)
    """Conditions on place, time and sensor for tiles and scenes."""
    collections: tuple[str, ...] = ()
    """Allowed collections; empty for all."""
    ids: tuple[str, ...] = ()
    """Allowed ids; empty for all."""
    filter: Any = None
    """CQL2 JSON, or None."""
    classifiers: tuple[str, ...] = ()
    """Trained classifiers whose thresholds tiles must reach, e.g. `ponds > 0.8`."""
    limit: int = 10
    """Maximum number of items per page."""
    token: str | None = None
    """Token from the previous page."""
    order: tuple[Key, ...] = ()
    """Sort keys; by id if empty. Ignored by rankings."""
    fields: Fields | None = None
    """Fields of the items to return; None for all."""
    key: Any = None
    """Identity of the query, as JSON values."""

    def of(self, kind: Kind, archive: Archive) -> Filter | None:
        """Return the filter for tiles or scenes, or None if the query excludes that kind.

        Args:
            kind: Tiles or scenes.
            archive: The archive, for the names of its collections.

        Raises:
            QueryError: The CQL2 filter is invalid for this archive.
        """
        if self.classifiers and kind == "scene":
            return None
        parts = [self.where]
        if self.collections:
            named = [tiles_collection(name) for name in self.collections] if kind == "scene" else self.collections
            names = tuple(name for name in named if name is not None)
            if not names:
                return None
            parts.append(Filter(collections=names))
        if self.ids:
            ids = (tile_ids if kind == "tile" else scene_ids)(list(self.ids))
            if not ids:
                return None
            parts.append(~Filter(exclude=ids))
        if self.filter is not None:
            parts.append(to_filter(self.filter, kind, archive.scene_columns().collection_names()))
        for text in self.classifiers:
            among = Filter(all_of=tuple(parts))
            parts.append(passing(archive, ClassifierTerm.parse(text), among))
        return parts[0] if len(parts) == 1 else Filter(all_of=tuple(parts))


def item_query(
    max_hits: int,
    *,
    collections: list[str] | None = None,
    ids: list[str] | None = None,
    box: LonLatBox | None = None,
    intersects: dict[str, Any] | None = None,
    datetime: str | None = None,
    filter: Any = None,  # noqa: A002  (STAC's name)
    sensors: list[str] | None = None,
    classifiers: list[str] | None = None,
    limit: int = 10,
    token: str | None = None,
    order: tuple[Key, ...] = (),
    fields: Fields | None = None,
) -> ItemQuery:
    """Create a query from parameters; see `bandsight.search.request.ItemFilters`.

    Raises:
        QueryError: A parameter is invalid, or two contradict each other.
    """
    if box is not None and intersects is not None:
        raise QueryError("bbox, intersects: found both; pass one of them")
    area = None if box is None else Area.from_box(box)
    if intersects is not None:
        check_vertices(intersects, "intersects")
        area = Area.from_geojson(intersects)
    start, end = (None, None) if datetime is None else parse_datetime(datetime)
    key = {
        "collections": sorted(set(collections or ())),
        "ids": sorted(set(ids or ())),
        "area": None if area is None else area.key.hex(),
        "datetime": [None if when is None else when.isoformat() for when in (start, end)],
        "filter": filter,
        "sensors": sorted(set(sensors or ())),
        "order": [[key.name, key.descending] for key in order],
    }
    if classifiers:
        key["classifiers"] = sorted(set(classifiers))
    return ItemQuery(
        where=Filter(area=area, start=start, end=end, sensors=tuple(sensors or ())),
        collections=tuple(collections or ()),
        ids=tuple(ids or ()),
        filter=filter,
        classifiers=tuple(classifiers or ()),
        limit=min(limit, max_hits),
        token=token,
        order=order,
        fields=fields,
        key=key,
    )


def cql2_filter(value: Any, language: Language) -> Any:
    """Convert a filter in either language to CQL2 JSON.

    Raises:
        QueryError: It is not valid CQL2 in the given language.
    """
    if value is None:
        return None
    if language == "cql2-json":
        return parse_json(value)
    if not isinstance(value, str):
        raise QueryError("filter: found JSON, but filter-lang says cql2-text; drop filter-lang, or pass text")
    return parse_text(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """A page of items."""

    rows: Sequence[Hit | Row]
    """Hits, best first, or listed tiles and scenes."""
    matched: int | None
    """Total number on all pages, or None if it is unknown without computing them."""
    next: str | None
    """Token of the next page."""
    generation: int
    """The commit that was read."""
    nothing_matches: bool | None = None
    """Whether no hit is a likely match; None for lists and later pages."""


def answer(archive: Archive, query: ItemQuery, ranking: Ranking | None) -> ResultPage:
    """Return a page of the items of a query.

    Raises:
        QueryError: The query or its token is invalid.
    """
    check_names(archive, query)
    question = query_digest([query.key, None if ranking is None else ranking.key])
    place = None
    if query.token is not None:
        archive.refresh()
        place = Token.parse(query.token, question=question, generation=archive.generation).place

    def token(generation: int, end: list[Any]) -> str:
        return Token(question=question, generation=generation, place=end).text()

    if ranking is None:
        after = None if place is None else _position(place, len(query.order), query.token or "")
        listing = browse(
            archive, query.limit, query.of("tile", archive), query.of("scene", archive), query.order, after=after
        )
        end = listing.next
        return ResultPage(
            rows=listing.rows,
            matched=listing.matched,
            next=None if end is None else token(listing.generation, _place(end)),
            generation=listing.generation,
        )
    if query.order:
        raise QueryError("sortby: semantic searches are sorted by score; drop sortby, or drop q and semantic")
    where = query.of("tile", archive)
    page = ranking.page(NOTHING if where is None else where, query.limit, place)
    return ResultPage(
        rows=page.hits,
        matched=page.matched,
        next=None if page.next is None else token(page.generation, page.next),
        generation=page.generation,
        nothing_matches=page.nothing_matches,
    )


def one_item(archive: Archive, collection: str, item: str, ranking: Ranking | None) -> Hit | Row:
    """Return the tile or scene with an item id, as a hit if there is a ranking.

    Args:
        archive: The archive.
        collection: Name of a collection.
        item: Id of an item.
        ranking: The ranking of a saved search, which restricts items to its hits.

    Raises:
        NotFoundError: The collection has no such item.
    """
    found = answer(archive, ItemQuery(collections=(collection,), ids=(item,), limit=1), ranking).rows
    if not found:
        whose = "" if ranking is None else " among the hits of this search"
        raise NotFoundError(
            f"item {item[:60]!r}: collection {collection} has no such item{whose}; ids come from a search"
        )
    return found[0]


def collection_names(archive: Archive) -> list[str]:
    """Return the names of all collections; each collection of tiles is followed by that of their scenes."""
    return [one for name in archive.scene_columns().collection_names() for one in (name, scenes_collection(name))]


def check_names(archive: Archive, query: ItemQuery) -> None:
    """Check that the archive has the collections and sensors.

    Raises:
        QueryError: One of them is unknown.
    """
    if not query.collections and not query.where.sensors:
        return
    scenes = archive.scene_columns()
    collections = [one for name in scenes.collection_names() for one in (name, scenes_collection(name))]
    for parameter, named, known in (
        ("collections", query.collections, collections),
        ("sensors", query.where.sensors, scenes.sensor_names()),
    ):
        unknown = [name for name in named if name not in known]
        if unknown:
            found = ", ".join(repr(name[:60]) for name in unknown[:5])
            there = f"available: {', '.join(known[:20])}" if known else "it has none yet"
            raise QueryError(f"{parameter}: found {found}, not in this archive; {there}")


def filter_of(searcher: Searcher, query: ItemQuery) -> Filter:
    """Return the filter for a query's tiles.

    Raises:
        QueryError: A collection or sensor is unknown, or the filter is invalid.
    """
    check_names(searcher.archive, query)
    return query.of("tile", searcher.archive) or NOTHING


def _place(position: Position) -> list[Any]:
    return [list(position.values), position.is_scene, position.id, position.tiles_up_to, position.scenes_up_to]


def _position(place: list[Any], keys: int, token: str) -> Position:
    if len(place) != _POSITION_PARTS:
        raise bad_token(token)
    values, is_scene, row_id, tiles_up_to, scenes_up_to = place
    valid = isinstance(values, list) and len(values) == keys and isinstance(is_scene, bool)
    valid = valid and all(value is None or isinstance(value, (str, int, float)) for value in values)
    numbers = (row_id, tiles_up_to, scenes_up_to)
    if not valid or not all(type(number) is int and 0 <= number <= MAX_ID for number in numbers):
        raise bad_token(token)
    return Position(
        values=tuple(values), is_scene=is_scene, id=row_id, tiles_up_to=tiles_up_to, scenes_up_to=scenes_up_to
    )
