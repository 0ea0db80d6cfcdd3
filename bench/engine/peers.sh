#!/bin/sh
# Sets up one virtual environment a peer, outside the repository: bench/engine/peers.sh FOLDER
set -e
folder=${1:?the folder that the environments go to}
make() {
    name=$1
    shift
    [ -x "$folder/$name/bin/python" ] || python3 -m venv "$folder/$name"
    "$folder/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
}
make usearch usearch numpy
make sqlite_vec sqlite-vec numpy
make lancedb lancedb pyarrow numpy
make milvus_lite milvus-lite pymilvus numpy
# Compiled on the spot, which takes minutes.
make hnswlib hnswlib numpy
