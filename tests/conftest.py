"""Engines that tests share; tests that need one are marked `cluster`, and skipped outside `make test-cluster`."""

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.cluster import object_storage, servers
from tests.cluster.ray_nodes import LOOPBACK, RayNodes, ray_nodes

_numbers = count()
# Before anything imports Ray.
os.environ.update(LOOPBACK)
WANTED = "BANDSIGHT_TEST_CLUSTER"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(WANTED):
        return
    skip = pytest.mark.skip(reason="needs servers of its own; run: make test-cluster")
    for item in items:
        if item.get_closest_marker("cluster"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Server]:
    """A PostgreSQL server with a database `plain` and, where the extension is installed, a database `postgis`."""
    with servers.postgres() as server:
        make_databases(server)
        yield server


@pytest.fixture(scope="session")
def milvus_server() -> Iterator[servers.Server]:
    """A Milvus server."""
    with servers.milvus() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[servers.Server]:
    """An S3 server with a bucket `bandsight`."""
    with object_storage.object_storage() as server:
        yield server


def files_url(server: servers.Server, bucket: str = "bandsight", prefix: str | None = None, **options: object) -> str:
    """Return the URL of files under a prefix that was not used yet."""
    name = f"test-{next(_numbers)}" if prefix is None else prefix
    return object_storage.files_url(server, bucket, name, **options)


@pytest.fixture(scope="session")
def ray_server() -> Iterator[RayNodes]:
    """A Ray cluster of two nodes with a core each."""
    with ray_nodes() as nodes:
        yield nodes


@pytest.fixture
def ray_cluster(ray_server: RayNodes) -> RayNodes:
    """The same, with nodes in the place of those that a test has killed."""
    ray_server.grow(2)
    return ray_server


def milvus_url(server: servers.Server) -> str:
    """Return the URL of vectors under a name that was not used yet."""
    return f"milvus://127.0.0.1:{server.port}/default/test_{next(_numbers)}"


def make_databases(server: servers.Server) -> None:
    """Make a database `plain`, a database `postgis` with the extension, and a user who may only connect."""
    import psycopg

    def run(database: str, *statements: str) -> None:
        where = f"postgresql://{servers.USER}:secret@127.0.0.1:{server.port}/{database}"
        with psycopg.connect(where, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    run("postgres", "CREATE DATABASE plain", "CREATE DATABASE postgis", "CREATE ROLE reader LOGIN PASSWORD 'only'")
    run("postgis", "CREATE EXTENSION postgis")


def postgres_url(server: servers.Server, database: str = "plain", schema: str | None = None) -> str:
    """Return the URL of a catalog that does not exist yet."""
    name = schema or f"test_{next(_numbers)}"
    return f"postgresql+psycopg://{servers.USER}:secret@127.0.0.1:{server.port}/{database}?schema={name}"
