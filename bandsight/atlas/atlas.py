"""The atlas of an archive: built from a sample, extended with new tiles, stored in the archive's folder."""

import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.atlas.clusters import NO_CLUSTER, Cluster, cluster, name, words_of_places
from bandsight.atlas.layout import NEAREST, Floats, lay_out, nearest, place
from bandsight.attributes.fields import rfc3339
from bandsight.attributes.filters import Filter
from bandsight.durable import make_folder
from bandsight.errors import NotFoundError, QueryError
from bandsight.model.protocol import Encoder
from bandsight.progress import counted, phase, report
from bandsight.vectors.atomic_io import write_durably

DEFAULT_SAMPLE, MAX_SAMPLE = 10_000, 50_000
"""Number of tiles laid out by UMAP; all others are placed next to similar ones of these."""
_VERSION = 1
_FILE = "atlas.npz"
# Vectors read at a time.
_PART = 20_000
# Share of the work of building an atlas that is done once the sample is laid out.
_LAID_OUT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Atlas:
    """A position for each tile, near those of similar tiles; stored as plain arrays, without pickles."""

    ids: NDArray[np.int64]
    """Tile ids, ascending, shape (n,)."""
    points: Floats
    """Positions of the tiles, shape (n, 2)."""
    found: NDArray[np.int32]
    """Nearest tiles of the sample for each tile, nearest first, shape (n, k)."""
    cosines: Floats
    """Cosines with these, shape (n, k)."""
    sample: NDArray[np.float16]
    """Vectors of the sample, kept because their tiles may be deleted, shape (m, dim)."""
    sample_points: Floats
    """Positions of the sample, shape (m, 2)."""
    sample_cluster: NDArray[np.int16]
    """Cluster of each tile of the sample, shape (m,)."""
    clusters: tuple[Cluster, ...]
    """The clusters, largest first."""
    model_digest: str
    """Model of the vectors."""
    created: str
    """Time when the sample was laid out, RFC 3339."""

    @property
    def cluster(self) -> NDArray[np.int16]:
        """Cluster of each tile: that of its nearest tile of the sample, shape (n,)."""
        return self.sample_cluster[self.found[:, 0]] if len(self.ids) else np.empty(0, np.int16)

    def only(self, keep: NDArray[np.bool_]) -> "Atlas":
        """Return the atlas of a subset of its tiles."""
        return replace(
            self, ids=self.ids[keep], points=self.points[keep], found=self.found[keep], cosines=self.cosines[keep]
        )


def build(
    archive: Archive,
    encoder: Encoder,
    *,
    sample: int = DEFAULT_SAMPLE,
    words: Sequence[str] = (),
    seed: int = 0,
) -> Atlas:
    """Lay out a sample of the archive, place all other tiles next to similar ones, and name the clusters.

    Args:
        archive: The archive.
        encoder: Encodes the words.
        sample: Number of tiles to lay out.
        words: Sentences to name clusters by; if empty, common kinds of places.
        seed: Seed of the random number generator.

    Raises:
        QueryError: The archive has no tiles.
        BandsightError: The packages of the extra `atlas` are not installed.
    """
    archive.refresh()
    ids = archive.tile_ids(Filter())
    if not len(ids):
        raise QueryError(f"atlas: {archive.path} has no tiles yet; run: bandsight index")
    rng = np.random.default_rng(seed)
    drawn = ids if len(ids) <= sample else np.sort(rng.choice(ids, sample, replace=False))
    vectors = np.asarray(archive.vectors(drawn.tolist()), np.float16)
    rows = vectors.astype(np.float32)
    points = lay_out(rows, seed)
    report(_LAID_OUT)
    clusters = cluster(points)
    empty = Atlas(
        ids=np.empty(0, np.int64),
        points=np.empty((0, 2), np.float32),
        found=np.empty((0, min(NEAREST, len(rows))), np.int32),
        cosines=np.empty((0, min(NEAREST, len(rows))), np.float32),
        sample=vectors,
        sample_points=points,
        sample_cluster=clusters,
        clusters=tuple(name(encoder, rows, points, clusters, list(words) or words_of_places())),
        model_digest=archive.model.digest,
        created=rfc3339(datetime.now(UTC)),
    )
    with phase(_LAID_OUT, 1.0):
        return extend(archive, empty)


def extend(archive: Archive, atlas: Atlas, most: int | None = None) -> Atlas:
    """Update an atlas to the current tiles of the archive: new ones are placed, deleted ones removed.

    Args:
        archive: The archive.
        atlas: The atlas to update.
        most: Maximum number of new tiles to place, newest first; None for all.
    """
    now = archive.tile_ids(Filter())
    kept = atlas if np.array_equal(atlas.ids, now) else atlas.only(np.isin(atlas.ids, now, assume_unique=True))
    new = np.setdiff1d(now, kept.ids, assume_unique=True)
    if most is not None:
        new = new[max(0, len(new) - most) :]
    if not len(new):
        return kept
    sample = atlas.sample.astype(np.float32)
    parts = [(kept.ids, kept.points, kept.found, kept.cosines)]
    for start in counted(range(0, len(new), _PART), -(-len(new) // _PART)):
        ids = new[start : start + _PART]
        try:
            rows = archive.vectors(ids.tolist())
        except NotFoundError:
            # A scene has just been deleted.
            ids = np.setdiff1d(ids, archive.store.missing(ids.tolist()), assume_unique=True)
            rows = archive.vectors(ids.tolist())
        found, cosines = nearest(rows, sample)
        parts.append((ids, place(found, cosines, atlas.sample_points), found.astype(np.int32), cosines))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    ids, points, near, likeness = (column[order] for column in columns)
    return replace(kept, ids=ids, points=points, found=near, cosines=likeness)


def path_of(archive: Archive) -> Path:
    """Return the path of an archive's atlas."""
    return archive.path / "atlas" / _FILE


def save(archive: Archive, atlas: Atlas) -> Path:
    """Store an atlas in the archive's folder, replacing an earlier one, and return its file.

    Raises:
        ArchiveError: The folder cannot be written.
    """
    path = path_of(archive)
    about = {
        "version": _VERSION,
        "model_digest": atlas.model_digest,
        "created": atlas.created,
        "clusters": [asdict(one) for one in atlas.clusters],
    }
    arrays = ("ids", "points", "found", "sample", "sample_points", "sample_cluster")
    data = io.BytesIO()
    np.savez(
        data,
        about=np.frombuffer(orjson.dumps(about), np.uint8),
        cosines=atlas.cosines.astype(np.float16),
        **{one: getattr(atlas, one) for one in arrays},
    )
    make_folder(path.parent)
    write_durably(path, [data.getbuffer()])
    return path


def load(archive: Archive) -> Atlas:
    """Return the stored atlas of an archive, without tiles added since; see `extend`.

    Raises:
        NotFoundError: There is none, it belongs to another model, or its file is damaged.
    """
    path = path_of(archive)
    advice = f"run: bandsight atlas build --archive {archive.path}"
    if not path.exists():
        raise NotFoundError(f"atlas: {archive.path} has none yet; {advice}")
    try:
        with np.load(path, allow_pickle=False) as read:
            about = orjson.loads(read["about"].tobytes())
            if about["version"] != _VERSION or about["model_digest"] != archive.model.digest:
                raise NotFoundError(f"atlas: {path} is of another model or version than the archive; {advice}")
            atlas = Atlas(
                ids=read["ids"],
                points=read["points"],
                found=read["found"],
                cosines=read["cosines"].astype(np.float32),
                sample=read["sample"],
                sample_points=read["sample_points"],
                sample_cluster=read["sample_cluster"],
                clusters=tuple(Cluster(**{**one, "words": tuple(one["words"])}) for one in about["clusters"]),
                model_digest=about["model_digest"],
                created=about["created"],
            )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise NotFoundError(f"atlas: {path} is damaged ({error}); {advice}") from error
    return atlas


def extend_kept(archive: Archive) -> None:
    """Update the stored atlas of an archive to the newest commit, if there is one.

    Raises:
        ArchiveError: The folder cannot be written.
    """
    with suppress(NotFoundError):
        before = load(archive)
        after = extend(archive, before)
        if after is not before:
            save(archive, after)


def sizes(atlas: Atlas) -> list[int]:
    """Return the number of tiles of each cluster, and last those without a cluster."""
    of = atlas.cluster
    return [*(int((of == number).sum()) for number in range(len(atlas.clusters))), int((of == NO_CLUSTER).sum())]
