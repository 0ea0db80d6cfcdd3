"""Subscriptions and alerts, as plain values: what is watched for, and what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

DeliveryState = Literal["listed", "pending", "delivered", "failed"]
"""`listed`: it is sent to nobody; it is in the list and the feeds. `pending`: it is to be delivered, for the first
time or again. `failed`: it was tried for days, in vain."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subscription:
    """A question that every commit is matched against."""

    id: str
    """Sixteen hexadecimal digits."""
    title: str
    """For people."""
    request: Mapping[str, Any]
    """The request, as JSON."""
    where: Mapping[str, Any]
    """Its filter, as `bandsight.attributes.filter_json` writes it."""
    direction: NDArray[np.float32]
    """Unit vector that tiles are compared with, shape (dim,)."""
    least: float
    """Least cosine of a match."""
    slope: float = 0.0
    """For a classifier: the probability of a cosine is sigmoid(slope · cosine + bias); 0 where scores are cosines."""
    bias: float = 0.0
    """See `slope`."""
    model_digest: str
    """Model of the direction."""
    created: datetime
    """UTC."""
    webhook: str | None = None
    """URL that alerts are sent to; without it and `email`, alerts are in the list and the feeds only."""
    secret: str = ""
    """Key of the webhook's signatures."""
    per_place: bool = True
    """Whether a place (cell of the tile grid) raises one alert only."""
    paused: bool = False
    """Whether commits are not matched against it."""
    email: str | None = None
    """Address that alerts are sent to."""
    quiet: str | None = None
    """Hours in which nothing is sent, such as `22:00-07:00 Europe/Berlin`."""
    digest: str | None = None
    """`hourly` or `daily`: alerts are collected and sent together; None for each by itself."""

    @property
    def is_sent(self) -> bool:
        """Whether alerts are sent to somebody, beside the list and the feeds."""
        return self.webhook is not None or self.email is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A tile that answers a subscription; it is recorded by the commit that adds the tile."""

    id: str
    """The same for the same scene content, tile and subscription: receivers tell repetitions by it."""
    subscription: str
    """Id of the subscription."""
    tile: int
    """Id of the tile."""
    cell: str
    """Its cell on the tile grid."""
    score: float
    """Cosine, or probability of a classifier."""
    generation: int
    """The commit."""
    created: datetime
    """UTC."""
    data: Mapping[str, Any]
    """What it says of the tile: scene, time, footprint."""
    state: DeliveryState = "listed"
    """Of its delivery."""
    attempts: int = 0
    """How often it was sent."""
    next_attempt: datetime | None = None
    """When it is sent again, UTC."""
    delivered: datetime | None = None
    """When the receiver took it, UTC."""
    error: str = ""
    """Why the last attempt failed."""
    number: int = field(default=0)
    """Row number: later ones are greater."""


class AlertRows(Protocol):
    """Subscriptions and alerts within one transaction."""

    def count(self) -> int:
        """Return how many subscriptions there are."""

    def add(self, subscription: Subscription) -> None:
        """Insert a subscription."""

    def subscriptions(self, *, active: bool = False) -> list[Subscription]:
        """Return subscriptions, newest first; only those that are not paused where `active`."""

    def subscription(self, subscription_id: str) -> Subscription | None:
        """Return a subscription, None where there is none with this id."""

    def pause(self, subscription_id: str, *, paused: bool) -> bool:
        """Pause or resume a subscription; False where there is none with this id."""

    def delete(self, subscription_id: str) -> bool:
        """Delete a subscription with its alerts; False where there is none with this id."""

    def alerted_cells(self, subscription_id: str, cells: Sequence[str]) -> set[str]:
        """Return which of some cells a subscription has alerts of."""

    def record(self, alerts: Sequence[Alert]) -> int:
        """Insert alerts, but for those whose id is known, and return how many are new."""

    def newest(self, limit: int, before: int | None = None, subscription_id: str | None = None) -> list[Alert]:
        """Return alerts, newest first; only those with a number below `before`, and of one subscription."""

    def counts(self) -> dict[str, int]:
        """Return how many alerts there are of each state."""

    def claim(
        self, limit: int, now: datetime, lease_s: float, longest_s: float, subscription_id: str | None = None
    ) -> list[Alert]:
        """Return pending alerts that are due, oldest first; until `lease_s` later nobody else gets them.

        Times further ahead than an attempt is ever put off (`longest_s`) were set by a wrong clock, and count as due.
        """

    def settle(self, alert: Alert) -> None:
        """Write state, attempts, times and error of an alert."""
