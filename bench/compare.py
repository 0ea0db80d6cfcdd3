"""Compares this checkout with an older one, alternately in one run: indexing, text queries over HTTP, opening, memory.

    git worktree add --detach ../older COMMIT
    python -m bench.compare --old ../older

Each fills an archive with the same synthetic scenes. Times are processor times, which depend little on other load of
the machine; each figure is a median over the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parents[1]
# Uses only names that exist in both checkouts.
_FILL = """
import sys
from pathlib import Path
from bench import api_archive
fill = getattr(api_archive, "fill", None) or api_archive.make
fill(Path(sys.argv[1]), int(sys.argv[2]))
"""
_QUERIES = """
import json, resource, statistics, sys, time
from pathlib import Path
from fastapi.testclient import TestClient
from search_api.app import create_app
from search_api.settings import ApiSettings

def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

from bandsight.archive import Archive
before, start = rss(), time.process_time()
with Archive.open(Path(sys.argv[1])) as archive:
    opened, held = time.process_time() - start, rss() - before
    tiles = archive.tile_count
times = []
with TestClient(create_app(ApiSettings(archive=Path(sys.argv[1]))), base_url="http://localhost") as client:
    for number in range(80):
        start = time.process_time()
        answer = client.get("/search", params={"q": f"a river beside field {number}", "limit": 10})
        times.append(time.process_time() - start)
        assert len(answer.json()["features"]) == 10, answer.text
print(json.dumps({"open_ms": 1000 * opened, "query_ms": 1000 * statistics.median(times[20:]),
                  "open_bytes_per_tile": held / tiles}))
"""
_INDEXING = """
import json, sys, tempfile
from pathlib import Path
from bandsight.model import load_model
from bench.__main__ import indexing
with tempfile.TemporaryDirectory() as folder:
    found = indexing(load_model("embedded"), Path(folder), int(sys.argv[1]))["indexing"]
print(json.dumps({"indexing_to_bare_encoder": found["ratio"]}))
"""


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, required=True, help="the older checkout")
    parser.add_argument("--tiles", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=1280, help="side of the scene that is indexed, pixels; 0 for none")
    parser.add_argument("--out", type=Path, default=Path("bench/results/compare.json"))
    args = parser.parse_args()
    places = {"old": args.old.resolve(), "new": _HERE}
    with tempfile.TemporaryDirectory() as folder:
        archives = {name: Path(folder) / name for name in places}
        for name, place in places.items():
            _run(place, "-c", _FILL, str(archives[name]), str(args.tiles))
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in places}
        for _ in range(args.rounds):
            for name, place in places.items():
                found = _figures(place, _QUERIES, str(archives[name]))
                if args.side:
                    found |= _figures(place, _INDEXING, str(args.side))
                rounds[name].append(found)
    medians = {
        name: {key: statistics.median(one[key] for one in several) for key in several[0]}
        for name, several in rounds.items()
    }
    commits = {name: _commit(place) for name, place in places.items()}
    results = {"tiles": args.tiles, "rounds": args.rounds, "cpus": os.cpu_count(), "commits": commits, **medians}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def _figures(place: Path, script: str, *arguments: str) -> dict[str, float]:
    found: dict[str, float] = json.loads(_run(place, "-c", script, *arguments).splitlines()[-1])
    return found


def _run(place: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", *arguments]
    done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def _commit(place: Path) -> Any:
    command = ["git", "-C", str(place), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
