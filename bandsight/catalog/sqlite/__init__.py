"""The catalog in a SQLite file."""

from bandsight.catalog.sqlite.database import SqliteDatabase, catalog_url, folder_of

__all__ = ["SqliteDatabase", "catalog_url", "folder_of"]
