"""From labelled tiles to a classifier, and from a classifier to a map."""
