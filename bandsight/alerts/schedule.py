"""When an alert may be sent: not in quiet hours, and together with others where a digest is wanted."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from bandsight.catalog.alerts import Alert, Subscription
from bandsight.errors import QueryError

Digest = Literal["hourly", "daily"]
# A daily digest goes out at this hour, UTC or in the time zone of the quiet hours.
DAILY_AT = time(7)
_QUIET = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)(?: ([A-Za-z0-9_+/-]{1,64}))?")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of each day in which nothing is sent."""

    start: time
    """When it begins."""
    end: time
    """When it ends; before `start` where midnight lies between."""
    zone: ZoneInfo
    """Whose time that is."""

    def over(self, at: datetime) -> datetime:
        """Return the time itself, or the end of the quiet hours that it lies in; UTC."""
        local = at.astimezone(self.zone)
        clock = local.time()
        across = self.end < self.start
        inside = (clock >= self.start or clock < self.end) if across else self.start <= clock < self.end
        if not inside:
            return at
        day = local.date() + timedelta(days=across and clock >= self.start)
        return datetime.combine(day, self.end, self.zone).astimezone(UTC)


def quiet_hours(text: str) -> QuietHours:
    """Return quiet hours such as `22:00-07:00 Europe/Berlin`; UTC without a time zone.

    Raises:
        QueryError: They cannot be read.
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
        subscription: Its quiet hours and its digest.
        alert: When it was raised.
        now: UTC.
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
