"""Puts the archive engine beside embedded peers: same vectors, same queries, same filters, one run.

    sh bench/engine/peers.sh /data/venv
    python -m bench.engine.peers --folder /data/bench --environment /data/venv --rows 200000 --dim 384

A stopped run continues with the next engine. Each engine is built in a process of its own with its usual
settings and asked at several search widths, narrowest first. The processor time of a query counts (its mean, of all
processes of the engine): the machine may be shared. A filter lets tiles pass whose number
drawn at random is below a bound, which every engine can say in its own language.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from bench.engine import made_up

# Its type hints lack the constructors that its Python wrapper adds.
_faiss: Any = faiss
PEERS = (
    "faiss_ivfpq",
    "faiss_rabitq",
    "faiss_hnsw",
    "usearch",
    "hnswlib",
    "lancedb",
    "sqlite_vec",
    "duckdb",
    "qdrant",
    "milvus_lite",
)
SHARES = (1.0, 0.1, 0.01, 0.001)
_QUERIES, _K, _BOUND = 40, 10, 1_000_000
_WORKER = Path(__file__).with_name("peer_worker.py")


def main() -> None:
    """Ask all engines that there is an environment for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--environment", type=Path, required=True, help="virtual environment of the peers")
    parser.add_argument("--only", nargs="+", choices=("bandsight", *PEERS), help="measure these engines")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=1152)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    out = args.out or Path(f"bench/results/peers-{args.rows}x{args.dim}.json")
    args.folder.mkdir(parents=True, exist_ok=True)
    inputs = _prepare(args.folder, args.rows, args.dim)
    report: dict[str, Any] = {"rows": args.rows, "dim": args.dim, "shares": SHARES, "engines": {}}
    if out.exists():
        report["engines"] = json.loads(out.read_text())["engines"]
    interpreters = {"bandsight": Path(sys.executable)}
    interpreters |= dict.fromkeys(PEERS, args.environment / "bin" / "python")
    for name, interpreter in interpreters.items():
        if args.only and name not in args.only:
            continue
        if "widths" in report["engines"].get(name, {}):
            continue
        if not interpreter.exists():
            report["engines"][name] = {"missing": f"no environment at {interpreter}"}
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        command = [str(interpreter), "-W", "ignore", str(_WORKER), name, str(inputs), str(args.folder / f"peer-{name}")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            report["engines"][name] = {"failed": done.stderr.strip().splitlines()[-1:]}
        else:
            report["engines"][name] = json.loads(done.stdout.splitlines()[-1])
        out.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


def _prepare(folder: Path, rows: int, dim: int) -> Path:
    """Write vectors, numbers to filter by, queries and their true neighbours; return their folder."""
    inputs = folder / f"peers-{rows}x{dim}"
    inputs.mkdir(exist_ok=True)
    made_up.write(inputs / "vectors.npy", dim, rows)
    if (inputs / "truth.json").exists():
        return inputs
    values = np.random.default_rng(5).integers(0, _BOUND, rows)
    queries = made_up.MadeUp(dim, rows).queries(_QUERIES)
    stored = np.load(inputs / "vectors.npy").astype(np.float32)
    flat = faiss.IndexFlatIP(dim)
    flat.add(stored)
    truth: dict[str, Any] = {"k": _K, "bound": _BOUND, "shares": SHARES, "kinds": {}}
    for kind, vectors in queries.items():
        np.save(inputs / f"{kind}.npy", vectors)
        truth["kinds"][kind] = []
        for share in SHARES:
            chosen = faiss.IDSelectorBatch(np.flatnonzero(values < share * _BOUND))
            _, ids = flat.search(vectors, _K, params=_faiss.SearchParameters(sel=chosen))
            truth["kinds"][kind].append(ids.tolist())
    np.save(inputs / "values.npy", values)
    (inputs / "truth.json").write_text(json.dumps(truth))
    return inputs


if __name__ == "__main__":
    main()
