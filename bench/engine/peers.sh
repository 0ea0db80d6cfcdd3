#!/bin/sh
# Sets up one virtual environment for all peers, outside the repository: bench/engine/peers.sh FOLDER
set -e
folder=${1:?the folder of the environment}
[ -x "$folder/bin/python" ] || python3 -m venv "$folder"
# hnswlib is compiled on the spot, which takes minutes.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    duckdb faiss-cpu hnswlib lancedb milvus-lite numpy pyarrow pymilvus pysqlite3-binary qdrant-client sqlite-vec usearch
