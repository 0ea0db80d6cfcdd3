"""Subscriptions and alerts, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

DeliveryState = Literal["listed", "pending", "delivered", "failed"]
"""`listed`: appears in the list and feeds only. `pending`: waiting for delivery or a retry. `failed`: gave up after
retrying for days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyLevel:
    """What a minimum probability or score means for one family of imagery.

    The probability is sigmoid(slope · cosine + bias), the score slope · cosine + bias.
    """

    family: str
    """Name of the family; see `bandsight.model.scoring`."""
    least: float
    """Minimum cosine of a match."""
    slope: float
    """See above."""
    bias: float
    """See above."""
    gsd_m: tuple[float, float] | None = None
    """Smallest and largest ground sample distance that the probability is valid for, m; None for any."""
    is_probability: bool = True
    """Whether a probability is compared, and not a score."""
    knee: float | None = None
    """Score from which the slope is lower; see `bandsight.model.scoring.ScoreScale`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subscription:
    """A query that every commit is matched against."""

    id: str
    """Sixteen hexadecimal digits."""
    title: str
    """Human-readable title."""
    request: Mapping[str, Any]
    """The request body, as JSON."""
    where: Mapping[str, Any]
    """The filter, serialized by `bandsight.attributes.filter_json`."""
    direction: NDArray[np.float32]
    """Unit vector to score tiles with, shape (dim,)."""
    least: float
    """Minimum cosine of a match."""
    slope: float = 0.0
    """For classifiers, probability = sigmoid(slope · cosine + bias); 0 if scores are cosines."""
    bias: float = 0.0
    """See `slope`."""
    model_digest: str
    """Digest of the model that `direction` belongs to."""
    created: datetime
    """Creation time, UTC."""
    webhook: str | None = None
    """URL that alerts are sent to. Without it and `email`, alerts appear in the list and feeds only."""
    secret: str = ""
    """Key for signing webhook requests."""
    per_place: bool = True
    """Whether a place (cell of the tile grid) raises at most one alert."""
    paused: bool = False
    """Whether matching is paused."""
    email: str | None = None
    """Email address that alerts are sent to."""
    quiet: str | None = None
    """Quiet hours without deliveries, such as `22:00-07:00 Europe/Berlin`."""
    digest: str | None = None
    """`hourly` or `daily` to send alerts as a digest; None to send each separately."""

    levels: tuple[FamilyLevel, ...] = ()
    """For a sentence, what the minimum means for each family of imagery. With a minimum probability, other families do
    not match; with a minimum score, their scores are cosines."""

    @property
    def by_probability(self) -> bool:
        """Whether tiles match by the probability of a sentence."""
        return any(level.is_probability for level in self.levels)

    @property
    def least_anywhere(self) -> float:
        """Minimum cosine of a match in any family."""
        return min([level.least for level in self.levels] + ([] if self.by_probability else [self.least]))

    @property
    def is_sent(self) -> bool:
        """Whether alerts are delivered by webhook or email."""
        return self.webhook is not None or self.email is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A tile that matches a subscription; recorded by the commit that adds the tile."""

    id: str
    """Stable id for the same scene content, tile and subscription, so that receivers can detect duplicates."""
    subscription: str
    """Id of the subscription."""
    tile: int
    """Id of the tile."""
    cell: str
    """Cell of the tile grid."""
    score: float
    """Cosine, or probability for a classifier and where the subscription has a minimum probability."""
    generation: int
    """The commit that added the tile."""
    created: datetime
    """Creation time, UTC."""
    data: Mapping[str, Any]
    """Data about the tile: scene, time, footprint."""
    state: DeliveryState = "listed"
    """Delivery state."""
    attempts: int = 0
    """Number of delivery attempts."""
    next_attempt: datetime | None = None
    """Time of the next attempt, UTC."""
    delivered: datetime | None = None
    """Time of successful delivery, UTC."""
    error: str = ""
    """Why the last attempt failed."""
    number: int = field(default=0)
    """Row number, ascending."""


class AlertRows(Protocol):
    """Subscriptions and alerts within one transaction."""

    def count(self) -> int:
        """Return the number of subscriptions."""

    def add(self, subscription: Subscription) -> None:
        """Insert a subscription."""

    def subscriptions(self, *, active: bool = False) -> list[Subscription]:
        """Return subscriptions, newest first; `active` excludes paused ones."""

    def subscription(self, subscription_id: str) -> Subscription | None:
        """Return a subscription, or None if there is none with this id."""

    def pause(self, subscription_id: str, *, paused: bool) -> bool:
        """Pause or resume a subscription. Returns False if there is none with this id."""

    def delete(self, subscription_id: str) -> bool:
        """Delete a subscription with its alerts. Returns False if there is none with this id."""

    def alerted_cells(self, subscription_id: str, cells: Sequence[str]) -> set[str]:
        """Return which of these cells already have alerts of a subscription."""

    def record(self, alerts: Sequence[Alert]) -> int:
        """Insert alerts with new ids. Returns their number."""

    def newest(self, limit: int, before: int | None = None, subscription_id: str | None = None) -> list[Alert]:
        """Return alerts, newest first, optionally only with numbers below `before` and of one subscription."""

    def counts(self) -> dict[str, int]:
        """Return the number of alerts by state."""

    def is_due(self, now: datetime, lease_s: float, longest_s: float) -> bool:
        """Return whether `claim` would return alerts."""

    def claim(
        self, limit: int, now: datetime, lease_s: float, longest_s: float, subscription_id: str | None = None
    ) -> list[Alert]:
        """Claim pending alerts that are due, oldest first. No other caller gets them for `lease_s` seconds.

        Times further in the future than the longest retry delay (`longest_s`) come from a wrong clock and count as due.
        """

    def settle(self, alert: Alert) -> None:
        """Store state, attempts, times and error of an alert."""
