"""Alerts as feeds: JSON Feed 1.1 and Atom (RFC 4287)."""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from bandsight.attributes.fields import rfc3339
from bandsight.catalog.alerts import Alert, Subscription

_TITLE = "Bandsight alerts"


def _title(alert: Alert, titles: Mapping[str, str]) -> str:
    return f"{titles.get(alert.subscription, alert.subscription)}: {alert.data.get('scene', '')}"


def _text(alert: Alert) -> str:
    when = alert.data.get("datetime") or "date unknown"
    return f"score {alert.score:.3f}, {when}, tile {alert.tile}"


def json_feed(
    alerts: Sequence[Alert], subscriptions: Sequence[Subscription], server: str, itself: str
) -> dict[str, Any]:
    """Return alerts as a JSON Feed, newest first.

    Args:
        alerts: The alerts.
        subscriptions: All subscriptions, for their titles.
        server: Root URL of the server.
        itself: URL of the feed.
    """
    titles = {one.id: one.title for one in subscriptions}
    return {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _TITLE,
        "home_page_url": f"{server}/",
        "feed_url": itself,
        "items": [
            {
                "id": alert.id,
                "url": f"{server}/tiles/{alert.tile}",
                "title": _title(alert, titles),
                "content_text": _text(alert),
                "image": f"{server}/tiles/{alert.tile}/thumbnail.png",
                "date_published": rfc3339(alert.created),
            }
            for alert in alerts
        ],
    }


def atom(alerts: Sequence[Alert], subscriptions: Sequence[Subscription], server: str, itself: str) -> str:
    """Return alerts as an Atom feed, newest first; arguments as for `json_feed`."""
    titles = {one.id: one.title for one in subscriptions}
    updated = rfc3339(alerts[0].created) if alerts else "1970-01-01T00:00:00Z"
    entries = "".join(
        f"<entry><id>urn:bandsight:alert:{alert.id}</id><title>{escape(_title(alert, titles))}</title>"
        f"<updated>{rfc3339(alert.created)}</updated><link href={quoteattr(f'{server}/tiles/{alert.tile}')}/>"
        f"<summary>{escape(_text(alert))}</summary></entry>"
        for alert in alerts
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>{escape(itself)}</id><title>{_TITLE}</title><updated>{updated}</updated>"
        f'<author><name>Bandsight</name></author><link rel="self" href={quoteattr(itself)}/>{entries}</feed>'
    )
