"""Copies a catalog into another one, between any databases; interrupted copies can be resumed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import JSON, Connection, Integer, String, Table, cast, func, select, tuple_

from bandsight.catalog.sql.catalog import SqlCatalog
from bandsight.catalog.sql.tables import ArchiveRow, Base
from bandsight.errors import ArchiveError

# Rows per chunk, in memory and per transaction.
ROWS = 20_000


def data_tables() -> list[Table]:
    """Return the tables in insertion order. The archive row, which completes a copy, comes last."""
    archive = ArchiveRow.__table__
    return [*(table for table in Base.metadata.sorted_tables if table is not archive), archive]  # type: ignore[list-item]


def copy_part(source: Connection, target: SqlCatalog, table: Table) -> int:
    """Copy the next rows that the target lacks. Returns their number, 0 if it has all.

    Args:
        source: A read transaction on one committed state.
        target: A write transaction. Its rows must be the first rows of the source, in key order.
        table: The table.
    """
    keys = list(table.primary_key.columns)
    last = target.connection.execute(select(*keys).order_by(*(key.desc() for key in keys)).limit(1)).first()
    if last is not None and not _has_numbers(table):
        return 0
    rows = _next_rows(source, table, None if last is None else tuple(last))
    if rows:
        target.load(table, rows)
    return len(rows)


def differences(source: Connection, target: Connection, table: Table) -> Iterator[str]:
    """Yield the first difference between two copies of a table, compared row by row, as a sentence."""
    counts = [int(one.execute(select(func.count()).select_from(table)).scalar_one()) for one in (source, target)]
    if counts[0] != counts[1]:
        yield f"catalog: {table.name}: {counts[0]} rows, but {counts[1]} in the copy"
        return
    last: Any = None
    while mine := _next_rows(source, table, last):
        for one, other in zip(mine, _next_rows(target, table, last), strict=True):
            if one != other:
                yield f"catalog: {table.name}: row {_key(table, one)} differs from the copy"
                return
        last = _key(table, mine[-1])


def copy_all(source: Connection, target: SqlCatalog, *, first_scene: int) -> None:
    """Copy a whole catalog into an empty one, in one transaction.

    Args:
        source: A read transaction on one committed state.
        target: A write transaction on empty tables.
        first_scene: Id of the next scene.

    Raises:
        ArchiveError: The source is not an archive.
    """
    *tables, _ = data_tables()
    for table in tables:
        while copy_part(source, target, table):
            pass
    complete(source, target, first_scene=first_scene)


def complete(source: Connection, target: SqlCatalog, *, first_scene: int) -> None:
    """Complete a copy: advance ids to the source's, then insert the archive row.

    Raises:
        ArchiveError: The source is not an archive.
    """
    target.begin_scenes_at(first_scene)
    target.settle()
    if not copy_part(source, target, data_tables()[-1]):
        raise ArchiveError("catalog: it has no model; restore it from a backup")


def take_over(
    source: SqlCatalog,
    writing: Callable[[], AbstractContextManager[SqlCatalog]],
    before_completion: Callable[[], None],
    progress: Callable[[str, int], None],
) -> None:
    """Copy a catalog in chunks, compare the copies row by row, and complete the copy; see `CatalogDatabase`.

    Raises:
        ArchiveError: The copied rows differ.
    """
    *tables, _ = data_tables()
    for table in tables:
        while True:
            with writing() as target:
                count = copy_part(source.connection, target, table)
            if not count:
                break
            progress(table.name, count)
    with writing() as target:
        for table in tables:
            for difference in differences(source.connection, target.connection, table):
                raise ArchiveError(f"{difference}; delete the copy, then run the same again")
    before_completion()
    with writing() as target:
        complete(source.connection, target, first_scene=source.next_scene_id())


def _has_numbers(table: Table) -> bool:
    """Return whether a table has integer keys. Databases differ in how they sort text."""
    return all(isinstance(key.type, Integer) for key in table.primary_key.columns)


def _next_rows(of: Connection, table: Table, last: tuple[Any, ...] | None) -> list[tuple[Any, ...]]:
    """Return the next chunk of rows after a key, with JSON as text.

    Tables with text keys are small and returned whole.
    """
    keys = list(table.primary_key.columns)
    chosen = select(
        *(cast(one, String).label(one.name) if isinstance(one.type, JSON) else one for one in table.columns)
    )
    if not _has_numbers(table):
        rows = [] if last is not None else [tuple(row) for row in of.execute(chosen)]
        return sorted(rows, key=lambda row: _key(table, row))
    if last is not None:
        chosen = chosen.where(tuple_(*keys) > tuple_(*last))
    return [tuple(row) for row in of.execute(chosen.order_by(*keys).limit(ROWS))]


def _key(table: Table, row: Sequence[Any]) -> tuple[Any, ...]:
    names = [column.name for column in table.columns]
    return tuple(row[names.index(key.name)] for key in table.primary_key.columns)
