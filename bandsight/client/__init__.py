"""The Python client, with one interface for local archives and servers."""

from bandsight.client.backend import SavedSearch
from bandsight.client.client import Client
from bandsight.client.connection import connect
from bandsight.client.results import Results

__all__ = ["Client", "Results", "SavedSearch", "connect"]
