"""Review of an archive: duplicates, outliers, over-represented groups and gaps."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.atlas.clusters import NO_CLUSTER, words_of_places
from bandsight.atlas.duplicates import Pairs, near_duplicates
from bandsight.atlas.service import NO_DAY, Chart
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit
from bandsight.model.calibration import background_sentences
from bandsight.model.scoring import sentence_vectors
from bandsight.search.request import request_of, search
from bandsight.search.searcher import Searcher
from bandsight.work import check_cancelled

LIKENESS = 0.98
"""Minimum cosine of near-duplicates."""
LISTED = 50
"""Default maximum number of entries in each list."""
# A tile is an outlier if the distance to its nearest neighbour exceeds the median by this many robust deviations.
_OUTLYING = 3.5
_TO_SIGMA, _SMALL = 1.4826, 1e-4
# Two scenes are duplicates if this share of the smaller one's tiles are copies.
_SCENE_SHARE = 0.5
# A kind of place is missing if no tile shows it with this probability.
_UNSEEN = 0.1
# A month is over-represented if it has this multiple of an even share.
_MUCH = 3.0


def review(
    searcher: Searcher, chart: Chart, *, likeness: float = LIKENESS, listed: int = LISTED, words: bool = True
) -> dict[str, Any]:
    """Return the review as JSON values; reads every vector once or a few times.

    Args:
        searcher: Archive and model.
        chart: The atlas of the archive.
        likeness: Minimum cosine of near-duplicates.
        listed: Maximum number of entries in each list; counts include all.
        words: Describe outliers, and list missing kinds of places; loads the model.

    Raises:
        QueryError: There are too many near-duplicates to list.
    """
    archive = searcher.archive
    scene = _scenes_of(archive, chart)
    pairs = near_duplicates(archive, chart.atlas, scene, chart.days, likeness)
    return {
        "generation": chart.generation,
        "tiles": chart.tiles,
        "points": len(chart.atlas.ids),
        "likeness": likeness,
        "duplicates": _duplicates(archive, chart, pairs, scene, listed),
        "outliers": _outliers(searcher, chart, listed, words=words),
        "frequent": _frequent(chart),
        "missing": {"months": _missing_months(chart.days), "words": _missing_words(searcher) if words else []},
    }


def _scenes_of(archive: Archive, chart: Chart) -> NDArray[np.int64]:
    selected = archive.read(lambda view: view.select(Filter()))
    at = np.minimum(np.searchsorted(selected.ids, chart.atlas.ids), max(0, len(selected.ids) - 1))
    return np.asarray(selected.scenes.ids[selected.scene_at[at]], np.int64)


def _duplicates(archive: Archive, chart: Chart, pairs: Pairs, scene: NDArray[np.int64], listed: int) -> dict[str, Any]:
    copies, repeats = pairs.copies, pairs.repeats
    found: Counter[tuple[int, int]] = Counter()
    # A tile of the smaller scene counts once, however many similar tiles the other one has.
    both = np.sort(np.stack([scene[pairs.first[copies]], scene[pairs.second[copies]]], axis=1), axis=1)
    sizes = Counter(scene.tolist())
    members: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for (one, two), first, second in zip(
        both.tolist(), pairs.first[copies].tolist(), pairs.second[copies].tolist(), strict=True
    ):
        own = members.setdefault((one, two), (set(), set()))
        for row in (first, second):
            own[0 if int(scene[row]) == one else 1].add(row)
    for (one, two), (left, right) in members.items():
        found[one, two] = len(left) if sizes[one] <= sizes[two] else len(right)
    alike = [
        (key, count / min(sizes[key[0]], sizes[key[1]]))
        for key, count in found.most_common()
        if count >= _SCENE_SHARE * min(sizes[key[0]], sizes[key[1]])
    ]
    names = archive.scenes_by_id(sorted({one for key, _ in alike[:listed] for one in key}))
    return {
        "copies": int(copies.sum()),
        "repeats": int(repeats.sum()),
        "lookalikes": int((~pairs.same_ground).sum()),
        "scenes": [
            {
                "scenes": [names[one].name for one in key],
                "tiles": found[key],
                "share": round(share, 3),
                "datetime": _when(names[key[0]].datetime),
            }
            for key, share in alike[:listed]
            if all(one in names for one in key)
        ],
        "pairs": [
            {
                "tiles": [int(chart.atlas.ids[pairs.first[at]]), int(chart.atlas.ids[pairs.second[at]])],
                "likeness": round(float(pairs.cosine[at]), 4),
                "kind": "copy" if copies[at] else "repeat" if repeats[at] else "look-alike",
            }
            for at in _best_of_each(pairs, listed)
        ],
    }


def _best_of_each(pairs: Pairs, listed: int) -> list[int]:
    """Return indices of pairs: copies first, then repeats, then look-alikes, each by decreasing similarity."""
    kind = np.where(pairs.copies, 0, np.where(pairs.repeats, 1, 2))
    chosen: list[int] = np.argsort(kind, kind="stable")[:listed].tolist()
    return chosen


def _outliers(searcher: Searcher, chart: Chart, listed: int, *, words: bool) -> dict[str, Any]:
    atlas, archive = chart.atlas, searcher.archive
    # The nearest neighbour of a tile of the sample is the tile itself.
    near = atlas.cosines[:, 1:].mean(axis=1) if atlas.cosines.shape[1] > 1 else np.ones(len(atlas.ids), np.float32)
    middle = float(np.median(near)) if len(near) else 1.0
    spread = max(_SMALL, _TO_SIGMA * float(np.median(np.abs(near - middle))) if len(near) else _SMALL)
    z = (middle - near) / spread
    rows = np.argsort(-z, kind="stable")[: int((z >= _OUTLYING).sum())]
    shown = rows[:listed]
    ids = atlas.ids[shown].tolist()
    tiles = archive.tiles_by_id(ids)
    scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
    looks: list[str | None] = [None] * len(ids)
    if words and len(ids):
        sentences = background_sentences()
        best = (archive.vectors(ids) @ sentence_vectors(searcher.encoder, sentences).T).argmax(axis=1)
        looks = [sentences[at] for at in best.tolist()]
    return {
        "count": len(rows),
        "usual_likeness": round(middle, 4),
        "tiles": [
            {
                "tile": one,
                "z": round(float(z[row]), 2),
                "likeness": round(float(near[row]), 4),
                "scene": scenes[tiles[one].scene_id].name,
                "sensor": scenes[tiles[one].scene_id].sensor,
                "cloud_fraction": tiles[one].cloud_fraction,
                "valid_fraction": round(tiles[one].valid_fraction, 4),
                "looks_like": look,
            }
            for one, row, look in zip(ids, shown.tolist(), looks, strict=True)
            if one in tiles and tiles[one].scene_id in scenes
        ],
    }


def _frequent(chart: Chart) -> dict[str, Any]:
    """Return the distribution of tiles over clusters, sensors and months, with the effective number of each."""
    cluster = chart.atlas.cluster
    names = [one.name for one in chart.atlas.clusters]
    months = [one for one in _months(chart.days) if one is not None]
    return {
        "clusters": _spread(Counter(names[at] for at in cluster[cluster != NO_CLUSTER].tolist()), len(cluster)),
        "sensors": _spread(Counter(chart.sensors[at] for at in chart.sensor.tolist()), len(cluster)),
        "months": _spread(Counter(months), len(cluster)),
    }


def _spread(counts: Counter[str], whole: int) -> dict[str, Any]:
    total = sum(counts.values())
    shares = np.array(list(counts.values()), np.float64) / max(1, total)
    even = total / max(1, len(counts))
    return {
        "effective": round(float(np.exp(-(shares * np.log(shares)).sum())), 2) if total else 0,
        "rows": [
            {
                "name": name,
                "tiles": count,
                "share": round(count / whole, 4),
                "much": len(counts) > 1 and count >= _MUCH * even,
            }
            for name, count in counts.most_common(LISTED)
        ],
    }


def _months(days: NDArray[np.int32]) -> list[str | None]:
    known = days != NO_DAY
    texts = np.where(known, days, 0).astype("datetime64[D]").astype("datetime64[M]").astype(str)
    return [text if is_known else None for text, is_known in zip(texts.tolist(), known.tolist(), strict=True)]


def _missing_months(days: NDArray[np.int32]) -> dict[str, Any]:
    """Return the longest stretches without a scene between the first and the last month."""
    months = np.unique(days[days != NO_DAY].astype("datetime64[D]").astype("datetime64[M]"))
    if not len(months):
        return {"first": None, "last": None, "gaps": []}
    steps = np.diff(months.astype(np.int64))
    gaps = [
        {"after": str(months[at]), "before": str(months[at + 1]), "months": int(steps[at]) - 1}
        for at in np.argsort(-steps, kind="stable").tolist()
        if steps[at] > 1
    ]
    return {"first": str(months[0]), "last": str(months[-1]), "gaps": gaps[:10]}


def _missing_words(searcher: Searcher) -> list[dict[str, Any]]:
    """Return the common kinds of places that no tile is likely to show, if the model has a calibration."""
    missing = []
    for word in words_of_places():
        check_cancelled()
        page = search(searcher, request_of({"q": word, "limit": 5}))
        known = [row.probability for row in page.rows if isinstance(row, Hit) and row.probability is not None]
        if known and max(known) < _UNSEEN:
            missing.append({"name": word, "probability": round(max(known), 4)})
    return sorted(missing, key=lambda one: one["probability"])


def _when(time: Any) -> str | None:
    return None if time is None else rfc3339(time)
