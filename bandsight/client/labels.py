"""Label collections from Python: labels, classifiers, and tiles to label next."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bandsight.client.requests import tile_id


class LabelBackend(Protocol):
    """Handles requests about labels; bodies are defined in `bandsight.learning.requests`."""

    def collections(self) -> dict[str, Any]:
        """Return the collections."""

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        """Create a collection."""

    def add_classes(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Add classes, or change their sentences."""

    def get(self, name: str) -> dict[str, Any]:
        """Return a collection."""

    def delete(self, name: str) -> None:
        """Delete a collection."""

    def add(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label tiles."""

    def remove(self, name: str, tile: int, annotator: str | None = None) -> dict[str, Any]:
        """Delete the labels of a tile."""

    def features(self, name: str) -> dict[str, Any]:
        """Return the labels as GeoJSON."""

    def load(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Label the tiles at features."""

    def reattach(self, name: str) -> dict[str, Any]:
        """Move labels to the tiles now at their locations."""

    def train(self, name: str) -> dict[str, Any]:
        """Train the classifier."""

    def classifiers(self, name: str) -> dict[str, Any]:
        """Return all versions of the classifier."""

    def layer(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of a classifier's layer over the archive."""

    def layer_features(self, name: str, query: dict[str, Any], kind: str) -> dict[str, Any]:
        """Return the `tiles` above a threshold, or their dissolved `polygons`."""

    def compare(self, name: str, query: dict[str, Any], before: int) -> dict[str, Any]:
        """Return the differences from an earlier version of a classifier."""

    def area_sample(self, name: str, query: dict[str, Any], tiles: int, seed: int = 0) -> dict[str, Any]:
        """Return a stratified random sample to label."""

    def area_report(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the area of a class from a labelled sample."""

    def proposals(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the tiles to label next."""


class Labels:
    """A label collection."""

    def __init__(self, backend: LabelBackend, name: str) -> None:
        self._backend, self.name = backend, name

    def info(self) -> dict[str, Any]:
        """Return classes, counts, conflicts and classifier versions."""
        return self._backend.get(self.name)

    def add_classes(self, classes: Mapping[str, str]) -> dict[str, Any]:
        """Add classes with their sentences, or change the sentences of existing ones."""
        return self._backend.add_classes(self.name, {"name": self.name, "classes": dict(classes)})

    def add(self, cls: str, items: Any, annotator: str = "anonymous") -> int:
        """Label tiles and return their number.

        Args:
            cls: A class of the collection, `none` or `skip`.
            items: A tile's number or Item, or a list of them.
            annotator: Name of the annotator.

        Raises:
            NotFoundError: A tile does not exist; nothing is added.
            QueryError: The class does not belong to this collection.
        """
        several = items if isinstance(items, (list, tuple, set)) else [items]
        body = {"class": cls, "tiles": [tile_id(item) for item in several], "annotator": annotator}
        return int(self._backend.add(self.name, body)["labels"])

    def remove(self, item: Any, annotator: str | None = None) -> int:
        """Delete the labels of a tile, of one annotator or of all. Returns the number deleted."""
        return int(self._backend.remove(self.name, tile_id(item), annotator)["removed"])

    def features(self) -> dict[str, Any]:
        """Return the labels as a GeoJSON FeatureCollection, which `load` can import."""
        return self._backend.features(self.name)

    def load(
        self,
        features: str | Path | Mapping[str, Any],
        *,
        class_property: str = "class",
        cls: str | None = None,
        annotator: str = "import",
    ) -> dict[str, Any]:
        """Label the tiles at points or polygons, and return a summary.

        Args:
            features: A FeatureCollection, or a file (GeoJSON, GeoParquet).
            class_property: Property with the class of a feature.
            cls: Class of features without this property.
            annotator: Name for labels without the property `annotator`.
        """
        if isinstance(features, (str, Path)):
            from bandsight.learning.label_files import read_features

            features = read_features(Path(features))
        body = {"features": dict(features), "class_property": class_property, "annotator": annotator}
        return self._backend.load(self.name, body if cls is None else body | {"class": cls})

    def reattach(self) -> dict[str, Any]:
        """Move labels to the tiles now at their locations, after scenes were reindexed."""
        return self._backend.reattach(self.name)

    def train(self) -> dict[str, Any]:
        """Train the classifier and return its metrics, warnings and likely label errors."""
        return self._backend.train(self.name)

    def classifiers(self) -> list[dict[str, Any]]:
        """Return all versions of the classifier, newest first."""
        found: list[dict[str, Any]] = self._backend.classifiers(self.name)["classifiers"]
        return found

    def layer(self, **options: Any) -> dict[str, Any]:
        """Return the summary of the classifier's layer over the archive.

        Args:
            options: `threshold` (default 0.5), `cls` (required with several classes), `version` (default: newest).
        """
        return self._backend.layer(self.name, _query(options))

    def tiles(self, **options: Any) -> dict[str, Any]:
        """Return the tiles above a threshold as GeoJSON, most probable first; options as for `layer`."""
        return self._backend.layer_features(self.name, _query(options), "tiles")

    def polygons(self, **options: Any) -> dict[str, Any]:
        """Return the tiles above a threshold as dissolved polygons; options as for `layer`."""
        return self._backend.layer_features(self.name, _query(options), "polygons")

    def compare(self, before: int, **options: Any) -> dict[str, Any]:
        """Return the tiles gained and lost since an earlier version; options as for `layer`."""
        return self._backend.compare(self.name, _query(options), before)

    def area_sample(self, tiles: int, *, seed: int = 0, **options: Any) -> dict[str, Any]:
        """Return a stratified random sample of the archive's places to label; options as for `layer`."""
        return self._backend.area_sample(self.name, _query(options), tiles, seed)

    def area(self, sample: dict[str, Any], threshold: float = 0.5) -> dict[str, Any]:
        """Return the area of the class with its 95% interval, from a labelled sample."""
        return self._backend.area_report({"sample": sample, "threshold": threshold})

    def propose(self, limit: int = 20) -> list[dict[str, Any]]:
        """Return the most informative tiles to label next, as STAC Items."""
        found: list[dict[str, Any]] = self._backend.proposals(self.name, {"limit": limit})["features"]
        return found

    def delete(self) -> None:
        """Delete the collection with its labels and classifiers."""
        self._backend.delete(self.name)


def _query(options: dict[str, Any]) -> dict[str, Any]:
    return {"class" if name == "cls" else name: value for name, value in options.items() if value is not None}
