"""The Python client: one way to ask a server and an archive folder alike, by the same HTTP API."""

from bandsight.client.connection import Client, connect
from bandsight.client.results import Results

__all__ = ["Client", "Results", "connect"]
