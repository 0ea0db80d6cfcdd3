"""The command line: builds the objects that each command needs and passes the work on."""

# The order of the help.
from bandsight.cli import indexing, jobs, search, maintenance, reindexing, evaluate, serving, sensors  # noqa: I001
from bandsight.cli.base import app
from bandsight.cli.entry_point import main

__all__ = ["app", "evaluate", "indexing", "jobs", "main", "maintenance", "reindexing", "search", "sensors", "serving"]
