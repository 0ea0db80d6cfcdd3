"""The HTTP API for search, and the web page."""
