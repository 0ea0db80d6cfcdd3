"""Scenes, tiles and segments: which exist, where they are, and since which commit. `port` is what archives need."""
