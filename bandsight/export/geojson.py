"""GeoJSON: one FeatureCollection of STAC Items."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from bandsight.export.formats import Pages


class GeoJson:
    """STAC Items as a GeoJSON FeatureCollection, followed by members that describe the whole result."""

    name = "geojson"
    title = "GeoJSON"
    media_type = "application/geo+json"
    suffixes = (".geojson", ".json")

    def stream(self, pages: "Pages") -> Iterator[bytes]:
        """Yield the file page by page; see `ExportFormat`."""
        yield b'{"type":"FeatureCollection","features":['
        count = 0
        for page in pages:
            features = [orjson.dumps(item) for item in page.items_with_vectors()]
            if features:
                yield (b"," if count else b"") + b",".join(features)
            count += len(features)
        yield b"]," + orjson.dumps({"numberReturned": count, **pages.summary()})[1:]
