"""Measures matching commits against subscriptions, and applying a classifier, relative to the bare matrix products.

Vectors are random, because the time of an exact product does not depend on them. Both run alternately in one process;
ratios are medians over rounds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.alerts import raise_alerts
from bandsight.archive.tile_columns import tile_columns
from bandsight.attributes.filters import Filter
from bandsight.catalog.alerts import Subscription
from bandsight.catalog.labels import Classifier, Head
from bandsight.catalog.records import ModelIdentity
from bandsight.learning.layers import apply_classifier
from bandsight.search.classifiers import ClassifierTerm
from bench.labels import archive_entry

_DIM = 384
_ROUNDS = 5


def main() -> None:
    """Run the measurement and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--tiles", type=int, default=10_000, help="tiles of the commit")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = measured(Path(folder), args.subscriptions, args.tiles)
    print(json.dumps(made, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(made, indent=1) + "\n")


def measured(folder: Path, subscriptions: int, tiles: int) -> dict[str, Any]:
    """Return the figures."""
    rng = np.random.default_rng(0)
    directions, vectors = _unit(rng, subscriptions), _unit(rng, tiles)
    identity = ModelIdentity(name="bench", digest="b" * 64, dim=_DIM, license="none")
    with ArchiveWriter.create(folder / "archive", identity) as writer:
        scene, records = archive_entry(tiles)
        writer.add([(scene, records, vectors)])
        ids = writer.tile_ids(Filter())
        with writer.database.writing() as catalog:
            columns = tile_columns(catalog, ids)
            for number, direction in enumerate(directions):
                catalog.alerts.add(
                    Subscription(
                        id=f"{number:016x}",
                        title="bench",
                        request={},
                        where={},
                        direction=direction,
                        # None matches, because only the comparison is measured.
                        least=2.0,
                        model_digest=identity.digest,
                        created=datetime.now(UTC),
                    )
                )

        def match() -> None:
            with writer.database.writing() as catalog:
                raise_alerts(catalog, 1, columns, vectors)

        matching = _ratio(match, lambda: _product(directions, vectors))
        head = Head(cls="x", weights=directions[0] * 9, bias=-2.0, calibrated=True)
        writer.labels.create("bench", {"x": ""})
        writer.labels.add_classifier(
            Classifier(
                name="bench",
                version=0,
                created=datetime.now(UTC),
                model_digest=identity.digest,
                labels=1,
                heads=(head,),
            )
        )
        applying = _ratio(
            lambda: apply_classifier(writer, ClassifierTerm(name="bench")),
            lambda: _scan(writer, directions[:1]),
        )
    return {
        "subscriptions": subscriptions,
        "tiles": tiles,
        "dim": _DIM,
        "matching_over_product": matching,
        "applying_over_scan": applying,
    }


def _ratio(ours: Callable[[], Any], bare: Callable[[], Any]) -> dict[str, float]:
    ours()
    bare()
    pairs = [(_seconds(ours), _seconds(bare)) for _ in range(_ROUNDS)]
    ratios = [one / other for one, other in pairs]
    return {
        "ratio": round(statistics.median(ratios), 2),
        "seconds": round(statistics.median(one for one, _ in pairs), 3),
    }


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def _product(directions: NDArray[np.float32], vectors: NDArray[np.float32]) -> None:
    for start in range(0, len(vectors), 1024):
        directions @ vectors[start : start + 1024].T


def _scan(archive: Archive, direction: NDArray[np.float32]) -> None:
    archive.similarities(direction, Filter())


def _unit(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = rng.normal(size=(count, _DIM)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


if __name__ == "__main__":
    main()
