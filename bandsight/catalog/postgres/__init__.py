"""The catalog in a schema of a PostgreSQL database."""

from bandsight.catalog.postgres.database import PostgresDatabase

__all__ = ["PostgresDatabase"]
