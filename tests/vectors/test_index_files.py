"""A saved index is opened whole, or not at all, while another one is being saved."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from bandsight.vectors.local import index_files
from bandsight.vectors.local.apart import Apart
from bandsight.vectors.local.index_files import copy_index, drop_index, index_problem, load_index, save_index
from bandsight.vectors.local.ivf import IvfIndex, SearchParams
from bandsight.vectors.local.ivf_build import build

DIM = 16


def made(first: int, rows: int) -> IvfIndex:
    values = np.random.default_rng(rows).normal(size=(rows, DIM))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return build([(np.arange(first, first + rows), values.astype(np.float16), np.ones(rows, bool))], DIM, 200)


def test_an_index_that_is_replaced_while_it_is_opened_is_not_mixed_with_the_other(tmp_path: Path, monkeypatch) -> None:
    save_index(tmp_path, made(1, 300))
    other = made(1001, 5000)
    real, saved = index_files.attach_lists, []

    def attach(*arguments, **options):
        if not saved:
            saved.append(save_index(tmp_path, other))
        return real(*arguments, **options)

    monkeypatch.setattr(index_files, "attach_lists", attach)
    opened = load_index(tmp_path, 10_000)
    assert opened is not None
    assert (opened.first_id, opened.up_to, opened.rows, len(opened.spread)) == (1001, 6000, 5000, other.lists)
    held = np.flatnonzero(opened.list_of() >= 0)
    np.testing.assert_array_equal(held, np.arange(5000))


def test_an_index_that_is_replaced_each_time_is_done_without(tmp_path: Path, monkeypatch) -> None:
    indexes = [made(1, 300), made(1, 5000)]
    save_index(tmp_path, indexes[0])
    real, saved = index_files.attach_lists, []

    def attach(*arguments, **options):
        saved.append(save_index(tmp_path, indexes[len(saved) % 2]))
        return real(*arguments, **options)

    monkeypatch.setattr(index_files, "attach_lists", attach)
    assert load_index(tmp_path, 10_000) is None
    assert len(saved) > 1


def test_an_index_of_far_ids_is_as_small_as_one_of_near_ids(tmp_path: Path) -> None:
    near, far = made(1, 300), made(10**12, 300)
    assert near.span == far.span == len(far.list_of()) == 300
    save_index(tmp_path, far)
    opened = load_index(tmp_path, 10**12 + 299)
    assert opened is not None
    assert opened.span == 300


def test_an_index_of_the_former_version_is_searched_at_an_unmeasured_tolerance(tmp_path: Path) -> None:
    made_now = replace(made(1, 5000), widths=(SearchParams(share=1.0, k=10, tolerance=0.004, query_ms=1.5),))
    save_index(tmp_path, made_now)
    facts = json.loads((tmp_path / "ivf.json").read_text())
    spread = np.array(facts.pop("spread"))
    reach = spread * np.sqrt(np.log(np.maximum(made_now.sizes, 2)))
    facts |= {"format_version": 4, "slope": 1.5, "reach": reach.tolist()}
    facts["widths"] = [{"share": 1.0, "k": 10, "nprobe": 22, "fetch": 30, "query_ms": 1.5}]
    facts["figures"] |= {"rows": 5000, "recall_at_10_image": 0.9951}
    del facts["checksum"]
    (tmp_path / "ivf.json").write_text(json.dumps({**facts, "checksum": index_files._facts_checksum(facts)}))
    opened = load_index(tmp_path, 5000)
    assert opened is not None
    np.testing.assert_allclose(opened.spread, made_now.spread, rtol=1e-4)
    assert opened.widths == (SearchParams(share=1.0, k=10, tolerance=0.02, query_ms=3.0),)
    assert opened.figures["rows"] == 5000
    assert "bandsight optimize" in opened.figures["recall"]
    assert "recall_at_10_image" not in opened.figures


def test_rows_kept_apart_are_saved_checked_and_copied(tmp_path: Path) -> None:
    index = made(1, 300)
    apart = Apart(np.array([5, 9], np.int64), np.ones((2, index.faiss_index.d), np.float16), 0.7)
    (tmp_path / "a").mkdir()
    save_index(tmp_path / "a", replace(index, apart=apart))
    copy_index(tmp_path / "a", tmp_path / "b")
    opened = load_index(tmp_path / "b", 300)
    assert opened is not None
    assert opened.apart is not None
    assert (opened.apart.ids.tolist(), opened.apart.floor) == ([5, 9], 0.7)
    np.testing.assert_array_equal(opened.apart.rows, apart.rows)
    (tmp_path / "b" / "ivf.apart").write_bytes(b"garbage")
    assert "ivf.apart: does not match its checksum" in str(index_problem(tmp_path / "b")[0])
    assert load_index(tmp_path / "b", 300) is None
    drop_index(tmp_path / "b")
    assert not list((tmp_path / "b").iterdir())


def test_an_index_of_version_5_keeps_none_apart_until_rows_are_added(tmp_path: Path) -> None:
    save_index(tmp_path, made(1, 300))
    facts = json.loads((tmp_path / "ivf.json").read_text())
    facts["format_version"] = 5
    for name in ("apart", "apart_sha256", "checksum"):
        del facts[name]
    (tmp_path / "ivf.apart").unlink()
    (tmp_path / "ivf.json").write_text(json.dumps({**facts, "checksum": index_files._facts_checksum(facts)}))
    opened = load_index(tmp_path, 300, writable=True)
    assert opened is not None
    assert opened.apart is not None
    assert opened.apart.floor is None
    copy_index(tmp_path, tmp_path / "b")
    assert load_index(tmp_path / "b", 300) is not None
