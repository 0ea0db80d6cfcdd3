"""Handles requests about labels and classifiers, for the API, the client and the command line."""

from collections import Counter
from typing import Any

from bandsight.archive.labels import conflicts
from bandsight.attributes.fields import rfc3339
from bandsight.catalog.labels import Classifier, LabelCollection
from bandsight.learning import area, layers
from bandsight.learning.label_files import as_geojson, import_features
from bandsight.learning.proposals import propose
from bandsight.learning.requests import AreaReport, ImportLabels, LayerQuery, NewCollection, NewLabels, ProposalQuery
from bandsight.learning.training import train
from bandsight.search.searcher import Searcher
from bandsight.search.validation import validated
from bandsight.stac.items import Root, tile_item

# Maximum number of entries in a document; there may be thousands.
_SHOWN = 100


class LabelService:
    """Handles requests about labels on an open archive. Returns JSON-serializable values."""

    def __init__(self, searcher: Searcher, root: Root | None = None) -> None:
        """Initialize.

        Args:
            searcher: Archive and model.
            root: Root of the API, for links of items; None without a server.
        """
        self._searcher, self._labels, self._root = searcher, searcher.archive.labels, root

    def collections(self) -> dict[str, Any]:
        """Return the collections."""
        return {"collections": [{**_collection(one), "labels": count} for one, count in self._labels.all()]}

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a collection; `body` is a `NewCollection`."""
        asked = validated(NewCollection, body)
        return _collection(self._labels.create(asked.name, asked.classes))

    def add_classes(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add classes, or change their sentences; `body` is a `NewCollection` of the same name."""
        asked = validated(NewCollection, body | {"name": name})
        return _collection(self._labels.add_classes(name, asked.classes))

    def get(self, name: str) -> dict[str, Any]:
        """Return a collection with its counts, conflicts and classifiers."""
        collection, labels = self._labels.get(name), self._labels.labels(name)
        found = conflicts(labels)
        return {
            **_collection(collection),
            "labels": len(labels),
            "tiles": len({label.tile for label in labels}),
            "counts": dict(Counter(label.cls for label in labels)),
            "annotators": dict(Counter(label.annotator for label in labels)),
            "conflicts": len(found),
            "conflicting": [
                {"tile": one.tile, "classes": {cls: list(who) for cls, who in one.classes.items()}}
                for one in found[:_SHOWN]
            ],
            "versions": [one.version for one in self._labels.classifiers(name)],
        }

    def delete(self, name: str) -> None:
        """Delete a collection."""
        self._labels.delete(name)

    def add(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label tiles; `body` is a `NewLabels`."""
        asked = validated(NewLabels, body)
        return {"labels": self._labels.add(name, dict.fromkeys(asked.tiles, asked.cls), asked.annotator)}

    def remove(self, name: str, tile: int, annotator: str | None = None) -> dict[str, Any]:
        """Delete the labels of a tile."""
        return {"removed": self._labels.remove(name, [tile], annotator)}

    def features(self, name: str) -> dict[str, Any]:
        """Return the labels as GeoJSON."""
        return as_geojson(self._labels.get(name), self._labels.labels(name))

    def load(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label the tiles at features; `body` is an `ImportLabels`."""
        asked = validated(ImportLabels, body)
        return import_features(
            self._searcher.archive,
            name,
            asked.features,
            class_property=asked.class_property,
            cls=asked.cls,
            annotator=asked.annotator,
        )

    def reattach(self, name: str) -> dict[str, Any]:
        """Move labels to the tiles now at their locations."""
        moved, lost = self._labels.reattach(name)
        return {"moved": moved, "lost": lost}

    def train(self, name: str) -> dict[str, Any]:
        """Train the classifier and return its document."""
        return document_of(train(self._searcher, name))

    def classifiers(self, name: str) -> dict[str, Any]:
        """Return all versions of the classifier, newest first."""
        return {"classifiers": [document_of(one) for one in self._labels.classifiers(name)]}

    def layer(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of a classifier's layer over the archive; `query` is a `LayerQuery`."""
        asked = validated(LayerQuery, query)
        return layers.summary(layers.apply_classifier(self._searcher.archive, asked.term(name)), asked.threshold)

    def layer_features(self, name: str, query: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return the `tiles` above a threshold, or their dissolved `polygons`; `query` is a `LayerQuery`."""
        asked, archive = validated(LayerQuery, query), self._searcher.archive
        made = layers.apply_classifier(archive, asked.term(name))
        if kind == "polygons":
            return layers.polygons(archive, made, asked.threshold)
        return {
            "type": "FeatureCollection",
            "features": list(layers.tile_features(archive, made, asked.threshold)),
        }

    def compare(self, name: str, query: dict[str, Any], before: int) -> dict[str, Any]:
        """Return the differences from an earlier version of a classifier; `query` is a `LayerQuery`."""
        asked = validated(LayerQuery, query)
        return layers.compare(self._searcher.archive, asked.term(name), before, asked.threshold)

    def area_sample(self, name: str, query: dict[str, Any], tiles: int, seed: int = 0) -> dict[str, Any]:
        """Return a stratified random sample to label; `query` is a `LayerQuery`."""
        archive = self._searcher.archive
        made = layers.apply_classifier(archive, validated(LayerQuery, query).term(name))
        return area.draw(archive, made, tiles, seed=seed)

    def area_report(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the area of a class from a labelled sample; `body` is an `AreaReport`."""
        asked = validated(AreaReport, body)
        return area.report(self._searcher.archive, asked.sample, asked.threshold)

    def proposals(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the tiles to label next as STAC Items; `body` is a `ProposalQuery`."""
        asked = validated(ProposalQuery, body)
        archive = self._searcher.archive
        found = propose(self._searcher, name, asked.limit)
        tiles = archive.tiles_by_id([one.tile for one in found])
        scenes = archive.scenes_by_id(sorted({tile.scene_id for tile in tiles.values()}))
        features = []
        for one in found:
            if one.tile not in tiles:
                continue
            item = tile_item(tiles[one.tile], scenes[tiles[one.tile].scene_id], self._root)
            own = {"bandsight:class": one.cls, "bandsight:gain": one.gain}
            own |= {} if one.probability is None else {"bandsight:class_probability": one.probability}
            features.append({**item, "properties": {**item["properties"], **own}})
        return {"type": "FeatureCollection", "features": features}


def document_of(classifier: Classifier) -> dict[str, Any]:
    """Return a classifier as JSON-serializable values."""
    return {
        "name": classifier.name,
        "version": classifier.version,
        "created": rfc3339(classifier.created),
        "model_digest": classifier.model_digest,
        "labels": classifier.labels,
        "classes": [head.cls for head in classifier.heads],
        "calibrated": {head.cls: head.calibrated for head in classifier.heads},
        "report": dict(classifier.report),
    }


def _collection(collection: LabelCollection) -> dict[str, Any]:
    return {
        "name": collection.name,
        "classes": dict(collection.sentences),
        "created": rfc3339(collection.created),
    }
