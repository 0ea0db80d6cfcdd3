"""Routes that stream results as GeoJSON, CSV or GeoParquet files."""
