"""A scene is recognised again wherever its files are, and keeps the options that it was indexed with."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bandsight.archive import ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.imagery.model_view import model_view
from indexer.identity import fingerprint
from indexer.pipeline import index
from indexer.source import Source
from indexer.sources import find_scenes
from indexer.tiling import Tiling
from tests.commands import run_command
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
from tests.rasters import picture, write
from tests.web import serve


def ids(archive):
    return sorted(archive.tile_ids(Filter()).tolist())


def test_a_moved_folder_has_the_same_scenes(tmp_path, archive, encoder):
    write(tmp_path / "old" / "a.tif", picture(3, 64, 64))
    assert index([tmp_path / "old"], archive=archive, model=encoder).scenes == 1
    before = ids(archive)
    (tmp_path / "old").rename(tmp_path / "new")
    summary = index([tmp_path / "new"], archive=archive, model=encoder)
    assert (summary.scenes, summary.skipped_scenes, ids(archive)) == (0, 1, before)
    (scene,) = archive.scenes()
    assert scene.href == scene.bands[0].href == str(tmp_path / "new" / "a.tif")
    assert str(tmp_path / "old") not in json.dumps([scene.source, scene.decisions])
    assert model_view(scene, archive.tile(before[0])).shape[0] == 3
    assert index([tmp_path / "new"], archive=archive, model=encoder).skipped_scenes == 1


def test_another_path_to_the_same_file_is_the_same_scene_and_a_copy_is_another(tmp_path, archive, encoder):
    path = write(tmp_path / "a" / "x.tif", picture(3, 64, 64))
    (tmp_path / "b").mkdir()
    os.link(path, tmp_path / "b" / "x.tif")
    (tmp_path / "c").mkdir()
    shutil.copy2(path, tmp_path / "c" / "x.tif")
    index([path], archive=archive, model=encoder)
    assert index([tmp_path / "b" / "x.tif"], archive=archive, model=encoder).skipped_scenes == 1
    assert index([tmp_path / "c" / "x.tif"], archive=archive, model=encoder).scenes == 1
    assert index([path, tmp_path / "c" / "x.tif"], archive=archive, model=encoder).skipped_scenes == 2
    assert len(archive.scenes()) == 2


def test_copies_in_one_job_are_scenes_of_their_own_and_links_are_not(tmp_path, archive, encoder):
    path = write(tmp_path / "a" / "x.tif", picture(3, 64, 64))
    for name in ("b/x.tif", "c/y.tif"):
        (tmp_path / name).parent.mkdir()
        shutil.copy2(path, tmp_path / name)
    (tmp_path / "d").mkdir()
    os.link(path, tmp_path / "d" / "z.tif")
    (tmp_path / "d" / "w.tif").symlink_to(path)
    summary = index([tmp_path], archive=archive, model=encoder)
    assert (summary.scenes, summary.skipped_scenes, summary.failed) == (3, 2, [])
    assert index([tmp_path], archive=archive, model=encoder).skipped_scenes == 5
    assert len(archive.scenes()) == 3


def test_a_renamed_file_replaces_its_scene_and_is_recognised_by_its_new_name(tmp_path, archive, encoder):
    path = write(tmp_path / "x.tif", picture(3, 64, 64))
    index([path], archive=archive, model=encoder)
    path.rename(tmp_path / "mosaic_20200501.tif")
    summary = index([tmp_path], archive=archive, model=encoder)
    assert (summary.scenes, summary.failed) == (1, [])
    (scene,) = archive.scenes()
    assert scene.href == str(tmp_path / "mosaic_20200501.tif")
    assert scene.datetime.isoformat().startswith("2020-05-01")


def test_a_url_with_a_new_signature_is_the_same_scene(tmp_path, archive, encoder, monkeypatch):
    write(tmp_path / "x.tif", picture(3, 64, 64))
    with serve(tmp_path) as site:
        for token in ("AAAA", "BBBB"):
            summary = index([f"{site.url}/x.tif?sig={token}"], archive=archive, model=encoder)
        assert (summary.scenes, summary.skipped_scenes) == (0, 1)
        (scene,) = archive.scenes()
        assert scene.href.endswith("?sig=BBBB")
        assert scene.bands[0].href.endswith("?sig=BBBB")


def test_options_are_remembered_with_a_scene(tmp_path, archive, encoder):
    path = write(tmp_path / "a.tif", picture(4, 96, 96, dtype="uint16"))
    other = write(tmp_path / "b.tif", picture(3, 96, 96))
    tiling = Tiling(tile_px=24, overlap=0.5)
    index([path], archive=archive, model=encoder, sensor="bgrn", tiling=tiling)
    index([other], archive=archive, model=encoder)
    before = ids(archive)
    summary = index([tmp_path], archive=archive, model=encoder)
    assert (summary.scenes, summary.skipped_scenes, summary.failed) == (0, 2, [])
    assert ids(archive) == before
    # Another tiling is another scene in its place.
    assert index([other], archive=archive, model=encoder, tiling=tiling).scenes == 1


def test_a_sensor_for_one_file_leaves_its_neighbour_alone(tmp_path, archive, encoder):
    write(tmp_path / "known.tif", picture(3, 96, 96))
    index([tmp_path], archive=archive, model=encoder)
    before = ids(archive)
    write(tmp_path / "unknown.tif", picture(4, 96, 96, dtype="uint16"), photometric="MINISBLACK")
    assert len(index([tmp_path], archive=archive, model=encoder).failed) == 1
    summary = index([tmp_path], archive=archive, model=encoder, sensor="bgrn")
    assert (summary.scenes, summary.skipped_scenes) == (1, 1)
    note = "known.tif: matches rgb, so --sensor bgrn was not applied; pass --force to override"
    assert summary.notes == [("known.tif", note)]
    assert set(before) <= set(ids(archive))
    assert {scene.name: scene.sensor for scene in archive.scenes()} == {"known.tif": "rgb", "unknown.tif": "bgrn"}
    # New scenes with the sensor at once: the one that matches by itself is indexed as what it is.
    with ArchiveWriter.create(tmp_path / "other", identity(encoder)) as fresh:
        index([tmp_path / "known.tif", tmp_path / "unknown.tif"], archive=fresh, model=encoder, sensor="bgrn")
        assert {scene.sensor for scene in fresh.scenes()} == {"rgb", "bgrn"}
        assert index([tmp_path / "known.tif"], archive=fresh, model=encoder).skipped_scenes == 1


def test_a_changed_file_replaces_its_scene(tmp_path, archive, encoder):
    path = write(tmp_path / "a.tif", picture(3, 64, 64))
    index([path], archive=archive, model=encoder)
    write(path, picture(3, 64, 64, seed=1))
    assert index([path], archive=archive, model=encoder).scenes == 1
    assert len(archive.scenes()) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["sign", "expire"]), min_size=1, max_size=4), st.integers(0, 10**6))
def test_any_signature_leaves_the_identity(steps, token):
    base = "https://example.com/a/x.tif"
    hrefs = [base, *(f"{base}?se={token}&sig={number}{step}" for number, step in enumerate(steps))]
    found = {fingerprint(Source(name="x", hrefs=(href,), version="1")).identity for href in hrefs}
    assert len(found) == 1
    assert fingerprint(Source(name="x", hrefs=(base.replace("/a/", "/b/"),), version="1")).identity not in found


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text("abcdef", min_size=1, max_size=6), min_size=1, max_size=3, unique=True))
def test_moving_through_any_folders_leaves_key_and_identity(tmp_path_factory, folders):
    root = tmp_path_factory.mktemp("move")
    path = write(root / "start" / "a.tif", picture(3, 32, 32))
    first = fingerprint(find_scenes([path])[0])
    for folder in folders:
        target = root / folder / "a.tif"
        target.parent.mkdir(exist_ok=True)
        path = Path(shutil.move(path, target))
        assert fingerprint(find_scenes([path])[0]) == first
        path = path.rename(path.with_name(f"{folder}.tif"))
        assert fingerprint(find_scenes([path])[0]).identity == first.identity
        path = path.rename(path.with_name("a.tif"))


@pytest.mark.parametrize("collection", ["c", None])
def test_an_item_is_known_by_collection_and_id(tmp_path, archive, collection):
    encoder = FakeEmbedder()
    write(tmp_path / "rgb.tif", picture(3, 64, 64))
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "one",
        "collection": collection,
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "geometry": {"type": "Point", "coordinates": [13.5, 52.3]},
        "bbox": [13.5, 52.3, 13.5, 52.3],
        "links": [{"rel": "collection", "href": "https://example.invalid/c.json"}] if collection else [],
        "assets": {"data": {"href": "./rgb.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }
    (tmp_path / "item.json").write_text(json.dumps(item))
    assert index([tmp_path / "item.json"], archive=archive, model=encoder).failed == []
    (tmp_path / "elsewhere").mkdir()
    for name in ("rgb.tif", "item.json"):
        (tmp_path / name).rename(tmp_path / "elsewhere" / name)
    assert index([tmp_path / "elsewhere" / "item.json"], archive=archive, model=encoder).skipped_scenes == 1
    (scene,) = archive.scenes()
    assert (scene.identity or "").startswith(f"stac:{'c/' if collection else ''}one")


def test_relocate_says_where_scenes_lie_now_and_verify_names_missing_files(tmp_path, encoder, capsys, monkeypatch):
    def command(*arguments):
        return run_command(capsys, monkeypatch, *arguments, "--archive", str(tmp_path / "archive"))

    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    write(tmp_path / "old" / "a.tif", picture(3, 64, 64))
    with ArchiveWriter.create(tmp_path / "archive", identity(encoder)) as archive:
        index([old], archive=archive, model=encoder)
        before = ids(archive)
    (tmp_path / "old").rename(tmp_path / "new")
    code, out, _ = command("verify")
    assert code == 0
    assert "a.tif is missing" in out
    assert "bandsight relocate OLD NEW" in out
    code, _, problem = command("relocate", old, str(tmp_path / "nowhere"))
    assert code == 1
    assert "nothing was changed" in problem
    assert command("relocate", old, new)[1].strip() == "1 scene relocated"
    assert "missing" not in command("verify")[1]
    with ArchiveWriter.open(tmp_path / "archive") as archive:
        assert ids(archive) == before
        assert index([new], archive=archive, model=encoder).skipped_scenes == 1
        assert archive.scenes()[0].href == str(tmp_path / "new" / "a.tif")


@given(st.permutations(["move", "rename", "link", "copy away", "again"]))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_moving_renaming_and_linking_in_any_order_leave_one_scene(tmp_path_factory, encoder, steps):
    root = tmp_path_factory.mktemp("steps")
    file = write(root / "0" / "a.tif", picture(3, 40, 40))
    with ArchiveWriter.create(root / "archive", identity(encoder)) as archive:
        assert index([file], archive=archive, model=encoder, tiling=Tiling(tile_px=16)).scenes == 1
        tiles = archive.tile_count
        for number, step in enumerate(steps, 1):
            given_path = file
            if step == "move":
                file = file.parent.rename(root / f"moved-{number}") / file.name
                given_path = file.parent
            elif step == "rename":
                given_path = file = file.rename(file.with_name(f"renamed-{number}.tif"))
            elif step == "link":
                given_path = root / f"link-{number}.tif"
                given_path.symlink_to(file)
            elif step == "copy away":
                kept = root / f"new-{number}" / file.name
                kept.parent.mkdir()
                shutil.copy2(file, kept)
                file.unlink()
                given_path = file = kept
            index([given_path], archive=archive, model=encoder, tiling=Tiling(tile_px=16))
            assert (len(list(archive.scenes())), archive.tile_count) == (1, tiles)
