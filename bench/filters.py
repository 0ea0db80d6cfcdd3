"""Measures how fast filters are evaluated on a million synthetic tiles, compared with a naive loop in the same run.

    python -m bench.filters --tiles 1000000

Tiles belong to scenes on a grid over the Earth. Times are processor times of one thread: run it with OMP_NUM_THREADS=1.
The naive way compares the four sides and the property of every tile with NumPy; both must select the same number.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter, Property
from bandsight.attributes.matching import AttributeView, matching
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox

_A_SCENE, _ROUNDS = 400, 15
_FIELD = "eo:cloud_cover"


def main() -> None:
    """Print times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, nargs="+", default=[1, 10, 50])
    args = parser.parse_args()
    print(json.dumps({f"{count} segments": measured(args.tiles, count) for count in args.segments}, indent=1))


def measured(tiles: int, segments: int) -> dict[str, dict[str, float]]:
    """Return, for each filter, the ms of both ways and the share of tiles that pass."""
    views, boxes, clouds = made_up(tiles, segments)

    def footprints(ids: NDArray[np.int64]) -> NDArray[np.object_]:
        return np.asarray(shapely.box(*boxes[:, ids - 1]), object)

    wide, narrow = LonLatBox(west=-60, south=-30, east=80, north=40), LonLatBox(west=10, south=45, east=24, north=57)
    clear = (Property(name=_FIELD, op="<=", value=40),)
    filters = {
        "box and property": Filter(area=Area.from_box(wide), properties=clear),
        "box of 1%": Filter(area=Area.from_box(narrow)),
    }
    report = {}
    for (name, where), box in zip(filters.items(), (wide, narrow), strict=True):

        def decide(where: Filter = where) -> int:
            return sum(int(np.count_nonzero(matching(view, where, footprints))) for view in views)

        def plain(box: LonLatBox = box, where: Filter = where) -> int:
            inside = (boxes[0] <= box.east) & (boxes[2] >= box.west) & (boxes[1] <= box.north) & (boxes[3] >= box.south)
            return int(np.count_nonzero(inside & (clouds <= 40) if where.properties else inside))

        assert decide() == plain(), f"{name}: {decide()} and {plain()} tiles pass"
        report[name] = {
            "share": round(plain() / tiles, 4),
            "ms": _ms(decide),
            "plain_ms": _ms(plain),
        }
    return report


def made_up(tiles: int, segments: int) -> tuple[list[AttributeView], NDArray[np.float64], NDArray[np.float64]]:
    """Return a view of each segment, the sides of all tiles (4, n) in degrees, and their cloud cover in percent."""
    rng = np.random.default_rng(3)
    count = -(-tiles // _A_SCENE)
    corner = np.stack([rng.uniform(-179, 178, count), rng.uniform(-80, 79, count)])
    side = int(_A_SCENE**0.5)
    step = np.arange(tiles) % _A_SCENE
    of = np.arange(tiles) // _A_SCENE
    west = corner[0][of] + 0.012 * (step % side)
    south = corner[1][of] + 0.012 * (step // side)
    boxes = np.stack([west, south, west + 0.012, south + 0.012])
    clouds = rng.uniform(0, 100, count)
    scenes = SceneColumns(
        ids=np.arange(1, count + 1, dtype=np.int64),
        times_us=np.zeros(count, np.int64),
        collections=np.full(count, "c"),
        sensors=np.full(count, "s"),
        boxes=np.stack(
            [np.stack([corner[0], corner[1], corner[0] + 0.24, corner[1] + 0.24], 1), np.full((count, 4), np.nan)], 1
        ),
        properties=tuple({_FIELD: float(cloud)} for cloud in clouds),
    )
    views = []
    for rows in np.array_split(np.arange(tiles), segments):
        columns = TileColumns(
            ids=rows.astype(np.int64) + 1,
            scene_ids=1 + of[rows],
            boxes=np.stack([boxes.T[rows], np.full((len(rows), 4), np.nan)], 1),
            values={field.name: np.ones(len(rows)) for field in FIELDS.tile},
        )
        views.append(AttributeView(columns, scenes))
    return views, boxes, clouds[of]


def _ms(run: Callable[[], object]) -> float:
    taken = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        taken.append(1000 * (time.process_time() - began))
    return round(statistics.median(taken), 2)


if __name__ == "__main__":
    main()
