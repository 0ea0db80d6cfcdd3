"""Moments, as files and metadata write them."""

import re
from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """Return a moment written as RFC 3339, as TIFF writes it, or as a bare date; None when it is none of these."""
    # TIFF 6.0: "YYYY:MM:DD HH:MM:SS".
    text = re.sub(r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T", text.strip())
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
