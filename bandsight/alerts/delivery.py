"""Delivers alerts by webhook and e-mail, at least once each; repeated messages keep their id."""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bandsight.alerts.messages import mail_of, message_id, webhook_body
from bandsight.alerts.schedule import send_at
from bandsight.alerts.sent import Sent
from bandsight.alerts.webhooks import DEADLINE_S, Targets, send, signature
from bandsight.archive import Archive
from bandsight.catalog.alerts import Alert, Subscription
from bandsight.errors import NotFoundError, QueryError

_BATCH = 50
# Maximum number of alerts per digest; the rest follow in another one.
_DIGEST = 500
_LEASE_S = 120.0
_FIRST_S, LONGEST_S = 10.0, 6 * 3600.0
# Maximum delay of a daily digest that falls into quiet hours, seconds.
_FURTHEST_S = 2 * 86_400.0
# About five days with the delays above.
MAX_ATTEMPTS = 30

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Outcome of one delivery round."""

    delivered: int = 0
    """Number of alerts accepted by their receivers."""
    failed: int = 0
    """Number of failed attempts that will be retried."""
    given_up: int = 0
    """Number of alerts that will not be retried."""


def is_due(archive: Archive, now: datetime) -> bool:
    """Return whether there are alerts to deliver; only reads."""
    return archive.alerts.is_due(now, lease_s=_LEASE_S, longest_s=_FURTHEST_S)


def deliver_due(
    archive: Archive, targets: Targets, *, now: Clock = utc_now, go_on: Callable[[], bool] = lambda: True
) -> Delivered:
    """Deliver all due alerts and return the outcome.

    Subscriptions are served at the same time, the alerts of each one in order. An alert is marked as delivered after
    its receiver accepted it; after a crash in between, it is sent again with the same id. Alerts in quiet hours, and
    those waiting for a digest, are postponed. Several processes may deliver from one archive: an alert that one of them
    has claimed is left alone by the others.

    Args:
        archive: The archive.
        targets: Where alerts may be sent.
        now: Returns the current time, UTC.
        go_on: Checked between batches; delivery ends early when it returns False.
    """
    delivery = _Round(archive, targets, now)
    while go_on() and (due := archive.alerts.claim(_BATCH, now(), lease_s=_LEASE_S, longest_s=_FURTHEST_S)):
        asyncio.run(delivery.batch(due))
    states = delivery.states
    return Delivered(delivered=states["delivered"], failed=states["pending"], given_up=states["failed"])


def deliver_forever(archive: Archive, targets: Targets, *, every_s: float, report: Callable[[str], None]) -> None:
    """Deliver alerts continuously until the process is stopped.

    Args:
        archive: The archive.
        targets: Where alerts may be sent.
        every_s: Seconds between rounds.
        report: Receives a line about each round that did something.
    """
    while True:
        done = deliver_due(archive, targets)
        if done != Delivered():
            report(f"{done.delivered} delivered, {done.failed} to retry, {done.given_up} given up")
        time.sleep(every_s)


def send_test(archive: Archive, targets: Targets, subscription_id: str) -> str:
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
    now = utc_now()
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
    return asyncio.run(_send(targets, subscription, [alert], now)).error


class _Round:
    """One round of delivery, in batches."""

    def __init__(self, archive: Archive, targets: Targets, now: Clock) -> None:
        self._archive, self._targets, self._now = archive, targets, now
        self.states: Counter[str] = Counter()
        # Receivers that did not answer in this round are not called again in it, so that they hold up nobody else.
        self._silent: dict[str, Sent] = {}

    async def batch(self, due: Sequence[Alert]) -> None:
        """Deliver claimed alerts."""
        claimed = time.monotonic()
        by_subscription: dict[str, list[Alert]] = defaultdict(list)
        for alert in due:
            by_subscription[alert.subscription].append(alert)
        await asyncio.gather(*(self._deliver(own, claimed) for own in by_subscription.values()))

    async def _deliver(self, alerts: list[Alert], claimed: float) -> None:
        try:
            subscription = self._archive.alerts.subscription(alerts[0].subscription)
        except NotFoundError:
            # Its alerts were deleted with it.
            return
        messages = [[alert] for alert in alerts]
        if subscription.digest is not None:
            more = self._archive.alerts.claim(
                _DIGEST - len(alerts),
                self._now(),
                lease_s=_LEASE_S,
                longest_s=_FURTHEST_S,
                subscription_id=subscription.id,
            )
            messages = [alerts + more]
        for message in messages:
            # When the lease ends, another process may send it.
            if time.monotonic() - claimed > _LEASE_S - DEADLINE_S:
                return
            outcome = await self._attempt(subscription, message)
            await asyncio.to_thread(self._settle, message, outcome)

    async def _attempt(self, subscription: Subscription, alerts: list[Alert]) -> list[Alert]:
        """Send alerts in one message, and return them with the outcome."""
        now = self._now()
        try:
            times = [send_at(subscription, alert, now) for alert in alerts]
            ready = [alert for alert, at in zip(alerts, times, strict=True) if at <= now]
            later = [replace(alert, next_attempt=at) for alert, at in zip(alerts, times, strict=True) if at > now]
            sent = await self._sent(subscription, ready, now) if ready else Sent()
        except QueryError as refused:
            ready, later, sent = alerts, [], Sent(error=str(refused))
        return later + [_settled(alert, sent.error, now) for alert in ready]

    async def _sent(self, subscription: Subscription, alerts: list[Alert], now: datetime) -> Sent:
        if subscription.id in self._silent:
            return self._silent[subscription.id]
        sent = await _send(self._targets, subscription, alerts, now)
        if not sent.answered:
            self._silent[subscription.id] = sent
        return sent

    def _settle(self, before: list[Alert], after: list[Alert]) -> None:
        attempts = {alert.id: alert.attempts for alert in before}
        for alert in after:
            self._archive.alerts.settle(alert)
            if alert.attempts > attempts[alert.id]:
                self.states[alert.state] += 1


def _settled(alert: Alert, error: str, now: datetime) -> Alert:
    attempts = alert.attempts + 1
    if not error:
        return replace(alert, state="delivered", attempts=attempts, delivered=now, next_attempt=None, error="")
    if attempts >= MAX_ATTEMPTS:
        return replace(alert, state="failed", attempts=attempts, next_attempt=None, error=error)
    return replace(alert, attempts=attempts, next_attempt=now + timedelta(seconds=wait_s(attempts)), error=error)


async def _send(targets: Targets, subscription: Subscription, alerts: list[Alert], now: datetime) -> Sent:
    """Send alerts in one message.

    Raises:
        QueryError: The receiver is not allowed. Checked every time, because a setting may have changed, or a name may
            resolve to another address.
    """
    own_id = message_id(subscription, alerts)
    if subscription.email is not None:
        targets.mail.check(subscription.email)
        subject, text = mail_of(subscription, alerts)
        return await asyncio.to_thread(targets.mail.send, subscription.email, subject, text, own_id)
    assert subscription.webhook is not None
    target = await asyncio.to_thread(targets.check, subscription.webhook)
    body, media_type = webhook_body(subscription, alerts)
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": media_type,
        "webhook-id": own_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(subscription.secret, own_id, timestamp, body),
    }
    return await send(target, body, headers)


def wait_s(attempts: int) -> float:
    """Return the seconds until the next attempt: exponential backoff up to six hours, with jitter."""
    wait: float = min(LONGEST_S, _FIRST_S * 2 ** min(attempts - 1, 20))
    return wait * random.uniform(0.8, 1.0)  # noqa: S311  (no secret)
