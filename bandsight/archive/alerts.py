"""Matches each commit against the subscriptions within the commit's own transaction and stores the alerts."""

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive.scene_attributes import scenes_after
from bandsight.archive.scene_imagery import imagery_of
from bandsight.attributes.columns import TileColumns
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filter_json import from_json
from bandsight.attributes.matching import AttributeView, matching
from bandsight.catalog.alerts import Alert, FamilyLevel, Subscription
from bandsight.catalog.port import Catalog, CatalogDatabase, CatalogWriter
from bandsight.catalog.records import Scene, Tile
from bandsight.errors import NotFoundError, QueryError
from bandsight.model.scoring import ScoreScale

MAX_SUBSCRIPTIONS = 10_000
"""Maximum number of subscriptions in an archive."""
MAX_MATCHES = 1000
"""Maximum number of alerts per subscription and segment; the best are kept."""
# Tiles and subscriptions compared at once: 16,384 × 1024 × 4 bytes = 67 MB.
_TILES, _SUBSCRIPTIONS = 16_384, 1024

Floats = NDArray[np.float64]
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
    found = _matches(subscriptions, vectors, _Segment(catalog, columns))
    ids = sorted({int(columns.ids[row]) for hits in found.values() for row, _ in hits})
    tiles = catalog.tiles(ids)
    scenes = catalog.scenes(sorted({tile.scene_id for tile in tiles.values()}))
    alerts: list[Alert] = []
    for number, hits in found.items():
        named = [(tiles[int(columns.ids[row])], score) for row, score in hits]
        chosen = [(tile, scenes[tile.scene_id], score) for tile, score in named]
        alerts += _alerts(catalog, subscriptions[number], chosen, generation)
    return catalog.alerts.record(alerts)


class _Segment:
    """The tiles of a commit: which pass a filter, and the imagery of each. Computed once, where a match needs it."""

    def __init__(self, catalog: CatalogWriter, columns: TileColumns) -> None:
        self._catalog, self._columns = catalog, columns
        self._masks: dict[str, NDArray[np.bool_]] = {}

    def passing(self, where: Mapping[str, Any]) -> NDArray[np.bool_]:
        """Return which tiles pass a filter, shape (n,)."""
        key = json.dumps(where, sort_keys=True)
        if key not in self._masks:
            try:
                self._masks[key] = matching(self._view, from_json(where), self._footprints)
            except QueryError:
                # None of these scenes has the property, so none passes.
                self._masks[key] = np.zeros(len(self._columns), bool)
        return self._masks[key]

    @cached_property
    def families(self) -> NDArray[np.str_]:
        """Family of each tile's imagery, shape (n,)."""
        scenes, of_tile = np.unique(self._columns.scene_ids, return_inverse=True)
        found = self._catalog.scenes(scenes.tolist())
        return np.array([imagery_of(found[one]).family for one in scenes.tolist()], np.str_)[of_tile.ravel()]

    @cached_property
    def _view(self) -> AttributeView:
        return AttributeView(self._columns, scenes_after(self._catalog, int(self._columns.scene_ids.min()) - 1))

    def _footprints(self, ids: NDArray[np.int64]) -> NDArray[np.object_]:
        texts = self._catalog.footprints(ids.tolist())
        return np.asarray(shapely.from_geojson([texts[one] for one in ids.tolist()]), object)


def _matches(subscriptions: Sequence[Subscription], vectors: NDArray[np.float32], segment: _Segment) -> _Matches:
    """Return the rows that match each subscription with their scores, best first."""
    parts: dict[int, list[tuple[NDArray[np.intp], Floats]]] = defaultdict(list)
    for first in range(0, len(vectors), _TILES):
        # Rounded as in storage, so that alerts and searches agree.
        rows = vectors[first : first + _TILES].astype(np.float16).astype(np.float32)
        for start in range(0, len(subscriptions), _SUBSCRIPTIONS):
            block = subscriptions[start : start + _SUBSCRIPTIONS]
            least = np.array([one.least_anywhere for one in block], np.float32)[:, None]
            cosines = np.stack([one.direction for one in block]) @ rows.T
            matches = cosines >= least
            for number in np.flatnonzero(matches.any(axis=1)).tolist():
                own = np.flatnonzero(matches[number])
                parts[start + number].append(_best(block[number], segment, first + own, cosines[number, own]))
    found: _Matches = {}
    for number, some in parts.items():
        rows, scores = (np.concatenate([part[side] for part in some]) for side in range(2))
        order = np.argsort(-scores, kind="stable")[:MAX_MATCHES]
        found[number] = list(zip(rows[order].tolist(), scores[order].tolist(), strict=True))
    return found


def _best(
    subscription: Subscription, segment: _Segment, rows: NDArray[np.intp], cosines: NDArray[np.float32]
) -> tuple[NDArray[np.intp], Floats]:
    """Return the best of the rows that pass a subscription's filter, with their scores."""
    if subscription.where:
        passing = segment.passing(subscription.where)[rows]
        rows, cosines = rows[passing], cosines[passing]
    scores = cosines.astype(np.float64)
    if subscription.levels:
        matches = (cosines >= np.float32(subscription.least)) & (not subscription.by_probability)
        for level in subscription.levels:
            own = segment.families[rows] == level.family
            matches[own] = cosines[own] >= np.float32(level.least)
            scores[own] = (_probability if level.is_probability else _score)(level, cosines[own])
        rows, scores = rows[matches], scores[matches]
    elif subscription.slope:
        scores = _probability(subscription, cosines)
    order = np.argsort(-scores, kind="stable")[:MAX_MATCHES]
    return rows[order], scores[order]


def _probability(of: Subscription | FamilyLevel, cosines: NDArray[np.float32]) -> Floats:
    logits = np.clip(of.slope * cosines.astype(np.float64) + of.bias, -60, 60)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def _score(of: FamilyLevel, cosines: NDArray[np.float32]) -> Floats:
    return ScoreScale(of.slope, of.bias, math.inf if of.knee is None else of.knee).scores(cosines).astype(np.float64)


def _alerts(
    catalog: Catalog, subscription: Subscription, hits: Sequence[tuple[Tile, Scene, float]], generation: int
) -> list[Alert]:
    now = datetime.now(UTC)
    hits = [hit for hit in hits if _is_calibrated(subscription, *hit[:2])]
    places = [place_of(tile, scene) for tile, scene, _ in hits]
    known = catalog.alerts.alerted_cells(subscription.id, places) if subscription.per_place else set()
    made = []
    for place, (tile, scene, score) in zip(places, hits, strict=True):
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
                score=score,
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


def _is_calibrated(subscription: Subscription, tile: Tile, scene: Scene) -> bool:
    """Return whether a subscription's probability is valid for the resolution of a tile."""
    if not subscription.by_probability:
        return True
    imagery = imagery_of(scene, tile.scale)
    ranges = [level.gsd_m for level in subscription.levels if level.family == imagery.family]
    return any(known is None or imagery.gsd_m is None or known[0] <= imagery.gsd_m <= known[1] for known in ranges)


def alert_id(subscription: str, scene: Scene, tile: Tile) -> str:
    """Return the id of an alert; it stays the same when the same content is indexed again."""
    text = f"{subscription}\n{scene.key}\n{tile.cell}\n{tile.scale}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def place_of(tile: Tile, scene: Scene) -> str:
    """Return a key for a tile's place: its cell, qualified by the scene if the grid is the scene's own."""
    return f"{scene.href}#{tile.cell}" if tile.cell.startswith("scene/") else tile.cell


def score_of(subscription: Subscription) -> float:
    """Return the minimum score of a match: a probability for a classifier, else the cosine."""
    if not subscription.slope:
        return subscription.least
    return float(_probability(subscription, np.array([subscription.least], np.float32))[0])


def probability_of(subscription: Subscription) -> float | None:
    """Return the minimum probability of a match for a sentence, or None if it has none."""
    if not subscription.by_probability:
        return None
    level = subscription.levels[0]
    return float(_probability(level, np.array([level.least], np.float32))[0])


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

    def is_due(self, now: datetime, *, lease_s: float, longest_s: float) -> bool:
        """Return whether `claim` would return alerts; only reads."""
        with self._database.reading() as catalog:
            return catalog.alerts.is_due(now, lease_s, longest_s)

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
