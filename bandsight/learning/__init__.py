"""Trains classifiers on labelled tiles, and maps their predictions."""
