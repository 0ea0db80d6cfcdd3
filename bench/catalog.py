"""Measures the catalog in PostgreSQL: bulk load, its queries at millions of tiles, and what partitions would cost.

    python -m tests.cluster.install
    OMP_NUM_THREADS=1 python -m bench.catalog --tiles 5000000

It starts a server of its own. Rates of the load are given by the clock and by processor time of client and server, for
machines that are shared. Queries are timed from the client, warm, as the median of several rounds; their plans must not
scan the tiles' table. The same box filter is decided by SQL and by the columns that an API server holds.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import psutil
from sqlalchemy import Connection, text

from bandsight.attributes.filters import Filter
from bandsight.attributes.matching import AttributeView, Mask, matching
from bandsight.catalog.postgres import PostgresDatabase
from bandsight.catalog.postgres.catalog import PostgresCatalog
from tests.archive.makers import MODEL, scene, tiles
from tests.catalog.large import A_SCENE, BOX, columns, filled_by_the_server, no_scenes, plan_of
from tests.cluster.servers import postgres
from tests.conftest import make_databases, postgres_url

_ROUNDS, _LOADS, _A_LOAD, _PARTITIONS = 15, 5, 20_000, 16


def main() -> None:
    """Print rates and times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=5_000_000)
    parser.add_argument("--database", choices=("plain", "postgis"), default="postgis")
    args = parser.parse_args()
    with postgres() as server:
        make_databases(server)
        report: dict[str, Any] = {"load": loaded(PostgresDatabase(postgres_url(server, args.database)))}
        database = PostgresDatabase(postgres_url(server, args.database))
        began = time.perf_counter()
        filled_by_the_server(database, args.tiles)
        report |= {"tiles": args.tiles, "spatial": args.database, "fill_s": round(time.perf_counter() - began)}
        report["bytes_a_tile"] = round(database.size_bytes() / args.tiles)
        with database.reading() as catalog:
            report["queries"] = queries(catalog, args.tiles)
        report["partitions"] = partitions(database, min(args.tiles, 1_000_000))
        report["load_average"] = round(os.getloadavg()[0], 1)
        database.close()
    print(json.dumps(report, indent=1))


def loaded(database: PostgresDatabase) -> dict[str, float]:
    """Return the rates at which complete tiles are written, a transaction for each 20,000."""
    database.create(MODEL)
    made, walls, processors = tiles(1, _A_LOAD), [], []
    for number in range(_LOADS):
        with database.writing() as catalog:
            backend = psutil.Process(int(catalog.connection.execute(text("SELECT pg_backend_pid()")).scalar_one()))
            scene_id, first = catalog.add_scene(scene(number), 1), catalog.next_tile_id()
            began, spent = time.perf_counter(), time.process_time() + sum(backend.cpu_times()[:2])
            catalog.add_tiles(scene_id, first, made)
            walls.append(time.perf_counter() - began)
            processors.append(time.process_time() + sum(backend.cpu_times()[:2]) - spent)
    database.close()
    return {
        "rows_a_s": round(_A_LOAD / statistics.median(walls)),
        "best_rows_a_s": round(_A_LOAD / min(walls)),
        "rows_a_processor_s": round(_A_LOAD / statistics.median(processors)),
    }


def queries(catalog: PostgresCatalog, count: int) -> dict[str, Any]:
    """Return the median time of each query of the catalog, ms, after checking its plan."""
    rng = np.random.default_rng(0)
    box, scenes = Filter(boxes=(BOX,)), no_scenes()
    ids = sorted(rng.choice(count, 100, replace=False).tolist())
    for statement in (
        "SELECT * FROM tiles WHERE id IN (5, 70000, 999999)",
        "SELECT id FROM tiles WHERE id BETWEEN 100 AND 5000 ORDER BY id",
        "SELECT scene_id FROM tiles WHERE id IN (3, 4)",
        "DELETE FROM tiles WHERE scene_id = 7",
    ):
        assert "Seq Scan tiles" not in plan_of(catalog.connection, statement), statement
    timed: dict[str, Callable[[], object]] = {
        "footprints of 100 tiles": lambda: catalog.footprints(ids),
        "scenes of 100 tiles": lambda: catalog.scenes_of(ids),
        "columns of 20,000 tiles": lambda: catalog.tile_attributes(count // 2, count // 2 + 19_999),
        "generation": catalog.generation,
        "counts": catalog.counts,
        "summary by collection": catalog.summary,
        "scene by key": lambda: catalog.has_scene("k77"),
    }
    found: dict[str, Any] = {name: _ms(act) for name, act in timed.items()}
    view = AttributeView(columns(count), no_scenes(count // A_SCENE))

    def by_columns() -> Mask:
        return matching(view, box, lambda ids: np.empty(len(ids), object))

    mask = by_columns()
    np.testing.assert_array_equal(catalog.narrow(box, scenes, count), view.tiles.ids[mask])
    found["box by SQL"] = _ms(lambda: catalog.narrow(box, scenes, 10_000))
    found["box by columns"] = _ms(by_columns)
    found["tiles in the box"] = int(mask.sum())
    return found


def partitions(database: PostgresDatabase, count: int) -> dict[str, Any]:
    """Return times of tiles by id in one table, and in the same table with partitions by collection, ms."""
    ids = ",".join(map(str, np.random.default_rng(1).choice(count, 100, replace=False) + 1))
    found = {}
    with database.connect() as connection, connection.begin():
        for table, part in (("whole", ""), ("parted", "PARTITION BY HASH (collection)")):
            key = "(id)" if not part else "(id, collection)"
            _run(connection, f"CREATE TABLE {table} (LIKE tiles, collection text NOT NULL, PRIMARY KEY {key}) {part}")
            for number in range(_PARTITIONS if part else 0):
                rest = f"FOR VALUES WITH (MODULUS {_PARTITIONS}, REMAINDER {number})"
                _run(connection, f"CREATE TABLE parted_{number} PARTITION OF parted {rest}")
            _run(connection, f"CREATE INDEX ON {table} (scene_id)")
            every = "SELECT tiles.*, scenes.collection FROM tiles JOIN scenes ON scenes.id = scene_id"
            _run(connection, f"INSERT INTO {table} {every} WHERE tiles.id <= {count}")
            _run(connection, f"ANALYZE {table}")
            for name, where in {"100 tiles by id": f"id IN ({ids})", "tiles of a scene": "scene_id = 77"}.items():
                statement = f"SELECT * FROM {table} WHERE {where}"  # noqa: S608  (constants)
                found[f"{name}, {table}"] = _ms(partial(_rows, connection, statement))
        connection.rollback()
    return {"tiles": count, "partitions": _PARTITIONS, **found}


def _run(connection: Connection, statement: str) -> Any:
    return connection.exec_driver_sql(statement)


def _rows(connection: Connection, statement: str) -> Any:
    return _run(connection, statement).all()


def _ms(act: Callable[[], object]) -> dict[str, float]:
    """Return the median, and the best, which is nearest to what a machine does that is not shared."""
    act()
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return {"p50_ms": round(1000 * statistics.median(times), 2), "best_ms": round(1000 * min(times), 2)}


if __name__ == "__main__":
    main()
