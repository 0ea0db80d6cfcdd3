"""The atlas from Python."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from bandsight.atlas.requests import AtlasValues
from bandsight.atlas.service import AtlasService
from bandsight.search.validation import validated

if TYPE_CHECKING:
    from bandsight.client.remote_labels import Send
    from bandsight.search.searcher import Searcher

_COLUMNS = (("ids", "<f8", 1), ("points", "<f4", 2), ("days", "<i4", 1), ("cluster", "<i2", 1), ("sensor", "<u2", 1))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AtlasPoints:
    """The points of the atlas, column by column."""

    ids: NDArray[np.int64]
    """Tiles, ascending, shape (n,)."""
    points: NDArray[np.float32]
    """Their places, shape (n, 2)."""
    days: NDArray[np.int32]
    """Day of each since 1970, -2147483648 where unknown, shape (n,)."""
    cluster: NDArray[np.int16]
    """Cluster of each, -1 between clusters, shape (n,)."""
    sensor: NDArray[np.uint16]
    """Position of each one's sensor in the document's `sensors`, shape (n,)."""

    @classmethod
    def read(cls, parts: Iterator[bytes]) -> "AtlasPoints":
        """Read the parts of a server."""
        columns: dict[str, list[NDArray[Any]]] = {name: [] for name, _, _ in _COLUMNS}
        width = sum(np.dtype(kind).itemsize * times for _, kind, times in _COLUMNS)
        for part in parts:
            count, at = len(part) // width, 0
            for name, kind, times in _COLUMNS:
                columns[name].append(np.frombuffer(part, kind, count * times, at))
                at += np.dtype(kind).itemsize * count * times
        whole = {name: np.concatenate(values) for name, values in columns.items()}
        return cls(
            ids=whole["ids"].astype(np.int64),
            points=whole["points"].reshape(-1, 2).astype(np.float32),
            days=whole["days"].astype(np.int32),
            cluster=whole["cluster"].astype(np.int16),
            sensor=whole["sensor"].astype(np.uint16),
        )


class AtlasBackend(Protocol):
    """Answers requests about the atlas."""

    def document(self) -> dict[str, Any]:
        """Return what describes the atlas as a whole."""

    def part(self, number: int) -> bytes:
        """Return a part of its points."""

    def values(self, body: dict[str, Any]) -> bytes:
        """Return a float32 for each point; `body` is an `AtlasValues`."""

    def review(self, likeness: float, limit: int) -> dict[str, Any]:
        """Return the review of the archive."""

    def export(self, path: Path) -> None:
        """Write it as GeoParquet."""


class LocalAtlas:
    """Answers from an open archive; see `AtlasBackend`."""

    def __init__(self, searcher: "Searcher") -> None:
        """Prepare."""
        self._searcher, self._service = searcher, AtlasService(searcher)

    def document(self) -> dict[str, Any]:
        """Return what describes the atlas as a whole."""
        made: dict[str, Any] = orjson.loads(orjson.dumps(self._service.document()))
        return made

    def part(self, number: int) -> bytes:
        """Return a part of its points."""
        return self._service.chart().part(number)

    def values(self, body: dict[str, Any]) -> bytes:
        """Return a float32 for each point."""
        return self._service.values(validated(AtlasValues, body))[1].astype("<f4").tobytes()

    def review(self, likeness: float, limit: int) -> dict[str, Any]:
        """Return the review of the archive."""
        from bandsight.atlas.review import review

        return review(self._searcher, self._service.chart(), likeness=likeness, listed=limit)

    def export(self, path: Path) -> None:
        """Write it as GeoParquet."""
        from bandsight.atlas.export import write_parquet

        write_parquet(self._searcher.archive, self._service.chart().atlas, path)


class RemoteAtlas:
    """Sends requests to a server; see `AtlasBackend`."""

    def __init__(self, send: "Send") -> None:
        """Prepare.

        Args:
            send: Sends a request and raises the server's errors.
        """
        self._send = send

    def document(self) -> dict[str, Any]:
        """Return what describes the atlas as a whole."""
        made: dict[str, Any] = self._send("GET", "/atlas").json()
        return made

    def part(self, number: int) -> bytes:
        """Return a part of its points."""
        return bytes(self._send("GET", "/atlas/points", params={"part": number}).content)

    def values(self, body: dict[str, Any]) -> bytes:
        """Return a float32 for each point."""
        return bytes(self._send("POST", "/atlas/values", json=body).content)

    def review(self, likeness: float, limit: int) -> dict[str, Any]:
        """Return the review of the archive."""
        made: dict[str, Any] = self._send("GET", "/atlas/review", params={"likeness": likeness, "limit": limit}).json()
        return made

    def export(self, path: Path) -> None:
        """Write it as GeoParquet."""
        from bandsight.export.files import save

        save(path, [self._send("GET", "/atlas/export").content])


class AtlasView:
    """The atlas of an archive: `Client.atlas()` returns it."""

    def __init__(self, backend: AtlasBackend) -> None:
        self._backend = backend

    def info(self) -> dict[str, Any]:
        """Return how many points there are, the clusters with their names, and the sensors.

        Raises:
            NotFoundError: The archive has no atlas; `bandsight atlas build` makes one.
        """
        return self._backend.document()

    def points(self) -> AtlasPoints:
        """Return all points."""
        return AtlasPoints.read(self._backend.part(number) for number in range(self.info()["parts"]))

    def values(self, body: dict[str, Any]) -> NDArray[np.float32]:
        """Return a value for each point, in their order, NaN where filters do not hold; `body` is an `AtlasValues`."""
        return np.frombuffer(self._backend.values(body), "<f4").astype(np.float32)

    def review(self, *, likeness: float = 0.98, limit: int = 50) -> dict[str, Any]:
        """Return near-duplicates, outliers, over-represented groups and gaps.

        Args:
            likeness: Cosine from which on two tiles count as near-duplicates.
            limit: Most entries of each list.
        """
        return self._backend.review(likeness, limit)

    def export(self, path: str | Path) -> Path:
        """Write the atlas as GeoParquet that Apple's embedding-atlas opens, and return the path."""
        self._backend.export(Path(path))
        return Path(path)
