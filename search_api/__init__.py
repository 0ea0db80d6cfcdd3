"""The search API over HTTP, and the page."""
