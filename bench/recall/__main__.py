"""Measures recall@10 and @100 for every kind of query and filter, against brute force, on synthetic distributions.

    python -m bench.recall --folder /data/bench --rows 200000 --dim 512

The index is built and tuned like by `bandsight optimize`, with 500 sentences. No query is a row of the archive or was
used for tuning. Filters select a random 30%, runs of rows like scenes (5%), and for each query the nearer 30% of all
rows (correlated) or the farther 30% (anti-correlated). Times are processor times of one thread: run it with
OMP_NUM_THREADS=1.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bandsight.attributes.columns import SceneColumns, TileColumns
from bandsight.attributes.fields import FIELDS
from bandsight.attributes.filters import Filter
from bandsight.vectors.local.search import Chosen, Masks
from bandsight.vectors.local.store import LocalVectorStore
from bandsight.vectors.port import Snapshot
from bench.recall.distributions import DISTRIBUTIONS, Distribution, Vectors, queries
from bench.recall.real import Embedded

KS, QUERIES, SENTENCES = (10, 100), 50, 500
_A_SEGMENT, _A_SCENE, _FIRST_SEED = 20_000, 1000, 1
Masked = NDArray[np.bool_]


def filled(folder: Path, made: Distribution, rows: int) -> tuple[LocalVectorStore, NDArray[np.float16]]:
    """Return a store of synthetic rows, and the rows."""
    parts = [made.images(min(_A_SEGMENT, rows - start), _FIRST_SEED + start) for start in range(0, rows, _A_SEGMENT)]
    values = np.concatenate(parts)
    folder.mkdir(parents=True, exist_ok=True)
    store = LocalVectorStore(folder, values.shape[1], TileColumns.empty, lambda ids: np.full(len(ids), None, object))
    segments = []
    for start in range(0, rows, _A_SEGMENT):
        ids = np.arange(start, min(rows, start + _A_SEGMENT), dtype=np.int64) + 1
        columns = TileColumns(
            ids=ids,
            scene_ids=1 + (ids - 1) // _A_SCENE,
            boxes=np.tile([[0.0, 0, 1, 1], [np.nan] * 4], (len(ids), 1, 1)),
            values={field.name: np.ones(len(ids)) for field in FIELDS.tile},
        )
        segments.append(store.upsert(values[start : start + len(ids)], columns))
    count = -(-rows // _A_SCENE)
    scenes = SceneColumns(
        ids=np.arange(1, count + 1, dtype=np.int64),
        times_us=np.zeros(count, np.int64),
        collections=np.full(count, "c"),
        sensors=np.full(count, "s"),
        boxes=np.tile([[0.0, 0, 1, 1], [np.nan] * 4], (count, 1, 1)),
        properties=tuple({} for _ in range(count)),
    )
    store.show(Snapshot(generation=1, segments=tuple(segments), newest=rows, scenes=scenes))
    return store, values.astype(np.float16)


def filters(scores: NDArray[np.float32]) -> dict[str, Masked]:
    """Return which rows pass each filter, for a query with these scores."""
    rng = np.random.default_rng(4)
    runs = np.repeat(rng.random(-(-len(scores) // _A_SCENE)) < 0.05, _A_SCENE)[: len(scores)]
    near, far = np.quantile(scores, (0.7, 0.3))
    return {
        "none": np.ones(len(scores), bool),
        "random 30%": rng.random(len(scores)) < 0.3,
        "scenes 5%": runs,
        "correlated": scores >= near,
        "anti-correlated": scores <= far,
    }


def measure(store: LocalVectorStore, rows: NDArray[np.float16], asked: dict[str, Vectors]) -> dict[str, Any]:
    """Return recall and time by kind of query and filter."""
    state = store.choose(Filter()).state
    sizes = [len(one.part.file.rows) for one in state.shown]
    report: dict[str, Any] = {}
    wide = rows.astype(np.float32)
    flat = faiss.IndexFlatIP(wide.shape[1])
    flat.add(wide)
    for kind, vectors in asked.items():
        found: dict[str, list[tuple[int, float, float]]] = {}
        flat_ms = []
        for query in vectors:
            began = time.process_time()
            flat.search(query[None], KS[0])
            flat_ms.append(1000 * (time.process_time() - began))
            scores = wide @ query
            for name, mask in filters(scores).items():
                chosen = Chosen(state, Masks.of(np.split(mask, np.cumsum(sizes)[:-1])))
                best = np.sort(scores[mask])[::-1][: max(KS)]
                for k in KS:
                    began = time.process_time()
                    _, reached = chosen.search(query[None], k)[0]
                    ms = 1000 * (time.process_time() - began)
                    # By score, because any of several equal rows is as good as the others.
                    share = float(np.count_nonzero(reached >= best[:k][-1] - 1e-5)) / min(k, len(best))
                    found.setdefault(name, []).append((k, min(1.0, share), ms))
        report[kind] = {"flat_ms": round(statistics.median(flat_ms), 2)} | {
            name: {f"recall_at_{k}": round(statistics.mean(share for at, share, _ in some if at == k), 4) for k in KS}
            | {f"ms_at_{k}": round(statistics.median(ms for at, _, ms in some if at == k), 2) for k in KS}
            for name, some in found.items()
        }
        print(kind, json.dumps(report[kind]), file=sys.stderr, flush=True)
    return report


def main() -> None:
    """Measure the distributions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--folder", type=Path, required=True, help="where vectors and index are kept")
    parser.add_argument("--only", choices=sorted(DISTRIBUTIONS), help="measure one distribution")
    parser.add_argument("--images", type=Path, nargs="+", help="measure real embeddings, of the images of these tars")
    parser.add_argument("--results", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    out = args.results / f"recall-{args.rows}x{'real' if args.images else args.dim}.json"
    report: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    for name in ["real"] if args.images else [args.only] if args.only else DISTRIBUTIONS:
        made: Distribution = Embedded(args.images) if args.images else DISTRIBUTIONS[name](args.dim)
        store, rows = filled(args.folder / f"{name}-{args.rows}x{args.dim}", made, args.rows)
        figures = store.index_figures
        if figures["index"] == "none":
            figures = store.optimize(made.sentences(SENTENCES, 77))
        print(json.dumps(figures), file=sys.stderr, flush=True)
        report[name] = {"index": figures, "queries": measure(store, rows, queries(made, QUERIES))}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
