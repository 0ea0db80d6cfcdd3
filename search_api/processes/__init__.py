"""Jobs over HTTP, as in OGC API - Processes."""
