"""Results as files: GeoJSON, CSV, GeoParquet."""
