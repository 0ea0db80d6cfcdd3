"""The catalog's tables. Changes here need a migration; a test compares the two."""

import datetime as dt
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bandsight.attributes.fields import FIELDS

# Constraints are named, so that Alembic can alter them on SQLite.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Declarative base of the tables."""

    metadata = MetaData(naming_convention=_NAMES)
    # 64 bits everywhere; SQLite generates ids only for the type INTEGER.
    type_annotation_map = {  # noqa: RUF012  (as SQLAlchemy requires)
        dict[str, Any]: JSON,
        list[Any]: JSON,
        int: BigInteger().with_variant(Integer(), "sqlite"),
        float: Double,
    }


class ArchiveRow(Base):
    """The single row about the archive: its model, generation and next tile id."""

    __tablename__ = "archive"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    format_version: Mapped[int]
    generation: Mapped[int]
    next_tile_id: Mapped[int]
    model_name: Mapped[str]
    model_digest: Mapped[str]
    model_dim: Mapped[int]
    model_license: Mapped[str]
    changes_from: Mapped[int] = mapped_column(server_default="0")
    archive_id: Mapped[str] = mapped_column(server_default="")


class SceneRow(Base):
    """A scene; fields as in `SceneRecord`."""

    __tablename__ = "scenes"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    href: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    collection: Mapped[str] = mapped_column(index=True)
    sensor: Mapped[str] = mapped_column(index=True)
    datetime: Mapped[dt.datetime | None] = mapped_column(DateTime)
    crs: Mapped[str]
    transform: Mapped[list[Any]]
    width: Mapped[int]
    height: Mapped[int]
    gsd_m: Mapped[float | None]
    bands: Mapped[list[Any]]
    stretch: Mapped[dict[str, Any]]
    properties: Mapped[dict[str, Any]]
    geometry: Mapped[dict[str, Any]]
    boxes: Mapped[list[Any]]
    tiling: Mapped[dict[str, Any]]
    checksum: Mapped[int] = mapped_column(server_default="0")
    source: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    decisions: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    identity: Mapped[str | None] = mapped_column(index=True)
    start_datetime: Mapped[dt.datetime | None] = mapped_column(DateTime)
    end_datetime: Mapped[dt.datetime | None] = mapped_column(DateTime)
    added_generation: Mapped[int] = mapped_column(server_default="0", index=True)
    tile_count: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (scene ids are never reused)


class TileRow(Base):
    """A tile; fields as in `TileRecord`. The second box is NULL unless the footprint crosses ±180°."""

    __tablename__ = "tiles"
    __table_args__ = (Index("ix_tiles_scene_id", "scene_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scene_id: Mapped[int] = mapped_column(ForeignKey("scenes.id", ondelete="CASCADE"))
    cell: Mapped[str]
    scale: Mapped[int]
    col_off: Mapped[int]
    row_off: Mapped[int]
    width: Mapped[int]
    height: Mapped[int]
    valid_fraction: Mapped[float]
    geometry: Mapped[dict[str, Any]]
    west: Mapped[float]
    south: Mapped[float]
    east: Mapped[float]
    north: Mapped[float]
    west2: Mapped[float | None]
    south2: Mapped[float | None]
    east2: Mapped[float | None]
    north2: Mapped[float | None]
    checksum: Mapped[int] = mapped_column(server_default="0")
    cloud_fraction: Mapped[float | None]


# Additional registered fields. Their columns are nullable, because older tiles lack values.
for _field in FIELDS.tile:
    if _field.name not in TileRow.__table__.columns:
        setattr(TileRow, _field.name, mapped_column(Double, nullable=True))


class RemovedSceneRow(Base):
    """A scene removed by a commit, and its replacement."""

    __tablename__ = "removed_scenes"
    __table_args__ = (Index("ix_removed_scenes_removed", "removed"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    scene_id: Mapped[int]
    added: Mapped[int]
    removed: Mapped[int]
    replaced_by: Mapped[int | None]


class SegmentRow(Base):
    """A segment of vectors referenced by a commit. Unreferenced segments do not exist."""

    __tablename__ = "segments"

    name: Mapped[str] = mapped_column(primary_key=True)
    first_id: Mapped[int] = mapped_column(unique=True)
    count: Mapped[int]
    sha256: Mapped[str]
    generation: Mapped[int]
    last_id: Mapped[int] = mapped_column(server_default="0")


class FailureRow(Base):
    """A scene that could not be indexed; removed once it can."""

    __tablename__ = "failures"

    href: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    at: Mapped[dt.datetime] = mapped_column(DateTime)


class JobRow(Base):
    """A job; fields as in `Job`."""

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    started: Mapped[dt.datetime] = mapped_column(DateTime)
    updated: Mapped[dt.datetime] = mapped_column(DateTime)
    finished: Mapped[dt.datetime | None] = mapped_column(DateTime)
    message: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    sources: Mapped[list[Any]]
    counts: Mapped[dict[str, Any]]
    created: Mapped[dt.datetime | None] = mapped_column(DateTime)
    inputs: Mapped[dict[str, Any] | None]
    results: Mapped[dict[str, Any] | None]
    attempts: Mapped[int] = mapped_column(server_default="0")

    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (job ids are never reused)


class JobFailureRow(Base):
    """A scene that failed in a job."""

    __tablename__ = "job_failures"
    __table_args__ = (Index("ix_job_failures_job_id", "job_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    scene: Mapped[str]
    href: Mapped[str]
    reason: Mapped[str]
    at: Mapped[dt.datetime] = mapped_column(DateTime)


class SavedSearchRow(Base):
    """A saved search; fields as in `SavedSearch`."""

    __tablename__ = "saved_searches"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    request: Mapped[dict[str, Any]]
    created: Mapped[dt.datetime] = mapped_column(DateTime)
    max_hits: Mapped[int]
    status: Mapped[str]
    hits: Mapped[int]
    generation: Mapped[int | None]
    model_digest: Mapped[str | None]

    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (numbers give the order of saving)


class SavedSearchHitsRow(Base):
    """Some consecutive hits of a saved search: int64 tile ids and float32 scores, little-endian."""

    __tablename__ = "saved_search_hits"

    search: Mapped[int] = mapped_column(ForeignKey("saved_searches.number", ondelete="CASCADE"), primary_key=True)
    chunk: Mapped[int] = mapped_column(primary_key=True)
    ids: Mapped[bytes] = mapped_column(LargeBinary)
    scores: Mapped[bytes] = mapped_column(LargeBinary)


class LabelCollectionRow(Base):
    """A collection of labels; fields as in `LabelCollection`."""

    __tablename__ = "label_collections"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    sentences: Mapped[dict[str, Any]]
    created: Mapped[dt.datetime] = mapped_column(DateTime)

    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (ids are never reused)


class LabelRow(Base):
    """A label; fields as in `Label`. Its tile may have been deleted, so there is no foreign key to tiles."""

    __tablename__ = "labels"
    __table_args__ = (UniqueConstraint("collection", "tile", "annotator"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    collection: Mapped[int] = mapped_column(ForeignKey("label_collections.id", ondelete="CASCADE"))
    tile: Mapped[int]
    cls: Mapped[str]
    annotator: Mapped[str]
    created: Mapped[dt.datetime] = mapped_column(DateTime)
    model_digest: Mapped[str]
    scene: Mapped[str]
    cell: Mapped[str]
    scale: Mapped[int]
    geometry: Mapped[dict[str, Any]]


class ClassifierRow(Base):
    """A version of a classifier; `weights` are the concatenated weights of its heads, little-endian float32."""

    __tablename__ = "classifiers"

    collection: Mapped[int] = mapped_column(ForeignKey("label_collections.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[dt.datetime] = mapped_column(DateTime)
    model_digest: Mapped[str]
    labels: Mapped[int]
    heads: Mapped[list[Any]]
    weights: Mapped[bytes] = mapped_column(LargeBinary)
    report: Mapped[dict[str, Any]]


class SubscriptionRow(Base):
    """A subscription; fields as in `Subscription`, with `direction` as little-endian float32."""

    __tablename__ = "subscriptions"

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    request: Mapped[dict[str, Any]]
    where: Mapped[dict[str, Any]]
    direction: Mapped[bytes] = mapped_column(LargeBinary)
    least: Mapped[float]
    slope: Mapped[float]
    bias: Mapped[float]
    model_digest: Mapped[str]
    created: Mapped[dt.datetime] = mapped_column(DateTime)
    webhook: Mapped[str | None]
    secret: Mapped[str]
    per_place: Mapped[bool]
    paused: Mapped[bool]
    email: Mapped[str | None]
    quiet: Mapped[str | None]
    digest: Mapped[str | None]
    levels: Mapped[list[dict[str, Any]]] = mapped_column(JSON)

    __table_args__ = {"sqlite_autoincrement": True}  # noqa: RUF012  (numbers give the order of creation)


class AlertRow(Base):
    """An alert; fields as in `Alert`. Its tile may have been deleted, so there is no foreign key to tiles."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("ix_alerts_subscription_cell", "subscription", "cell"),
        Index("ix_alerts_state_next_attempt", "state", "next_attempt"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    subscription: Mapped[str] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    tile: Mapped[int]
    cell: Mapped[str]
    score: Mapped[float]
    generation: Mapped[int]
    created: Mapped[dt.datetime] = mapped_column(DateTime)
    data: Mapped[dict[str, Any]]
    state: Mapped[str]
    attempts: Mapped[int]
    next_attempt: Mapped[dt.datetime | None] = mapped_column(DateTime)
    delivered: Mapped[dt.datetime | None] = mapped_column(DateTime)
    error: Mapped[str]
