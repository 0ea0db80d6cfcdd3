"""Queries for items and pages of items: listed from the catalog, or in the order of a ranking."""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bandsight.archive import Archive
from bandsight.attributes.cql2 import NOTHING, Kind, to_filter
from bandsight.attributes.filters import Filter
from bandsight.attributes.item_ids import MAX_ID, scene_ids, scenes_collection, tile_ids, tiles_collection
from bandsight.catalog.records import Hit
from bandsight.errors import NotFoundError, QueryError
from bandsight.search.classifiers import ClassifierTerm, passing
from bandsight.search.listing import Key, Position, Row, browse
from bandsight.search.ranking import Ranking
from bandsight.search.searcher import Searcher

# Of tokens: what they hold, and the queries that their digests are made of.
_VERSION = 2
_PARTS = 4
MAX_CHARS = 4000


def query_digest(key: Any) -> str:
    """Return a digest that tells one query from others."""
    return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Where a page ended."""

    question: str
    """Digest of the query: a token continues the same query only."""
    generation: int
    """The commit that the page was read from."""
    place: list[Any]
    """Where the next page starts, as the ranking or listing wrote it."""

    def text(self) -> str:
        """Return the token as text."""
        values = json.dumps([_VERSION, self.question, self.generation, self.place], separators=(",", ":"))
        return base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, *, question: str, generation: int) -> "Token":
        """Read a token of a query.

        Raises:
            QueryError: It is no token, or one of another query or another version of Bandsight, or of a generation that
                this archive never had.
        """
        try:
            values = json.loads(base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError) as error:
            raise bad_token(text) from error
        if not isinstance(values, list) or not values:
            raise bad_token(text)
        if values[0] != _VERSION:
            raise QueryError("token: it is from another version of Bandsight; search again without a token")
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
    """Return the error for a token that cannot be read."""
    shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004
    return QueryError(f"token: found {shown!r}; need the one from the link `next` of the page before, unchanged")


# What tells which item it is, and that it is one; stays beside what is included.
_ALWAYS = frozenset({"type", "stac_version", "id", "collection"})
# What makes a whole item: the default set of the fields extension.
_DEFAULT = _ALWAYS | {"stac_extensions", "geometry", "bbox", "links", "assets", "properties.datetime"}
_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Paths into an item, like `properties.eo:cloud_cover`; empty shows all."""

    include: frozenset[str] = frozenset()
    """Only these are shown, beside what tells which item it is."""
    exclude: frozenset[str] = frozenset()
    """Left out."""
    of_default: bool = False
    """What is left out is left out of a whole item's least, not of all that there is."""

    @classmethod
    def parse(cls, text: str) -> "Fields":
        """Read the form of a URL: names separated by commas, `-` before what is left out.

        Raises:
            QueryError: There are too many.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        return cls.of(
            [name.lstrip("+ ") for name in names if not name.startswith("-")],
            [name[1:] for name in names if name.startswith("-")],
        )

    @classmethod
    def of(cls, include: Iterable[str], exclude: Iterable[str], *, of_default: bool = False) -> "Fields":
        """Return fields of names.

        Args:
            include: See `include`.
            exclude: See `exclude`.
            of_default: See `of_default`.

        Raises:
            QueryError: There are too many.
        """
        fields = cls(include=frozenset(include), exclude=frozenset(exclude), of_default=of_default)
        if len(fields.include) + len(fields.exclude) > _MAX:
            raise QueryError(f"fields: found more than {_MAX} names; ask for fewer")
        return fields

    def apply(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return the item with the fields that are asked for; one that is both included and excluded is shown."""
        if not self.include and not self.exclude:
            return item
        wanted = _ALWAYS - self.exclude | self.include if self.include else _DEFAULT
        shown = item
        if self.include or self.of_default:
            shown = {}
            for path in sorted(wanted):
                _copy(item, shown, path.split("."))
        for path in self.exclude - self.include:
            # A part of it may be asked for; then that is all that is there.
            if not any(one.startswith(f"{path}.") for one in self.include):
                shown = _without(shown, path.split("."))
        return shown


def _copy(source: Mapping[str, Any], target: dict[str, Any], steps: list[str]) -> None:
    first, *rest = steps
    if first not in source:
        return
    if rest and isinstance(source[first], dict):
        inner = target.setdefault(first, {})
        if isinstance(inner, dict):
            if inner is source[first]:
                return
            _copy(source[first], inner, rest)
    elif not rest:
        target[first] = source[first]


def _without(item: dict[str, Any], steps: list[str]) -> dict[str, Any]:
    first, *rest = steps
    if first not in item:
        return item
    if not rest:
        return {name: value for name, value in item.items() if name != first}
    inner = item[first]
    return item | {first: _without(inner, rest)} if isinstance(inner, dict) else item


# A position in a token: sort values, kind, id, newest tile, newest scene.
_POSITION_PARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemQuery:
    """Which items to return, how many, and in which order."""

    where: Filter = field(default_factory=Filter)
    """Conditions on place, time and sensor, of tiles and of scenes."""
    collections: tuple[str, ...] = ()
    """Their collection is one of these; any when empty."""
    ids: tuple[str, ...] = ()
    """Their id is one of these; any when empty."""
    filter: Any = None
    """CQL2 JSON; None for no condition."""
    classifiers: tuple[str, ...] = ()
    """Their tile reaches the threshold of each of these trained classifiers, e.g. `ponds > 0.8`."""
    limit: int = 10
    """Most items of the page."""
    token: str | None = None
    """Token of the page before."""
    order: tuple[Key, ...] = ()
    """Keys to sort by; by id when empty. A ranking has its own order."""
    fields: Fields = field(default_factory=Fields)
    """Which parts of the items are shown."""
    key: Any = None
    """What tells this query from others, as JSON values."""

    def of(self, kind: Kind, archive: Archive) -> Filter | None:
        """Return the filter of tiles, or of scenes; None when the query excludes that kind.

        Args:
            kind: Tiles or scenes.
            archive: The archive, for the names of its collections.

        Raises:
            QueryError: The CQL2 filter cannot be applied.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """A page of items."""

    rows: Sequence[Hit | Row]
    """Hits, best first, or listed tiles and scenes."""
    matched: int | None
    """How many there are on all pages; None where only making them would tell."""
    next: str | None
    """Token of the next page."""
    generation: int
    """The commit that was read."""
    nothing_matches: bool | None = None
    """Whether no hit is likely to be right; None for lists and for later pages."""


def answer(archive: Archive, query: ItemQuery, ranking: Ranking | None) -> ResultPage:
    """Return a page of the items of a query.

    Raises:
        QueryError: The query or its token cannot be used.
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
    """Return the tile or scene that an item id of a collection stands for, as a hit where there is a ranking.

    Args:
        archive: The archive.
        collection: Name of a collection.
        item: Id of an item.
        ranking: Of a saved search, whose hits are then the only items.

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
    """Return the names of all collections: each collection of tiles is followed by the collection of their scenes."""
    return [one for name in archive.scene_columns().collection_names() for one in (name, scenes_collection(name))]


def check_names(archive: Archive, query: ItemQuery) -> None:
    """Refuse collections and sensors that the archive does not hold.

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
            there = f"there are {', '.join(known[:20])}" if known else "it holds none yet"
            raise QueryError(f"{parameter}: found {found}, unknown to this archive; {there}")


def filter_of(searcher: Searcher, query: ItemQuery) -> Filter:
    """Return the filter of the tiles of a query.

    Raises:
        QueryError: A collection or sensor is unknown, or the filter cannot be applied.
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
