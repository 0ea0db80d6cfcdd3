"""Reads and writes the catalog's rows inside a transaction that the archive holds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, String, cast, delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as upsert

from bandsight.catalog.records import BandRef, ModelIdentity, Scene, SceneRecord, Tile, TileRecord
from bandsight.catalog.tables import TILE_BOXES, ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.geo.box import LonLatBox

FORMAT_VERSION = 1
# SQLite takes 32,766 variables in one statement; this keeps statements small as well.
_IDS = 500
_SIDES = ("west", "south", "east", "north")
_SCENE_FIELDS = tuple(name for name in SceneRecord.__dataclass_fields__ if name not in {"bands", "boxes", "datetime"})


class Catalog:
    """The statements of one connection."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    # The archive row

    def create(self, model: ModelIdentity) -> None:
        """Write the archive row of a new archive."""
        self._db.execute(
            insert(ArchiveRow).values(
                id=1,
                format_version=FORMAT_VERSION,
                generation=0,
                next_tile_id=1,
                **{f"model_{name}": value for name, value in asdict(model).items()},
            )
        )

    def model(self) -> ModelIdentity | None:
        """Return the archive's model, None before `create`."""
        row = self._db.execute(select(ArchiveRow.__table__)).mappings().first()
        if row is None:
            return None
        return ModelIdentity(**{name: row[f"model_{name}"] for name in ModelIdentity.__dataclass_fields__})

    def generation(self) -> int:
        """Return the number of the last commit."""
        return int(self._db.execute(select(ArchiveRow.generation)).scalar_one())

    def advance(self) -> int:
        """Begin the next generation and return its number."""
        self._db.execute(update(ArchiveRow).values(generation=ArchiveRow.generation + 1))
        return self.generation()

    # Writing

    def next_tile_id(self) -> int:
        """Return the id that the next tile gets."""
        return int(self._db.execute(select(ArchiveRow.next_tile_id)).scalar_one())

    def add_scene(self, scene: SceneRecord) -> int:
        """Insert a scene, in place of one of the same href, and return its id."""
        self._db.execute(delete(SceneRow).where(SceneRow.href == scene.href))
        self._db.execute(delete(FailureRow).where(FailureRow.href == scene.href))
        values: dict[str, Any] = {name: getattr(scene, name) for name in _SCENE_FIELDS}
        values["bands"] = [asdict(band) for band in scene.bands]
        values["boxes"] = [_sides(box) for box in scene.boxes]
        values["datetime"] = scene.datetime.astimezone(UTC).replace(tzinfo=None) if scene.datetime else None
        key = self._db.execute(insert(SceneRow).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def add_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert a scene's tiles under consecutive ids."""
        if not tiles:
            return
        rows, boxes = [], []
        for tile_id, tile in enumerate(tiles, first_id):
            row: dict[str, Any] = {
                "id": tile_id,
                "scene_id": scene_id,
                **{name: getattr(tile, name) for name in TileRecord.__dataclass_fields__ if name != "boxes"},
                **{f"{side}2": None for side in _SIDES},
            }
            for part, box in enumerate(tile.boxes):
                row |= {f"{side}{'2' if part else ''}": getattr(box, side) for side in _SIDES}
                boxes.append({"id": 2 * tile_id + part, **dict(zip(_SIDES, _sides(box), strict=True))})
            rows.append(row)
        self._db.execute(insert(TileRow), rows)
        statement = (
            f"INSERT INTO {TILE_BOXES} (id, west, east, south, north) VALUES (:id, :west, :east, :south, :north)"  # noqa: S608  (a constant)
        )
        self._db.execute(text(statement), boxes)
        self._db.execute(update(ArchiveRow).values(next_tile_id=first_id + len(tiles)))

    def add_segment(self, *, name: str, first_id: int, count: int, sha256: str, generation: int) -> None:
        """Name a segment: from the commit on, its rows exist."""
        self._db.execute(
            insert(SegmentRow).values(name=name, first_id=first_id, count=count, sha256=sha256, generation=generation)
        )

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
        columns = (SegmentRow.name, SegmentRow.first_id, SegmentRow.count, SegmentRow.sha256)
        rows = self._db.execute(select(*columns).order_by(SegmentRow.first_id)).mappings()
        return [dict(row) for row in rows]

    def scene_ids(self) -> list[int]:
        """Return the ids of all scenes, ascending."""
        return list(self._db.execute(select(SceneRow.id).order_by(SceneRow.id)).scalars())

    def scene_attributes(
        self, after: int
    ) -> Iterator[tuple[int, datetime | None, str, str, float | None, dict[str, Any]]]:
        """Yield (id, datetime, collection, sensor, gsd in m, properties) of scenes beyond an id, ascending."""
        columns = (
            SceneRow.id,
            SceneRow.datetime,
            SceneRow.collection,
            SceneRow.sensor,
            SceneRow.gsd_m,
            SceneRow.properties,
        )
        for row in self._db.execute(select(*columns).where(SceneRow.id > after).order_by(SceneRow.id)):
            scene_id, when, *others = row
            yield (scene_id, when.replace(tzinfo=UTC) if when else None, *others)

    def footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of tiles as GeoJSON text; unknown ids are left out."""
        columns = (TileRow.id, cast(TileRow.geometry, String))
        return {
            tile_id: geometry
            for part in _parts(ids)
            for tile_id, geometry in self._db.execute(select(*columns).where(TileRow.id.in_(part)))
        }

    def tile_attributes(self, first_id: int, count: int) -> list[tuple[Any, ...]]:
        """Return (id, scene id, valid fraction, the eight box sides) of the tiles in a range of ids."""
        columns = [TileRow.id, TileRow.scene_id, TileRow.valid_fraction]
        sides = [getattr(TileRow, f"{side}{part}") for part in ("", "2") for side in _SIDES]
        chosen = TileRow.id.between(first_id, first_id + count - 1)
        return [tuple(row) for row in self._db.execute(select(*columns, *sides).where(chosen).order_by(TileRow.id))]

    def tiles(self, ids: Sequence[int]) -> dict[int, Tile]:
        """Return tiles by id; unknown ids are left out."""
        return {
            row["id"]: _tile(row)
            for part in _parts(ids)
            for row in self._db.execute(select(TileRow.__table__).where(TileRow.id.in_(part))).mappings()
        }

    def scenes(self, ids: Sequence[int] | None = None) -> dict[int, Scene]:
        """Return scenes by id, all of them when no ids are given."""
        if ids is None:
            rows = self._db.execute(select(SceneRow.__table__).order_by(SceneRow.id)).mappings()
            return {row["id"]: _scene(row) for row in rows}
        return {
            row["id"]: _scene(row)
            for part in _parts(ids)
            for row in self._db.execute(select(SceneRow.__table__).where(SceneRow.id.in_(part))).mappings()
        }

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

    def check(self) -> list[str]:
        """Return what is inconsistent inside the catalog, one sentence each."""
        problems = [
            f"catalog.sqlite: {row[0]}" for row in self._db.execute(text("PRAGMA quick_check")) if row[0] != "ok"
        ]
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


def _sides(box: LonLatBox) -> list[float]:
    return [box.west, box.south, box.east, box.north]


def _parts(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _IDS] for start in range(0, len(ids), _IDS))


def _box(values: Iterable[float]) -> LonLatBox:
    west, south, east, north = values
    return LonLatBox(west=west, south=south, east=east, north=north)


def _scene(row: Any) -> Scene:
    values = {name: row[name] for name in _SCENE_FIELDS}
    values["transform"] = tuple(values["transform"])
    when = row["datetime"]
    return Scene(
        id=row["id"],
        **values,
        datetime=when.replace(tzinfo=UTC) if when else None,
        bands=tuple(BandRef(**band) for band in row["bands"]),
        boxes=tuple(_box(box) for box in row["boxes"]),
    )


def _tile(row: Any) -> Tile:
    boxes = [_box(row[side] for side in _SIDES)]
    if row["west2"] is not None:
        boxes.append(_box(row[f"{side}2"] for side in _SIDES))
    values = {name: row[name] for name in TileRecord.__dataclass_fields__ if name != "boxes"}
    return Tile(id=row["id"], scene_id=row["scene_id"], **values, boxes=tuple(boxes))
