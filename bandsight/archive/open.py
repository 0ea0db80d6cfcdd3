"""Where the parts of an archive are, and the engines that open them: the one place that knows which engines exist."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bandsight.archive.claims import check_free
from bandsight.archive.config import CONFIG_FILE, ArchiveConfig, read_config
from bandsight.catalog import sqlite
from bandsight.catalog.port import CatalogDatabase
from bandsight.errors import ArchiveError
from bandsight.objects.cached import CachedObjects
from bandsight.vectors import local
from bandsight.vectors.port import OpenStore, StoreContext, VectorStore

# A letter and a colon is a drive, not a scheme.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the parts of an archive are."""

    catalog: str
    """URL of the catalog."""
    vectors: str
    """URL of the vectors."""
    folder: Path
    """Folder of the writer's lock and of checkpoints of jobs."""
    files: str | None = None
    """URL of the object storage that keeps vectors and pictures; None for the folder."""

    def __str__(self) -> str:
        return str(self.folder)


Where = str | Path | Location
"""A folder, a URL (`file:///folder`, `sqlite:////folder/catalog.sqlite`), a file that says where the parts are
(`bandsight.archive.config`), or their places one by one."""


def _postgres(url: str) -> CatalogDatabase:
    """Open a catalog in PostgreSQL; imported when one is opened, because searches in a folder wait for each import."""
    from bandsight.catalog import postgres

    return postgres.PostgresDatabase(url)


def _milvus(url: str, context: StoreContext) -> VectorStore:
    """Open vectors in Milvus; imported when they are opened."""
    from bandsight.vectors import milvus

    return milvus.open_store(url, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines that archives may be made of, by the scheme of their URL; to add one is to add a line here."""

    catalogs: Mapping[str, Callable[[str], CatalogDatabase]] = field(
        default_factory=lambda: {
            "sqlite": sqlite.SqliteDatabase,
            "postgresql+psycopg": _postgres,
        }
    )
    """What opens a catalog."""
    vectors: Mapping[str, OpenStore] = field(default_factory=lambda: {"file": local.open_store, "milvus": _milvus})
    """What opens the vectors."""
    files: Mapping[str, Callable[[str, Path], CachedObjects]] = field(default_factory=lambda: {"s3": CachedObjects})
    """What opens object storage."""

    def catalog_of(self, location: Location) -> CatalogDatabase:
        """Return the database of an archive's catalog, not yet opened.

        Raises:
            ArchiveError: No engine opens such a URL.
        """
        scheme = _scheme_of(location.catalog)
        if scheme not in self.catalogs:
            raise _unknown("catalog", location.catalog, scheme, self.catalogs)
        return self.catalogs[scheme](location.catalog)

    def store_of(self, location: Location) -> OpenStore:
        """Return what opens an archive's vectors.

        Raises:
            ArchiveError: No engine opens such a URL.
        """
        scheme = _scheme_of(location.vectors)
        if scheme not in self.vectors:
            raise _unknown("vectors", location.vectors, scheme, self.vectors)
        return self.vectors[scheme]

    def files_of(self, location: Location) -> CachedObjects | None:
        """Return the object storage that keeps an archive's files, None where they are in its folder.

        Raises:
            ArchiveError: No engine opens such a URL, or a part of it is wrong.
        """
        if location.files is None:
            return None
        scheme = _scheme_of(location.files)
        if scheme not in self.files:
            raise _unknown("files", location.files, scheme, self.files)
        return self.files[scheme](location.files, location.folder)


ENGINES = Engines()
"""The engines of this version."""


def locate(where: Where) -> Location:
    """Return where the parts of an archive are.

    Args:
        where: A folder as a path or a `file://` URL, a `sqlite:///` URL of the catalog in it, or a TOML file; a folder
            with a file `archive.toml` is an archive on the engines that the file names.

    Raises:
        ArchiveError: The URL has a scheme that this version does not know, or the file is wrong.
    """
    if isinstance(where, Location):
        return where
    text = str(where)
    scheme = _scheme_of(text)
    if not scheme or Path(text).exists():
        return _in_folder(Path(text))
    if scheme == "file":
        return _in_folder(Path(unquote(urlsplit(text).path)))
    if text.startswith("sqlite:///"):
        return _in_folder(sqlite.folder_of(text))
    raise ArchiveError(
        f"{text}: found the scheme {scheme}; this Bandsight opens archives as a folder, file:///FOLDER or "
        "sqlite:////FOLDER/catalog.sqlite, and archives on other engines by the file that names them (bandsight init)"
    )


def archive_exists(where: Where, engines: Engines = ENGINES) -> bool:
    """Return whether there is an archive, of any version and in any state.

    Raises:
        ArchiveError: No engine opens such a URL, or the database refuses the user.
        EngineUnavailableError: The database does not answer.
    """
    database = engines.catalog_of(locate(where))
    try:
        return database.exists()
    finally:
        database.close()


def check_archive(where: Where, engines: Engines = ENGINES) -> None:
    """Refuse a place without an archive that this version can read.

    Raises:
        ArchiveError: There is none, it is damaged, or it is of another version.
    """
    database = engines.catalog_of(locate(where))
    try:
        database.open()
    finally:
        database.close()


def _in_folder(folder: Path) -> Location:
    if folder.suffix == ".toml" and not folder.is_dir():
        return _located(folder)
    if (folder / CONFIG_FILE).is_file():
        return _located(folder / CONFIG_FILE)
    return embedded(folder)


def _located(file: Path) -> Location:
    found = read_config(file)
    location = _location_of(found)
    own = sqlite.catalog_url(found.folder)
    if location.catalog != own and sqlite.SqliteDatabase(own).exists():
        raise ArchiveError(
            f"{file}: names a catalog elsewhere, but there is one in {found.folder} too; move that folder's archive to "
            "the engines with bandsight migrate-archive, or name another folder"
        )
    if found.files is not None and any(found.folder.glob("vectors/seg-*")):
        raise ArchiveError(
            f"{file}: names files elsewhere, but there are vector files in {found.folder} too; move that folder's "
            "archive with bandsight migrate-archive, or name another folder"
        )
    return location


def _location_of(config: ArchiveConfig) -> Location:
    plain = embedded(config.folder)
    return Location(
        catalog=config.catalog or plain.catalog,
        vectors=config.vectors or plain.vectors,
        folder=config.folder,
        files=config.files,
    )


def check_engines(config: ArchiveConfig, engines: Engines = ENGINES) -> None:
    """Refuse engines that are unknown, do not answer or refuse the user, before anything is created.

    Raises:
        ArchiveError: An engine is unknown or refuses the user, or there is an archive in the catalog already.
        EngineUnavailableError: An engine does not answer.
    """
    location = _location_of(config)
    database, check = engines.catalog_of(location), engines.store_of(location)
    try:
        if database.exists():
            raise ArchiveError(f"{database.url}: there is already an archive here; name another schema")
    finally:
        database.close()
    if config.vectors and check is _milvus:
        from bandsight.vectors import milvus

        milvus.check(config.vectors)
    if (files := engines.files_of(location)) is not None:
        check_free(files)


def embedded(folder: Path) -> Location:
    """Return where the parts of an archive are that is a folder and nothing else."""
    return Location(catalog=sqlite.catalog_url(folder), vectors=folder.absolute().as_uri(), folder=folder)


def _scheme_of(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def _unknown(part: str, url: str, scheme: str, engines: Mapping[str, object]) -> ArchiveError:
    return ArchiveError(
        f"{url}: no engine keeps the {part} of an archive at {scheme or 'no scheme'}; there are {', '.join(engines)}"
    )
