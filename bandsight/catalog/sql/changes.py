"""SQL statements that record and report added and removed scenes."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from bandsight.catalog.changes import SceneChanges
from bandsight.catalog.sql.tables import ArchiveRow, RemovedSceneRow, SceneRow

MAX_REMOVED = 100_000
"""Maximum number of removals to remember, about 25 bytes each."""


def record_removed(
    connection: Connection, added: Mapping[int, int], generation: int, replaced_by: int | None = None
) -> None:
    """Record that scenes have been removed.

    Args:
        connection: A write transaction.
        added: Generation that added each scene, by scene id.
        generation: The generation that removes them.
        replaced_by: The scene that replaces them.
    """
    if not added:
        return
    rows = [
        {"scene_id": scene_id, "added": then, "removed": generation, "replaced_by": replaced_by}
        for scene_id, then in added.items()
    ]
    connection.execute(insert(RemovedSceneRow), rows)
    newest = connection.execute(select(func.max(RemovedSceneRow.id))).scalar_one()
    old = RemovedSceneRow.id <= newest - MAX_REMOVED
    forgotten = connection.execute(select(func.max(RemovedSceneRow.removed)).where(old)).scalar()
    if forgotten is not None:
        connection.execute(delete(RemovedSceneRow).where(old))
        connection.execute(update(ArchiveRow).values(changes_from=forgotten))


def forget_changes(connection: Connection, generation: int) -> None:
    """Clear the record, because all scenes have been replaced."""
    connection.execute(delete(RemovedSceneRow))
    connection.execute(update(SceneRow).values(added_generation=generation))
    connection.execute(update(ArchiveRow).values(changes_from=generation))


def changes_since(connection: Connection, since: int) -> SceneChanges:
    """Return the scenes added and removed since a generation."""
    generation, known_from = connection.execute(select(ArchiveRow.generation, ArchiveRow.changes_from)).one()
    everything = not known_from <= since <= generation
    chosen = select(SceneRow.id).order_by(SceneRow.id)
    if everything:
        ids = tuple(connection.execute(chosen).scalars())
        return SceneChanges(generation=generation, everything=True, added=ids, removed=())
    added = tuple(connection.execute(chosen.where(SceneRow.added_generation > since)).scalars())
    columns = (RemovedSceneRow.scene_id, RemovedSceneRow.added, RemovedSceneRow.replaced_by)
    rows = connection.execute(select(*columns).where(RemovedSceneRow.removed > since)).all()
    successor = {row.scene_id: row.replaced_by for row in rows if row.replaced_by is not None}
    removed = sorted(row.scene_id for row in rows if row.added <= since)
    current = {one: last for one in removed if (last := _last(one, successor)) in set(added)}
    return SceneChanges(generation=generation, everything=False, added=added, removed=tuple(removed), replaced=current)


def added_generations(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Return the generation that added each of these scenes."""
    found = connection.execute(select(SceneRow.id, SceneRow.added_generation).where(SceneRow.id.in_(ids)))
    return {row.id: row.added_generation for row in found}


def _last(scene_id: int, successor: Mapping[int, int]) -> int:
    """Return the last scene in a chain of replacements."""
    while scene_id in successor:
        scene_id = successor[scene_id]
    return scene_id
