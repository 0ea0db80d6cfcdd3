"""Reads and writes the catalog's rows inside a transaction that the archive holds."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    Connection,
    Select,
    String,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from bandsight.catalog.jobs import Jobs
from bandsight.catalog.records import ModelIdentity, Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.sqlite.checksums import checksum_by_text, geometry_text, is_as_written, row_checksum
from bandsight.catalog.sqlite.tables import TILE_BOXES, ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.errors import ArchiveError, QueryError
from bandsight.geo.box import LonLatBox
from bandsight.raster.bands import BandRef

_T = TypeVar("_T")

FORMAT_VERSION = 2
# SQLite takes 32,766 variables in one statement; this keeps statements small as well.
_IDS = 500
# A damaged value may fail in as many ways as there are readers of values.
_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError, AttributeError, QueryError)
_SIDES = ("west", "south", "east", "north")
_TILE_NAMES = tuple(column.name for column in TileRow.__table__.columns)
_TILE_FIELDS = tuple(name for name in TileRecord.__dataclass_fields__ if name != "boxes")
_BOX_NAMES = (_SIDES, tuple(f"{side}2" for side in _SIDES))
_NO_BOX = dict.fromkeys(_BOX_NAMES[1])
_INSERT_TILE = f"INSERT INTO tiles ({', '.join(_TILE_NAMES)}) VALUES ({', '.join('?' * len(_TILE_NAMES))})"  # noqa: S608
_INSERT_BOX = f"INSERT INTO {TILE_BOXES} (id, west, east, south, north) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
_AMONG = TileRow.id.in_(bindparam("ids", expanding=True))
# Geometries as they were written: a page of a thousand tiles is read twice as fast.
_TILES = select(
    *(type_coerce(one, String).label(one.name) if one.name == "geometry" else one for one in TileRow.__table__.columns)
).where(_AMONG)
# Made once: to make a statement takes as long as to ask it.
_SCENES = select(SceneRow.__table__).order_by(SceneRow.id)
_SOME_SCENES = _SCENES.where(SceneRow.id.in_(bindparam("ids", expanding=True)))
_SCENE_TIMES = ("datetime", "start_datetime", "end_datetime")
_SCENE_FIELDS = tuple(
    name for name in SceneRecord.__dataclass_fields__ if name not in {"bands", "boxes", *_SCENE_TIMES}
)


class Catalog:
    """The statements of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self.jobs = Jobs(connection)

    # The archive row

    def create(self, model: ModelIdentity, *, first_tile: int = 1, first_scene: int = 1) -> None:
        """Write the archive row of a new archive, and the ids from which its tiles and scenes count."""
        self._db.execute(
            insert(ArchiveRow).values(
                id=1,
                format_version=FORMAT_VERSION,
                generation=0,
                next_tile_id=first_tile,
                **{f"model_{name}": value for name, value in asdict(model).items()},
            )
        )

        if first_scene > 1:
            row = {"seq": first_scene - 1}
            self._db.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES ('scenes', :seq)"), row)

    def model(self) -> ModelIdentity | None:
        """Return the archive's model, None before `create`."""
        row = self._db.execute(select(ArchiveRow.__table__)).mappings().first()
        if row is None:
            return None
        return ModelIdentity(**{name: row[f"model_{name}"] for name in ModelIdentity.__dataclass_fields__})

    def generation(self) -> int:
        """Return the number of the last commit."""
        return self.state()[0]

    def state(self) -> tuple[int, int]:
        """Return the number of the last commit, and the newest tile there ever was."""
        # Asked for at each search; as plain SQL it costs a fifth.
        row = self._db.exec_driver_sql("SELECT generation, next_tile_id FROM archive").one()
        return int(row[0]), int(row[1]) - 1

    def advance(self) -> int:
        """Begin the next generation and return its number."""
        self._db.execute(update(ArchiveRow).values(generation=ArchiveRow.generation + 1))
        return self.generation()

    # Writing

    def next_tile_id(self) -> int:
        """Return the id that the next tile gets."""
        return int(self._db.execute(select(ArchiveRow.next_tile_id)).scalar_one())

    def add_scene(self, scene: SceneRecord) -> int:
        """Insert a scene, in place of those that it replaces, and return its id."""
        for part in _parts(sorted(scene.replaced_hrefs)):
            self._db.execute(delete(SceneRow).where(SceneRow.href.in_(part)))
            self._db.execute(delete(FailureRow).where(FailureRow.href.in_(part)))
        values: dict[str, Any] = {name: getattr(scene, name) for name in _SCENE_FIELDS}
        values["bands"] = [asdict(band) for band in scene.bands]
        values["boxes"] = [_sides(box) for box in scene.boxes]
        values |= {name: _naive_utc(getattr(scene, name)) for name in _SCENE_TIMES}
        values["checksum"] = row_checksum(SceneRow.__table__, values)
        key = self._db.execute(insert(SceneRow).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def add_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert a scene's tiles under consecutive ids."""
        if not tiles:
            return
        rows, boxes = [], []
        for tile_id, tile in enumerate(tiles, first_id):
            row: dict[str, Any] = {name: getattr(tile, name) for name in _TILE_FIELDS}
            row |= {"id": tile_id, "scene_id": scene_id, **_NO_BOX}
            for part, box in enumerate(tile.boxes):
                west, south, east, north = _sides(box)
                row |= dict(zip(_BOX_NAMES[part], (west, south, east, north), strict=True))
                boxes.append((2 * tile_id + part, west, east, south, north))
            row["geometry"] = text = geometry_text(tile.geometry)
            checksum = checksum_by_text(TileRow.__table__, row, text)
            row["checksum"] = checksum or row_checksum(TileRow.__table__, row | {"geometry": tile.geometry})
            rows.append(tuple(row[name] for name in _TILE_NAMES))
        # As plain SQL: for values that are plain already, all that SQLAlchemy does costs more than SQLite does.
        self._db.exec_driver_sql(_INSERT_TILE, rows)
        self._db.exec_driver_sql(_INSERT_BOX, boxes)
        self._db.execute(update(ArchiveRow).values(next_tile_id=first_id + len(tiles)))

    def add_segment(self, *, name: str, first_id: int, last_id: int, count: int, sha256: str, generation: int) -> None:
        """Name a segment: from the commit on, its rows exist."""
        values = {"name": name, "first_id": first_id, "last_id": last_id, "count": count, "sha256": sha256}
        self._db.execute(insert(SegmentRow).values(**values, generation=generation))

    def remove_segments(self, names: Sequence[str]) -> None:
        """Name segments no longer: from the commit on, their files may go."""
        for part in _parts(names):
            self._db.execute(delete(SegmentRow).where(SegmentRow.name.in_(part)))

    def remove_scenes(self, ids: Sequence[int]) -> None:
        """Delete scenes with their tiles."""
        for part in _parts(ids):
            self._db.execute(delete(SceneRow).where(SceneRow.id.in_(part)))

    def remove_tiles(self, ids: Sequence[int]) -> None:
        """Delete tiles."""
        for part in _parts(ids):
            self._db.execute(delete(TileRow).where(TileRow.id.in_(part)))

    def rebuild_boxes(self) -> None:
        """Fill the R*Tree of tile boxes anew from the tiles."""
        self._db.execute(text(f"DELETE FROM {TILE_BOXES}"))  # noqa: S608  (a constant)
        for part, suffix in enumerate(("", "2")):
            sides = ", ".join(f"{side}{suffix}" for side in ("west", "east", "south", "north"))
            rows = f"SELECT 2 * id + {part}, {sides} FROM tiles WHERE west{suffix} IS NOT NULL"  # noqa: S608
            self._db.execute(text(f"INSERT INTO {TILE_BOXES} (id, west, east, south, north) {rows}"))

    def record_failure(self, href: str, reason: str) -> None:
        """Remember why a scene could not be indexed."""
        now = datetime.now(UTC).replace(tzinfo=None)
        row = {"href": href, "reason": reason, "at": now}
        self._db.execute(upsert(FailureRow).values(**row).on_conflict_do_update(index_elements=["href"], set_=row))

    # Reading

    def has_scene(self, key: str) -> bool:
        """Say whether a scene of this identity is there."""
        return self._db.execute(select(SceneRow.id).where(SceneRow.key == key)).first() is not None

    def segments(self) -> list[dict[str, Any]]:
        """Return the committed segments, ascending by first id."""
        columns = (SegmentRow.name, SegmentRow.first_id, SegmentRow.last_id, SegmentRow.count, SegmentRow.sha256)
        rows = self._db.execute(select(*columns).order_by(SegmentRow.first_id)).mappings()
        return [dict(row) for row in rows]

    def collection_names(self) -> list[str]:
        """Return the names of all collections, in their order."""
        return list(self._db.execute(select(SceneRow.collection).distinct().order_by(SceneRow.collection)).scalars())

    def sensor_names(self) -> list[str]:
        """Return the names of all sensor profiles, in their order."""
        return list(self._db.execute(select(SceneRow.sensor).distinct().order_by(SceneRow.sensor)).scalars())

    def newest_scene_id(self) -> int:
        """Return the id of the newest scene there is, 0 when there is none."""
        return int(self._db.execute(select(func.coalesce(func.max(SceneRow.id), 0))).scalar_one())

    def scene_ids(self) -> list[int]:
        """Return the ids of all scenes, ascending."""
        return list(self._db.execute(select(SceneRow.id).order_by(SceneRow.id)).scalars())

    def scene_attributes(
        self, after: int
    ) -> Iterator[tuple[int, datetime | None, str, str, float | None, list[list[float]], dict[str, Any]]]:
        """Yield (id, datetime, collection, sensor, gsd in m, boxes, properties) of scenes beyond an id, ascending."""
        columns = (
            SceneRow.id,
            SceneRow.datetime,
            SceneRow.collection,
            SceneRow.sensor,
            SceneRow.gsd_m,
            SceneRow.boxes,
            SceneRow.properties,
        )
        try:
            for row in self._db.execute(select(*columns).where(SceneRow.id > after).order_by(SceneRow.id)):
                after, when, *others = row
                yield (after, when.replace(tzinfo=UTC) if when else None, *others)
        except _UNREADABLE as error:
            raise ArchiveError(
                f"catalog.sqlite: a row behind row {after} of scenes cannot be read; run: bandsight repair"
            ) from error

    def footprints(self, ids: Sequence[int], *, of: type[TileRow | SceneRow] = TileRow) -> dict[int, str]:
        """Return footprints of tiles, or of scenes, as GeoJSON text; unknown ids are left out."""
        columns = (of.id, cast(of.geometry, String))
        return {
            row_id: geometry
            for part in _parts(ids)
            for row_id, geometry in self._db.execute(select(*columns).where(of.id.in_(part)))
        }

    def tile_attributes(self, first_id: int, last_id: int) -> list[tuple[Any, ...]]:
        """Return (id, scene id, valid and cloud fraction, the eight box sides) of the tiles in a range of ids."""
        columns = [TileRow.id, TileRow.scene_id, TileRow.valid_fraction, TileRow.cloud_fraction]
        sides = [getattr(TileRow, f"{side}{part}") for part in ("", "2") for side in _SIDES]
        chosen = TileRow.id.between(first_id, last_id)
        return [tuple(row) for row in self._db.execute(select(*columns, *sides).where(chosen).order_by(TileRow.id))]

    def tile_ids(self, first_id: int, last_id: int) -> list[int]:
        """Return the ids of the tiles in a range of ids, ascending."""
        chosen = TileRow.id.between(first_id, last_id)
        return list(self._db.execute(select(TileRow.id).where(chosen).order_by(TileRow.id)).scalars())

    def scenes_of(self, tile_ids: Sequence[int]) -> list[int]:
        """Return the ids of the scenes that some tiles are of."""
        return sorted(
            {
                scene_id
                for part in _parts(tile_ids)
                for scene_id in self._db.execute(select(TileRow.scene_id).where(TileRow.id.in_(part))).scalars()
            }
        )

    def scene_ids_of(self, hrefs: Sequence[str]) -> dict[str, int]:
        """Return ids of scenes by href; unknown hrefs are left out."""
        return {
            href: scene_id
            for part in _parts(hrefs)
            for href, scene_id in self._db.execute(select(SceneRow.href, SceneRow.id).where(SceneRow.href.in_(part)))
        }

    def hrefs(self, scene_ids: Sequence[int]) -> dict[int, str]:
        """Return hrefs of scenes by id, whatever else their rows hold."""
        return {
            scene_id: href
            for part in _parts(scene_ids)
            for scene_id, href in self._db.execute(select(SceneRow.id, SceneRow.href).where(SceneRow.id.in_(part)))
        }

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; unknown ids are left out.

        Raises:
            ArchiveError: A row is damaged.
        """
        return {tile.id: tile for part in _parts(ids) for tile in self._sound(_TILES, TileRow, _tile, part)}

    def scenes(self, ids: Sequence[int] | None = None) -> dict[int, Scene]:
        """Return scenes by id, all of them when no ids are given.

        Raises:
            ArchiveError: A row is damaged.
        """
        if ids is None:
            return {scene.id: scene for scene in self._sound(_SCENES, SceneRow, _scene)}
        parts = (self._sound(_SOME_SCENES, SceneRow, _scene, part) for part in _parts(ids))
        return {scene.id: scene for part in parts for scene in part}

    def damaged(self) -> tuple[list[int], list[int]]:
        """Return the ids of scenes and of tiles whose rows are not what was written."""
        return self._damaged_of(_SOME_SCENES, SceneRow, _scene), self._damaged_of(_TILES, TileRow, _tile)

    def _damaged_of(self, rows: Select[Any], of: type[SceneRow | TileRow], read: Callable[[Any], _T]) -> list[int]:
        bad: list[int] = []
        for part in _parts(list(self._db.execute(select(of.id).order_by(of.id)).scalars())):
            if not self._all_sound(rows, of, read, part):
                bad += [row_id for row_id in part if not self._all_sound(rows, of, read, [row_id])]
        return bad

    def _all_sound(
        self, rows: Select[Any], of: type[SceneRow | TileRow], read: Callable[[Any], _T], ids: Sequence[int]
    ) -> bool:
        try:
            return len(list(self._sound(rows, of, read, ids))) == len(ids)
        except ArchiveError:
            return False

    def _sound(
        self,
        rows: Select[Any],
        of: type[SceneRow | TileRow],
        read: Callable[[Any], _T],
        ids: Sequence[int] | None = None,
    ) -> Iterator[_T]:
        """Yield what rows hold, once each fits its checksum; `ids` are the statement's, where it takes some."""
        row_id: object = "?"
        try:
            for row in self._db.execute(rows, None if ids is None else {"ids": list(ids)}):
                row_id = row.id
                yield read(row)
        except _UNREADABLE as error:
            raise _damaged(row_id, of.__tablename__) from error

    def tile_ids_in(self, box: LonLatBox, limit: int) -> list[int]:
        """Return ids of tiles whose box meets a box, from the R*Tree and rechecked in full precision, ascending."""
        found: set[int] = set()
        statement = text(
            f"SELECT t.id FROM {TILE_BOXES} b JOIN tiles t ON t.id = b.id / 2 "  # noqa: S608  (a constant)
            "WHERE b.west <= :east AND b.east >= :west AND b.south <= :north AND b.north >= :south AND ("
            "(t.west <= :east AND t.east >= :west AND t.south <= :north AND t.north >= :south) OR "
            "(t.west2 <= :east AND t.east2 >= :west AND t.south2 <= :north AND t.north2 >= :south)) "
            "ORDER BY t.id LIMIT :limit"
        )
        for part in box.split():
            sides = dict(zip(_SIDES, _sides(part), strict=True))
            found.update(self._db.execute(statement, {**sides, "limit": limit}).scalars())
        return sorted(found)[:limit]

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of scenes that could not be indexed."""
        rows = self._db.execute(select(FailureRow.href, FailureRow.reason, FailureRow.at).order_by(FailureRow.href))
        return [(href, reason, at.replace(tzinfo=UTC)) for href, reason, at in rows]

    def counts(self) -> dict[str, int]:
        """Return how many scenes, tiles and failures there are."""
        return {
            name: int(self._db.execute(select(func.count()).select_from(table)).scalar_one())
            for name, table in (("scenes", SceneRow), ("tiles", TileRow), ("failed_scenes", FailureRow))
        }

    def summary(self) -> list[dict[str, Any]]:
        """Return scenes, tiles and times of each collection and sensor."""
        tiles = select(TileRow.scene_id, func.count().label("tiles")).group_by(TileRow.scene_id).subquery()
        rows = self._db.execute(
            select(
                SceneRow.collection,
                SceneRow.sensor,
                func.count().label("scenes"),
                func.coalesce(func.sum(tiles.c.tiles), 0).label("tiles"),
                func.min(SceneRow.datetime).label("start"),
                func.max(SceneRow.datetime).label("end"),
            )
            .outerjoin(tiles, tiles.c.scene_id == SceneRow.id)
            .group_by(SceneRow.collection, SceneRow.sensor)
            .order_by(SceneRow.collection, SceneRow.sensor)
        ).mappings()
        return [dict(row) for row in rows]

    def reindex(self) -> None:
        """Build the indexes of the tables anew."""
        self._db.execute(text("REINDEX"))

    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return what SQLite finds wrong with its file, one sentence each; `thorough` compares its indexes too."""
        pragma = "integrity_check" if thorough else "quick_check"
        return [f"catalog.sqlite: {row[0]}" for row in self._db.execute(text(f"PRAGMA {pragma}")) if row[0] != "ok"]

    def check(self) -> list[str]:
        """Return what is inconsistent inside the catalog, one sentence each."""
        problems = self.structure()
        problems += [
            f"catalog.sqlite: row {row[1]} of {row[0]} names a missing {row[2]}"
            for row in self._db.execute(text("PRAGMA foreign_key_check"))
        ]
        expected = "SELECT id * 2 AS id FROM tiles UNION ALL SELECT id * 2 + 1 FROM tiles WHERE west2 IS NOT NULL"
        boxes = f"SELECT id FROM {TILE_BOXES}"  # noqa: S608  (a constant)
        for one, other, what in (
            (expected, boxes, "misses {} tile boxes"),
            (boxes, expected, "has {} boxes without tile"),
        ):
            difference = f"SELECT count(*) FROM (SELECT * FROM ({one}) EXCEPT SELECT * FROM ({other}))"  # noqa: S608
            number = int(self._db.execute(text(difference)).scalar_one())
            if number:
                problems.append("catalog.sqlite: the R*Tree " + what.format(number))
        return problems


def _damaged(row_id: object, table: str) -> ArchiveError:
    return ArchiveError(f"catalog.sqlite: row {row_id} of {table} does not match its checksum; run: bandsight repair")


def _check(table: Any, row: Any) -> None:
    if row_checksum(table, row) != row["checksum"]:
        raise ValueError("not what was written")


def _naive_utc(time: datetime | None) -> datetime | None:
    """Return a time as SQLite stores it: UTC without a zone."""
    return time.astimezone(UTC).replace(tzinfo=None) if time else None


def _sides(box: LonLatBox) -> list[float]:
    return [box.west, box.south, box.east, box.north]


def _parts(ids: Sequence[_T]) -> Iterable[Sequence[_T]]:
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))


def _box(values: Iterable[float]) -> LonLatBox:
    west, south, east, north = values
    return LonLatBox(west=west, south=south, east=east, north=north)


def _scene(found: Any) -> Scene:
    """Return the scene of a row that fits its checksum."""
    row = found._mapping  # noqa: SLF001  (a row's own name for itself as a mapping)
    _check(SceneRow.__table__, row)
    values = {name: row[name] for name in _SCENE_FIELDS}
    values["transform"] = tuple(values["transform"])
    values |= {name: row[name].replace(tzinfo=UTC) if row[name] else None for name in _SCENE_TIMES}
    return Scene(
        id=row["id"],
        **values,
        bands=tuple(BandRef(**band) for band in row["bands"]),
        boxes=tuple(_box(box) for box in row["boxes"]),
    )


def _tile(found: Any) -> Tile:
    """Return the tile of a row that fits its checksum; its geometry comes as it was written."""
    row = dict(zip(_TILE_NAMES, found, strict=True))
    written = row["geometry"]
    row["geometry"] = orjson.loads(written)
    if not is_as_written(TileRow.__table__, row, written):
        _check(TileRow.__table__, row)
    boxes = [_box(row[side] for side in _SIDES)]
    if row["west2"] is not None:
        boxes.append(_box(row[f"{side}2"] for side in _SIDES))
    values = {name: row[name] for name in TileRecord.__dataclass_fields__ if name != "boxes"}
    return Tile(id=row["id"], scene_id=row["scene_id"], **values, boxes=tuple(boxes))
