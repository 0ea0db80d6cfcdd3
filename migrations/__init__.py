"""Alembic migrations of the catalog; they ship with the package, so that an installed Bandsight can upgrade an archive."""
