"""Filterable attributes of tiles and scenes: filters, columns, and how one is matched against the other."""
