"""Measures the time from 20 labels to a layer, relative to one exact scan of the vectors, on synthetic tiles.

    OMP_NUM_THREADS=2 python -m bench.layers --tiles 1000000

Vectors are random around 50 centres; labels are 10 tiles of one centre and 10 others. Times are medians over rounds:
wall time, and processor time of all threads, in seconds. A scan is `Archive.similarities` for one vector.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity
from bandsight.learning.layers import apply_classifier, summary
from bandsight.learning.proposals import propose
from bandsight.learning.training import fit, train
from bandsight.search.classifiers import ClassifierTerm
from bandsight.search.searcher import Searcher
from bench.labels import archive_entry

_DIM, _CENTRES, _A_SCENE, _NOISE = 384, 50, 10_000, 0.6
_LABELS, _PROPOSALS = 20, 20
_MODEL = ModelIdentity(name="bench", digest="b" * 64, dim=_DIM, license="none")
_TERM = ClassifierTerm(name="bench")


class _Encoder:
    """Encodes every sentence as the first centre, so that the model takes no time."""

    name, digest, license, dim = _MODEL.name, _MODEL.digest, _MODEL.license, _MODEL.dim
    image_size, gsd_m, background, probabilities = 1, None, None, None

    def __init__(self, centre: NDArray[np.float32]) -> None:
        self._centre = centre

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return the centre for each text, shape (n, dim)."""
        return np.tile(self._centre, (len(texts), 1))


def main() -> None:
    """Print times as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="keep the archive here, and use it if it is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        print(json.dumps(measured(folder / "archive", args.tiles, args.rounds), indent=1))


def measured(path: Path, tiles: int, rounds: int) -> dict[str, Any]:
    """Return the figures."""
    centres = _unit(np.random.default_rng(0).normal(size=(_CENTRES, _DIM)))
    if not path.exists():
        _fill(path, centres, tiles)
    with Archive.open(path) as archive:
        searcher = Searcher(archive, _Encoder(centres[0]))  # type: ignore[arg-type]
        train(searcher, "bench")
        collection, labels = archive.labels.get("bench"), archive.labels.labels("bench")
        steps: dict[str, Callable[[], Any]] = {
            "scan": lambda: archive.similarities(centres[:1], Filter()),
            "train": lambda: fit(searcher, collection, labels),
            "apply": lambda: summary(apply_classifier(archive, _TERM), 0.5),
            "propose": lambda: propose(searcher, "bench", _PROPOSALS),
        }
        for step in steps.values():
            step()
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        # Alternately, so that other load affects all steps equally.
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(_seconds(step))
    made: dict[str, Any] = {"tiles": archive.tile_count, "dim": _DIM, "labels": len(labels)}
    for name, pairs in taken.items():
        clock, processor = (round(statistics.median(pair[at] for pair in pairs), 3) for at in range(2))
        made[name] = {"seconds": clock, "processor_seconds": processor}
    whole = [train[1] + layer[1] for train, layer in zip(taken["train"], taken["apply"], strict=True)]
    made["labels_to_layer"] = {"processor_seconds": round(statistics.median(whole), 3)}
    made["labels_to_layer_over_scan"] = round(
        statistics.median(one / scan[1] for one, scan in zip(whole, taken["scan"], strict=True)), 2
    )
    return made


def _fill(path: Path, centres: NDArray[np.float32], tiles: int) -> None:
    with ArchiveWriter.create(path, _MODEL) as writer:
        for number, (rows, of) in enumerate(_vectors(centres, tiles)):
            scene, records = archive_entry(len(rows))
            writer.add([(replace(scene, key=f"bench{number}", href=f"/bench{number}.tif"), records, rows)])
            if number == 0:
                ids = writer.tile_ids(Filter())
                writer.labels.create("bench", {"x": "a centre"})
                positive, negative = np.flatnonzero(of == 0), np.flatnonzero(of != 0)
                for cls, chosen in (("x", positive), ("none", negative)):
                    writer.labels.add("bench", dict.fromkeys(ids[chosen[: _LABELS // 2]].tolist(), cls), "bench")


def _vectors(centres: NDArray[np.float32], tiles: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Yield the vectors of each scene, and the centre of each of them."""
    rng = np.random.default_rng(1)
    for start in range(0, tiles, _A_SCENE):
        of = rng.integers(0, len(centres), min(_A_SCENE, tiles - start))
        noise = rng.normal(size=(len(of), _DIM)) * (_NOISE / _DIM**0.5)
        yield _unit(centres[of] + noise), of


def _unit(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _seconds(action: Callable[[], Any]) -> tuple[float, float]:
    clock, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - clock, time.process_time() - processor


if __name__ == "__main__":
    main()
