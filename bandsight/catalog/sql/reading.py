"""Reads rows in one transaction on an SQL catalog."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    Select,
    String,
    cast,
    func,
    select,
)

from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter
from bandsight.attributes.segments import Segment
from bandsight.catalog.changes import SceneChanges
from bandsight.catalog.port import SceneAttributes
from bandsight.catalog.records import ModelIdentity
from bandsight.catalog.sql.alerts import SqlAlerts
from bandsight.catalog.sql.changes import changes_since
from bandsight.catalog.sql.jobs import SqlJobs
from bandsight.catalog.sql.labels import SqlLabels
from bandsight.catalog.sql.rows import (
    SCENES_BY_ID,
    SIDES,
    TILES_BY_ID,
    UNREADABLE,
    RowReader,
    parts_of,
    scene_of,
    tile_of,
)
from bandsight.catalog.sql.saved_searches import SqlSavedSearches
from bandsight.catalog.sql.tables import ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow
from bandsight.errors import ArchiveError

_T = TypeVar("_T")

# Used to open an archive. Statements on columns avoid SQLAlchemy's configuration of all mapped classes.
_SCENE, _SEGMENT = SceneRow.__table__.c, SegmentRow.__table__.c
_SEGMENTS = select(*(_SEGMENT[name] for name in ("name", "first_id", "last_id", "count", "sha256"))).order_by(
    _SEGMENT.first_id
)


class SqlReader(RowReader, ABC):
    """A `Catalog` on one connection; subclasses add engine-specific SQL."""

    @cached_property
    def jobs(self) -> SqlJobs:
        """See `Catalog`."""
        return SqlJobs(self._db)

    @cached_property
    def saved_searches(self) -> SqlSavedSearches:
        """See `Catalog`."""
        return SqlSavedSearches(self._db)

    @cached_property
    def labels(self) -> SqlLabels:
        """See `Catalog`."""
        return SqlLabels(self._db)

    @cached_property
    def alerts(self) -> SqlAlerts:
        """See `Catalog`."""
        return SqlAlerts(self._db)

    def model(self) -> ModelIdentity | None:
        """Return the archive's model, None before `create`."""
        row = self._db.execute(select(ArchiveRow.__table__)).mappings().first()
        if row is None:
            return None
        return ModelIdentity(**{name: row[f"model_{name}"] for name in ModelIdentity.__dataclass_fields__})

    def archive_id(self) -> str:
        """Return what the archive is known by; see `Catalog`."""
        return str(self._db.execute(select(ArchiveRow.__table__.c.archive_id)).scalar() or "")

    def has_scene(self, key: str) -> bool:
        """Return whether a scene with this key exists."""
        return self._db.execute(select(SceneRow.id).where(SceneRow.key == key)).first() is not None

    def segments(self) -> list[Segment]:
        """Return the committed segments, ascending by first id."""
        rows = self._db.execute(_SEGMENTS).mappings()
        return [Segment(**row) for row in rows]

    def scene_ids(self) -> list[int]:
        """Return the ids of all scenes, ascending."""
        return list(self._db.execute(select(_SCENE.id).order_by(_SCENE.id)).scalars())

    def scene_attributes(self, after: int) -> Iterator[SceneAttributes]:
        """Yield the filterable attributes of scenes with ids above `after`, ascending."""
        names = ("id", "datetime", "collection", "sensor", "boxes", "properties", *(one.name for one in FIELDS.scene))
        columns = [_SCENE[name] for name in names]
        try:
            for row in self._db.execute(select(*columns).where(_SCENE.id > after).order_by(_SCENE.id)):
                after, when, *others = row
                yield (after, when.replace(tzinfo=UTC) if when else None, *others)
        except UNREADABLE as error:
            raise ArchiveError(
                f"{self.place}: a row after row {after} of scenes cannot be read; run: bandsight repair"
            ) from error

    def footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of tiles as GeoJSON text; unknown ids are omitted."""
        return self._geometries(TileRow, ids)

    def scene_footprints(self, ids: Sequence[int]) -> dict[int, str]:
        """Return footprints of scenes as GeoJSON text; unknown ids are omitted."""
        return self._geometries(SceneRow, ids)

    def _geometries(self, of: type[TileRow | SceneRow], ids: Sequence[int]) -> dict[int, str]:
        columns = (of.id, cast(of.geometry, String))
        return {
            row_id: geometry
            for part in parts_of(ids)
            for row_id, geometry in self._db.execute(select(*columns).where(of.id.in_(part)))
        }

    def tile_attributes(self, first_id: int, last_id: int) -> list[tuple[Any, ...]]:
        """Return the filterable attributes of tiles in a range of ids; see `Catalog`."""
        names = (*(f"{side}{part}" for part in ("", "2") for side in SIDES), *(field.name for field in FIELDS.tile))
        chosen = TileRow.id.between(first_id, last_id)
        columns = (TileRow.id, TileRow.scene_id, *(getattr(TileRow, name) for name in names))
        return [tuple(row) for row in self._db.execute(select(*columns).where(chosen).order_by(TileRow.id))]

    def narrow(self, where: Filter, scenes: SceneColumns, limit: int) -> NDArray[np.int64] | None:  # noqa: ARG002
        """Return None, because there is no suitable index; see `Catalog`."""
        return None

    def tile_ids(self, first_id: int, last_id: int) -> list[int]:
        """Return the ids of the tiles in a range of ids, ascending."""
        chosen = TileRow.id.between(first_id, last_id)
        return list(self._db.execute(select(TileRow.id).where(chosen).order_by(TileRow.id)).scalars())

    def existing_tiles(self, ids: Sequence[int]) -> set[int]:
        """Return which of these tiles exist."""
        return {
            tile_id
            for part in parts_of(ids)
            for tile_id in self._db.execute(select(TileRow.id).where(TileRow.id.in_(part))).scalars()
        }

    def scenes_of(self, tile_ids: Sequence[int]) -> list[int]:
        """Return the ids of the scenes of tiles."""
        return sorted(
            {
                scene_id
                for part in parts_of(tile_ids)
                for scene_id in self._db.execute(select(TileRow.scene_id).where(TileRow.id.in_(part))).scalars()
            }
        )

    def scene_ids_of_identity(self, identity: str) -> list[int]:
        """Return ids of the scenes with an identity, ascending."""
        chosen = select(SceneRow.id).where(SceneRow.identity == identity).order_by(SceneRow.id)
        return list(self._db.execute(chosen).scalars())

    def scene_ids_of(self, hrefs: Sequence[str]) -> dict[str, int]:
        """Return ids of scenes by href; unknown hrefs are omitted."""
        return {
            href: scene_id
            for part in parts_of(hrefs)
            for href, scene_id in self._db.execute(select(SceneRow.href, SceneRow.id).where(SceneRow.href.in_(part)))
        }

    def hrefs(self, scene_ids: Sequence[int]) -> dict[int, str]:
        """Return hrefs of scenes by id, even where the rest of a row is damaged."""
        return {
            scene_id: href
            for part in parts_of(scene_ids)
            for scene_id, href in self._db.execute(select(SceneRow.id, SceneRow.href).where(SceneRow.id.in_(part)))
        }

    def damaged(self) -> tuple[list[int], list[int]]:
        """Return the ids of scenes and tiles whose rows do not match their checksums."""
        return self._damaged_of(SCENES_BY_ID, SceneRow, scene_of), self._damaged_of(TILES_BY_ID, TileRow, tile_of)

    def _damaged_of(self, rows: Select[Any], of: type[SceneRow | TileRow], read: Callable[[Any], _T]) -> list[int]:
        bad: list[int] = []
        for part in parts_of(list(self._db.execute(select(of.id).order_by(of.id)).scalars())):
            if not self._all_sound(rows, of, read, part):
                bad += [row_id for row_id in part if not self._all_sound(rows, of, read, [row_id])]
        return bad

    def _all_sound(
        self, rows: Select[Any], of: type[SceneRow | TileRow], read: Callable[[Any], _T], ids: Sequence[int]
    ) -> bool:
        try:
            return len(list(self.sound(rows, of, read, ids))) == len(ids)
        except ArchiveError:
            return False

    def changes(self, since: int) -> SceneChanges:
        """Return the scenes added and removed since a generation."""
        return changes_since(self._db, since)

    def failures(self) -> list[tuple[str, str, datetime]]:
        """Return (href, reason, when) of scenes that could not be indexed."""
        rows = self._db.execute(select(FailureRow.href, FailureRow.reason, FailureRow.at))
        return sorted((href, reason, at.replace(tzinfo=UTC)) for href, reason, at in rows)

    def counts(self) -> dict[str, int]:
        """Return the numbers of scenes, tiles and failures."""
        tiles = select(func.coalesce(func.sum(SceneRow.tile_count), 0))
        scenes, failures = (select(func.count()).select_from(table) for table in (SceneRow, FailureRow))
        counted = {"scenes": scenes, "tiles": tiles, "failed_scenes": failures}
        return {name: int(self._db.execute(count).scalar_one()) for name, count in counted.items()}

    def summary(self) -> list[dict[str, Any]]:
        """Return scenes, tiles and times of each collection and sensor."""
        rows = self._db.execute(
            select(
                SceneRow.collection,
                SceneRow.sensor,
                func.count().label("scenes"),
                func.sum(SceneRow.tile_count).label("tiles"),
                func.min(SceneRow.datetime).label("start"),
                func.max(SceneRow.datetime).label("end"),
            ).group_by(SceneRow.collection, SceneRow.sensor)
        ).mappings()
        found = [{**row, "tiles": int(row["tiles"])} for row in rows]
        return sorted(found, key=lambda row: (row["collection"], row["sensor"]))

    @abstractmethod
    def structure(self, *, thorough: bool = False) -> list[str]:
        """Return damage reported by the database; see `Catalog`."""

    @abstractmethod
    def check(self) -> list[str]:
        """Return inconsistencies in the catalog; see `Catalog`."""
