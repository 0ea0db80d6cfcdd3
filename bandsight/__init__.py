"""Bandsight: find every place that looks like this, over satellite archives of any sensor."""

__version__ = "0.1.0"
