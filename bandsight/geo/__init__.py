"""Geometry: bounding boxes, areas, footprints and the tile grid."""
