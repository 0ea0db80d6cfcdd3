"""Alembic migrations of the catalog; they ship with the package, so that it can upgrade an archive."""
