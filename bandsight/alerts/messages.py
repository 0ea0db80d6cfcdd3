"""The messages that deliver alerts: CloudEvents for webhooks, text for e-mail."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import shapely

from bandsight.attributes.fields import rfc3339
from bandsight.catalog.alerts import Alert, Subscription

EVENT_TYPE = "org.bandsight.alert.v1"
CLOUDEVENTS = "application/cloudevents+json"
CLOUDEVENTS_BATCH = "application/cloudevents-batch+json"


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


def message_id(subscription: Subscription, alerts: Sequence[Alert]) -> str:
    """Return the id of the message with these alerts; the same alerts always have the same id."""
    if subscription.digest is None:
        return alerts[0].id
    return hashlib.blake2b("\n".join(alert.id for alert in alerts).encode(), digest_size=16).hexdigest()


def webhook_body(subscription: Subscription, alerts: Sequence[Alert]) -> tuple[bytes, str]:
    """Return the body of a webhook call and its media type: one event, or a batch for a digest."""
    events = [event_of(subscription, alert) for alert in alerts]
    if subscription.digest is None:
        return json.dumps(events[0]).encode(), CLOUDEVENTS
    return json.dumps(events).encode(), CLOUDEVENTS_BATCH


def mail_of(subscription: Subscription, alerts: Sequence[Alert]) -> tuple[str, str]:
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
