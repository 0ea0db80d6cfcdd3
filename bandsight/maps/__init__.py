"""Heat maps and class maps of tiles."""
