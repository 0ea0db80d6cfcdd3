"""Indexes scenes: reads their tiles, embeds them and writes them to an archive."""
