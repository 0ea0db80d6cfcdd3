"""Tiles, scenes and collections as STAC documents."""
