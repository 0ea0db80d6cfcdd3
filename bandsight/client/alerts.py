"""Subscriptions and alerts from Python."""

from typing import Any, Protocol
from urllib.parse import quote

from bandsight.client.remote_labels import Send


class AlertBackend(Protocol):
    """Handles requests about subscriptions and alerts; bodies are defined in `bandsight.alerts.requests`."""

    def subscribe(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a subscription."""

    def subscriptions(self) -> dict[str, Any]:
        """Return all subscriptions."""

    def subscription(self, subscription_id: str) -> dict[str, Any]:
        """Return a subscription."""

    def pause(self, subscription_id: str, *, paused: bool) -> dict[str, Any]:
        """Pause or resume a subscription."""

    def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription with its alerts."""

    def test(self, subscription_id: str) -> dict[str, Any]:
        """Send a test alert to a webhook."""

    def alerts(self, limit: int = 100, before: int | None = None, subscription: str | None = None) -> dict[str, Any]:
        """Return alerts, newest first."""


class RemoteAlerts:
    """Sends requests about subscriptions and alerts to a server; see `AlertBackend`."""

    def __init__(self, send: Send) -> None:
        """Initialize.

        Args:
            send: Sends a request and raises the server's errors.
        """
        self._send = send

    def subscribe(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a subscription."""
        return self._json("POST", "/subscriptions", json=body)

    def subscriptions(self) -> dict[str, Any]:
        """Return all subscriptions."""
        return self._json("GET", "/subscriptions")

    def subscription(self, subscription_id: str) -> dict[str, Any]:
        """Return a subscription."""
        return self._json("GET", _path(subscription_id))

    def pause(self, subscription_id: str, *, paused: bool) -> dict[str, Any]:
        """Pause or resume a subscription."""
        return self._json("POST", _path(subscription_id, "pause" if paused else "resume"))

    def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription with its alerts."""
        self._send("DELETE", _path(subscription_id))

    def test(self, subscription_id: str) -> dict[str, Any]:
        """Send a test alert to a webhook."""
        return self._json("POST", _path(subscription_id, "test"))

    def alerts(self, limit: int = 100, before: int | None = None, subscription: str | None = None) -> dict[str, Any]:
        """Return alerts, newest first."""
        params = {"limit": limit, "before": before, "subscription": subscription}
        return self._json("GET", "/alerts", params={name: value for name, value in params.items() if value is not None})

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._send(method, path, **options).json()
        return found


def _path(*parts: str) -> str:
    return "/".join(("/subscriptions", *(quote(part, safe="") for part in parts)))
