"""Scenes in, tiles and vectors out."""
