"""SQL statements for labels and classifiers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from bandsight.catalog.labels import Classifier, Head, Label, LabelCollection, TilePlace
from bandsight.catalog.sql.tables import ClassifierRow, LabelCollectionRow, LabelRow, SceneRow, TileRow

_PLACE = tuple(TilePlace.__dataclass_fields__)
_OWN = ("tile", "cls", "annotator", "model_digest")


class SqlLabels:
    """Labels and classifiers within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def collections(self) -> list[LabelCollection]:
        """Return all collections; see `LabelRows`."""
        rows = self._db.execute(select(LabelCollectionRow.__table__).order_by(LabelCollectionRow.name)).mappings()
        return [_collection(row) for row in rows]

    def collection(self, name: str) -> LabelCollection | None:
        """Return a collection; see `LabelRows`."""
        chosen = select(LabelCollectionRow.__table__).where(LabelCollectionRow.name == name)
        return next(map(_collection, self._db.execute(chosen).mappings()), None)

    def add_collection(self, name: str, sentences: Mapping[str, str]) -> None:
        """Insert a collection; see `LabelRows`."""
        values = {"name": name, "sentences": dict(sentences), "created": _naive(datetime.now(UTC))}
        self._db.execute(insert(LabelCollectionRow).values(**values))

    def set_sentences(self, collection: int, sentences: Mapping[str, str]) -> None:
        """Replace the classes of a collection; see `LabelRows`."""
        chosen = update(LabelCollectionRow).where(LabelCollectionRow.id == collection)
        self._db.execute(chosen.values(sentences=dict(sentences)))

    def delete_collection(self, collection: int) -> None:
        """Delete a collection with its labels and classifiers; see `LabelRows`."""
        self._db.execute(delete(LabelCollectionRow).where(LabelCollectionRow.id == collection))

    def put(self, collection: int, labels: Sequence[Label]) -> None:
        """Insert labels; see `LabelRows`."""
        for label in labels:
            values: dict[str, Any] = {name: getattr(label, name) for name in _OWN}
            values |= {name: getattr(label.place, name) for name in _PLACE}
            values |= {"geometry": dict(label.place.geometry), "created": _naive(label.created)}
            own = LabelRow.tile == label.tile, LabelRow.annotator == label.annotator
            self._db.execute(delete(LabelRow).where(LabelRow.collection == collection, *own))
            self._db.execute(insert(LabelRow).values(collection=collection, **values))

    def remove(self, collection: int, tiles: Sequence[int], annotator: str | None) -> int:
        """Delete labels; see `LabelRows`."""
        removed = 0
        for tile in tiles:
            chosen = delete(LabelRow).where(LabelRow.collection == collection, LabelRow.tile == tile)
            if annotator is not None:
                chosen = chosen.where(LabelRow.annotator == annotator)
            removed += int(self._db.execute(chosen).rowcount)
        return removed

    def remove_by_id(self, ids: Sequence[int]) -> None:
        """Delete labels by their ids; see `LabelRows`."""
        for one in ids:
            self._db.execute(delete(LabelRow).where(LabelRow.id == one))

    def labels(self, collection: int) -> list[Label]:
        """Return the labels of a collection; see `LabelRows`."""
        chosen = select(LabelRow.__table__).where(LabelRow.collection == collection).order_by(LabelRow.id)
        return [
            Label(
                id=row["id"],
                **{name: row[name] for name in _OWN},
                created=row["created"].replace(tzinfo=UTC),
                place=TilePlace(**{name: row[name] for name in _PLACE}),
            )
            for row in self._db.execute(chosen).mappings()
        ]

    def count(self, collection: int) -> int:
        """Return the number of labels in a collection; see `LabelRows`."""
        chosen = select(func.count()).select_from(LabelRow).where(LabelRow.collection == collection)
        return int(self._db.execute(chosen).scalar_one())

    def tile_at(self, place: TilePlace) -> int | None:
        """Return the tile at a place; see `LabelRows`."""
        scene = select(SceneRow.id).where(SceneRow.href == place.scene).scalar_subquery()
        chosen = select(TileRow.id).where(
            TileRow.scene_id == scene, TileRow.cell == place.cell, TileRow.scale == place.scale
        )
        found = self._db.execute(chosen.limit(1)).scalar()
        return None if found is None else int(found)

    def add_classifier(self, collection: int, classifier: Classifier) -> int:
        """Insert a classifier as the newest version; see `LabelRows`."""
        newest = select(func.coalesce(func.max(ClassifierRow.version), 0)).where(ClassifierRow.collection == collection)
        version = int(self._db.execute(newest).scalar_one()) + 1
        values = {
            "collection": collection,
            "version": version,
            "created": _naive(classifier.created),
            "model_digest": classifier.model_digest,
            "labels": classifier.labels,
            "heads": [
                {"class": head.cls, "bias": head.bias, "calibrated": head.calibrated} for head in classifier.heads
            ],
            "weights": np.stack([head.weights for head in classifier.heads]).astype("<f4").tobytes(),
            "report": dict(classifier.report),
        }
        self._db.execute(insert(ClassifierRow).values(**values))
        return version

    def classifiers(self, collection: LabelCollection) -> list[Classifier]:
        """Return the classifiers of a collection; see `LabelRows`."""
        chosen = select(ClassifierRow.__table__).where(ClassifierRow.collection == collection.id)
        rows = self._db.execute(chosen.order_by(ClassifierRow.version.desc())).mappings()
        return [_classifier(collection.name, row) for row in rows]

    def classifier(self, collection: LabelCollection, version: int | None) -> Classifier | None:
        """Return a version of a classifier; see `LabelRows`."""
        chosen = select(ClassifierRow.__table__).where(ClassifierRow.collection == collection.id)
        if version is not None:
            chosen = chosen.where(ClassifierRow.version == version)
        row = self._db.execute(chosen.order_by(ClassifierRow.version.desc()).limit(1)).mappings().first()
        return None if row is None else _classifier(collection.name, row)


def _collection(row: Any) -> LabelCollection:
    return LabelCollection(
        id=row["id"], name=row["name"], sentences=row["sentences"], created=row["created"].replace(tzinfo=UTC)
    )


def _classifier(name: str, row: Any) -> Classifier:
    weights = np.frombuffer(row["weights"], "<f4").reshape(len(row["heads"]), -1).astype(np.float32)
    return Classifier(
        name=name,
        version=row["version"],
        created=row["created"].replace(tzinfo=UTC),
        model_digest=row["model_digest"],
        labels=row["labels"],
        heads=tuple(
            Head(cls=head["class"], weights=own, bias=head["bias"], calibrated=head["calibrated"])
            for head, own in zip(row["heads"], weights, strict=True)
        ),
        report=row["report"],
    )


def _naive(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(tzinfo=None)
