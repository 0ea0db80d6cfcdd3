"""Labels and classifiers of an archive; any process may write them, not only the archive's writer."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bandsight.catalog.labels import NONE, SKIP, Classifier, Label, LabelCollection, TilePlace
from bandsight.catalog.port import Catalog, CatalogDatabase
from bandsight.errors import NotFoundError, QueryError

MAX_LABELS = 200_000
"""Maximum number of labels in a collection."""
MAX_CLASSES = 50
"""Maximum number of classes in a collection."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CLASS = re.compile(r"[^\x00-\x1f:/]{1,64}")
_ANNOTATOR_CHARS = 100
_SENTENCE_CHARS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A tile to which annotators gave different classes."""

    tile: int
    """Id of the tile."""
    classes: Mapping[str, tuple[str, ...]]
    """Annotators by class."""


class Labels:
    """Short transactions on the catalog; SQLite lets one process write at a time and makes others wait for seconds."""

    def __init__(self, database: CatalogDatabase, model_digest: str) -> None:
        """Open the labels in a catalog.

        Args:
            database: The catalog.
            model_digest: Digest of the archive's model.
        """
        self._database, self._model_digest = database, model_digest

    # Collections

    def create(self, name: str, sentences: Mapping[str, str]) -> LabelCollection:
        """Create a collection.

        Args:
            name: Letters, digits, and `.`, `_`, `-`.
            sentences: A descriptive sentence for each class, e.g. `{"pond": "a pond"}`.

        Raises:
            QueryError: The name is taken or invalid, or a class is invalid.
        """
        if not _NAME.fullmatch(name):
            raise QueryError(f"labels: found the name {name[:60]!r}; need at most 64 letters, digits, '.', '_' or '-'")
        checked = _checked_classes(sentences)
        with self._database.writing() as catalog:
            if catalog.labels.collection(name) is not None:
                raise QueryError(f"labels: collection {name} already exists; choose another name, or delete it")
            catalog.labels.add_collection(name, checked)
            made = catalog.labels.collection(name)
        assert made is not None
        return made

    def add_classes(self, name: str, sentences: Mapping[str, str]) -> LabelCollection:
        """Add classes to a collection, or change the sentences of existing ones.

        Raises:
            NotFoundError: There is no such collection.
            QueryError: A class is invalid.
        """
        with self._database.writing() as catalog:
            collection = _found(catalog, name)
            catalog.labels.set_sentences(collection.id, _checked_classes({**collection.sentences, **sentences}))
            return _found(catalog, name)

    def get(self, name: str) -> LabelCollection:
        """Return a collection.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.reading() as catalog:
            return _found(catalog, name)

    def all(self) -> list[tuple[LabelCollection, int]]:
        """Return the collections with their numbers of labels, sorted by name."""
        with self._database.reading() as catalog:
            return [(one, catalog.labels.count(one.id)) for one in catalog.labels.collections()]

    def delete(self, name: str) -> None:
        """Delete a collection with its labels and classifiers.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.writing() as catalog:
            catalog.labels.delete_collection(_found(catalog, name).id)

    # Labels

    def add(self, name: str, classes: Mapping[int, str], annotator: str) -> int:
        """Label tiles, replacing the annotator's earlier labels of them; return the number added.

        Args:
            name: The collection.
            classes: The class, `none` or `skip`, by tile id.
            annotator: Name of the annotator.

        Raises:
            NotFoundError: The collection or a tile does not exist; nothing is added.
            QueryError: The collection lacks a class, or would have too many labels.
        """
        who = _checked_annotator(annotator)
        now = datetime.now(UTC).replace(microsecond=0)
        with self._database.writing() as catalog:
            collection = _found(catalog, name)
            _check_known(collection, classes.values())
            tiles = catalog.tiles(list(classes))
            if missing := [tile for tile in classes if tile not in tiles]:
                raise NotFoundError(
                    f"tile {missing[0]}: this archive has no such tile; ids come from a search"
                    + (f" ({len(missing):,} of {len(classes):,} are missing)" if len(missing) > 1 else "")
                )
            if catalog.labels.count(collection.id) + len(classes) > MAX_LABELS:
                raise QueryError(
                    f"labels: {name} would have more than {MAX_LABELS:,}; so many do not improve a "
                    "classifier, so add only a sample"
                )
            hrefs = catalog.hrefs(sorted({tile.scene_id for tile in tiles.values()}))
            catalog.labels.put(
                collection.id,
                [
                    Label(
                        tile=tile.id,
                        cls=classes[tile.id],
                        annotator=who,
                        created=now,
                        model_digest=self._model_digest,
                        place=TilePlace(
                            scene=hrefs[tile.scene_id], cell=tile.cell, scale=tile.scale, geometry=tile.geometry
                        ),
                    )
                    for tile in tiles.values()
                ],
            )
        return len(classes)

    def remove(self, name: str, tiles: Sequence[int], annotator: str | None = None) -> int:
        """Delete the labels of tiles by one or all annotators, and return the number deleted.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.writing() as catalog:
            return catalog.labels.remove(_found(catalog, name).id, tiles, annotator)

    def labels(self, name: str) -> list[Label]:
        """Return the labels of a collection, oldest first.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.reading() as catalog:
            return catalog.labels.labels(_found(catalog, name).id)

    def reattach(self, name: str) -> tuple[int, int]:
        """Move labels to the tiles now at their locations, after scenes were reindexed.

        Returns:
            The number of labels moved, and the number left unchanged because their tiles are gone.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.writing() as catalog:
            collection = _found(catalog, name)
            labels = catalog.labels.labels(collection.id)
            there = catalog.existing_tiles([label.tile for label in labels])
            moved, lost = [], 0
            for label in labels:
                if label.tile in there and label.model_digest == self._model_digest:
                    continue
                found = label.tile if label.tile in there else catalog.labels.tile_at(label.place)
                if found is None:
                    lost += 1
                else:
                    moved.append((label, found))
            catalog.labels.remove_by_id([label.id for label, _ in moved])
            catalog.labels.put(
                collection.id,
                [
                    Label(
                        tile=tile,
                        cls=label.cls,
                        annotator=label.annotator,
                        created=label.created,
                        model_digest=self._model_digest,
                        place=label.place,
                    )
                    for label, tile in moved
                ],
            )
        return len(moved), lost

    def tiles_at(self, places: Sequence[TilePlace]) -> list[int | None]:
        """Return the current tile at each place, or None."""
        with self._database.reading() as catalog:
            return [catalog.labels.tile_at(place) for place in places]

    # Classifiers

    def add_classifier(self, classifier: Classifier) -> int:
        """Store a classifier as its collection's newest version and return the version.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.writing() as catalog:
            return catalog.labels.add_classifier(_found(catalog, classifier.name).id, classifier)

    def classifiers(self, name: str) -> list[Classifier]:
        """Return all versions of a collection's classifier, newest first.

        Raises:
            NotFoundError: There is no such collection.
        """
        with self._database.reading() as catalog:
            return catalog.labels.classifiers(_found(catalog, name))

    def classifier(self, name: str, version: int | None = None) -> Classifier:
        """Return a version of a collection's classifier, by default the newest.

        Raises:
            NotFoundError: There is no such collection or version.
            QueryError: It was trained on another model's vectors.
        """
        with self._database.reading() as catalog:
            found = catalog.labels.classifier(_found(catalog, name), version)
        if found is None:
            which = "no classifier yet" if version is None else f"no classifier of version {version}"
            raise NotFoundError(f"classifier {name}: the collection has {which}; run: bandsight train {name}")
        if found.model_digest != self._model_digest:
            raise QueryError(
                f"classifier {name}: version {found.version} was trained with another model, before "
                f"`bandsight reindex`; run: bandsight label reattach {name}, then bandsight train {name}"
            )
        return found


def conflicts(labels: Sequence[Label]) -> list[Conflict]:
    """Return the tiles on which annotators disagree, sorted by id."""
    said: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for label in labels:
        if label.cls != SKIP:
            said[label.tile][label.cls].append(label.annotator)
    return [
        Conflict(tile=tile, classes={cls: tuple(who) for cls, who in sorted(classes.items())})
        for tile, classes in sorted(said.items())
        if len(classes) > 1
    ]


def _found(catalog: Catalog, name: str) -> LabelCollection:
    found = catalog.labels.collection(name)
    if found is None:
        known = ", ".join(one.name for one in catalog.labels.collections()) or "none yet"
        raise NotFoundError(f"labels {name[:60]!r}: no such collection; existing: {known}")
    return found


def _checked_classes(sentences: Mapping[str, str]) -> dict[str, str]:
    if not 1 <= len(sentences) <= MAX_CLASSES:
        raise QueryError(f"classes: found {len(sentences)}; need 1 to {MAX_CLASSES}, e.g. pond='a pond'")
    for cls, sentence in sentences.items():
        if cls in {NONE, SKIP} or not _CLASS.fullmatch(cls) or cls != cls.strip():
            raise QueryError(
                f"classes: found {cls[:60]!r}; need a name of at most 64 characters without ':' and '/', other than "
                f"{NONE} and {SKIP}"
            )
        if len(sentence) > _SENTENCE_CHARS:
            raise QueryError(f"classes: the sentence of {cls} has {len(sentence)} characters; at most 1000 are allowed")
    return {cls: sentence.strip() for cls, sentence in sentences.items()}


def _check_known(collection: LabelCollection, classes: Iterable[str]) -> None:
    for cls in classes:
        if cls not in {*collection.classes, NONE, SKIP}:
            raise QueryError(
                f"class: found {cls[:60]!r}; {collection.name} has {', '.join(collection.classes)}, and every "
                f"collection has {NONE} and {SKIP}"
            )


def _checked_annotator(annotator: str) -> str:
    name = annotator.strip()
    if not name or len(name) > _ANNOTATOR_CHARS:
        raise QueryError(f"annotator: found {annotator[:60]!r}; need a name of 1 to {_ANNOTATOR_CHARS} characters")
    return name
