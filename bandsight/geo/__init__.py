"""Geometry: boxes, areas, footprints and the tile grid. No rasters."""
