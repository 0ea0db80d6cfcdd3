"""Subscriptions and alerts, as plain values: what is watched for, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DeliveryState = Literal["listed", "pending", "delivered", "failed"]
"""`listed`: it has no webhook, and lies in the list and the feeds. `pending`: it is to be delivered, for the first time
or again. `failed`: it was tried for days, in vain."""


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
    """URL that alerts are sent to; None for the list and the feeds only."""
    secret: str = ""
    """Key of the webhook's signatures."""
    per_place: bool = True
    """Whether a place (cell of the tile grid) raises one alert only."""
    paused: bool = False
    """Whether commits are not matched against it."""


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
