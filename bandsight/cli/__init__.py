"""The command line: each command builds the objects it needs and delegates the work."""

# Import order is the order in the help.
from bandsight.cli import indexing, jobs, search, labels, layers, alerts, change, atlas, maintenance, backups  # noqa: I001
from bandsight.cli import relocating, reindexing, export, working, evaluate, calibrate, serving, keys, sensors
from bandsight.cli.base import app
from bandsight.cli.entry_point import main

__all__ = [
    "alerts",
    "app",
    "atlas",
    "backups",
    "calibrate",
    "change",
    "evaluate",
    "export",
    "indexing",
    "jobs",
    "keys",
    "labels",
    "layers",
    "main",
    "maintenance",
    "reindexing",
    "relocating",
    "search",
    "sensors",
    "serving",
    "working",
]
