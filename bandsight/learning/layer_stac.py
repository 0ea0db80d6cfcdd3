"""STAC documents of a layer's files: a static collection, with an item for each raster."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bandsight.archive import Archive
from bandsight.attributes.fields import rfc3339
from bandsight.geo.footprint import footprint
from bandsight.learning.layers import Layer
from bandsight.stac.items import VERSION, bbox, link
from bandsight.stac.media_types import GEOJSON, JSON

_PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
_RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_MEDIA_TYPES = {".geojson": GEOJSON, ".parquet": "application/vnd.apache.parquet"}
_TITLES = {
    "tiles.geojson": "Tiles that reach the threshold",
    "tiles.parquet": "Tiles that reach the threshold",
    "polygons.geojson": "Area of these tiles, dissolved",
}
COLLECTION = "collection.json"


def stac_documents(
    archive: Archive, layer: Layer, summary: dict[str, Any], files: Sequence[Path], rasters: Sequence[Path]
) -> dict[str, dict[str, Any]]:
    """Return the collection and its items by file name; all links are relative, so the folder can be moved.

    Args:
        archive: The archive that the layer was made from.
        layer: The layer.
        summary: The summary of the layer.
        files: Files of tiles and polygons, which become assets of the collection.
        rasters: Rasters, which become items.
    """
    name = f"{layer.classifier.name}-{layer.head.cls}-{layer.classifier.version}"
    items = {f"{path.stem}.json": _item(layer, name, path) for path in rasters}
    box = layer.box
    ends = [None if time is None else rfc3339(time) for time in layer.period]
    collection = {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": [],
        "id": name,
        "title": f"{layer.head.cls}: a layer of {layer.classifier.name}, version {layer.classifier.version}",
        "description": (
            f"{summary['above']} of {summary['tiles']} tiles reach a probability of {summary['threshold']:g} for "
            f"{layer.head.cls}, by the classifier {layer.classifier.name}."
        ),
        "license": "other",
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90] if box is None else [box.west, box.south, box.east, box.north]]},
            "temporal": {"interval": [ends]},
        },
        "summaries": {"bandsight:class": [layer.head.cls], "bandsight:model": [archive.model.name]},
        "bandsight:layer": summary,
        "assets": {
            path.stem if path.suffix == ".geojson" else path.name.replace(".", "_"): {
                "href": f"./{path.name}",
                "type": _MEDIA_TYPES[path.suffix],
                "title": _TITLES[path.name],
                "roles": ["data"],
            }
            for path in files
        },
        "links": [link("root", f"./{COLLECTION}"), *(link("item", f"./{one}", GEOJSON) for one in items)],
    }
    return {COLLECTION: collection, **items}


def _item(layer: Layer, collection: str, path: Path) -> dict[str, Any]:
    import rasterio

    with rasterio.open(path) as made:
        ground = footprint(made.transform[:6], made.crs.to_string(), 0, 0, made.width, made.height)
        tags, transform, shape = made.tags(1), list(made.transform)[:6], [made.height, made.width]
        code, nodata = made.crs.to_string(), made.nodata
    start, end = (None if time is None else rfc3339(time) for time in layer.period)
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [_PROJECTION, _RASTER],
        "id": path.stem,
        "collection": collection,
        "geometry": ground.geometry,
        "bbox": bbox(ground.boxes),
        "properties": {
            "datetime": None,
            "start_datetime": start or "1850-01-01T00:00:00Z",
            "end_datetime": end or "2150-01-01T00:00:00Z",
            "created": rfc3339(layer.classifier.created),
            "proj:code": code,
            "proj:shape": shape,
            "proj:transform": transform,
            "bandsight:classifier": layer.classifier.name,
            "bandsight:class": layer.head.cls,
            "bandsight:version": layer.classifier.version,
            "bandsight:generation": layer.generation,
        },
        "assets": {
            "probability": {
                "href": f"./{path.name}",
                "type": _COG,
                "title": f"Probability of {layer.head.cls}",
                "roles": ["data"],
                "bands": [
                    {
                        "name": "probability",
                        "description": "percent",
                        "data_type": "uint8",
                        "nodata": nodata,
                        "unit": "%",
                        "raster:scale": 0.01,
                        "statistics": {
                            name: float(tags[f"STATISTICS_{tag}"])
                            for name, tag in (
                                ("minimum", "MINIMUM"),
                                ("maximum", "MAXIMUM"),
                                ("mean", "MEAN"),
                                ("stddev", "STDDEV"),
                            )
                        },
                    }
                ],
            }
        },
        "links": [
            link("root", f"./{COLLECTION}"),
            link("parent", f"./{COLLECTION}"),
            link("collection", f"./{COLLECTION}", JSON),
        ],
    }
