"""Maps of scores and of classes: what each tile is worth, painted where it lies."""
