"""What the catalogs on SQLite and PostgreSQL share: tables, rows with checksums, and the statements on them."""
