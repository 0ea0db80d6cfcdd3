"""Change search: the timeline of a place, and places that changed between two periods."""
