"""Catalogs of millions of tiles, made by the server itself, and the plans of queries on them."""

import json
from typing import Any

import numpy as np
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.catalog.postgres import PostgresDatabase
from bandsight.geo.box import LonLatBox
from tests.archive.makers import MODEL

A_SCENE = 1000
BOX = LonLatBox(west=10, south=-45, east=11, north=-44)
"""A box in which there are tiles, of scene 500 at least."""


def filled_by_the_server(database: PostgresDatabase, tiles: int) -> None:
    """Create a catalog of so many tiles, without vectors: a thousand side by side in each scene."""
    database.create(MODEL)
    with database.connect() as connection, connection.begin():
        connection.execute(
            text(
                "INSERT INTO scenes (key, href, name, collection, sensor, crs, transform, width, height, bands, "
                "stretch, properties, geometry, boxes, tiling, tile_count) SELECT 'k' || n, '/s/' || n, 's', 'c' || "
                "n % 10, 'rgb', 'EPSG:4326', '[]', 1, 1, '[]', '{}', '{}', '{}', '[]', '{}', 1000 "
                "FROM generate_series(1, :scenes) n"
            ),
            {"scenes": tiles // A_SCENE},
        )
        connection.execute(
            text(
                "INSERT INTO tiles (id, scene_id, cell, scale, col_off, row_off, width, height, valid_fraction, "
                "geometry, west, south, east, north, cloud_fraction) SELECT n, s, 'x', 1, 0, 0, 1, 1, 1, '{}', x, y, "
                "x + 0.05, y + 0.05, n % 100 / 100.0 FROM (SELECT n, s, s * 7919 % 35500 / 100.0 - 180 + "
                "(n - 1) % 1000 % 32 * 0.05 AS x, s * 104729 % 17500 / 100.0 - 90 + (n - 1) % 1000 / 32 * 0.05 AS y "
                "FROM (SELECT n, 1 + (n - 1) / 1000 AS s FROM generate_series(1::bigint, :tiles) n) numbers) places"
            ),
            {"tiles": tiles},
        )
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def columns(tiles: int) -> TileColumns:
    """Return the columns of those tiles, as an API server holds them."""
    ids = np.arange(1, tiles + 1)
    scene_ids, at = 1 + (ids - 1) // A_SCENE, (ids - 1) % A_SCENE
    west = np.round(scene_ids * 7919 % 35500 / 100 - 180 + at % 32 * 0.05, 2)
    south = np.round(scene_ids * 104729 % 17500 / 100 - 90 + at // 32 * 0.05, 2)
    boxes = np.full((tiles, 2, 4), np.nan)
    boxes[:, 0] = np.stack([west, south, np.round(west + 0.05, 2), np.round(south + 0.05, 2)], axis=1)
    values = {"cloud_fraction": ids % 100 / 100, "valid_fraction": np.ones(tiles)}
    return TileColumns(ids=ids, scene_ids=scene_ids, boxes=boxes, values=values)


def no_scenes(count: int = 0) -> SceneColumns:
    """Return columns of so many scenes that say nothing."""
    return SceneColumns(
        ids=np.arange(1, count + 1),
        times_us=np.zeros(count, np.int64),
        collections=np.full(count, "c", object),
        sensors=np.full(count, "s", object),
        boxes=np.zeros((count, 2, 4)),
        properties=({},) * count,
    )


def plan_of(connection: Connection, statement: Any) -> list[str]:
    """Return the kinds of nodes of a plan, and the tables that are scanned whole."""
    if not isinstance(statement, str):
        compiled = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
        statement = str(compiled)
    (found,) = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement.replace('%', '%%')}").one()
    waiting = [(found if isinstance(found, list) else json.loads(found))[0]["Plan"]]
    nodes = []
    while waiting:
        node = waiting.pop()
        nodes.append(f"{node['Node Type']} {node.get('Relation Name', '')}".strip())
        waiting += node.get("Plans", [])
    return nodes
