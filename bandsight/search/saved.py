"""Searches that are kept under an id: one small file each, in the archive's folder."""

import json
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bandsight.attributes.datetimes import rfc3339
from bandsight.errors import ArchiveError, NotFoundError, QueryError
from bandsight.vectors.atomic_io import cannot_write, write_durably

_FOLDER, _HITS = "searches", ".hits"
_ID = re.compile(r"[0-9a-f]{16}")
_MOST, _MOST_BYTES = 10_000, 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A search that was registered."""

    id: str
    """Sixteen hex digits."""
    title: str
    """For people."""
    created: str
    """UTC, RFC 3339."""
    hits: int
    """Most hits that it has."""
    body: Mapping[str, Any]
    """The body of the search, as POST /search takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What a search found when it was registered."""

    generation: int
    """The commit that was searched."""
    ids: tuple[int, ...]
    """The tiles, best first."""


class Searches:
    """The registered searches of one archive."""

    def __init__(self, archive: Path) -> None:
        self._folder = archive / _FOLDER

    def add(self, title: str, hits: int, body: Mapping[str, Any]) -> Registered:
        """Keep a search and return it with its id.

        Raises:
            QueryError: There are too many.
            ArchiveError: The disk does not let us.
        """
        if len(self._paths()) >= _MOST:
            raise QueryError(f"searches: found {_MOST:,} of them; delete some that nobody needs any more")
        now = rfc3339(datetime.now(UTC).replace(microsecond=0))
        made = Registered(id=secrets.token_hex(8), title=title, created=now, hits=hits, body=body)
        path = self._path(made.id)
        said = json.dumps(asdict(made), ensure_ascii=False).encode()
        if len(said) > _MOST_BYTES:
            raise QueryError(
                f"search: it would take {len(said):,} bytes; at most {_MOST_BYTES:,} are kept, so simplify it"
            )
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        write_durably(path, [said])
        return made

    def keep_hits(self, search_id: str, hits: Hits) -> None:
        """Keep what a search found, so that it can be shown as it was.

        Raises:
            ArchiveError: The disk does not let us.
        """
        write_durably(self._path(search_id).with_suffix(_HITS), [json.dumps(asdict(hits)).encode()])

    def hits_of(self, search_id: str) -> Hits | None:
        """Return what a search found when it was registered; None where a former version did not keep it."""
        try:
            said = json.loads(self._path(search_id).with_suffix(_HITS).read_text(encoding="utf-8"))
            return Hits(generation=int(said["generation"]), ids=tuple(int(one) for one in said["ids"]))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def get(self, search_id: str) -> Registered:
        """Return a search.

        Raises:
            NotFoundError: There is none of this id.
        """
        path = self._path(search_id)
        try:
            return Registered(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise self._missing(search_id) from error
        except (OSError, ValueError, TypeError) as error:
            raise ArchiveError(f"{path}: cannot be read; delete it and register the search anew") from error

    def all(self) -> list[Registered]:
        """Return all searches, the newest first."""
        found = []
        for path in self._paths():
            # Somebody may delete one while these are read.
            with suppress(NotFoundError):
                found.append(self.get(path.stem))
        return sorted(found, key=lambda search: (search.created, search.id), reverse=True)

    def delete(self, search_id: str) -> None:
        """Forget a search.

        Raises:
            NotFoundError: There is none of this id.
        """
        try:
            self._path(search_id).unlink()
        except FileNotFoundError as error:
            raise self._missing(search_id) from error
        self._path(search_id).with_suffix(_HITS).unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        return [path for path in self._folder.glob("*.json") if _ID.fullmatch(path.stem)]

    def _path(self, search_id: str) -> Path:
        # The id becomes the name of a file: nothing else may.
        if not _ID.fullmatch(search_id):
            raise self._missing(search_id)
        return self._folder / f"{search_id}.json"

    def _missing(self, search_id: str) -> NotFoundError:
        return NotFoundError(
            f"search {search_id[:60]!r}: not registered here, or deleted; GET /searches lists those that are"
        )
