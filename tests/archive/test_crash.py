"""A writer that is killed at a named step or at any instant leaves a whole archive, and the next one goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bandsight.archive import Archive
from tests.archive.makers import vectors

ROOT = Path(__file__).parents[2]
SCENES = 12
WRITER = """
import os, signal, sys, time
from pathlib import Path
from bandsight import archive as module
from bandsight.archive import Archive
from bandsight.catalog.catalog import Catalog
from bandsight.vectors import faiss_store, segments
from tests.archive.makers import MODEL, entry

step, after, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
seen = 0

def dies(owner, name, *, before=False):
    real = getattr(owner, name)
    def wrapper(*arguments, **options):
        global seen
        seen += 1
        if before and seen > after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments, **options)
        if seen > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, wrapper)

STEPS = {
    "rows written, not named": (faiss_store.FaissStore, "upsert"),
    "file written, not renamed": (segments.Path, "replace"),
    "catalog rows in, no segment": (Catalog, "add_tiles"),
    "segment named, not committed": (Catalog, "add_segment"),
    "committed, not shown": (Archive, "refresh"),
}
with Archive.open_or_create(path, MODEL) as archive:
    if step in STEPS:
        dies(*STEPS[step], before=step == "file written, not renamed")
    print("ready", flush=True)
    for number in range(12):
        archive.add([entry(number), entry(number % 3, version=1 + number // 6)])
print("done")
"""


def writer(path: Path, step: str = "", after: int = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, step, str(after), str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def check(path: Path) -> None:
    """Look at every row: what is there is whole, once, and what was written."""
    with Archive.open(path, write=True) as archive:
        assert archive.verify(full=True) == []
        hits = archive.search(vectors(500, 1), 10_000)[0]
        names = [(hit.scene.href, hit.tile.col_off) for hit in hits]
        assert len(names) == len(set(names)) == archive.stats()["tiles"]
        for scene in archive.scenes():
            number, version = int(Path(scene.href).stem), int(scene.key.rsplit("-", 1)[1])
            own = sorted((hit for hit in hits if hit.scene.id == scene.id), key=lambda hit: hit.tile.col_off)
            assert len(own) == 4
            stored = archive.vectors([hit.tile.id for hit in own])
            np.testing.assert_allclose(stored, vectors(number, 4, version), atol=1e-3)
        named = {path.stem for path in (path / "vectors").iterdir()}
        assert len(named) == archive.stats()["segments"]


def finish(path: Path) -> None:
    job = writer(path)
    assert job.communicate()[0].endswith("done\n")
    with Archive.open(path) as archive:
        assert len(archive.scenes()) == SCENES
    check(path)


@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize(
    "step",
    [
        "rows written, not named",
        "file written, not renamed",
        "catalog rows in, no segment",
        "segment named, not committed",
        "committed, not shown",
    ],
)
def test_killed_at_a_step(tmp_path, step, after):
    job = writer(tmp_path / "a", step, after)
    job.communicate()
    assert job.returncode == -signal.SIGKILL
    check(tmp_path / "a")
    finish(tmp_path / "a")


def test_killed_at_any_instant(tmp_path):
    rng = np.random.default_rng()
    for _ in range(4):
        job = writer(tmp_path / "a")
        assert job.stdout is not None
        job.stdout.readline()
        time.sleep(float(rng.uniform(0, 0.25)))
        job.kill()
        job.communicate()
        check(tmp_path / "a")
    finish(tmp_path / "a")


def test_killed_while_the_archive_is_made(tmp_path):
    for delay in (0.3, 0.6, 0.9, 1.2):
        job = writer(tmp_path / "a")
        time.sleep(delay)
        job.kill()
        job.communicate()
    finish(tmp_path / "a")
