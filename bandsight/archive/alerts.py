"""Matches each commit against the subscriptions within the commit's own transaction and stores the alerts."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive.scene_attributes import scenes_after
from bandsight.attributes.columns import TileColumns
from bandsight.attributes.datetimes import rfc3339
from bandsight.attributes.filter_json import from_json
from bandsight.attributes.matching import AttributeView, matching
from bandsight.catalog.alerts import Alert, Subscription
from bandsight.catalog.port import Catalog, CatalogDatabase, CatalogWriter
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import NotFoundError, QueryError

MAX_SUBSCRIPTIONS = 10_000
"""Maximum number of subscriptions in an archive."""
MAX_MATCHES = 1000
"""Maximum number of alerts per subscription and segment; the best are kept."""
# Tiles compared with all subscriptions at once: 10,000 × 1024 × 4 bytes = 40 MB.
_BLOCK = 1024

_Matches = dict[int, list[tuple[int, float]]]


def raise_alerts(catalog: CatalogWriter, generation: int, columns: TileColumns, vectors: NDArray[np.float32]) -> int:
    """Record alerts for the tiles that a transaction adds, and return their number.

    Alerts and tiles become visible together when the transaction commits.

    Args:
        catalog: The transaction.
        generation: Generation of the commit.
        columns: Attributes of the tiles.
        vectors: Vectors of the tiles, in the same order, shape (n, dim).
    """
    model = catalog.model()
    digest = "" if model is None else model.digest
    subscriptions = [one for one in catalog.alerts.subscriptions(active=True) if one.model_digest == digest]
    if not subscriptions:
        return 0
    found = _passing(catalog, subscriptions, columns, _matches(subscriptions, vectors))
    ids = sorted({int(columns.ids[row]) for hits in found.values() for row, _ in hits})
    tiles = catalog.tiles(ids)
    scenes = catalog.scenes(sorted({tile.scene_id for tile in tiles.values()}))
    alerts: list[Alert] = []
    for number, hits in found.items():
        named = [(tiles[int(columns.ids[row])], cosine) for row, cosine in hits]
        chosen = [(tile, scenes[tile.scene_id], cosine) for tile, cosine in named]
        alerts += _alerts(catalog, subscriptions[number], chosen, generation)
    return catalog.alerts.record(alerts)


def _matches(subscriptions: Sequence[Subscription], vectors: NDArray[np.float32]) -> _Matches:
    """Return the rows that reach each subscription's threshold with their cosines, best first."""
    directions = np.stack([one.direction for one in subscriptions])
    least = np.array([one.least for one in subscriptions], np.float32)[:, None]
    found: dict[int, list[tuple[NDArray[np.intp], NDArray[np.float32]]]] = defaultdict(list)
    for start in range(0, len(vectors), _BLOCK):
        # Rounded as in storage, so that alerts and searches agree.
        rows = vectors[start : start + _BLOCK].astype(np.float16).astype(np.float32)
        cosines = directions @ rows.T
        matches = cosines >= least
        for number in np.flatnonzero(matches.any(axis=1)).tolist():
            own = np.flatnonzero(matches[number])
            found[number].append((start + own, cosines[number, own]))
    best: _Matches = {}
    for number, parts in found.items():
        own, values = (np.concatenate([part[side] for part in parts]) for side in range(2))
        order = np.argsort(-values, kind="stable")[:MAX_MATCHES]
        best[number] = list(zip(own[order].tolist(), values[order].tolist(), strict=True))
    return best


def _passing(
    catalog: CatalogWriter, subscriptions: Sequence[Subscription], columns: TileColumns, found: _Matches
) -> _Matches:
    """Return the matches that pass the filters of their subscriptions."""
    if not any(subscriptions[number].where for number in found):
        return found
    view = AttributeView(columns, scenes_after(catalog, int(columns.scene_ids.min()) - 1))

    def footprints(ids: NDArray[np.int64]) -> NDArray[np.object_]:
        texts = catalog.footprints(ids.tolist())
        return np.asarray(shapely.from_geojson([texts[one] for one in ids.tolist()]), object)

    masks: dict[str, NDArray[np.bool_]] = {}
    kept = {}
    for number, hits in found.items():
        where = subscriptions[number].where
        key = json.dumps(where, sort_keys=True)
        if key not in masks:
            try:
                masks[key] = matching(view, from_json(where), footprints)
            except QueryError:
                # None of these scenes has the property, so none passes.
                masks[key] = np.zeros(len(columns), bool)
        kept[number] = [hit for hit in hits if masks[key][hit[0]]]
    return kept


def _alerts(
    catalog: Catalog, subscription: Subscription, hits: Sequence[tuple[Tile, Scene, float]], generation: int
) -> list[Alert]:
    now = datetime.now(UTC)
    places = [place_of(tile, scene) for tile, scene, _ in hits]
    known = catalog.alerts.alerted_cells(subscription.id, places) if subscription.per_place else set()
    made = []
    for place, (tile, scene, cosine) in zip(places, hits, strict=True):
        if place in known:
            continue
        if subscription.per_place:
            known.add(place)
        made.append(
            Alert(
                id=alert_id(subscription.id, scene, tile),
                subscription=subscription.id,
                tile=tile.id,
                cell=place,
                score=score_of(subscription, cosine),
                generation=generation,
                created=now,
                data={
                    "scene": scene.name,
                    "collection": scene.collection,
                    "datetime": None if scene.datetime is None else rfc3339(scene.datetime),
                    "geometry": dict(tile.geometry),
                },
                state="pending" if subscription.is_sent else "listed",
                next_attempt=now if subscription.is_sent else None,
            )
        )
    return made


def alert_id(subscription: str, scene: Scene, tile: Tile) -> str:
    """Return the id of an alert; it stays the same when the same content is indexed again."""
    text = f"{subscription}\n{scene.key}\n{tile.cell}\n{tile.scale}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def place_of(tile: Tile, scene: Scene) -> str:
    """Return a key for a tile's place: its cell, qualified by the scene if the grid is the scene's own."""
    return f"{scene.href}#{tile.cell}" if tile.cell.startswith("scene/") else tile.cell


def score_of(subscription: Subscription, cosine: float) -> float:
    """Return the score of a match: a probability for a classifier, else the cosine."""
    if not subscription.slope:
        return cosine
    return 1 / (1 + math.exp(-min(max(subscription.slope * cosine + subscription.bias, -60), 60)))


class Alerts:
    """Short transactions on the catalog; SQLite lets one process write at a time and makes others wait for seconds."""

    def __init__(self, database: CatalogDatabase) -> None:
        self._database = database

    def subscribe(self, subscription: Subscription) -> None:
        """Store a subscription; every later commit is matched against it.

        Raises:
            QueryError: There are too many subscriptions.
        """
        with self._database.writing() as catalog:
            if catalog.alerts.count() >= MAX_SUBSCRIPTIONS:
                raise QueryError(f"subscriptions: the limit of {MAX_SUBSCRIPTIONS:,} is reached; delete some")
            catalog.alerts.add(subscription)

    def subscriptions(self) -> list[Subscription]:
        """Return all subscriptions, newest first."""
        with self._database.reading() as catalog:
            return catalog.alerts.subscriptions()

    def subscription(self, subscription_id: str) -> Subscription:
        """Return a subscription.

        Raises:
            NotFoundError: There is none with this id.
        """
        with self._database.reading() as catalog:
            found = catalog.alerts.subscription(subscription_id)
        if found is None:
            raise _missing(subscription_id)
        return found

    def pause(self, subscription_id: str, *, paused: bool) -> None:
        """Pause or resume a subscription; commits made while it is paused are never matched.

        Raises:
            NotFoundError: There is none with this id.
        """
        with self._database.writing() as catalog:
            if not catalog.alerts.pause(subscription_id, paused=paused):
                raise _missing(subscription_id)

    def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription with its alerts.

        Raises:
            NotFoundError: There is none with this id.
        """
        with self._database.writing() as catalog:
            if not catalog.alerts.delete(subscription_id):
                raise _missing(subscription_id)

    def newest(self, limit: int = 100, before: int | None = None, subscription_id: str | None = None) -> list[Alert]:
        """Return alerts, newest first, optionally only those with a number below `before` or of one subscription."""
        with self._database.reading() as catalog:
            return catalog.alerts.newest(limit, before, subscription_id)

    def counts(self) -> dict[str, int]:
        """Return the number of alerts in each state."""
        with self._database.reading() as catalog:
            return catalog.alerts.counts()

    def claim(
        self, limit: int, now: datetime, *, lease_s: float, longest_s: float, subscription_id: str | None = None
    ) -> list[Alert]:
        """Claim alerts to deliver now, oldest first; no other caller gets them for `lease_s`.

        Args:
            limit: Maximum number of alerts.
            now: Current time, UTC.
            lease_s: Seconds a delivery may take before the alert is due again.
            longest_s: Maximum delay of the next attempt, seconds.
            subscription_id: Only alerts of this subscription.
        """
        with self._database.writing() as catalog:
            return catalog.alerts.claim(limit, now, lease_s, longest_s, subscription_id)

    def settle(self, alert: Alert) -> None:
        """Store the outcome of a delivery attempt."""
        with self._database.writing() as catalog:
            catalog.alerts.settle(alert)


def _missing(subscription_id: str) -> NotFoundError:
    return NotFoundError(f"subscription {subscription_id[:60]!r}: not found; list all with: bandsight watch list")
