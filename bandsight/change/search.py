"""Searches for change between two periods, ranked relative to the usual variation between dates."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.attributes.columns import NO_TIME
from bandsight.attributes.fields import CLOUD_FRACTION, rfc3339
from bandsight.attributes.filters import Filter, Property, parse_interval
from bandsight.change.observations import Observations, in_season, levelled, observe
from bandsight.change.requests import ChangeBody
from bandsight.errors import QueryError
from bandsight.search.items import filter_of
from bandsight.search.question import question_of
from bandsight.search.request import query_of_body
from bandsight.search.searcher import Searcher

# From the median absolute deviation to the standard deviation of a normal distribution.
_TO_SIGMA = 1.4826
_SMALL = 1e-6
# Minimum number of earlier dates to estimate a place's own variation.
_HISTORY = 4
# Maximum overlap of two results.
_OVERLAP = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A place that changed between the periods."""

    place: int
    """Row of the place in the observations."""
    before: float
    """Median score of the earlier dates."""
    after: float
    """Median score of the later dates."""
    z: float
    """Robust z-score of the difference, relative to other places and to the place's own history."""


def change_search(searcher: Searcher, body: ChangeBody) -> dict[str, Any]:
    """Return the places that changed most as a FeatureCollection, with a summary.

    With `was` and `now`, the score of a tile is how much more it looks like `now` than like `was`; with `like`, its
    position along the difference of two tiles. Shifts of whole scenes are removed first. The difference of a place is
    between the medians of its dates in each period. Places are ranked by a robust z-score: the difference minus the
    median over all places, divided by the spread over all places or of the place's own history, whichever is larger.

    Raises:
        QueryError: The request is invalid, a period has no tiles, or no place is covered in both.
        NotFoundError: A tile or classifier does not exist.
    """
    observed, changes = compared(searcher, body)
    above = [one for one in changes if one.z >= body.min_z]
    shown = _apart(searcher, observed, above, body.limit)
    return {
        "type": "FeatureCollection",
        "places": len(observed.places),
        "compared": len(changes),
        "changed": len(above),
        "features": [_feature(searcher, observed, one) for one in shown],
    }


def compared(searcher: Searcher, body: ChangeBody) -> tuple[Observations, list[Change]]:
    """Return the observations of all places, and the places covered in both periods, largest change first.

    Raises:
        QueryError: The request is invalid, a period has no tiles, or no place is covered in both.
        NotFoundError: A tile or classifier does not exist.
    """
    direction = _direction(searcher, body)
    observed = observe(searcher.archive, direction[None], *_periods(searcher, body))
    changes = ranked(observed, in_season(observed))
    if not changes:
        raise QueryError(
            f"before, after: none of {len(observed.places):,} places is covered in both periods; extend one of them"
        )
    return observed, changes


def ranked(observed: Observations, keep: NDArray[np.bool_]) -> list[Change]:
    """Return the places covered in both periods, largest change first."""
    count = len(observed.places)
    level = levelled(observed)
    before, after, spread = (np.full(count, np.nan) for _ in range(3))
    for place in range(count):
        start, end = np.searchsorted(observed.place, [place, place + 1])
        scores, later, kept = level[start:end], observed.later[start:end], keep[start:end]
        if not (kept & later).any() or not (kept & ~later).any():
            continue
        earlier = scores[kept & ~later]
        before[place], after[place] = np.median(earlier), np.median(scores[kept & later])
        if len(earlier) >= _HISTORY:
            spread[place] = _TO_SIGMA * np.median(np.abs(earlier - before[place]))
    difference = after - before
    known = np.flatnonzero(np.isfinite(difference))
    if not len(known):
        return []
    usual = np.median(difference[known])
    everywhere = _TO_SIGMA * float(np.median(np.abs(difference[known] - usual)))
    scale = np.fmax(np.fmax(spread, everywhere), _SMALL)
    z = (difference - usual) / scale
    order = known[np.argsort(-z[known], kind="stable")]
    return [
        Change(place=int(one), before=float(before[one]), after=float(after[one]), z=float(z[one])) for one in order
    ]


def _direction(searcher: Searcher, body: ChangeBody) -> NDArray[np.float32]:
    """Return the vector whose dot product with a tile's vector increases with the change, shape (dim,)."""
    archive = searcher.archive
    if body.like is not None:
        if body.was is not None or body.now is not None:
            raise QueryError("like: cannot be combined with was or now; pass either sentences or two tiles")
        first, second = archive.vectors(body.like).astype(np.float64)
        aim = second - first
    else:
        parts = [_of_sentence(searcher, text) for text in (body.was, body.now) if text is not None]
        if not parts:
            raise QueryError("was, now, like: all missing; state what to look for, e.g. now: bare ground")
        if body.was is None:
            aim = parts[0]
        elif body.now is None:
            aim = -parts[0]
        else:
            aim = parts[1] - parts[0]
    norm = float(np.linalg.norm(aim))
    if norm < _SMALL:
        raise QueryError("was, now: equivalent to the model; describe how they differ")
    return np.asarray(aim / norm, np.float32)


def _of_sentence(searcher: Searcher, text: str) -> NDArray[np.float64]:
    question = question_of(searcher, text, None)
    assert question is not None
    if len(question.scorer.directions) != 1:
        raise QueryError(f"was, now: found alternatives in {text[:60]!r}; pass one sentence each")
    return np.asarray(question.scorer.directions[0], np.float64)


def _periods(searcher: Searcher, body: ChangeBody) -> tuple[Filter, Filter]:
    if body.datetime is not None:
        raise QueryError("datetime: a change has two periods; pass before and after")
    where = filter_of(searcher, query_of_body(body, searcher.max_hits))
    clear = Filter(properties=(Property(name=CLOUD_FRACTION, op="<=", value=body.max_cloud),))
    unknown = Filter(properties=(Property(name=CLOUD_FRACTION, op="is null"),))
    made = []
    for text in (body.before, body.after):
        start, end = parse_interval(text)
        made.append(replace(Filter(start=start, end=end), all_of=(where, clear | unknown)))
    if made[0].end is not None and made[1].start is not None and made[0].end > made[1].start:
        raise QueryError(
            "before, after: the first period ends after the second one starts; swap them, or end the first one earlier"
        )
    return made[0], made[1]


def _apart(searcher: Searcher, observed: Observations, changes: Sequence[Change], limit: int) -> list[Change]:
    """Return changes without overlaps of more than half, largest first."""
    chosen: list[Change] = []
    grounds: list[Any] = []
    for start in range(0, len(changes), 1000):
        part = changes[start : start + 1000]
        shapes = searcher.archive.footprints([int(observed.places[one.place]) for one in part])
        for one, ground in zip(part, shapes, strict=True):
            if len(chosen) == limit:
                return chosen
            others = np.array(grounds, object)
            smaller = np.minimum(ground.area, shapely.area(others)) if grounds else np.empty(0)
            if grounds and (shapely.area(shapely.intersection(ground, others)) > _OVERLAP * smaller).any():
                continue
            chosen.append(one)
            grounds.append(ground)
    return chosen


def _feature(searcher: Searcher, observed: Observations, change: Change) -> dict[str, Any]:
    start, end = np.searchsorted(observed.place, [change.place, change.place + 1])
    own = slice(int(start), int(end))
    score, later = observed.score[own], observed.later[own]
    tile, time = observed.tile[own], observed.time_us[own]
    middle = (change.before + change.after) / 2
    typical = np.abs(score - change.before)
    typical[later] = np.inf
    crossed = np.flatnonzero(later & (score >= middle))
    first = int(crossed[0]) if len(crossed) else int(np.flatnonzero(later)[0])
    ground = searcher.archive.footprints([int(observed.places[change.place])])[0]
    return {
        "type": "Feature",
        "id": int(observed.places[change.place]),
        "geometry": ground.__geo_interface__,
        "properties": {
            "z": round(change.z, 3),
            "before": round(change.before, 6),
            "after": round(change.after, 6),
            "tile_before": int(tile[int(np.argmin(typical))]),
            "tile_after": int(observed.places[change.place]),
            "first_seen": _text(int(time[first])),
            "last_seen_before": _text(int(time[np.flatnonzero(~later)[-1]])),
            "dates_before": int((~later).sum()),
            "dates_after": int(later.sum()),
        },
    }


def _text(time_us: int) -> str | None:
    if time_us == NO_TIME:
        return None
    return rfc3339(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us))
