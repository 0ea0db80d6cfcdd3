"""Ten thousand results in pages, as the server would send them."""

import json
import math

TOTAL, PAGE = 10_000, 1000


def respond(route) -> None:
    """Fulfil POST /search with one page."""
    first = int((route.request.post_data_json or {}).get("token", "0"))
    items = [_item(at) for at in range(first, min(TOTAL, first + PAGE))]
    links = [{"rel": "next", "href": route.request.url, "body": {"token": str(first + PAGE)}}]
    body = {
        "type": "FeatureCollection",
        "features": items,
        "links": links if first + PAGE < TOTAL else [],
        "numberMatched": TOTAL,
        "nothing_matches": False,
    }
    route.fulfill(status=200, content_type="application/geo+json", body=json.dumps(body))


def _item(at: int) -> dict:
    row, column = divmod(at, 100)
    west, south, side = 10 + column * 0.02, 50 + row * 0.012, 0.018
    north, east = south + side * 0.62, west + side
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "id": str(at + 1),
        "collection": "made",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "datetime": f"20{10 + at % 15}-{1 + at % 12:02d}-15T10:00:00Z",
            "title": f"scene {row}",
            "bandsight:sensor": "sentinel2_l2a",
            "bandsight:scene": f"scene-{row}",
            "bandsight:cell": f"cell-{at}",
            "bandsight:rank": at + 1,
            "bandsight:score": round(0.9 * math.exp(-at / 4000), 6),
            "bandsight:probability": round(0.95 * math.exp(-at / 2500), 6),
            "bandsight:match": at < 4000,
        },
    }
