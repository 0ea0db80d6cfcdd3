"""What only PostgreSQL has: boxes by index, filters as SQL, plans that scan nothing whole, and faults."""

import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import select, text

from bandsight.archive import Archive, ArchiveWriter, Location
from bandsight.archive.admin import verify
from bandsight.archive.tile_columns import tile_columns
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.matching import AttributeView, matching
from bandsight.catalog.postgres import PostgresDatabase
from bandsight.catalog.postgres.engine import Place
from bandsight.catalog.postgres.filters import condition_of
from bandsight.catalog.postgres.spatial import index_of
from bandsight.catalog.sql.tables import SceneRow, TileRow
from bandsight.errors import ArchiveError, BusyError, EngineUnavailableError
from bandsight.geo.box import LonLatBox
from tests.archive.makers import MODEL, entry, polar
from tests.archive.test_filters import FILTERS
from tests.catalog.large import BOX, filled_by_the_server, no_scenes, plan_of
from tests.conftest import postgres_url

pytestmark = pytest.mark.cluster
MILLION = 1_000_000


@pytest.fixture(scope="module", params=["plain", "postgis"])
def archive(request, postgres_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    where = Location(catalog=postgres_url(postgres_server, request.param), vectors=folder.as_uri(), folder=folder)
    with ArchiveWriter.create(where, MODEL) as made:
        made.add([entry(number) for number in range(30)])
        made.add([polar(900, north=True), polar(901, north=False)])
        made.refresh()
        yield made


def test_postgis_indexes_boxes_where_it_is_installed(archive):
    with archive.database.reading() as catalog:
        assert index_of(catalog.connection) == ("postgis" if "postgis?" in archive.database.url else "box")


@given(FILTERS)
@settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
def test_sql_passes_at_least_what_the_filter_passes(archive, wanted):
    view = archive.read(lambda view: view)
    with archive.database.reading() as catalog:
        found = catalog.narrow(wanted, view.scene_columns, 10_000)
        expected = archive.tile_ids(wanted)
        assert set(expected.tolist()) <= set(found.tolist())
        if not len(found):
            return
        # The rows decide in the end, and then both are the same.
        columns = tile_columns(catalog, np.arange(found[0], found[-1] + 1)).take(found - found[0])
    mask = matching(AttributeView(columns, view.scene_columns), wanted, view.tile_footprints)
    np.testing.assert_array_equal(found[mask], expected)


def test_filters_without_areas_are_exact_in_sql(archive):
    scenes = archive.read(lambda view: view.scene_columns)
    cloudy = Filter(properties=(Property(name="bandsight:cloud_fraction", op=">", value=0.3),))
    west = Filter(boxes=(LonLatBox(west=-180, south=-90, east=0, north=90),))
    for wanted in (cloudy, ~cloudy, west, ~west, west | ~cloudy, Filter(up_to=9), ~Filter(exclude=(3, 4))):
        with archive.database.reading() as catalog:
            np.testing.assert_array_equal(catalog.narrow(wanted, scenes, 10_000), archive.tile_ids(wanted))
            assert catalog.narrow(Filter(), scenes, 10) is None


def test_verify_compares_the_spatial_index_with_the_columns(archive):
    assert verify(archive, full=True) == []
    # An index that is damaged is hard to come by; a box that moved under it looks the same to a query.
    with archive.database.connect() as connection, connection.begin():
        sides = dict(connection.execute(text("SELECT west, east FROM tiles WHERE id = 1")).mappings().one())
        connection.execute(text("UPDATE tiles SET west = west - 90, east = east - 90 WHERE id = 1"))
    try:
        assert any("spatial index and the columns differ by 1 tiles" in line for line in verify(archive, full=True))
    finally:
        with archive.database.connect() as connection, connection.begin():
            connection.execute(text("UPDATE tiles SET west = :west, east = :east WHERE id = 1"), sides)
    assert verify(archive, full=True) == []


@pytest.fixture(scope="module", params=["plain", "postgis"])
def large(request, postgres_server, tmp_path_factory):
    """A catalog of a million tiles, made by the server itself; no vectors."""
    database = PostgresDatabase(postgres_url(postgres_server, request.param))
    filled_by_the_server(database, MILLION)
    yield database
    database.close()


def test_no_query_scans_the_tiles_whole_at_a_million(large):
    box = Filter(boxes=(BOX,))
    across = Filter(boxes=tuple(LonLatBox(west=179.5, south=-20, east=-179.5, north=-19).split()))
    with large.reading() as catalog:
        index = index_of(catalog.connection)
        statements = [
            select(TileRow.id).where(condition_of(where, no_scenes(), index)).limit(10_001)
            for where in (box, across, box & ~Filter(exclude=(5,)), Filter(all_of=(box, Filter(up_to=900_000))))
        ]
        statements += [
            select(TileRow).where(TileRow.id.in_([5, 70_000, 999_999])),
            select(TileRow.id).where(TileRow.id.between(100, 5000)).order_by(TileRow.id),
            select(TileRow.scene_id).where(TileRow.id.in_([3, 4])),
            "DELETE FROM scenes WHERE id = 7",
            "DELETE FROM tiles WHERE scene_id = 7",
            "UPDATE archive SET next_tile_id = 5",
            "SELECT coalesce(sum(tile_count), 0) FROM scenes",
        ]
        for statement in statements:
            nodes = plan_of(catalog.connection, statement)
            assert "Seq Scan tiles" not in nodes, (statement, nodes)
        for statement in statements[:2]:
            assert any("Index Scan" in node for node in plan_of(catalog.connection, statement))
        # And what it finds is what a look at every row finds.
        found = catalog.narrow(box, no_scenes(), 10_000)
        every = "SELECT id FROM tiles WHERE west <= 11 AND east >= 10 AND south <= -44 AND north >= -45 ORDER BY id"
        rows = catalog.connection.execute(text(every)).scalars()
        np.testing.assert_array_equal(found, np.fromiter(rows, np.int64))
        assert len(found) > 0
        assert catalog.counts() == {"scenes": 1000, "tiles": MILLION, "failed_scenes": 0}
        assert len(catalog.summary()) == 10
        assert plan_of(catalog.connection, select(SceneRow.id).where(SceneRow.href == "/s/5"))[0].startswith("Index")


# A server that may fail


def broken(url: str, **changes: str) -> str:
    place = Place.parse(url)
    return place.url.set(**changes).update_query_dict({"schema": place.schema}).render_as_string(hide_password=False)


def test_errors_about_a_url_do_not_show_its_password(postgres_server, tmp_path):
    url = postgres_url(postgres_server)
    cases = [
        (broken(url, password="wrong-secret"), ArchiveError, "rejected the user .* check the user and password"),
        (broken(url, username="nobody-here"), ArchiveError, "rejected the user"),
        (broken(url, database="nowhere"), ArchiveError, "database does not exist; create it, e.g. createdb nowhere"),
        (broken(url, port="1"), EngineUnavailableError, "PostgreSQL is unreachable"),
        (
            broken(url, username="reader", password="only"),
            ArchiveError,
            "permission denied|no Bandsight archive",
        ),
    ]
    for wrong, kind, message in cases:
        where = Location(catalog=wrong, vectors=tmp_path.as_uri(), folder=tmp_path)
        with pytest.raises(kind, match=message) as refused:
            ArchiveWriter.create(where, MODEL)
        assert "secret" not in str(refused.value)


def test_a_slow_statement_is_cancelled_and_others_run(postgres_server):
    database = PostgresDatabase(postgres_url(postgres_server) + "&statement_timeout_s=0.3")
    database.create(MODEL)
    with pytest.raises(BusyError, match=r"took longer than 0\.3 s"), database.reading() as catalog:
        catalog.connection.execute(text("SELECT pg_sleep(20)"))
    with database.reading() as catalog:
        assert catalog.generation() == 0
    database.close()


def test_a_writer_that_waits_long_gets_an_error(postgres_server):
    url = postgres_url(postgres_server)
    first, second = PostgresDatabase(url), PostgresDatabase(url + "&lock_timeout_s=0.3")
    first.create(MODEL)

    def write() -> None:
        with second.writing() as catalog:
            catalog.advance()

    with first.writing() as catalog:
        catalog.advance()
        with pytest.raises(BusyError, match="another process has been writing"):
            write()
    write()
    assert_generation(first, 2)
    for one in (first, second):
        one.close()


def assert_generation(database, expected):
    with database.reading() as catalog:
        assert catalog.generation() == expected


def test_a_killed_server_neither_loses_nor_splits_a_commit(postgres_server, tmp_path):
    where = Location(catalog=postgres_url(postgres_server), vectors=tmp_path.as_uri(), folder=tmp_path)
    committed, failed, stop = [], [], threading.Event()
    with ArchiveWriter.create(where, MODEL) as archive, Archive.open(where) as reader:

        def write() -> None:
            number = 0
            while not stop.is_set():
                try:
                    archive.add([entry(number)])
                    committed.append(number)
                except (EngineUnavailableError, ArchiveError) as error:
                    failed.append(error)
                    time.sleep(0.1)
                number += 1

        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: len(committed) >= 5)
        postgres_server.kill()
        with pytest.raises(EngineUnavailableError, match="PostgreSQL is unreachable"):
            reader.refresh()
        wait_until(lambda: failed)
        postgres_server.run()
        before = len(committed)
        wait_until(lambda: len(committed) >= before + 5)
        stop.set()
        thread.join()
        assert all(isinstance(error, EngineUnavailableError) for error in failed), failed
        reader.refresh()
        there = {int(scene.href.split("/")[-1].removesuffix(".tif")) for scene in reader.scenes()}
        # A commit whose answer was lost may be there.
        assert set(committed) <= there
        assert len(there) <= len(committed) + 1
        assert reader.stats()["tiles"] == 4 * len(there)


def wait_until(holds, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)
