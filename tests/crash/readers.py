"""Concurrent readers and a writer in separate processes: no reader sees part of a commit."""

import json
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from bandsight.archive import Archive, ArchiveWriter
from bandsight.errors import ModelChangedError
from bandsight.search.ranking import nearest
from tests.archive.makers import MODEL, entry, vectors
from tests.crash.check import look
from tests.crash.forks import finish, fork
from tests.crash.operations import TILES, State, after, perform, plan

_READERS = 3


def readers_beside_a_writer(path: Path, seconds: float) -> dict[str, int]:
    """Search in several processes while another writes; return how much was looked at.

    Raises:
        AssertionError: A reader saw half a commit, or one process failed.
    """
    shutil.rmtree(path, ignore_errors=True)
    start: State = dict.fromkeys(range(6), 0)
    with ArchiveWriter.create(path, MODEL) as archive:
        archive.add([entry(number, TILES) for number in start])
    until = time.monotonic() + seconds
    works = [lambda: _read(path, until)] * _READERS + [lambda: _work(path, start, until)]
    children = [fork(lambda outbox, work=work: _tell(outbox, work())) for work in works]
    said = []
    for child, inbox in children:
        text, status = finish(child, inbox)
        assert status == 0, f"a process failed: {text}"
        said.append(json.loads(text))
    *reads, (commits, state) = said
    look(path, [{int(number): version for number, version in state.items()}])
    return {
        "searches": sum(count for count, _ in reads),
        "generations": max(seen for _, seen in reads),
        "commits": commits,
    }


def _tell(outbox: int, value: object) -> None:
    os.write(outbox, json.dumps(value).encode())


def _read(path: Path, until: float) -> tuple[int, int]:
    """Search again and again: scenes are there whole, in one version, and time goes forward only."""
    searches, seen, before = 0, 0, -1
    while time.monotonic() < until:
        # If the archive is recreated with another model, open it again.
        with Archive.open(path) as archive, suppress(ModelChangedError):
            while time.monotonic() < until:
                hits = nearest(archive, vectors(searches % 50, 1), 10_000)[0]
                tiles: dict[str, set[int]] = {}
                for hit in hits:
                    tiles.setdefault(hit.scene.href, set()).add(hit.tile.col_off)
                keys = {hit.scene.href: hit.scene.key for hit in hits}
                assert all(len(found) == TILES for found in tiles.values()), tiles
                assert len({hit.scene.key for hit in hits}) == len(keys)
                assert len(hits) == TILES * len(keys)
                assert archive.generation >= before
                seen += archive.generation > before
                before = archive.generation
                hit = hits[searches % len(hits)] if hits else None
                if hit is not None:
                    number, version = (int(part) for part in hit.scene.key.split("-")[1:])
                    row = vectors(number, TILES, version)[hit.tile.col_off // 32].astype(np.float16)
                    score = np.float32(row.astype(np.float64) @ vectors(searches % 50, 1)[0].astype(np.float64))
                    assert hit.score == float(score)
                searches += 1
    return searches, seen


def _work(path: Path, state: State, until: float) -> tuple[int, State]:
    """Write until the time is over."""
    rng = np.random.default_rng(3)
    commits = 0

    def say(what: str, operation: dict) -> None:
        nonlocal state, commits
        if what == "done":
            state = after(state, operation)
            commits += 1

    while time.monotonic() < until:
        perform(path, plan(state, rng, None, count=5), say)
    return commits, state
