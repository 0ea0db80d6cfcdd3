"""Results as files: GeoJSON, CSV and GeoParquet, written while they are read, a page at a time."""
