"""Shared code of the SQLite and PostgreSQL catalogs: tables, rows with checksums, and SQL statements."""
