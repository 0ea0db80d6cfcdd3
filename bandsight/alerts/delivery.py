"""Delivers alerts to webhooks: at least once each, with the same id whenever it is sent again."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from bandsight.alerts.webhooks import Targets, send, signature
from bandsight.archive import Archive
from bandsight.attributes.datetimes import rfc3339
from bandsight.catalog.alerts import Alert, Subscription
from bandsight.errors import NotFoundError, QueryError

EVENT_TYPE = "org.bandsight.alert.v1"
CLOUDEVENTS = "application/cloudevents+json"
_BATCH = 20
_LEASE_S = 120.0
_FIRST_S, LONGEST_S = 10.0, 6 * 3600.0
# With the waits above, some five days.
MAX_ATTEMPTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What one round did."""

    delivered: int = 0
    """Alerts that a receiver took."""
    failed: int = 0
    """Attempts that failed, to be repeated."""
    given_up: int = 0
    """Alerts that will not be sent again."""


def event_of(subscription: Subscription, alert: Alert) -> dict[str, Any]:
    """Return an alert as a CloudEvent (specification 1.0, structured mode)."""
    return {
        "specversion": "1.0",
        "id": alert.id,
        "type": EVENT_TYPE,
        "source": f"/subscriptions/{subscription.id}",
        "subject": str(alert.tile),
        "time": rfc3339(alert.created),
        "datacontenttype": "application/json",
        "data": {
            "subscription": subscription.id,
            "title": subscription.title,
            "tile": alert.tile,
            "score": round(alert.score, 6),
            "generation": alert.generation,
            **alert.data,
        },
    }


def deliver_due(
    archive: Archive,
    targets: Targets,
    http: httpx2.Client,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Delivered:
    """Deliver all alerts that are due, oldest first, and return what was done.

    Each alert is marked after its receiver has taken it. A crash in between sends it again, with the same id.

    Args:
        archive: The archive.
        targets: Which webhooks may be called.
        http: Sends requests.
        now: The clock, UTC.
    """
    done = Delivered()
    while True:
        due = archive.alerts.claim(_BATCH, now(), lease_s=_LEASE_S, longest_s=LONGEST_S)
        for alert in due:
            settled = _attempt(archive, targets, http, alert, now())
            archive.alerts.settle(settled)
            done = Delivered(
                delivered=done.delivered + (settled.state == "delivered"),
                failed=done.failed + (settled.state == "pending"),
                given_up=done.given_up + (settled.state == "failed"),
            )
        if not due:
            return done


def deliver_forever(archive: Archive, targets: Targets, *, every_s: float, report: Callable[[str], None]) -> None:
    """Deliver alerts as they come, until the process is stopped.

    Args:
        archive: The archive.
        targets: Which webhooks may be called.
        every_s: Seconds between two looks.
        report: Takes a line about each round in which something was done.
    """
    with httpx2.Client(trust_env=False) as http:
        while True:
            done = deliver_due(archive, targets, http)
            if done != Delivered():
                report(f"{done.delivered} delivered, {done.failed} to be repeated, {done.given_up} given up")
            time.sleep(every_s)


def send_test(archive: Archive, targets: Targets, http: httpx2.Client, subscription_id: str) -> str:
    """Send a made-up alert to the webhook of a subscription; return an empty text when it was taken, else why not.

    Raises:
        NotFoundError: There is no such subscription.
        QueryError: It has no webhook, or one that may not be called.
    """
    subscription = archive.alerts.subscription(subscription_id)
    if subscription.webhook is None:
        raise QueryError(f"subscription {subscription_id}: it has no webhook to test; alerts are in the list and feeds")
    now = datetime.now(UTC)
    alert = Alert(
        id=f"test-{int(now.timestamp())}",
        subscription=subscription_id,
        tile=0,
        cell="",
        score=1.0,
        generation=archive.generation,
        created=now,
        data={"test": True},
    )
    return _send(targets, http, subscription, alert, now)


def _attempt(archive: Archive, targets: Targets, http: httpx2.Client, alert: Alert, now: datetime) -> Alert:
    attempts = alert.attempts + 1
    try:
        subscription = archive.alerts.subscription(alert.subscription)
        error = _send(targets, http, subscription, alert, now)
    except (QueryError, NotFoundError) as refused:
        error = str(refused)
    if not error:
        return replace(alert, state="delivered", attempts=attempts, delivered=now, next_attempt=None, error="")
    if attempts >= MAX_ATTEMPTS:
        return replace(alert, state="failed", attempts=attempts, next_attempt=None, error=error)
    return replace(alert, attempts=attempts, next_attempt=now + timedelta(seconds=wait_s(attempts)), error=error)


def _send(targets: Targets, http: httpx2.Client, subscription: Subscription, alert: Alert, now: datetime) -> str:
    assert subscription.webhook is not None
    # Checked again each time: a name may have got another address since.
    target = targets.check(subscription.webhook)
    body = json.dumps(event_of(subscription, alert)).encode()
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": CLOUDEVENTS,
        "webhook-id": alert.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(subscription.secret, alert.id, timestamp, body),
    }
    return send(http, target, body, headers)


def wait_s(attempts: int) -> float:
    """Return the seconds until the next attempt: twice as long each time, up to six hours, a little by chance."""
    wait: float = min(LONGEST_S, _FIRST_S * 2 ** min(attempts - 1, 20))
    return wait * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
