"""A place to run indexing is one small class: here one that passes every call on as bytes, as a cluster would."""

import pickle
from concurrent.futures import Future

import numpy as np

from bandsight.archive import ArchiveWriter
from bandsight.attributes.filters import Filter
from indexer.pipeline import index
from tests.indexer.conftest import identity
from tests.rasters import picture, write


class PickledExecutor:
    """Runs each call at once, from bytes to bytes, and remembers which lanes it used."""

    lanes = 3

    def __init__(self):
        self.used, self.closed = [], False

    def submit(self, lane, function, *args, **kwargs):
        self.used.append(lane % self.lanes)
        future = Future()
        try:
            call, given, named = pickle.loads(pickle.dumps((function, args, kwargs)))  # noqa: S301  (our own)
            future.set_result(pickle.loads(pickle.dumps(call(*given, **named))))  # noqa: S301  (our own)
        except Exception as error:  # noqa: BLE001  (raised by the future)
            future.set_exception(error)
        return future

    def close(self):
        self.closed = True


def vectors_of(archive):
    ids = archive.tile_ids(Filter()).tolist()
    order = sorted(ids, key=lambda one: (archive.tile(one).cell, archive.tile(one).scene_id))
    return archive.vectors(order)


def test_another_executor_indexes_the_same_tiles(tmp_path, archive, encoder):
    folder = tmp_path / "in"
    for number in range(3):
        write(folder / f"{number}.tif", picture(3, 96, 96, seed=number), origin=(400_000 + 5000 * number, 5_800_000))
    (folder / "broken.tif").write_bytes(b"II*\0 no raster")
    elsewhere = PickledExecutor()
    summary = index([folder], archive=archive, model=encoder, executor=elsewhere)
    assert [name for name, _ in summary.failed] == ["broken.tif"]
    assert elsewhere.closed
    assert set(elsewhere.used) == {0, 1, 2}
    with ArchiveWriter.create(tmp_path / "here", identity(encoder)) as here:
        assert index([folder], archive=here, model=encoder).tiles == summary.tiles > 0
        np.testing.assert_array_equal(vectors_of(archive), vectors_of(here))
