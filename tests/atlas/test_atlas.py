"""The atlas: similar tiles lie together, clusters have names, and it follows the archive."""

from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.atlas.atlas import build, extend, extend_kept, load, path_of, save, sizes
from bandsight.atlas.clusters import NO_CLUSTER, cluster
from bandsight.atlas.layout import lay_out, nearest, place
from bandsight.attributes.filters import Filter
from bandsight.errors import NotFoundError, QueryError
from tests.archive.makers import MODEL
from tests.atlas.makers import KINDS, PER_SCENE, entry, kind_of, rows
from tests.fakes import FakeEmbedder


def kinds(archive: Archive, ids: list[int]) -> np.ndarray:
    """The kind of each tile, from the name of its cell."""
    cells = [archive.tile(one).cell.split("/") for one in ids]
    return np.array([kind_of(int(number), int(at)) for _, number, at in cells])


def purity(points: np.ndarray, labels: np.ndarray, k: int = 5) -> float:
    """Share of the k nearest points that have the label of the point itself."""
    distance = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1)[:, :k]
    return float((labels[near] == labels[:, None]).mean())


def test_tiles_of_a_kind_lie_together_and_clusters_are_named_after_them(archive: Archive):
    atlas = load(archive)
    assert np.array_equal(atlas.ids, archive.tile_ids(Filter()))
    assert np.abs(atlas.points).max() <= 1.0
    labels = kinds(archive, atlas.ids.tolist())
    assert purity(atlas.points, labels) > 0.97
    assert {one.name for one in atlas.clusters} == set(KINDS)
    for number, one in enumerate(atlas.clusters):
        own = labels[atlas.cluster == number]
        assert (own == KINDS.index(one.name)).mean() > 0.97, one.name
    assert sum(sizes(atlas)) == len(atlas.ids)


def test_the_same_vectors_and_seed_give_the_same_positions():
    vectors = np.concatenate([rows(number) for number in range(3)])
    assert np.array_equal(lay_out(vectors, seed=3), lay_out(vectors, seed=3))
    assert not np.array_equal(lay_out(vectors, seed=3), lay_out(vectors, seed=4))


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_a_few_vectors_are_laid_out_by_their_principal_components(count: int):
    made = lay_out(rows(0, count))
    assert made.shape == (count, 2)
    assert np.isfinite(made).all()
    assert (cluster(made) == NO_CLUSTER).all()


def test_the_nearest_are_those_of_an_exact_comparison():
    sample, others = rows(0), rows(1)
    found, cosines = nearest(others, sample)
    exact = others @ sample.T
    assert np.allclose(cosines, -np.sort(-exact, axis=1)[:, :5], atol=1e-6)
    assert np.allclose(np.take_along_axis(exact, found, 1), cosines, atol=1e-6)


def test_a_vector_of_the_sample_is_placed_where_it_was_laid_out():
    sample = rows(0)
    points = np.random.default_rng(0).normal(size=(len(sample), 2)).astype(np.float32)
    assert np.allclose(place(*nearest(sample, sample), points), points, atol=1e-5)


def test_tiles_outside_the_sample_are_placed_among_their_kind(archive: Archive):
    atlas = build(archive, FakeEmbedder(), sample=120, words=KINDS)
    assert (len(atlas.sample), len(atlas.ids)) == (120, 6 * PER_SCENE)
    assert purity(atlas.points, kinds(archive, atlas.ids.tolist())) > 0.95


def test_the_atlas_follows_commits(path: Path):
    with Archive.open(path) as archive:
        before = load(archive)
    with ArchiveWriter.open(path) as writer:
        writer.add([entry(6, rows(6), 6 * PER_SCENE)])
        writer.remove([writer.scenes()[0].href])
        extend_kept(writer)
    with Archive.open(path) as archive:
        after = load(archive)
        assert np.array_equal(after.ids, archive.tile_ids(Filter()))
        kept = np.isin(before.ids, after.ids)
        assert np.array_equal(after.points[: kept.sum()], before.points[kept]), "places that were there have moved"
        assert len(after.ids) == 6 * PER_SCENE
        labels = kinds(archive, after.ids.tolist())
        assert purity(after.points, labels) > 0.95
        few = extend(archive, before, most=10)
        assert np.array_equal(few.ids, np.concatenate([before.ids[kept], after.ids[-10:]])), "the newest first"


def test_an_archive_without_an_atlas_says_how_to_make_one(path: Path):
    with Archive.open(path) as archive:
        path_of(archive).write_bytes(b"no zip")
        with pytest.raises(NotFoundError, match=r"is damaged .* run: bandsight atlas build --archive"):
            load(archive)
        path_of(archive).unlink()
        with pytest.raises(NotFoundError, match="has none yet; run: bandsight atlas build"):
            load(archive)
        extend_kept(archive)
        assert not path_of(archive).exists()


def test_an_atlas_of_another_model_is_not_used(path: Path):
    from dataclasses import replace

    with Archive.open(path) as archive:
        save(archive, replace(load(archive), model_digest="0" * 64))
        with pytest.raises(NotFoundError, match="of another model or version than the archive; run"):
            load(archive)


def test_an_empty_archive_has_no_atlas(tmp_path: Path):
    with ArchiveWriter.create(tmp_path / "empty", MODEL) as writer, pytest.raises(QueryError, match="has no tiles yet"):
        build(writer, FakeEmbedder())
