"""Times the atlas, and compares ways to lay it out by how well neighbours and classes stay together.

    python -m bench.atlas --archive FOLDER                    seconds to build the atlas of an archive
    python -m bench.atlas --images eurosat_rgb.tar            layouts of labelled images

Half of the images are laid out, the others are placed beside them. Trustworthiness is scikit-learn's, with 15
neighbours; agreement is the share of the 15 nearest on the map that have the same class, for both halves. PaCMAP is
compared where it is installed.
"""

import argparse
import importlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.atlas.atlas import build
from bandsight.atlas.layout import lay_out, nearest, place
from bandsight.model import load_model
from bench.labels import encoded

_NEIGHBOURS = 15
Floats = NDArray[np.float32]


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=2000, help="images drawn from the data set")
    args = parser.parse_args()
    made: dict[str, Any] = {}
    if args.archive is not None:
        made["build"] = _built(args.archive)
    if args.images is not None:
        made["layouts"] = _compared(args.images, args.count)
    print(json.dumps(made, indent=1))


def _built(path: Path) -> dict[str, float]:
    encoder = load_model("embedded", "cpu")
    with Archive.open(path) as archive:
        clock, processor = time.perf_counter(), time.process_time()
        atlas = build(archive, encoder)
        return {
            "tiles": len(atlas.ids),
            "seconds": round(time.perf_counter() - clock, 1),
            "processor_seconds": round(time.process_time() - processor, 1),
        }


def _compared(path: Path, count: int) -> dict[str, Any]:
    data = encoded(load_model("embedded", "cpu"), path, count, [])
    classes = np.argmax(np.stack(list(data.targets.values())), axis=0)
    half = len(classes) // 2
    # Compiled before it is timed.
    lay_out(data.vectors[:100])
    made: dict[str, Any] = {"images": len(classes), "classes": len(data.targets)}
    for name, layout in _layouts().items():
        began = time.process_time()
        points = layout(data.vectors[:half])
        seconds = time.process_time() - began
        beside = place(*nearest(data.vectors[half:], data.vectors[:half]), points)
        made[name] = _figures(data.vectors, points, beside, classes) | {"processor_seconds": round(seconds, 1)}
    return made


def _layouts() -> dict[str, Callable[[Floats], Floats]]:
    found: dict[str, Callable[[Floats], Floats]] = {"umap": lay_out, "principal components": _principal}
    try:
        pacmap: Any = importlib.import_module("pacmap")
    except ModuleNotFoundError:
        return found

    def by_pacmap(vectors: Floats) -> Floats:
        # On unit vectors, Euclidean and cosine distances have the same order.
        return np.asarray(pacmap.PaCMAP(n_components=2, random_state=0).fit_transform(vectors), np.float32)

    return found | {"pacmap": by_pacmap}


def _principal(vectors: Floats) -> Floats:
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T, np.float32)


def _figures(vectors: Floats, points: Floats, beside: Floats, classes: NDArray[np.int64]) -> dict[str, float]:
    from sklearn.manifold import trustworthiness

    half = len(points)
    return {
        "trustworthiness": round(float(trustworthiness(vectors[:half], points, n_neighbors=_NEIGHBOURS)), 3),
        "agreement": round(_agreement(points, classes[:half]), 3),
        "agreement_placed": round(_agreement(np.concatenate([points, beside]), classes, half), 3),
    }


def _agreement(points: Floats, classes: NDArray[np.int64], start: int = 0) -> float:
    """Return how many of the nearest of each point from `start` on have its class, as a share."""
    shares = []
    for at in range(start, len(points)):
        distance = ((points - points[at]) ** 2).sum(axis=1)
        distance[at] = np.inf
        near = np.argpartition(distance, _NEIGHBOURS)[:_NEIGHBOURS]
        shares.append(float((classes[near] == classes[at]).mean()))
    return float(np.mean(shares))


if __name__ == "__main__":
    main()
