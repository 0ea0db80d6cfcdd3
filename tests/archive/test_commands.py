"""The maintenance commands, run as a user would; none needs a model."""

import re
from functools import partial
from pathlib import Path

import pytest

from bandsight.archive import Archive
from bandsight.archive.recall_record import keep_recall
from bandsight.cli import loading as opening
from bandsight.search.ranking import nearest
from bandsight.search.recall_queries import sentences
from bandsight.vectors.local import ivf_build as building
from bandsight.vectors.local import recall_probes
from bandsight.vectors.local import recall_tuning as tuning
from tests.archive.makers import MODEL, filled, vectors
from tests.commands import run_command
from tests.fakes import FakeEmbedder


@pytest.fixture
def path(tmp_path) -> Path:
    filled(tmp_path / "a", 4).close()
    return tmp_path / "a"


@pytest.fixture
def bandsight(capsys, monkeypatch):
    return partial(run_command, capsys, monkeypatch)


def test_removing_compacting_and_backing_up(bandsight, path, tmp_path):
    assert bandsight("remove", "/scenes/1.tif", "--archive", str(path))[0] == 0
    code, out, _ = bandsight("compact", "--archive", str(path))
    assert code == 0
    assert "segments_after: 1" in out
    assert "deleted_vectors_before: 4" in out
    code, out, _ = bandsight("backup", str(tmp_path / "copy"), "--archive", str(path))
    assert (code, out) == (0, f"{tmp_path / 'copy'}: generation 4\n")
    with Archive.open(tmp_path / "copy") as copy:
        assert len(nearest(copy, vectors(1, 1), 99)[0]) == 12
    code, _, err = bandsight("remove", "/scenes/1.tif", "--archive", str(path))
    assert (code, err) == (
        1,
        "bandsight: /scenes/1.tif: this archive has no such scene; hrefs come from a search\n",
    )
    code, out, _ = bandsight("status", "--archive", str(path))
    assert "catalog bytes: " in out
    assert "index bytes: " in out


def test_damage_found_by_verify_is_repaired_by_repair(bandsight, path):
    assert bandsight("repair", "--archive", str(path)) == (0, "nothing to repair\n", "")
    file = sorted((path / "vectors").iterdir())[0]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    code, out, _ = bandsight("verify", "--full", "--archive", str(path))
    assert code == 1
    assert f"vectors/{file.name}: tiles [8] do not match their checksum; run: bandsight repair" in out
    code, out, _ = bandsight("repair", "--archive", str(path))
    assert code == 0
    assert out.splitlines() == [
        "lost: /scenes/1.tif (vectors); index it again",
        f"vectors/{file.stem}: damaged, copied to quarantine/; 4 tiles kept, 1 vectors lost",
    ]
    # The files of these scenes have never been there.
    code, out, problem = bandsight("verify", "--full", "--archive", str(path))
    assert (code, out.splitlines()[-1], problem) == (0, "no problems found in the archive itself", "")
    assert "bandsight relocate OLD NEW" in out
    assert "/scenes/1.tif" in bandsight("status", "--archive", str(path))[1]


def test_an_index_is_built_measured_shown_and_served_to_readers_that_are_open(bandsight, path, monkeypatch):
    monkeypatch.setattr(building, "WORTH_IT", 10)
    monkeypatch.setattr(tuning, "FEW", 0)
    monkeypatch.setattr(tuning, "SHARES", (1.0, 0.1))
    monkeypatch.setattr(recall_probes, "EACH", 5)
    monkeypatch.setattr(opening, "load_for_queries", lambda *_: FakeEmbedder())
    monkeypatch.setattr(opening, "identity", lambda _: MODEL)
    with Archive.open(path) as reader:
        before = [hit.tile.id for hit in nearest(reader, vectors(1, 1), 99)[0]]
        assert reader.store.index_figures == {"index": "none"}
        code, out, _ = bandsight("optimize", "--archive", str(path))
        assert code == 0
        assert "recall_at_100_text: " in out
        assert "recall_at_10_image: 1.0" in out
        assert [hit.tile.id for hit in nearest(reader, vectors(1, 1), 99)[0]] == before
        assert reader.store.index_figures["rows"] == 16
    _, out, _ = bandsight("status", "--archive", str(path))
    assert "index: index IVF16,PQ16x4fs, rows 16" in out
    kinds = ["image", "far image", "other sensor", "mixture", "text", "odd text", "random"]
    for line in (r"  recall@10: ", r"  recall@100: ", r"  recall@10 under filters that let 10% pass: "):
        found = next(found for found in out.splitlines() if found.startswith(line))
        assert re.sub(r" [\d.]+", "", found.removeprefix(line)).startswith(", ".join(kinds) + " ("), found
    code, out, _ = bandsight("optimize", "--images-only", "--archive", str(path))
    assert "recall_at_10_image" in out
    assert "text" not in out


def test_a_small_archive_needs_neither_index_nor_model(bandsight, path, monkeypatch):
    monkeypatch.setattr(opening, "load_for_queries", pytest.fail)
    assert bandsight("optimize", "--archive", str(path))[:2] == (
        0,
        "index: none\nreason: small enough for exact scans\n",
    )


def test_recall_is_measured_with_many_different_sentences():
    said = sentences()
    assert len(set(said)) == len(said) == 500


def test_status_shows_the_recall_that_a_server_found(bandsight, path):
    assert "recall of searches: not measured yet" in bandsight("status", "--archive", str(path))[1]
    keep_recall(path, {"queries": 3, "recall": 0.99, "lowest": 0.9, "time": "2026-01-02T03:04:05Z"})
    found = "0.99 on average, 0.9 at worst, in 3 searches that a server repeated exactly at 2026-01-02T03:04:05Z"
    assert f"recall of searches: {found}" in bandsight("status", "--archive", str(path))[1]
    (path / "index" / "recall-check.json").write_text("{")
    assert "recall of searches: not measured yet" in bandsight("status", "--archive", str(path))[1]
    assert bandsight("verify", "--full", "--archive", str(path))[0] == 0
