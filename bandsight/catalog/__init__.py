"""Scenes, tiles and segments in SQLite: what exists, where it lies, and since which commit."""
