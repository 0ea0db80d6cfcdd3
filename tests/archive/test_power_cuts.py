"""The short form of `make test-power`: what power cuts may leave of a writer's work, and the disk that forgets."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.commands import run_module
from tests.powercut.disk import Disk, File, Folder
from tests.powercut.recorder import can_record


def written(disk: Disk, name: str, data: bytes) -> File:
    file = File()
    disk.root.set(1, name, file)
    file.write(2, 0, data)
    return file


def left(disk: Disk, path: Path, seeds: int = 60) -> list[dict[str, bytes]]:
    """Return what is left after many power cuts."""
    found = []
    for seed in range(seeds):
        target = path / str(seed)
        disk.after_a_cut(np.random.default_rng(seed), target)
        found.append({file.name: file.read_bytes() for file in target.iterdir() if file.is_file()})
    return found


def test_a_file_whose_folder_was_not_flushed_may_be_gone(tmp_path):
    disk = Disk()
    written(disk, "a", b"hello").flush()
    found = left(disk, tmp_path)
    assert {} in found
    assert {"a": b"hello"} in found


def test_a_renamed_file_that_was_not_flushed_may_be_torn_or_empty(tmp_path):
    disk = Disk()
    data = b"x" * 512 + b"y" * 512
    written(disk, "a", data)
    disk.root.flush()
    contents = {one["a"] for one in left(disk, tmp_path)}
    assert contents >= {b"", data, b"x" * 512}
    assert any(content.endswith(b"\0") for content in contents)


def test_flushed_data_survives(tmp_path):
    disk = Disk()
    written(disk, "a", b"hello").flush()
    disk.root.flush()
    assert all(one == {"a": b"hello"} for one in left(disk, tmp_path))


def test_a_rename_may_be_lost_but_the_file_keeps_one_of_its_names(tmp_path):
    disk = Disk()
    old, new = written(disk, "a", b"old"), File()
    old.flush()
    disk.root.set(3, "a.tmp", new)
    new.write(4, 0, b"new")
    new.flush()
    disk.root.flush()
    disk.root.set(5, "a", new, "a.tmp")
    found = left(disk, tmp_path)
    assert {one["a"] for one in found} == {b"old", b"new"}


def test_files_are_lost_with_a_folder_that_was_not_flushed(tmp_path):
    disk = Disk()
    folder, file = Folder(), File()
    disk.root.set(1, "inner", folder)
    folder.set(2, "a", file)
    file.flush()
    folder.flush()
    disk.after_a_cut(np.random.default_rng(0), tmp_path / "cut")
    lost = [seed for seed in range(60) if not _has_inner(disk, tmp_path / f"seed{seed}", seed)]
    assert 0 < len(lost) < 60


def _has_inner(disk: Disk, target: Path, seed: int) -> bool:
    disk.after_a_cut(np.random.default_rng(seed), target)
    return (target / "inner" / "a").exists()


@pytest.mark.skipif(not can_record(), reason="needs strace, which records what a writer does to the disk")
def test_after_a_power_cut_all_reported_work_is_there_and_nothing_is_incomplete(tmp_path):
    job = run_module("tests.powercut", "--replays", "80", "--folder", str(tmp_path / "cuts"))
    assert job.returncode == 0, job.stderr[-4000:]
    facts = json.loads(job.stdout)
    assert facts["replays"] == 80
    assert facts["different"] > 40
    assert set(facts["lost"]) == {"nothing", "everything", "until", "names only", "any"}
