"""An archive is made anew with another model: the old one is searched until the new one takes its place."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest

from bandsight import durable
from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import verify
from bandsight.errors import ArchiveError, ModelChangedError
from bandsight.search.ranking import nearest
from indexer.events import Committed
from indexer.pipeline import index
from indexer.reindex import reindex
from indexer.tiling import Tiling
from tests.commands import started
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
from tests.rasters import picture, write


class Other(FakeEmbedder):
    """Another model, with shorter vectors."""

    name, digest, dim = "other", "0" * 64, 8


def scenes(folder: Path, count: int) -> Path:
    for number in range(count):
        write(folder / f"{number}.tif", picture(3, 64, 64, seed=number), origin=(320_000, 5_760_000))
    return folder


def tiles(archive: Archive, model: FakeEmbedder) -> dict[tuple, np.ndarray]:
    hits = nearest(archive, model.embed_texts(["x"]), 10_000)[0]
    found = archive.vectors([hit.tile.id for hit in hits])
    return {(hit.scene.href, hit.tile.cell): vector for hit, vector in zip(hits, found, strict=True)}


def test_a_reindexed_archive_has_the_same_tiles_with_the_new_models_vectors(tmp_path, archive, encoder):
    folder = scenes(tmp_path / "in", 3)
    write(tmp_path / "odd.tif", picture(4, 64, 64), photometric="MINISBLACK", alpha="NO")
    index([folder], archive=archive, model=encoder)
    index([tmp_path / "odd.tif"], archive=archive, model=encoder, sensor="rgbn", tiling=Tiling(tile_px=16))
    before = tiles(archive, encoder)
    newest, generation = archive.newest_tile, archive.generation
    other = Other()
    summary, swapped = reindex(archive, other)
    assert (swapped, summary.scenes, summary.failed) == (True, 4, [])
    assert archive.model.name == "other"
    after = tiles(archive, other)
    assert after.keys() == before.keys()
    assert {vector.shape for vector in after.values()} == {(8,)}
    assert min(hit.tile.id for hit in nearest(archive, other.embed_texts(["x"]), 99)[0]) > newest
    assert archive.generation == generation + 1
    assert verify(archive, full=True) == []
    assert not (archive.path / "reindex").exists()
    with Archive.open(archive.path) as again:
        assert tiles(again, other).keys() == before.keys()
    # What is indexed from now on is known.
    assert index([folder], archive=archive, model=other).skipped_scenes == 3
    assert [job.kind for job in archive.jobs.newest()] == ["reindex", "index", "index"]


def test_searches_go_on_with_the_old_model_until_the_new_one_is_complete(tmp_path, archive, encoder):
    index([scenes(tmp_path / "in", 6)], archive=archive, model=encoder)
    seen = []
    with Archive.open(archive.path) as reader:

        class Looking:
            def on(self, event):
                if isinstance(event, Committed):
                    seen.append(len(tiles(reader, encoder)))

        expected = len(tiles(reader, encoder))
        reindex(archive, Other(), progress=Looking())
        assert set(seen) == {expected}
        with pytest.raises(ModelChangedError, match="reindexed with model other"):
            nearest(reader, encoder.embed_texts(["x"]), 5)


def test_a_failed_scene_keeps_the_old_vectors_until_it_is_fixed_or_dropped(tmp_path, archive, encoder):
    folder = scenes(tmp_path / "in", 3)
    index([folder], archive=archive, model=encoder)
    data = (folder / "1.tif").read_bytes()
    (folder / "1.tif").unlink()
    other = Other()
    summary, swapped = reindex(archive, other)
    assert (swapped, [name for name, _ in summary.failed]) == (False, ["1.tif"])
    assert archive.model.name == "fake"
    assert len(tiles(archive, encoder)) == 12
    assert archive.jobs.newest()[0].counts.failed == 1
    (folder / "1.tif").write_bytes(data)
    summary, swapped = reindex(archive, other)
    assert (swapped, summary.scenes, summary.skipped_scenes) == (True, 1, 2)
    assert len(tiles(archive, other)) == 12
    (folder / "1.tif").unlink()
    back = FakeEmbedder()
    assert reindex(archive, back)[1] is False
    assert reindex(archive, back, drop_failed=True)[1] is True
    assert len(tiles(archive, back)) == 8
    assert verify(archive, full=True) == []


def test_scenes_added_or_removed_between_attempts_are_included(tmp_path, archive, encoder):
    folder = scenes(tmp_path / "in", 3)
    index([folder], archive=archive, model=encoder)
    (folder / "2.tif").rename(folder / "2.away")
    other = Other()
    assert reindex(archive, other)[1] is False
    archive.remove([str(folder / "0.tif")])
    write(folder / "9.tif", picture(3, 64, 64, seed=9), origin=(320_000, 5_760_000))
    (folder / "2.away").rename(folder / "2.tif")
    index([folder / "9.tif"], archive=archive, model=encoder)
    before = tiles(archive, encoder).keys()
    assert reindex(archive, other)[1] is True
    assert tiles(archive, other).keys() == before


def test_a_full_disk_at_the_swap_keeps_the_old_archive(tmp_path, archive, encoder, monkeypatch):
    index([scenes(tmp_path / "in", 2)], archive=archive, model=encoder)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "x")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "link", full)
        patch.setattr(durable.shutil, "copyfile", full)
        with pytest.raises(ArchiveError, match="No space left"):
            reindex(archive, Other())
    assert len(tiles(archive, encoder)) == 8
    assert verify(archive, full=True) == []
    assert reindex(archive, Other())[1] is True


JOB = """
import sys, time
from pathlib import Path
from bandsight.archive import ArchiveWriter
from indexer import job
from indexer.reindex import reindex
from tests.indexer.test_reindex import Other
class Slow(Other):
    def embed_pixels(self, pixels, wavelengths):
        time.sleep(0.02)
        return super().embed_pixels(pixels, wavelengths)
job._COMMIT_TILES = 8
with ArchiveWriter.open(Path(sys.argv[1])) as archive:
    print("ready", flush=True)
    reindex(archive, Slow(), batch_size=4)
"""


def test_a_killed_run_resumes_and_one_of_both_archives_is_always_complete(tmp_path, encoder):
    path = tmp_path / "archive"
    with ArchiveWriter.create(path, identity(encoder)) as archive:
        index([scenes(tmp_path / "in", 10)], archive=archive, model=encoder)
        before = tiles(archive, encoder).keys()
    done = False
    for delay in (0.05, 0.15, 0.25, 0.35, None):
        job = started(JOB, str(path))
        if delay is not None:
            time.sleep(delay)
            job.send_signal(signal.SIGKILL)
        job.communicate()
        assert job.returncode in ({0} if delay is None else {0, -signal.SIGKILL})
        with Archive.open(path) as archive:
            assert verify(archive, full=True) == []
            done = archive.model.name == "other"
            assert tiles(archive, Other() if done else encoder).keys() == before
    assert done


def test_an_archive_of_an_older_version_is_reindexed_from_its_band_files(tmp_path, archive, encoder):
    from sqlalchemy import text

    index([scenes(tmp_path / "in", 2)], archive=archive, model=encoder)
    before = tiles(archive, encoder).keys()
    with archive.database.writing() as catalog:
        from bandsight.catalog.sql.rows import row_checksum
        from bandsight.catalog.sql.tables import SceneRow

        catalog._db.execute(text("UPDATE scenes SET source = NULL"))
        for row in list(catalog._db.execute(SceneRow.__table__.select()).mappings()):
            check = row_checksum(SceneRow.__table__, row)
            catalog._db.execute(text("UPDATE scenes SET checksum = :c WHERE id = :i"), {"c": check, "i": row["id"]})
    other = Other()
    assert reindex(archive, other)[1] is True
    assert tiles(archive, other).keys() == before
