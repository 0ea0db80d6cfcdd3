"""The command line: builds the objects each command needs and hands the work on."""

# The order of the help.
from bandsight.cli import indexing, jobs, asking, keeping, reindexing, measuring, serving, sensors  # noqa: I001
from bandsight.cli.base import app
from bandsight.cli.edge import main

__all__ = ["app", "asking", "indexing", "jobs", "keeping", "main", "measuring", "reindexing", "sensors", "serving"]
