"""Reads and writes rows in one transaction on an SQL catalog."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    String,
    Table,
    TableClause,
    column,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy import table as sql_table

from bandsight.attributes.segments import Segment
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.catalog.sql.changes import added_generations, record_removed
from bandsight.catalog.sql.reading import SqlReader
from bandsight.catalog.sql.rows import (
    parts_of,
    scene_values,
)
from bandsight.catalog.sql.tables import ArchiveRow, FailureRow, SceneRow, SegmentRow, TileRow

FORMAT_VERSION = 2


class SqlCatalog(SqlReader, ABC):
    """A `CatalogWriter` on one connection; subclasses add engine-specific SQL."""

    def create(
        self, model: ModelIdentity, *, archive_id: str | None = None, first_tile: int = 1, first_scene: int = 1
    ) -> None:
        """Insert the archive row of a new archive, and set its first tile and scene ids."""
        self._db.execute(
            insert(ArchiveRow).values(
                id=1,
                archive_id=archive_id or secrets.token_hex(8),
                format_version=FORMAT_VERSION,
                generation=0,
                next_tile_id=first_tile,
                **{f"model_{name}": value for name, value in asdict(model).items()},
            )
        )
        if first_scene > 1:
            self.begin_scenes_at(first_scene)

    @abstractmethod
    def load(self, table: Table, rows: Iterable[Sequence[Any]]) -> None:
        """Insert complete rows, with JSON as text, in the order of the table's columns."""

    @abstractmethod
    def begin_scenes_at(self, first_scene: int) -> None:
        """Set the id of the next scene."""

    @abstractmethod
    def next_scene_id(self) -> int:
        """Return the id of the next scene, which has never been used."""

    @abstractmethod
    def settle(self) -> None:
        """Advance id sequences past the loaded rows."""

    def advance(self) -> int:
        """Start the next generation and return its number."""
        self._db.execute(update(ArchiveRow).values(generation=ArchiveRow.generation + 1))
        return self.generation()

    def add_scene(self, scene: SceneRecord, generation: int) -> int:
        """Insert a scene, deleting the ones it replaces; see `CatalogWriter`."""
        hrefs = sorted(scene.replaced_hrefs)
        replaced = added_generations(self._db, list(self.scene_ids_of(hrefs).values()))
        for part in parts_of(hrefs):
            self._db.execute(delete(SceneRow).where(SceneRow.href.in_(part)))
            self._db.execute(delete(FailureRow).where(FailureRow.href.in_(part)))
        values = scene_values(scene) | {"added_generation": generation}
        key = self._db.execute(insert(SceneRow).values(**values)).inserted_primary_key
        assert key is not None
        record_removed(self._db, replaced, generation, int(key[0]))
        return int(key[0])

    def update_scene(self, scene_id: int, scene: SceneRecord) -> None:
        """Update a scene's row; see `CatalogWriter`."""
        self._db.execute(update(SceneRow).where(SceneRow.id == scene_id).values(**scene_values(scene)))

    def add_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert a scene's tiles under consecutive ids."""
        if not tiles:
            return
        self._insert_tiles(scene_id, first_id, tiles)
        counted = update(SceneRow).where(SceneRow.id == scene_id)
        self._db.execute(counted.values(tile_count=SceneRow.tile_count + len(tiles)))
        self._db.execute(update(ArchiveRow).values(next_tile_id=first_id + len(tiles)))

    @abstractmethod
    def _insert_tiles(self, scene_id: int, first_id: int, tiles: Sequence[TileRecord]) -> None:
        """Insert tile rows in the fastest way for this engine."""

    def add_segment(self, segment: Segment, generation: int) -> None:
        """Reference a segment; see `CatalogWriter`."""
        self._db.execute(insert(SegmentRow).values(**asdict(segment), generation=generation))

    def remove_segments(self, names: Sequence[str]) -> None:
        """Remove references to segments; their files may be deleted after this commit."""
        for part in parts_of(names):
            self._db.execute(delete(SegmentRow).where(SegmentRow.name.in_(part)))

    def remove_scenes(self, ids: Sequence[int], generation: int) -> None:
        """Delete scenes with their tiles; see `CatalogWriter`."""
        for part in parts_of(ids):
            record_removed(self._db, added_generations(self._db, part), generation)
            self._db.execute(delete(SceneRow).where(SceneRow.id.in_(part)))

    def remove_tiles(self, ids: Sequence[int]) -> None:
        """Delete tiles."""
        for part in parts_of(ids):
            of = select(TileRow.scene_id, func.count()).where(TileRow.id.in_(part)).group_by(TileRow.scene_id)
            for scene_id, count in self._db.execute(of).all():
                counted = update(SceneRow).where(SceneRow.id == scene_id)
                self._db.execute(counted.values(tile_count=SceneRow.tile_count - count))
            self._db.execute(delete(TileRow).where(TileRow.id.in_(part)))

    def record_failure(self, href: str, reason: str) -> None:
        """Record why a scene could not be indexed."""
        now = datetime.now(UTC).replace(tzinfo=None)
        row = {"href": href, "reason": reason, "at": now}
        self._db.execute(delete(FailureRow).where(FailureRow.href == href))
        self._db.execute(insert(FailureRow).values(**row))

    @abstractmethod
    def reindex(self) -> None:
        """Rebuild the indexes of the tables."""


def stored(table: Table) -> TableClause:
    """Return a table with JSON columns as plain text, exactly as stored."""
    return sql_table(
        table.name, *(column(one.name, String() if isinstance(one.type, JSON) else one.type) for one in table.columns)
    )
