"""Recall of searches for each kind of query, on synthetic vectors of several distributions."""
