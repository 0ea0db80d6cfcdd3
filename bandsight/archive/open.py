"""Locates the parts of an archive and opens them; the only module that knows which engines exist."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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

# A single letter is a drive, not a scheme.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where the parts of an archive are."""

    catalog: str
    """URL of the catalog."""
    vectors: str
    """URL of the vectors."""
    folder: Path
    """Folder of the writer's lock and of checkpoints."""
    files: str | None = None
    """URL of the object storage for vectors and pyramids, or None for the folder."""

    def __str__(self) -> str:
        return str(self.folder)


Where = str | Path | Location
"""A folder, a URL (`file:///folder`, `sqlite:////folder/catalog.sqlite`), a configuration file
(`bandsight.archive.config`), or the location of each part."""


def _postgres(url: str) -> CatalogDatabase:
    """Return a catalog in PostgreSQL; imported lazily to keep commands on local archives fast."""
    from bandsight.catalog import postgres

    return postgres.PostgresDatabase(url)


def _milvus(url: str, context: StoreContext) -> VectorStore:
    """Open vectors in Milvus; imported lazily."""
    from bandsight.vectors import milvus

    return milvus.open_store(url, context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines available for archives, by URL scheme; to add one, add a line here."""

    catalogs: Mapping[str, Callable[[str], CatalogDatabase]] = field(
        default_factory=lambda: {
            "sqlite": sqlite.SqliteDatabase,
            "postgresql+psycopg": _postgres,
        }
    )
    """Functions that open a catalog."""
    vectors: Mapping[str, OpenStore] = field(default_factory=lambda: {"file": local.open_store, "milvus": _milvus})
    """Functions that open the vectors."""
    files: Mapping[str, Callable[[str, Path], CachedObjects]] = field(default_factory=lambda: {"s3": CachedObjects})
    """Functions that open object storage."""

    def catalog_of(self, location: Location) -> CatalogDatabase:
        """Return an archive's catalog database, not opened yet.

        Raises:
            ArchiveError: No engine supports the URL's scheme.
        """
        scheme = _scheme_of(location.catalog)
        if scheme not in self.catalogs:
            raise _unknown("catalog", location.catalog, scheme, self.catalogs)
        return self.catalogs[scheme](location.catalog)

    def store_of(self, location: Location) -> OpenStore:
        """Return the function that opens an archive's vectors.

        Raises:
            ArchiveError: No engine supports the URL's scheme.
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
        where: A folder as a path or `file://` URL, the `sqlite:///` URL of its catalog, or a TOML file. A folder's
            `archive.toml`, if any, determines the engines.

    Raises:
        ArchiveError: The URL's scheme is unknown, or the file is invalid.
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
        f"{text}: unknown scheme {scheme}; pass a folder, file:///FOLDER, "
        "sqlite:////FOLDER/catalog.sqlite or, for other engines, the archive's TOML file (bandsight init)"
    )


def archive_exists(where: Where, engines: Engines = ENGINES) -> bool:
    """Return whether an archive of any version exists, in any state.

    Raises:
        ArchiveError: No engine supports the URL's scheme, or the database rejects the user.
        EngineUnavailableError: The database does not respond.
    """
    database = engines.catalog_of(locate(where))
    try:
        return database.exists()
    finally:
        database.close()


def check_archive(where: Where, engines: Engines = ENGINES) -> None:
    """Check that there is an archive that this version can read.

    Raises:
        ArchiveError: There is none, it is damaged, or it has another version.
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
            f"{file}: configures a catalog elsewhere, but {found.folder} has one too; move that archive to "
            "the engines with bandsight migrate-archive, or choose another folder"
        )
    if found.files is not None and any(found.folder.glob("vectors/seg-*")):
        raise ArchiveError(
            f"{file}: configures files elsewhere, but {found.folder} has vector files too; move that "
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
    """Check that engines exist, respond and accept the user, before anything is created.

    Raises:
        ArchiveError: An engine is unknown or rejects the user, or the catalog already has an archive.
        EngineUnavailableError: An engine does not respond.
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
    """Return the locations of the parts of an archive that is a plain folder."""
    return Location(catalog=sqlite.catalog_url(folder), vectors=folder.absolute().as_uri(), folder=folder)


def beside(location: Location, folder: Path) -> Location:
    """Return where to build an archive that will replace another one: in a folder, with an index in the same engine."""
    if _scheme_of(location.vectors) != "milvus":
        return embedded(folder)
    from bandsight.vectors import milvus

    return replace(embedded(folder), vectors=milvus.beside(location.vectors))


def _scheme_of(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def _unknown(part: str, url: str, scheme: str, engines: Mapping[str, object]) -> ArchiveError:
    return ArchiveError(
        f"{url}: no engine for the {part} of an archive has the scheme {scheme or 'none'}; supported: "
        f"{', '.join(engines)}"
    )
