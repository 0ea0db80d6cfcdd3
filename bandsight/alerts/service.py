"""Requests about subscriptions and alerts, shared by the API, the client and the command line."""

from typing import Any

from bandsight.alerts.delivery import send_test
from bandsight.alerts.requests import SubscribeBody
from bandsight.alerts.subscribe import subscribe
from bandsight.alerts.webhooks import Targets
from bandsight.archive.alerts import probability_of, score_of
from bandsight.attributes.fields import rfc3339
from bandsight.catalog.alerts import Alert, Subscription
from bandsight.search.searcher import Searcher
from bandsight.search.validation import validated


class AlertService:
    """Handles requests about subscriptions and alerts of an open archive; results are JSON values."""

    def __init__(self, searcher: Searcher, targets: Targets) -> None:
        """Initialize.

        Args:
            searcher: Archive and model.
            targets: Where alerts may be sent.
        """
        self._searcher, self._targets = searcher, targets
        self._alerts = searcher.archive.alerts

    def subscribe(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a subscription from a `SubscribeBody`; only this response includes the webhook's secret."""
        made = subscribe(self._searcher, validated(SubscribeBody, body), self._targets)
        secret = {} if made.webhook is None else {"secret": made.secret}
        return {**_subscription(made), **secret}

    def subscriptions(self) -> dict[str, Any]:
        """Return all subscriptions, newest first."""
        return {"subscriptions": [_subscription(one) for one in self._alerts.subscriptions()]}

    def subscription(self, subscription_id: str) -> dict[str, Any]:
        """Return a subscription."""
        return _subscription(self._alerts.subscription(subscription_id))

    def pause(self, subscription_id: str, *, paused: bool) -> dict[str, Any]:
        """Pause or resume a subscription."""
        self._alerts.pause(subscription_id, paused=paused)
        return self.subscription(subscription_id)

    def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription with its alerts."""
        self._alerts.unsubscribe(subscription_id)

    def test(self, subscription_id: str) -> dict[str, Any]:
        """Send a test alert to a subscription's webhook or address."""
        error = send_test(self._searcher.archive, self._targets, subscription_id)
        return {"delivered": not error, "error": error}

    def alerts(self, limit: int = 100, before: int | None = None, subscription: str | None = None) -> dict[str, Any]:
        """Return alerts, newest first; `before` is the `number` of the last one on the previous page."""
        found = self._alerts.newest(limit, before, subscription)
        return {"alerts": [_alert(one) for one in found], "counts": self._alerts.counts()}


def _subscription(one: Subscription) -> dict[str, Any]:
    return {
        "id": one.id,
        "title": one.title,
        "created": rfc3339(one.created),
        "request": dict(one.request),
        "min_score": round(score_of(one), 6),
        "min_probability": None if (least := probability_of(one)) is None else round(least, 6),
        "imagery": None if least is None else [level.family for level in one.levels],
        "webhook": one.webhook,
        "email": one.email,
        "quiet": one.quiet,
        "digest": one.digest,
        "per_place": one.per_place,
        "paused": one.paused,
    }


def _alert(one: Alert) -> dict[str, Any]:
    return {
        "number": one.number,
        "id": one.id,
        "subscription": one.subscription,
        "tile": one.tile,
        "score": round(one.score, 6),
        "generation": one.generation,
        "created": rfc3339(one.created),
        **one.data,
        "state": one.state,
        "attempts": one.attempts,
        "delivered": None if one.delivered is None else rfc3339(one.delivered),
        "error": one.error,
    }
