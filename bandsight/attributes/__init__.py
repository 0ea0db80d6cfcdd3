"""Filterable attributes of tiles and scenes: filters, attribute columns, and matching one against the other."""
