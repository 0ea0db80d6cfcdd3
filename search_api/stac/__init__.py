"""The archive as a STAC API: tiles and scenes as Items, searched by filters and by meaning."""
