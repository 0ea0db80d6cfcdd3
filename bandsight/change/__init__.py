"""What changed: the timeline of a place, and places that differ between two periods."""
