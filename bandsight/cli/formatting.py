"""Ranked hits in the forms people take them away in: GeoJSON, and a table for the terminal."""

from typing import Any

from bandsight.catalog.records import Hit, ModelIdentity
from bandsight.search.answers import Answer


def feature(hit: Hit, probability: float | None = None, match: bool | None = None) -> dict[str, Any]:
    """Return a hit as a GeoJSON Feature; coordinates are lon, lat in EPSG:4326."""
    tile, scene = hit.tile, hit.scene
    when = scene.datetime
    return {
        "type": "Feature",
        "id": str(tile.id),
        "geometry": tile.geometry,
        "properties": {
            "rank": hit.rank,
            "score": round(hit.score, 6),
            "probability": None if probability is None else round(probability, 6),
            "match": match,
            "tile_id": tile.id,
            "scene": scene.name,
            "href": scene.href,
            "collection": scene.collection,
            "sensor": scene.sensor,
            "datetime": when.isoformat().replace("+00:00", "Z") if when else None,
            "gsd": scene.gsd_m,
            "cell": tile.cell,
            "scale": tile.scale,
            "window": [tile.col_off, tile.row_off, tile.width, tile.height],
            "valid_fraction": round(tile.valid_fraction, 4),
            "cloud_fraction": None if tile.cloud_fraction is None else round(tile.cloud_fraction, 4),
        },
    }


def feature_collection(answer: Answer, *, model: ModelIdentity, generation: int) -> dict[str, Any]:
    """Return hits as a GeoJSON FeatureCollection that names the model and the archive's generation."""
    return {
        "type": "FeatureCollection",
        "model": model.name,
        "model_digest": model.digest,
        "generation": generation,
        "nothing_matches": answer.nothing_matches,
        "features": [feature(*row) for row in zip(answer.hits, answer.probabilities, answer.matches, strict=True)],
    }


def centre(hit: Hit) -> tuple[float, float]:
    """Return lon, lat of the middle of a hit's first box."""
    box = hit.tile.boxes[0]
    return (box.west + box.east) / 2, (box.south + box.north) / 2


def table(answer: Answer) -> str:
    """Return hits as aligned lines of text; a last line says so when none of them is good enough to be a match."""
    rows = [("rank", "score", "prob", "tile", "sensor", "date", "lon", "lat", "scene")]
    for hit, probability in zip(answer.hits, answer.probabilities, strict=True):
        lon, lat = centre(hit)
        rows.append(
            (
                str(hit.rank),
                f"{hit.score:.3f}",
                "-" if probability is None else f"{probability:.2f}",
                str(hit.tile.id),
                hit.scene.sensor,
                hit.scene.datetime.date().isoformat() if hit.scene.datetime else "-",
                f"{lon:.4f}",
                f"{lat:.4f}",
                hit.scene.name,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if answer.nothing_matches:
        lines.append("none of these is likely to be right: the archive may hold nothing of the kind")
    return "\n".join(lines)


def status_text(stats: dict[str, Any]) -> str:
    """Return what `Archive.stats` says as lines of text."""
    lines = []
    for name, value in stats.items():
        if name == "collections":
            for row in value:
                times = " to ".join(str(row[end].date()) for end in ("start", "end") if row[end]) or "time unknown"
                lines.append(
                    f"  {row['collection']} ({row['sensor']}): {row['scenes']} scenes, {row['tiles']} tiles, {times}"
                )
        elif name == "failed_scenes":
            lines.append(f"failed scenes: {len(value)}")
            lines += [f"  {reason}" if href in reason else f"  {href}: {reason}" for href, reason, _ in value]
        elif name == "index":
            lines.append("index: " + ", ".join(f"{key} {fact}" for key, fact in value.items() if key != "filtered"))
            for row in value.get("filtered", ()):
                found = ", ".join(f"{key} {fact}" for key, fact in row.items() if key != "share")
                lines.append(f"  under filters that let {100 * row['share']:g}% pass: {found}")
        else:
            lines.append(f"{name.replace('_', ' ')}: {value}")
    return "\n".join(lines)
