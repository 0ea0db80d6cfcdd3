"""Boxes, the tile grid and footprints: pure geometry, no rasters."""
