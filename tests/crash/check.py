"""Looks at an archive after a kill: whole, and exactly what was said to be done, or that and what was under way."""

from pathlib import Path

import numpy as np

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import upgrade, verify
from bandsight.errors import ArchiveError
from bandsight.search.ranking import nearest
from tests.archive.makers import vectors
from tests.crash.operations import TILES, State


def look(path: Path, allowed: list[State]) -> State:
    """Return what an archive holds, after all that must be true of it.

    Args:
        path: The archive; it need not be there when nothing was said to be done.
        allowed: What it may hold.
    """
    try:
        opened = ArchiveWriter.open(path)
    except ArchiveError as error:
        if "no Bandsight archive here" in str(error) and {} in allowed:
            return {}
        if "run: bandsight upgrade" not in str(error):
            raise
        upgrade(path)
        opened = ArchiveWriter.open(path)
    with opened as archive:
        problems = verify(archive, full=True)
        assert not problems, problems
        scenes = archive.scenes()
        found = {int(Path(scene.href).stem): int(scene.key.rsplit("-", 1)[1]) for scene in scenes}
        assert found in allowed, (found, allowed)
        compare_rows(archive, found)
        named = {file.stem for file in (path / "vectors").iterdir()}
        assert len(named) == archive.stats()["segments"], named
    return found


def compare_rows(archive: Archive, state: State) -> None:
    """Compare every tile's vector, and searches, with what was written."""
    hits = nearest(archive, vectors(5, 1), 10_000)[0]
    names = [(int(Path(hit.scene.href).stem), hit.tile.col_off // 32) for hit in hits]
    assert sorted(names) == sorted((number, tile) for number in state for tile in range(TILES))
    if not state:
        return
    true = {number: vectors(number, TILES, version) for number, version in state.items()}
    expected = np.stack([true[number][tile] for number, tile in names]).astype(np.float16).astype(np.float64)
    stored = archive.vectors([hit.tile.id for hit in hits])
    np.testing.assert_array_equal(stored, expected.astype(np.float32))
    ids = np.array([hit.tile.id for hit in hits])
    for seed in (5, 6):
        query = vectors(seed, 1)[0]
        scores = (expected @ query.astype(np.float64)).astype(np.float32)
        order = np.lexsort((ids, -scores))
        exact = nearest(archive, query, 10, exact=True)[0]
        assert [hit.tile.id for hit in exact] == ids[order[:10]].tolist()
        likely = nearest(archive, query, 10)[0]
        assert len(likely) == len(exact)
        known = dict(zip(ids.tolist(), scores.tolist(), strict=True))
        assert all(hit.score == known[hit.tile.id] for hit in likely)
