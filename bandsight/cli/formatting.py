"""Formats results as text for the terminal and as GeoJSON."""

import re
from typing import Any

from bandsight.catalog.records import Hit, ModelIdentity
from bandsight.failure_groups import grouped
from bandsight.search.items import ResultPage
from bandsight.stac.items import item_collection

_HEADINGS = ("rank", "score", "prob", "tile", "sensor", "date", "lon", "lat", "scene")
# Measured figures of an index, recall and speed: NAME_at_K or NAME_at_K_KIND.
_MEASURED = re.compile(r"(?:recall|lists|ms|tolerance)_at_(\d+)")
NO_MATCH = "No good matches: the archive may not contain this. These are the closest results."


def feature_collection(page: ResultPage, model: ModelIdentity) -> dict[str, Any]:
    """Return a page of results as a FeatureCollection of STAC Items, as in the API but without links."""
    made = item_collection(page, model, None)
    if page.next is not None:
        made["token"] = page.next
    return made


def centre(hit: Hit) -> tuple[float, float]:
    """Return lon, lat of the centre of a hit's first box."""
    box = hit.tile.boxes[0]
    return (box.west + box.east) / 2, (box.south + box.north) / 2


def hits_of(page: ResultPage) -> list[Hit]:
    """Return the hits among the rows of a page."""
    return [row for row in page.rows if isinstance(row, Hit)]


def table(page: ResultPage) -> str:
    """Return hits as an aligned table, with a last line if none is a good match."""
    rows = [_HEADINGS, *(_cells(hit) for hit in hits_of(page))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    if page.nothing_matches:
        lines.append(NO_MATCH)
    return "\n".join(lines)


def _cells(hit: Hit) -> tuple[str, ...]:
    lon, lat = centre(hit)
    return (
        str(hit.rank),
        f"{hit.score:.3f}",
        "-" if hit.probability is None else f"{hit.probability:.2f}",
        str(hit.tile.id),
        hit.scene.sensor,
        hit.scene.datetime.date().isoformat() if hit.scene.datetime else "-",
        f"{lon:.4f}",
        f"{lat:.4f}",
        hit.scene.name,
    )


def counted(number: int, one: str, several: str | None = None) -> str:
    """Return a number with its noun, e.g. `1 scene`, `2 scenes`."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"


def index_lines(figures: dict[str, Any]) -> list[str]:
    """Return the figures of a search index as lines: its own, then recall by kind of query and by filter."""
    own = {name: value for name, value in figures.items() if name != "filtered" and not _MEASURED.match(name)}
    lines = ["index: " + ", ".join(f"{name} {value}" for name, value in own.items())]
    for row in ({"share": 1, **figures}, *figures.get("filtered", ())):
        for k in sorted({int(match[1]) for name in row if (match := _MEASURED.match(name))}):
            kinds = {
                name.removeprefix(f"recall_at_{k}_"): value for name, value in row.items() if f"recall_at_{k}_" in name
            }
            found = ", ".join(f"{kind.replace('_', ' ')} {value}" for kind, value in kinds.items())
            under = "" if row["share"] == 1 else f" under filters that let {100 * row['share']:g}% pass"
            lines.append(f"  recall@{k}{under}: {found} ({row.get(f'ms_at_{k}', '?')} ms)")
    return lines


def _recall_line(found: dict[str, Any] | None) -> str:
    """Return the recall that a server measured by repeating searches exactly."""
    if found is None or found.get("recall") is None:
        return "recall of searches: not measured yet; a running server measures it (BANDSIGHT_RECALL_CHECK_EVERY)"
    return (
        f"recall of searches: {found['recall']} on average, {found['lowest']} at worst, in "
        f"{counted(found['queries'], 'search', 'searches')} that a server repeated exactly at {found.get('time')}"
    )


def status_text(stats: dict[str, Any]) -> str:
    """Return an archive's statistics as text."""
    lines = []
    for name, value in stats.items():
        if name == "collections":
            for row in value:
                times = " to ".join(str(row[end].date()) for end in ("start", "end") if row[end]) or "date unknown"
                held = f"{counted(row['scenes'], 'scene')}, {counted(row['tiles'], 'tile')}"
                lines.append(f"  {row['collection']} ({row['sensor']}): {held}, {times}")
        elif name == "failed_scenes":
            lines.append(f"failed scenes: {len(value)}")
            lines += [f"  {line}" for line in grouped([(href, reason) for href, reason, _ in value])]
        elif name == "index":
            lines += index_lines(value)
        elif name == "recall_check":
            lines.append(_recall_line(value))
        else:
            lines.append(f"{name.replace('_', ' ')}: {value}")
    return "\n".join(lines)
