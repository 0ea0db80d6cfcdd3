"""Maps made from scores: what every tile is worth, painted where it lies."""
