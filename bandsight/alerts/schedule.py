"""When alerts may be sent: outside quiet hours, and at the time of the digest."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from bandsight.catalog.alerts import Alert, Subscription
from bandsight.errors import QueryError

Digest = Literal["hourly", "daily"]
# Time of the daily digest, UTC or in the time zone of the quiet hours.
DAILY_AT = time(7)
_QUIET = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)(?: ([A-Za-z0-9_+/-]{1,64}))?")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A daily period without messages."""

    start: time
    """Start time."""
    end: time
    """End time; earlier than `start` if the period spans midnight."""
    zone: ZoneInfo
    """Time zone of both."""

    def over(self, at: datetime) -> datetime:
        """Return the given time or, if it is in quiet hours, their end; UTC."""
        local = at.astimezone(self.zone)
        clock = local.time()
        across = self.end < self.start
        inside = (clock >= self.start or clock < self.end) if across else self.start <= clock < self.end
        if not inside:
            return at
        day = local.date() + timedelta(days=across and clock >= self.start)
        return datetime.combine(day, self.end, self.zone).astimezone(UTC)


def quiet_hours(text: str) -> QuietHours:
    """Parse quiet hours such as `22:00-07:00 Europe/Berlin`; the time zone defaults to UTC.

    Raises:
        QueryError: The format or the time zone is invalid.
    """
    wrong = QueryError(f"quiet: found {text[:100]!r}; need two times and a time zone, as in 22:00-07:00 Europe/Berlin")
    found = _QUIET.fullmatch(text)
    if found is None:
        raise wrong
    try:
        read = QuietHours(
            time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])), ZoneInfo(found[5] or "UTC")
        )
    except (ValueError, OSError, KeyError) as error:
        raise wrong from error
    if read.start == read.end:
        raise wrong
    return read


def send_at(subscription: Subscription, alert: Alert, now: datetime) -> datetime:
    """Return the earliest time, now or later, at which an alert may be sent.

    Args:
        subscription: The subscription with its quiet hours and digest.
        alert: The alert.
        now: Current time, UTC.
    """
    quiet = None if subscription.quiet is None else quiet_hours(subscription.quiet)
    at = now
    if subscription.digest == "hourly":
        at = max(now, alert.created.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1))
    elif subscription.digest == "daily":
        zone = ZoneInfo("UTC") if quiet is None else quiet.zone
        local = alert.created.astimezone(zone)
        day = local.date() + timedelta(days=local.time() >= DAILY_AT)
        at = max(now, datetime.combine(day, DAILY_AT, zone).astimezone(UTC))
    return at if quiet is None else quiet.over(at)
