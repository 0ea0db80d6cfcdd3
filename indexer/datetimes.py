"""Parses times in the formats of files and metadata."""

import re
from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """Parse an RFC 3339 time, TIFF time, or date; returns None for other text."""
    # TIFF 6.0: "YYYY:MM:DD HH:MM:SS".
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", text.strip())
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
