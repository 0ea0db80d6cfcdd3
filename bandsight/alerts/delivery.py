"""Delivers alerts by webhook and e-mail, at least once each; repeated messages keep their id."""

import hashlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import shapely

from bandsight.alerts.schedule import send_at
from bandsight.alerts.webhooks import Targets, send, signature
from bandsight.archive import Archive
from bandsight.attributes.datetimes import rfc3339
from bandsight.catalog.alerts import Alert, Subscription
from bandsight.errors import NotFoundError, QueryError

EVENT_TYPE = "org.bandsight.alert.v1"
CLOUDEVENTS = "application/cloudevents+json"
CLOUDEVENTS_BATCH = "application/cloudevents-batch+json"
_BATCH = 20
# Maximum number of alerts per digest; the rest follow in another one.
_DIGEST = 500
_LEASE_S = 120.0
_FIRST_S, LONGEST_S = 10.0, 6 * 3600.0
# Maximum delay of a daily digest that falls into quiet hours, seconds.
_FURTHEST_S = 2 * 86_400.0
# About five days with the delays above.
MAX_ATTEMPTS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Outcome of one delivery round."""

    delivered: int = 0
    """Number of alerts accepted by their receivers."""
    failed: int = 0
    """Number of failed attempts that will be retried."""
    given_up: int = 0
    """Number of alerts that will not be retried."""


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
    """Deliver all due alerts, oldest first, and return the outcome.

    An alert is marked as delivered after its receiver accepted it; after a crash in between, it is sent again with the
    same id. Alerts in quiet hours, and those waiting for a digest, are postponed.

    Args:
        archive: The archive.
        targets: Where alerts may be sent.
        http: Client to send requests with.
        now: Returns the current time, UTC.
    """
    states: Counter[str] = Counter()
    while due := archive.alerts.claim(_BATCH, now(), lease_s=_LEASE_S, longest_s=_FURTHEST_S):
        for together in _together(archive, due, now()):
            before = {alert.id: alert.attempts for alert in together}
            for alert in _attempt(archive, targets, http, together, now()):
                archive.alerts.settle(alert)
                if alert.attempts > before[alert.id]:
                    states[alert.state] += 1
    return Delivered(delivered=states["delivered"], failed=states["pending"], given_up=states["failed"])


def _together(archive: Archive, due: list[Alert], now: datetime) -> Iterator[list[Alert]]:
    """Yield the alerts of each message: a single one, or all due alerts of a subscription with a digest."""
    sent: dict[str, Subscription | None] = {}
    digests: dict[str, list[Alert]] = {}
    for alert in due:
        if alert.subscription not in sent:
            sent[alert.subscription] = _subscription(archive, alert.subscription)
        subscription = sent[alert.subscription]
        if subscription is None or subscription.digest is None:
            yield [alert]
        else:
            digests.setdefault(subscription.id, []).append(alert)
    for subscription_id, own in digests.items():
        more = archive.alerts.claim(
            _DIGEST - len(own), now, lease_s=_LEASE_S, longest_s=_FURTHEST_S, subscription_id=subscription_id
        )
        yield own + more


def _subscription(archive: Archive, subscription_id: str) -> Subscription | None:
    try:
        return archive.alerts.subscription(subscription_id)
    except NotFoundError:
        return None


def deliver_forever(archive: Archive, targets: Targets, *, every_s: float, report: Callable[[str], None]) -> None:
    """Deliver alerts continuously until the process is stopped.

    Args:
        archive: The archive.
        targets: Where alerts may be sent.
        every_s: Seconds between rounds.
        report: Receives a line about each round that did something.
    """
    with httpx2.Client(trust_env=False) as http:
        while True:
            done = deliver_due(archive, targets, http)
            if done != Delivered():
                report(f"{done.delivered} delivered, {done.failed} to retry, {done.given_up} given up")
            time.sleep(every_s)


def send_test(archive: Archive, targets: Targets, http: httpx2.Client, subscription_id: str) -> str:
    """Send a test alert of a subscription; return an empty string on success, else the error.

    Raises:
        NotFoundError: There is no such subscription.
        QueryError: The subscription has no receiver, or its receiver is not allowed.
    """
    subscription = archive.alerts.subscription(subscription_id)
    if not subscription.is_sent:
        raise QueryError(
            f"subscription {subscription_id}: it has no webhook or email to test; its alerts appear only in the list "
            "and feeds"
        )
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
    return _send(targets, http, subscription, [alert], now)


def _attempt(
    archive: Archive, targets: Targets, http: httpx2.Client, alerts: list[Alert], now: datetime
) -> list[Alert]:
    """Send a subscription's alerts in one message, and return them with the outcome."""
    try:
        subscription = archive.alerts.subscription(alerts[0].subscription)
        times = [send_at(subscription, alert, now) for alert in alerts]
        ready = [alert for alert, at in zip(alerts, times, strict=True) if at <= now]
        later = [replace(alert, next_attempt=at) for alert, at in zip(alerts, times, strict=True) if at > now]
        error = _send(targets, http, subscription, ready, now) if ready else ""
    except (QueryError, NotFoundError) as refused:
        ready, later, error = alerts, [], str(refused)
    return later + [_settled(alert, error, now) for alert in ready]


def _settled(alert: Alert, error: str, now: datetime) -> Alert:
    attempts = alert.attempts + 1
    if not error:
        return replace(alert, state="delivered", attempts=attempts, delivered=now, next_attempt=None, error="")
    if attempts >= MAX_ATTEMPTS:
        return replace(alert, state="failed", attempts=attempts, next_attempt=None, error=error)
    return replace(alert, attempts=attempts, next_attempt=now + timedelta(seconds=wait_s(attempts)), error=error)


def _send(targets: Targets, http: httpx2.Client, subscription: Subscription, alerts: list[Alert], now: datetime) -> str:
    events = [event_of(subscription, alert) for alert in alerts]
    # Stays the same when the same alerts are sent again.
    message_id = alerts[0].id if subscription.digest is None else _digest_id(alerts)
    if subscription.email is not None:
        # Checked every time, because the setting may have changed.
        targets.mail.check(subscription.email)
        subject, text = mail_of(subscription, alerts)
        return targets.mail.send(subscription.email, subject, text, message_id)
    assert subscription.webhook is not None
    # Checked every time, because the name may now resolve to another address.
    target = targets.check(subscription.webhook)
    body = json.dumps(events[0] if subscription.digest is None else events).encode()
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": CLOUDEVENTS if subscription.digest is None else CLOUDEVENTS_BATCH,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(subscription.secret, message_id, timestamp, body),
    }
    return send(http, target, body, headers)


def _digest_id(alerts: list[Alert]) -> str:
    return hashlib.blake2b("\n".join(alert.id for alert in alerts).encode(), digest_size=16).hexdigest()


def mail_of(subscription: Subscription, alerts: list[Alert]) -> tuple[str, str]:
    """Return subject and body of the message about a subscription's alerts."""
    number = "1 new place" if len(alerts) == 1 else f"{len(alerts)} new places"
    lines = [
        f"Bandsight watches for: {subscription.title}",
        "",
        *(_line(alert) for alert in alerts),
        "",
        f"You receive this message because of subscription {subscription.id}.",
        f"To stop it: bandsight watch delete {subscription.id}",
    ]
    return f"{subscription.title}: {number}", "\n".join(lines)


def _line(alert: Alert) -> str:
    if alert.data.get("test"):
        return "This is a test. No new place was found."
    lon, lat = shapely.from_geojson(json.dumps(alert.data["geometry"])).centroid.coords[0]
    when = alert.data["datetime"] or "no date"
    return f"- {lat:.5f}, {lon:.5f}  {when}  score {alert.score:.3f}  tile {alert.tile}  {alert.data['scene']}"


def wait_s(attempts: int) -> float:
    """Return the seconds until the next attempt: exponential backoff up to six hours, with jitter."""
    wait: float = min(LONGEST_S, _FIRST_S * 2 ** min(attempts - 1, 20))
    return wait * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
