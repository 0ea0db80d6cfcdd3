"""Compares Bandsight with stac-fastapi on PostgreSQL (pgstac): the same queries on the same items, alternately.

`sh bench/api_pgstac.sh DIR` sets up pgstac with the tiles of an archive from `bench.api_archive`. The benchmark checks
that both return the same number of items.
"""

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from bench.api import Client


def main() -> None:
    """Run the comparison and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="root of Bandsight's API on this machine")
    parser.add_argument("--theirs", required=True, help="root of the pgstac API on this machine")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("bench/results/api-pgstac.json"))
    args = parser.parse_args()
    both = [Client(urlsplit(root).port or 80) for root in (args.ours, args.theirs)]
    rng = np.random.default_rng(2)
    results: dict[str, Any] = {}
    for limit, rounds in ((10, args.rounds), (1000, max(5, args.rounds // 6))):
        for name, make_query in (("box_and_time", _box_and_time), ("box_and_property", _box_and_property)):
            bodies = [make_query(rng) | {"limit": limit} for _ in range(rounds + 1)]
            pairs = [[_send(client, body) for client in both] for body in bodies][1:]
            if any(ours[1] != theirs[1] for ours, theirs in pairs):
                sys.exit(f"{name}: the two APIs hold different items; load the same ones")
            ours, theirs = ([pair[side][0] for pair in pairs] for side in (0, 1))
            results[f"{name}_{limit}"] = {
                "ours_ms": round(statistics.median(ours), 2),
                "theirs_ms": round(statistics.median(theirs), 2),
                "theirs_to_ours": round(statistics.median(b / a for a, b in zip(ours, theirs, strict=True)), 2),
            }
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _send(client: Client, body: dict[str, Any]) -> tuple[float, int]:
    elapsed_ms, content = client.send("POST", "/search", body)
    return elapsed_ms, len(json.loads(content)["features"])


def _box_and_time(rng: np.random.Generator) -> dict[str, Any]:
    west, south = float(rng.uniform(-180, 40)), float(rng.uniform(-60, 0))
    box, year = [west, south, west + 140, south + 70], int(rng.integers(2017, 2024))
    tiles = ["sentinel2_l2a", "landsat_l2", "naip"]
    return {"bbox": box, "datetime": f"{year}-01-01T00:00:00Z/..", "collections": tiles}


def _box_and_property(rng: np.random.Generator) -> dict[str, Any]:
    low = {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 40]}
    query = _box_and_time(rng)
    del query["datetime"]
    return query | {"filter": low, "filter-lang": "cql2-json"}


if __name__ == "__main__":
    main()
