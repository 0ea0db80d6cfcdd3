"""A client for collections on a Milvus server, the only module that imports pymilvus; works with Milvus 2.3 and 2.6.

Besides the vector, a row has the attributes that filters are pushed down with: the tile's boxes, its registered fields,
its scene, and the scene's collection, sensor and time. Unknown numbers are `UNKNOWN`; a missing second box is one that
nothing intersects.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import FIELDS
from bandsight.errors import ArchiveError, EngineUnavailableError, needs_extra

UNKNOWN = -1e30
"""Represents an unknown number, because Milvus 2.3 has no null."""
MAX_HITS = 16_384
"""Maximum number of hits that Milvus returns."""
BOX_FIELDS = tuple(f"{side}{part}" for part in ("", "2") for side in ("west", "south", "east", "north"))
_NOWHERE = (1e3, 1e3, -1e3, -1e3)
_TEXT_CHARS = 512
# An HNSW graph with 16 neighbours; recall is controlled at search time, and measured.
_INDEX = {"index_type": "HNSW", "metric_type": "IP", "params": {"M": 16, "efConstruction": 200}}
_PARTITIONS = 16
_BESIDE = "_reindex"
_OWNER = "Tiles of Bandsight archive "
# Rows per request: with 1152 numbers each, 23 MB; the limit is 64 MB.
_ROWS = 5000
_WAIT_S = 1800
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")
_REFUSED = re.compile("auth|permission|privilege|not authenticated|token", re.IGNORECASE)
_GONE = re.compile("collection not found|can't find collection|not exist", re.IGNORECASE)

_T = TypeVar("_T")


class CollectionGoneError(Exception):
    """The server has no such collection: it was dropped or replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Address of a server, and the names of an archive's collections there."""

    uri: str
    """`http://HOST:PORT`, or https with TLS."""
    token: str
    """`USER:PASSWORD` or a token; empty for none."""
    database: str
    """Milvus database."""
    name: str
    """Prefix of the names of the archive's collections."""
    timeout_s: float
    """Timeout of a search, seconds."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `milvus://[USER:PASSWORD@]HOST:PORT/DATABASE/NAME?tls=true&timeout_s=10`.

        Raises:
            ArchiveError: A part is missing or invalid.
        """
        form = "milvus://[USER:PASSWORD@]HOST:PORT/DATABASE/NAME?tls=true"
        try:
            parts = urlsplit(url)
            port = parts.port or 19530
        except ValueError as error:
            raise ArchiveError(f"vectors: {error}; need {form}") from error
        path = [unquote(part) for part in parts.path.split("/") if part]
        database, name = (["default", "bandsight"], ["default", *path], path)[min(len(path), 2)][:2]
        options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        unknown = set(options) - {"tls", "timeout_s"}
        if parts.scheme != "milvus" or not parts.hostname or len(path) > 2 or unknown:  # noqa: PLR2004
            raise ArchiveError(f"vectors {_without_password(url)}: need {form}")
        if not _NAME.fullmatch(name) or not _NAME.fullmatch(database):
            raise ArchiveError(f"vectors: name {database}/{name}: need letters, digits and _, as in default/bandsight")
        try:
            timeout_s = float(options.get("timeout_s", "10"))
        except ValueError as error:
            raise ArchiveError(f"vectors: timeout_s={options['timeout_s']}: need a number") from error
        tls = options.get("tls", "false").lower()
        if tls not in {"true", "false"} or not timeout_s > 0:
            raise ArchiveError(f"vectors: tls={tls}, timeout_s={timeout_s:g}: need true or false, and more than 0")
        user = unquote(parts.username or "")
        token = f"{user}:{unquote(parts.password)}" if parts.password is not None else user
        scheme = "https" if tls == "true" else "http"
        return cls(
            uri=f"{scheme}://{parts.hostname}:{port}", token=token, database=database, name=name, timeout_s=timeout_s
        )

    def beside(self, url: str) -> str:
        """Return a URL like this place's under another name, for collections that will replace those of this name."""
        return urlsplit(url)._replace(path=f"/{self.database}/{self.name[:90]}{_BESIDE}").geturl()

    def __str__(self) -> str:
        return f"{self.uri.replace('https', 'milvus').replace('http', 'milvus')}/{self.database}/{self.name}"


def _without_password(url: str) -> str:
    return re.sub(r"//[^@/]*@", "//***@", url)


class Milvus:
    """A connection to a server; thread-safe, and reconnects after a restart of the server."""

    def __init__(self, place: Place) -> None:
        """Connect.

        Raises:
            EngineUnavailableError: The server does not answer.
            ArchiveError: The login fails, or there is no such database.
            MissingExtraError: The client is not installed.
        """
        with needs_extra("cluster", "vectors in Milvus"):
            from pymilvus import MilvusClient
        # It logs each failure with a traceback; they are reported as our own errors.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self.place = place
        with self._clear_errors():
            self._client: Any = MilvusClient(
                uri=place.uri, token=place.token, db_name=place.database, timeout=place.timeout_s
            )
            # The client may reuse another one's connection, so only a response proves that the server answers.
            self._client.list_collections(timeout=place.timeout_s)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def exists(self, name: str) -> bool:
        """Return whether a collection exists."""
        return self._ask(lambda: bool(self._client.has_collection(name, timeout=self.place.timeout_s)))

    def dim(self, name: str) -> int:
        """Return the length of a collection's vectors."""
        fields = self._ask(lambda: self._client.describe_collection(name))["fields"]
        return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")

    def owner(self, name: str) -> str | None:
        """Return the id of the archive that a collection, or an alias, was made for; None where that is not known."""
        if not self.exists(name):
            return None
        text = str(self._ask(lambda: self._client.describe_collection(name)).get("description", ""))
        return text.removeprefix(_OWNER) if text.startswith(_OWNER) else None

    def create(self, name: str, dim: int, archive_id: str) -> None:
        """Create an empty collection of an archive, indexed and loaded."""
        from pymilvus import DataType

        schema = self._client.create_schema(
            auto_id=False, enable_dynamic_field=False, description=f"{_OWNER}{archive_id}"
        )
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        for field in ("scene_id", "start_us", "end_us"):
            schema.add_field(field, DataType.INT64)
        for field in (*BOX_FIELDS, *(one.name for one in FIELDS.tile)):
            schema.add_field(field, DataType.DOUBLE)
        schema.add_field("sensor", DataType.VARCHAR, max_length=_TEXT_CHARS)
        schema.add_field("collection", DataType.VARCHAR, max_length=_TEXT_CHARS, is_partition_key=True)
        index = self._client.prepare_index_params()
        index.add_index("vector", **_INDEX)
        self._ask(
            lambda: self._client.create_collection(
                name, schema=schema, index_params=index, num_partitions=_PARTITIONS, timeout=_WAIT_S
            )
        )

    def drop(self, name: str) -> None:
        """Delete a collection and its alias, if they exist."""
        if not self.exists(name):
            return
        for alias in self._ask(lambda: self._client.list_aliases(name))["aliases"]:
            self.drop_alias(alias)
        self._ask(lambda: self._client.drop_collection(name))

    def drop_alias(self, alias: str) -> None:
        """Delete an alias, if it exists."""
        self._ask(lambda: self._client.drop_alias(alias))

    def point(self, alias: str, name: str) -> None:
        """Make an alias stand for a collection, in one step if it stands for another one."""
        change = self._client.alter_alias if self.exists(alias) else self._client.create_alias
        self._ask(lambda: change(name, alias))

    def rename(self, name: str, new: str) -> None:
        """Rename a collection, which stays loaded."""
        self._ask(lambda: self._client.rename_collection(name, new))

    def names(self) -> list[str]:
        """Return the names of all collections of the database."""
        return list(self._ask(self._client.list_collections))

    def insert(self, name: str, vectors: NDArray[np.float32], tiles: TileColumns, scenes: SceneColumns) -> None:
        """Write rows whose ids are new, or were deleted before; the scene of each must exist.

        Not by Milvus's upsert: in 2.3, that chooses a row's partition by its id, and a filter by collection misses it.
        """
        for start in range(0, len(tiles), _ROWS):
            part = slice(start, start + _ROWS)
            rows = list(_rows(vectors[part], tiles.take(part), scenes))
            self._ask(lambda rows=rows: self._client.insert(name, rows, timeout=_WAIT_S))  # type: ignore[misc]

    def delete(self, name: str, ids: NDArray[np.int64]) -> None:
        """Delete rows; missing ones are ignored."""
        for start in range(0, len(ids), _ROWS):
            part = ids[start : start + _ROWS].tolist()
            self._ask(lambda part=part: self._client.delete(name, ids=part, timeout=_WAIT_S))  # type: ignore[misc]

    def count(self, name: str, *, strong: bool) -> int:
        """Return the number of rows: the current one (`strong`), or as searches see it."""
        level = "Strong" if strong else "Bounded"
        found = self._ask(
            lambda: self._client.query(name, filter="", output_fields=["count(*)"], consistency_level=level)
        )
        return int(found[0]["count(*)"])

    def ids(self, name: str) -> NDArray[np.int64]:
        """Return the ids of all rows, ascending."""
        found: list[int] = []
        while True:
            after = f"id > {found[-1] if found else -(2**62)}"
            rows = self._ask(
                lambda after=after: self._client.query(  # type: ignore[misc]
                    name, filter=after, output_fields=["id"], limit=MAX_HITS, consistency_level="Strong"
                )
            )
            if not rows:
                return np.array(found, np.int64)
            found += sorted(int(row["id"]) for row in rows)

    def settle(self, name: str, rows: int) -> None:
        """Wait until all rows are durable, indexed, loaded and visible to searches.

        Until then, Milvus silently omits rows from results.

        Raises:
            EngineUnavailableError: This takes longer than half an hour.
        """
        limit = time.monotonic() + _WAIT_S
        self._ask(lambda: self._client.flush(name, timeout=_WAIT_S))
        self._ask(lambda: self._client.load_collection(name, timeout=_WAIT_S))
        pause = 0.05
        while not self._is_settled(name, rows):
            if time.monotonic() > limit:
                raise EngineUnavailableError(
                    f"vectors {self.place}: {name} is not indexed and loaded after {_WAIT_S} s; run: bandsight "
                    "optimize again"
                )
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)

    def _is_settled(self, name: str, rows: int) -> bool:
        index = self._ask(lambda: self._client.describe_index(name, "vector"))
        if int(index.get("pending_index_rows", 0)):
            return False
        return self.count(name, strong=False) == rows == self.count(name, strong=True)

    def search(
        self, name: str, queries: NDArray[np.float32], limit: int, ef: int, expression: str
    ) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Return ids and scores of the nearest rows of each query, best first.

        Args:
            name: The collection.
            queries: Shape (q, dim).
            limit: Maximum number of hits for each.
            ef: Size of the candidate list of the search; at least `limit`.
            expression: Filter in Milvus's expression language; empty for all rows.

        Raises:
            CollectionGoneError: The collection does not exist.
            EngineUnavailableError: The server does not answer in time.
        """
        params = {"metric_type": "IP", "params": {"ef": max(ef, limit)}}
        found = self._ask(
            lambda: self._client.search(
                name,
                data=list(np.ascontiguousarray(queries, np.float32)),
                limit=limit,
                filter=expression,
                search_params=params,
                consistency_level="Bounded",
                timeout=self.place.timeout_s,
            )
        )
        return [
            (np.array([hit["id"] for hit in hits], np.int64), np.array([hit["distance"] for hit in hits], np.float32))
            for hits in found
        ]

    def _ask(self, call: Callable[[], _T]) -> _T:
        with self._clear_errors():
            return call()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        import grpc
        from pymilvus import MilvusException

        try:
            yield
        except (MilvusException, grpc.RpcError) as error:
            message = " ".join(str(getattr(error, "message", "") or error).split())[:300]
            if _GONE.search(message) and "database" not in message.split("[")[0]:
                raise CollectionGoneError(message) from error
            if _REFUSED.search(message):
                raise ArchiveError(
                    f"vectors {self.place}: Milvus refuses the user ({message}); check user and password in the "
                    "vectors' URL"
                ) from error
            if "database not found" in message:
                raise ArchiveError(
                    f"vectors {self.place}: Milvus has no such database; create it, or name another"
                ) from error
            raise EngineUnavailableError(
                f"vectors {self.place}: Milvus does not answer ({message}); try again when it is back"
            ) from error


def _rows(vectors: NDArray[np.float32], tiles: TileColumns, scenes: SceneColumns) -> Iterator[dict[str, Any]]:
    at = np.searchsorted(scenes.ids, tiles.scene_ids)
    starts = scenes.times_us if scenes.starts_us is None else scenes.starts_us
    ends = scenes.times_us if scenes.ends_us is None else scenes.ends_us
    boxes = np.where(np.isnan(tiles.boxes), np.array([_NOWHERE, _NOWHERE]), tiles.boxes).reshape(-1, 8)
    fields = {one.name: np.nan_to_num(tiles.values[one.name], nan=UNKNOWN) for one in FIELDS.tile}
    for row, scene in enumerate(at.tolist()):
        yield {
            "id": int(tiles.ids[row]),
            "vector": vectors[row],
            "scene_id": int(tiles.scene_ids[row]),
            "start_us": int(starts[scene]),
            "end_us": int(ends[scene]),
            "sensor": short(str(scenes.sensors[scene])),
            "collection": short(str(scenes.collections[scene])),
            **dict(zip(BOX_FIELDS, boxes[row].tolist(), strict=True)),
            **{name: float(values[row]) for name, values in fields.items()},
        }


def short(text: str) -> str:
    """Truncate text to the maximum number of bytes that the server stores."""
    return text.encode()[:_TEXT_CHARS].decode(errors="ignore")
