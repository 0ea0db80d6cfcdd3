"""Compares Bandsight with clip-retrieval's back end on the same vectors: ten hits for a query vector.

clip-retrieval runs without its model, which needs a download. A query is a vector: `embedding_input` for
clip-retrieval, `vector` of an example for Bandsight. Both scan exactly.

    python -m bench.api_clip_back fill --archive DIR --folder FOLDER        writes the files for clip-retrieval
    PEER/bin/python bench/api_clip_back.py serve FOLDER 8081                in a virtual environment with clip-retrieval
    python -m bench.api_clip_back compare --archive DIR --ours URL --theirs URL
"""

import argparse
import base64
import json
import statistics
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def fill(archive: Path, folder: Path) -> None:
    """Write a FAISS index and its metadata for clip-retrieval."""
    import faiss
    import pyarrow as pa
    import pyarrow.parquet as pq

    from bandsight.archive import Archive
    from bandsight.attributes.filters import Filter

    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    with Archive.open(archive) as opened:
        ids = opened.tile_ids(Filter()).tolist()
        index = faiss.IndexFlatIP(opened.model.dim)
        index.add(opened.vectors(ids))
    faiss.write_index(index, str(folder / "image.index"))
    names = [f"tile {one}" for one in ids]
    pq.write_table(pa.table({"image_path": names, "caption": names}), folder / "metadata" / "metadata_0.parquet")
    (folder / "indices.json").write_text(json.dumps({"tiles": str(folder)}))


def serve(folder: Path, port: int) -> None:
    """Run clip-retrieval's server without a model."""
    import all_clip
    import flask
    from clip_retrieval.clip_back import clip_back

    all_clip.load_clip = lambda *_, **__: (None, None, None)
    run = flask.Flask.run
    flask.Flask.run = lambda app, **options: run(app, **{**options, "host": "127.0.0.1"})
    clip_back(
        indices_paths=str(folder / "indices.json"),
        port=port,
        columns_to_return=["image_path", "caption"],
        enable_mclip_option=False,
        provide_aesthetic_embeddings=False,
    )


def compare(archive: Path, ours: str, theirs: str, rounds: int, out: Path) -> None:
    """Query both alternately and write JSON."""
    import numpy as np

    from bandsight.archive import Archive
    from bench.api import Client

    rng = np.random.default_rng(3)
    with Archive.open(archive) as opened:
        tiles = rng.integers(1, opened.tile_count, rounds + 1).tolist()
        noise = rng.normal(0, 0.02, (len(tiles), opened.model.dim))
        vectors = opened.vectors(tiles) + noise.astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        digest = opened.model.digest
    clients = [Client(urlsplit(root).port or 80) for root in (ours, theirs)]
    times: list[list[float]] = [[], []]
    for vector in vectors.astype("<f4"):
        example = {"data": base64.b64encode(vector.tobytes()).decode(), "digest": digest}
        body = {"semantic": {"positive": [{"vector": example}]}, "limit": 10}
        knn = {"embedding_input": vector.tolist(), "modality": "image", "num_images": 10, "indice_name": "tiles"}
        ours_ms, our_hits = clients[0].send("POST", "/search", body)
        theirs_ms, their_hits = clients[1].send("POST", "/knn-service", knn)
        our_ids = [hit["id"] for hit in json.loads(our_hits)["features"]]
        if our_ids != [hit["image_path"].removeprefix("tile ") for hit in json.loads(their_hits)]:
            sys.exit("the two find different tiles; fill the folder from this archive")
        times[0].append(ours_ms)
        times[1].append(theirs_ms)
    our_median, their_median = (statistics.median(part[1:]) for part in times)
    results: dict[str, Any] = {"ours_ms": round(our_median, 2), "theirs_ms": round(their_median, 2)}
    results["theirs_to_ours"] = round(their_median / our_median, 2)
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("fill", "compare"))
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--ours", default="")
    parser.add_argument("--theirs", default="")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("bench/results/api-clip-back.json"))
    args = parser.parse_args()
    if args.command == "fill":
        fill(args.archive, args.folder)
    else:
        compare(args.archive, args.ours, args.theirs, args.rounds, args.out)


if __name__ == "__main__":
    main()
