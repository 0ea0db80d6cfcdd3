"""Benchmarks adding small scenes while an archive grows to a million tiles: time and disk space.

The scenes are synthetic, with four tiles each, and added like in a job, 512 per commit. Large scenes fill the archive
between the measurements. The figures are CPU times, which do not depend on other load of the machine.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.geo.footprint import footprint, footprints

_DIM, _TILES_PER_SCENE, _SCENES_PER_COMMIT, _PART = 384, 4, 512, 2048
_CRS = "EPSG:32633"


def main() -> None:
    """Run the benchmark and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=10_000, help="small scenes to add to the empty archive")
    parser.add_argument(
        "--tiles", type=int, nargs="+", default=[250_000, 1_000_000], help="archive sizes to measure at"
    )
    parser.add_argument("--out", type=Path, default=Path("bench/results/growth.json"))
    args = parser.parse_args()
    identity = ModelIdentity(name="synthetic", digest="0" * 64, dim=_DIM, license="Apache-2.0")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, ArchiveWriter.create(Path(name) / "archive", identity) as archive:
        number = 0
        for thousand in range(-(-args.scenes // 1000)):
            rows.append(
                {"tiles_before": thousand * 1000 * _TILES_PER_SCENE, **_add_small_scenes(archive, number, 1000)}
            )
            number += 1000
            print(json.dumps(rows[-1]), flush=True)
        held = number * _TILES_PER_SCENE
        for size in args.tiles:
            while held < size:
                many = min(100_000, size - held)
                archive.add_in_parts(_scene(number, 0), _parts(number, many))
                number, held = number + 1, held + many
            rows.append({"tiles_before": held, **_add_small_scenes(archive, number, 2000)})
            number, held = number + 2000, held + 2000 * _TILES_PER_SCENE
            print(json.dumps(rows[-1]), flush=True)
        stats = archive.stats()
    first = float(
        np.median([row["cpu_ms_per_scene"] for row in rows if row["tiles_before"] < args.scenes * _TILES_PER_SCENE])
    )
    results = {
        "tiles_per_scene": _TILES_PER_SCENE,
        "scenes_per_commit": _SCENES_PER_COMMIT,
        "rows": rows,
        "largest_to_first": round(rows[-1]["cpu_ms_per_scene"] / first, 3),
        "catalog_bytes_per_tile": round(stats["catalog_bytes"] / stats["tiles"], 1),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1) + "\n")


def _add_small_scenes(archive: ArchiveWriter, number: int, count: int) -> dict[str, float]:
    """Add small scenes; return the time per scene."""
    cpu, start_time = time.process_time(), time.perf_counter()
    for start in range(number, number + count, _SCENES_PER_COMMIT):
        numbers = range(start, min(start + _SCENES_PER_COMMIT, number + count))
        archive.add([(_scene(n, 1), _tiles(n, _TILES_PER_SCENE, 0), _vectors(n, _TILES_PER_SCENE)) for n in numbers])
    return {
        "cpu_ms_per_scene": round((time.process_time() - cpu) / count * 1000, 3),
        "wall_ms_per_scene": round((time.perf_counter() - start_time) / count * 1000, 3),
    }


def _transform(number: int) -> tuple[float, float, float, float, float, float]:
    place = np.random.default_rng(number).integers(0, 100_000, 2)
    return (10.0, 0.0, 200_000.0 + 5 * int(place[0]), 0.0, -10.0, 1_000_000.0 + 70 * int(place[1]))


def _scene(number: int, kind: int) -> SceneRecord:
    ground = footprint(_transform(number), _CRS, 0, 0, 256, 256)
    return SceneRecord(
        key=f"{number}-{kind}",
        href=f"/synthetic/{number}.tif",
        name=f"{number}.tif",
        collection="synthetic",
        sensor="rgb",
        datetime=None,
        crs=_CRS,
        transform=_transform(number),
        width=256,
        height=256,
        gsd_m=10.0,
        bands=(),
        stretch={},
        geometry=ground.geometry,
        boxes=ground.boxes,
    )


def _tiles(number: int, count: int, first: int) -> list[TileRecord]:
    windows = [(128.0 * (n % 300), 128.0 * (n // 300), 128.0, 128.0) for n in range(first, first + count)]
    grounds = footprints(_transform(number), _CRS, windows)
    return [
        TileRecord(
            cell=f"synthetic/{number}_{first + n}",
            scale=1,
            col_off=int(window[0]),
            row_off=int(window[1]),
            width=128,
            height=128,
            valid_fraction=1.0,
            geometry=ground.geometry,
            boxes=ground.boxes,
        )
        for n, (window, ground) in enumerate(zip(windows, grounds, strict=True))
    ]


def _vectors(number: int, count: int) -> NDArray[np.float32]:
    rows = np.random.default_rng([number, 1]).normal(size=(count, _DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _parts(number: int, count: int) -> Iterator[tuple[list[TileRecord], NDArray[np.float32]]]:
    for first in range(0, count, _PART):
        many = min(_PART, count - first)
        yield _tiles(number, many, first), _vectors(number, many)


if __name__ == "__main__":
    main()
