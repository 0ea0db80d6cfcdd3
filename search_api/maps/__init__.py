"""Routes for heat maps and class maps."""
