"""GeoParquet in the layout of stac-geoparquet.

Column types depend on all items. Items are therefore spooled to a file first, and the table is written to a second
file. At most a few thousand items are in memory.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import orjson

from bandsight.errors import needs_extra
from bandsight.export.item_page import VECTOR

if TYPE_CHECKING:
    import pyarrow as pa

    from bandsight.export.formats import Pages

_BATCH = 2000
_PART_BYTES = 2**20


class GeoParquet:
    """GeoParquet in the layout of stac-geoparquet; properties with values of several types become text."""

    name = "geoparquet"
    title = "GeoParquet"
    media_type = "application/vnd.apache.parquet"
    suffixes = (".parquet",)

    def stream(self, pages: "Pages") -> Iterator[bytes]:
        """Write the file, then yield it in chunks; see `ExportFormat`."""
        # The folder is removed when the iterator is closed, also if the client disconnects.
        with tempfile.TemporaryDirectory(prefix="bandsight-export-") as folder:
            path = Path(folder) / "items.parquet"
            _write(pages, Path(folder), path)
            with path.open("rb") as file:
                while part := file.read(_PART_BYTES):
                    yield part


def _write(pages: "Pages", folder: Path, path: Path) -> None:
    with needs_extra("geoparquet", "GeoParquet export"):
        from stac_geoparquet.arrow import parse_stac_ndjson_to_arrow, to_parquet

    dim = pages.vector_dim
    items, vectors = folder / "items.ndjson", folder / "vectors.f4"
    with items.open("wb") as lines, vectors.open("wb") as raw:
        count, mixed = _spool(pages, dim, lines, raw)
    if not count:
        to_parquet(_empty_table(dim), path)
        return
    if mixed:
        items = _as_text(items, folder / "text.ndjson", mixed)
    batches = parse_stac_ndjson_to_arrow(items, chunk_size=_BATCH)
    to_parquet(batches if dim is None else _with_vectors(batches, vectors, dim), path, compression="zstd")


def _spool(pages: "Pages", dim: int | None, lines: BinaryIO, raw: BinaryIO) -> tuple[int, set[str]]:
    """Write items and vectors to files. Returns the number of items, and the properties with mixed types."""
    kinds: dict[str, set[type]] = {}
    count = 0
    for page in pages:
        for item in page.items:
            for name, value in item["properties"].items():
                if value is not None:
                    kinds.setdefault(name, set()).add(float if type(value) is int else type(value))
            lines.write(orjson.dumps(item) + b"\n")
        if dim is not None and page.vectors is not None:
            nothing = np.full(dim, np.nan, np.float32)
            for vector in page.vectors:
                raw.write((nothing if vector is None else vector).astype(np.float32).tobytes())
        count += len(page.items)
    return count, {name for name, found in kinds.items() if len(found) > 1 or found & {dict}}


def _as_text(source: Path, target: Path, names: set[str]) -> Path:
    """Copy items with some properties as text, because a column has one type."""
    with source.open("rb") as lines, target.open("wb") as out:
        for line in lines:
            item = orjson.loads(line)
            for name in names & set(item["properties"]):
                value = item["properties"][name]
                if value is not None and not isinstance(value, str):
                    item["properties"][name] = json.dumps(value, ensure_ascii=False)
            out.write(orjson.dumps(item) + b"\n")
    return target


def _with_vectors(batches: "pa.RecordBatchReader", file: Path, dim: int) -> "pa.RecordBatchReader":
    import pyarrow as pa

    rows = np.memmap(file, np.float32, "r").reshape(-1, dim)
    kind = pa.list_(pa.field("item", pa.float32()))
    field = pa.field(VECTOR, kind)

    def joined() -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in batches:
            part = rows[first : first + batch.num_rows]
            first += batch.num_rows
            known = np.isfinite(part).all(axis=1)
            ends = np.concatenate([[0], np.cumsum(np.where(known, dim, 0))]).astype(np.int32)
            column = pa.ListArray.from_arrays(
                pa.array(ends), pa.array(part[known].ravel()), type=kind, mask=pa.array(~known)
            )
            yield batch.append_column(field, column)

    return pa.RecordBatchReader.from_batches(batches.schema.append(field), joined())


def _empty_table(dim: int | None) -> "pa.Table":
    import pyarrow as pa

    names: dict[str, Any] = {"type": pa.string(), "stac_version": pa.string(), "id": pa.string()}
    names |= {"collection": pa.string(), "geometry": pa.binary(), "datetime": pa.timestamp("us", tz="UTC")}
    names |= {} if dim is None else {VECTOR: pa.list_(pa.float32())}
    return pa.schema(list(names.items())).empty_table()
