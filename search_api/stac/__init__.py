"""STAC API routes: tiles and scenes as Items, with filters and semantic search."""
