"""Estimates the area of a class with its uncertainty, from a stratified random sample (Olofsson et al. 2014)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, View
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.learning.layers import Layer
from bandsight.learning.training import decided_classes
from bandsight.maps.rasterize import TileBoxes

# Lower probability bound of each stratum.
STRATA = (0.0, 0.1, 0.5, 0.9)
# Minimum number of tiles per stratum, so that its variance can be estimated.
_LEAST = 10
_EARTH_M = 6_371_007.2
_Z95 = 1.959964
_MIN_CHECKED = 2


def draw(archive: Archive, layer: Layer, tiles: int, where: Filter | None = None, seed: int = 0) -> dict[str, Any]:
    """Draw a stratified random sample of the archive's places to label, as GeoJSON with the sampling design.

    The population is the newest tile of each cell at the finest scale, so that ground with many dates counts once.
    Strata are ranges of the classifier's probability. A third of the tiles is allocated by area, the rest evenly.

    Args:
        archive: The archive.
        layer: The classifier's probabilities.
        tiles: Number of tiles to draw.
        where: Filter of the population.
        seed: Seed of the random number generator.

    Raises:
        QueryError: There are too few tiles.
    """
    ids, areas = _population(archive, where)
    chances = layer.probabilities[np.searchsorted(layer.ids, ids)]
    stratum = np.searchsorted(np.array(STRATA[1:], np.float32), chances, "right")
    held = [number for number in range(len(STRATA)) if (stratum == number).any()]
    _check_size(tiles, len(ids), len(held))
    weights = np.array([areas[stratum == number].sum() for number in held])
    shares = weights / weights.sum()
    rng = np.random.default_rng(seed)
    features, design = [], []
    for number, share, weight in zip(held, shares, weights, strict=True):
        members = np.flatnonzero(stratum == number)
        count = min(len(members), max(_LEAST, round(tiles * (share / 3 + 2 / 3 / len(held)))))
        chosen = rng.choice(members, count, replace=False)
        design.append(
            {
                "stratum": number,
                "from": STRATA[number],
                "places": len(members),
                "area_km2": round(float(weight), 6),
                "drawn": int(count),
            }
        )
        features += _features(archive, ids[chosen], chances[chosen], number)
    # Shuffle, so that the order does not reveal the stratum.
    order = rng.permutation(len(features)).tolist()
    return {
        "type": "FeatureCollection",
        "bandsight:design": {
            "classifier": layer.classifier.name,
            "class": layer.head.cls,
            "version": layer.classifier.version,
            "generation": layer.generation,
            "seed": seed,
            "strata": design,
        },
        "features": [features[at] for at in order],
    }


def _check_size(tiles: int, places: int, strata: int) -> None:
    """Check that a sample of so many tiles can be drawn.

    Raises:
        QueryError: It cannot.
    """
    least = _LEAST * strata
    if places < least:
        raise QueryError(
            f"area: the archive has {places:,} places in {strata} strata; need at least {least} for "
            "a sample, so label all of them instead"
        )
    if tiles < least or places < tiles:
        raise QueryError(
            f"tiles: found {tiles}; the archive has {places:,} places in {strata} strata, so pass {least} to {places:,}"
        )


def _features(
    archive: Archive, ids: NDArray[np.int64], chances: NDArray[np.float32], stratum: int
) -> list[dict[str, Any]]:
    """Return tiles of a stratum with their probabilities as GeoJSON features."""
    grounds = archive.footprints(ids.tolist())
    return [
        {
            "type": "Feature",
            "id": tile,
            "geometry": ground.__geo_interface__,
            "properties": {"tile": tile, "stratum": stratum, "probability": round(float(chance), 4)},
        }
        for tile, chance, ground in zip(ids.tolist(), chances, grounds, strict=True)
    ]


def report(archive: Archive, sample: dict[str, Any], threshold: float = 0.5) -> dict[str, Any]:
    """Return the area of the class with its 95% interval and the map accuracy, from a labelled sample.

    The tiles of the sample must be labelled in the classifier's collection, by any annotator; skipped ones are ignored.

    Args:
        archive: The archive.
        sample: Sample returned by `draw`.
        threshold: Minimum probability for the map to show the class; one of `STRATA`.

    Raises:
        QueryError: The sample is invalid, or too few of its tiles are labelled.
        NotFoundError: The collection does not exist.
    """
    design, tiles_of = _read_sample(sample)
    said, _ = decided_classes(archive.labels.labels(design["classifier"]))
    total = sum(stratum["area_km2"] for stratum in design["strata"])
    share, variance, mapped, hits, rows = 0.0, 0.0, 0.0, 0.0, []
    for stratum in design["strata"]:
        own = tiles_of.get(stratum["stratum"], [])
        truth = [said[tile] == design["class"] for tile in own if tile in said]
        if len(truth) < _MIN_CHECKED:
            missing = [tile for tile in own if tile not in said]
            raise QueryError(
                f"sample: {len(truth)} of {len(own)} tiles in the stratum from {stratum['from']:g} are labelled; "
                f"label at least {_MIN_CHECKED}, preferably all: {', '.join(map(str, missing[:10]))}"
            )
        weight, seen = stratum["area_km2"] / total, float(np.mean(truth))
        share += weight * seen
        # Finite population correction: a fully labelled stratum adds no error.
        unseen = max(0.0, 1 - len(truth) / stratum["places"])
        # Add half a tile of each kind, because a stratum without the class in its few samples may still contain it.
        spread = (sum(truth) + 0.5) / (len(truth) + 1)
        variance += weight**2 * unseen * spread * (1 - spread) / (len(truth) - 1)
        on_map = stratum["from"] >= threshold
        mapped += weight * on_map
        hits += weight * seen * on_map
        rows.append({**stratum, "labelled": len(truth), "with_class": int(sum(truth)), "on_map": on_map})
    error = _Z95 * math.sqrt(variance)
    return {
        "class": design["class"],
        "classifier": design["classifier"],
        "version": design["version"],
        "area_km2": round(share * total, 4),
        "interval_km2": [round(max(0.0, share - error) * total, 4), round(min(1.0, share + error) * total, 4)],
        "share": round(share, 5),
        "standard_error": round(math.sqrt(variance), 5),
        "mapped_area_km2": round(mapped * total, 4),
        "total_area_km2": round(total, 4),
        "users_accuracy": round(hits / mapped, 4) if mapped else None,
        "producers_accuracy": round(hits / share, 4) if share else None,
        "threshold": threshold,
        "strata": rows,
    }


def _read_sample(sample: dict[str, Any]) -> tuple[dict[str, Any], dict[int, list[int]]]:
    """Return the sampling design, and the tiles of each stratum.

    Raises:
        QueryError: The sample is invalid.
    """
    try:
        design = sample["bandsight:design"]
        tiles: dict[int, list[int]] = {}
        for one in sample["features"]:
            tiles.setdefault(int(one["properties"]["stratum"]), []).append(int(one["properties"]["tile"]))
        strata = [
            {
                **{name: int(one[name]) for name in ("stratum", "places", "drawn")},
                **{name: float(one[name]) for name in ("from", "area_km2")},
            }
            for one in design["strata"]
        ]
        named = {name: str(design[name]) for name in ("classifier", "class")} | {"version": int(design["version"])}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise QueryError("sample: has no sampling design; pass the unmodified output of bandsight area draw") from error
    if not strata or not all(one["places"] > 0 and one["area_km2"] > 0 for one in strata):
        raise QueryError("sample: its strata have no places; pass the output of bandsight area draw")
    return {**named, "strata": strata}, tiles


def _population(archive: Archive, where: Filter | None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the newest tile of each cell at the finest scale, ascending, and its area, km²."""

    def answer(view: View) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        nothing = np.zeros((1, view.dim), np.float32)
        found = view.similarities(nothing, where or Filter())
        ids = found.selection.ids
        times = found.selection.scenes.times_us[found.selection.scene_at] if len(ids) else np.empty(0, np.int64)
        newest: dict[str, tuple[int, int]] = {}
        for start in range(0, len(ids), 5000):
            tiles = view.tiles(ids[start : start + 5000].tolist())
            for at, one in enumerate(ids[start : start + 5000].tolist(), start):
                if one in tiles and tiles[one].scale == 1:
                    key = tiles[one].cell
                    if key.startswith("scene/"):
                        key = f"{tiles[one].scene_id}/{key}"
                    newest[key] = max(newest.get(key, (-(2**63), -1)), (int(times[at]), at))
        rows = np.array(sorted(at for _, at in newest.values()), np.intp)
        boxes = TileBoxes.of(found.boxes)
        areas = np.bincount(boxes.at, _area_km2(boxes), len(ids)).astype(np.float64)
        return ids[rows], areas[rows]

    return archive.read(answer)


def _area_km2(boxes: TileBoxes) -> NDArray[np.float64]:
    """Return the area of each box on the authalic sphere, km²."""
    return np.asarray(np.radians(1) * boxes.areas() * (_EARTH_M / 1000) ** 2, np.float64)
