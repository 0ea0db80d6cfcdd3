import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin

from bandsight.archive import Archive
from bandsight.archive.admin import verify
from bandsight.attributes.filters import Filter
from bandsight.errors import SceneError
from bandsight.search.ranking import nearest
from indexer import executor
from indexer.events import Note
from indexer.pipeline import index
from indexer.tiling import Tiling, auto_scales
from tests.commands import started
from tests.fakes import FakeEmbedder
from tests.rasters import picture, write


def test_a_scene_becomes_tiles_that_an_image_of_one_finds(tmp_path, archive, encoder):
    values = picture(3, 128, 160)
    summary = index([write(tmp_path / "a.tif", values, origin=(320_000, 5_760_000))], archive=archive, model=encoder)
    assert (summary.scenes, summary.tiles, summary.failed) == (1, 20, [])
    crop = values[None, :, 32:64, 64:96]
    hit = nearest(archive, encoder.embed_pixels(crop, (0.665, 0.56, 0.49)), 1)[0][0]
    assert (hit.tile.col_off, hit.tile.row_off, hit.score) == (64, 32, pytest.approx(1, abs=1e-3))
    assert hit.tile.cell == "EPSG:32633/10/32x1/1002_-17999"


def test_running_again_does_nothing_and_reports_it(tmp_path, archive, encoder):
    scene = write(tmp_path / "a.tif", picture(3, 64, 64))
    index([scene], archive=archive, model=encoder)
    before, batches = archive.generation, len(encoder.batches)
    summary = index([scene], archive=archive, model=encoder)
    assert (summary.scenes, summary.tiles, summary.skipped_scenes) == (0, 0, 1)
    assert "nothing to do" in summary.text()
    assert (archive.generation, len(encoder.batches)) == (before, batches)


def test_a_changed_scene_replaces_its_old_tiles(tmp_path, archive, encoder):
    scene = write(tmp_path / "a.tif", picture(3, 64, 64))
    index([scene], archive=archive, model=encoder)
    old = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    write(scene, picture(3, 64, 96, seed=1))
    summary = index([scene], archive=archive, model=encoder)
    new = {hit.tile.id for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]}
    assert summary.scenes == 1
    assert len(archive.scenes()) == 1
    assert not old & new
    assert verify(archive, full=True) == []


def test_batches_are_filled_across_scenes_and_hold_one_band_list(tmp_path, archive, encoder):
    for n in range(4):
        write(tmp_path / f"rgb{n}.tif", picture(3, 64, 64, seed=n))
        write(tmp_path / f"naip{n}_m.tif", picture(4, 64, 64, seed=n), photometric="MINISBLACK", alpha="NO")
    sources = sorted(tmp_path.glob("rgb*.tif"))
    index(sources, archive=archive, model=encoder, batch_size=8)
    index(sorted(tmp_path.glob("naip*.tif")), archive=archive, model=encoder, sensor="rgbn", batch_size=8)
    tiles = archive.stats()["tiles"]
    assert sum(shape[0] for shape in encoder.batches) == tiles
    assert {shape[1] for shape in encoder.batches} == {3, 4}
    full = [shape for shape in encoder.batches if shape[0] == 8]
    assert len(full) >= tiles // 8 - 2


def test_bands_of_other_resolution_are_read_on_the_ground_they_share(tmp_path, archive, encoder):
    folder = tmp_path / "S2A_MSIL2A_20200101T100000_x"
    fine = picture(1, 64, 64, dtype="uint16") * 10
    coarse = fine[:, ::2, ::2]
    for band in ("B02", "B03", "B04"):
        write(folder / f"T33UUU_{band}.tif", fine)
    write(folder / "T33UUU_B11.tif", coarse, gsd=20)
    summary = index([folder], archive=archive, model=encoder)
    assert (summary.failed, summary.tiles > 0) == ([], True)
    scene = archive.scenes()[0]
    assert [band.name for band in scene.bands] == ["B02", "B03", "B04", "B11"]
    assert (scene.sensor, scene.gsd_m, str(scene.datetime)) == ("sentinel2_l2a", 10, "2020-01-01 10:00:00+00:00")


def test_no_tile_has_a_black_border(tmp_path, archive, monkeypatch):
    class Watching(FakeEmbedder):
        darkest = 255

        def embed_pixels(self, pixels, wavelengths):
            self.darkest = min(self.darkest, int(pixels.min()))
            return super().embed_pixels(pixels, wavelengths)

    watching = Watching()
    values = np.full((3, 90, 70), 200, np.uint8)
    values[:, :20, :] = 0
    index(
        [write(tmp_path / "a.tif", values, nodata=0)],
        archive=archive,
        model=watching,
        tiling=Tiling(tile_px=32, min_valid=0.1),
    )
    assert watching.darkest == 200


def test_tiles_with_too_little_data_are_counted_and_left_out(tmp_path, archive, encoder):
    values = picture(3, 64, 64)
    values[:, :, :32] = 0
    scene = write(tmp_path / "a.tif", values, nodata=0, origin=(320_000, 5_760_000))
    summary = index([scene], archive=archive, model=encoder)
    assert (summary.tiles, dict(summary.skipped_tiles)) == (2, {"too little valid data": 2})


BAD = {
    "text.tif": (lambda path: path.write_text("no raster"), "not a readable raster"),
    "truncated.tif": (lambda path: _truncated(path), "cannot be read"),
    "no_crs.tif": (lambda path: write(path, picture(3, 64, 64), crs=None), "no georeference"),
    "placed_nowhere.tif": (
        lambda path: write(path, picture(3, 64, 64), crs=None, transform=from_origin(4e5, 5.8e6, 10, 10)),
        "no CRS",
    ),
    "unknown_bands.tif": (lambda path: write(path, picture(5, 64, 64)), "wavelengths_um"),
    "empty.tif": (lambda path: write(path, np.zeros((3, 64, 64), np.uint8), nodata=0), "no tiles have at least"),
    "LC08_x_B4.tif": (lambda path: write(path, picture(1, 64, 64, dtype="uint16")), "need at least 3"),
}


def _truncated(path: Path) -> None:
    write(path, picture(3, 256, 256, seed=3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_each_bad_scene_is_named_with_its_reason_and_the_job_goes_on(tmp_path, archive, encoder):
    (tmp_path / "in").mkdir()
    for name, (make, _) in BAD.items():
        make(tmp_path / "in" / name)
    write(tmp_path / "in" / "good.tif", picture(3, 64, 64))
    summary = index([tmp_path / "in"], archive=archive, model=encoder)
    assert summary.scenes == 1
    assert len(summary.failed) == len(BAD)
    for name, (_, reason) in BAD.items():
        text = next(text for _, text in summary.failed if name.removesuffix(".tif").removesuffix("_B4") in text)
        assert reason in text
    assert len(archive.jobs.failures()) == len(BAD)


def test_a_failure_is_forgotten_once_the_scene_can_be_read(tmp_path, archive, encoder):
    scene = tmp_path / "a.tif"
    scene.write_text("not yet")
    index([scene], archive=archive, model=encoder)
    assert len(archive.jobs.failures()) == 1
    write(scene, picture(3, 64, 64))
    index([scene], archive=archive, model=encoder)
    assert archive.jobs.failures() == []


def test_an_unexpected_reader_error_fails_one_scene(tmp_path, archive, encoder, monkeypatch):
    first, second = (write(tmp_path / f"{n}.tif", picture(3, 64, 64, seed=n)) for n in range(2))
    real = executor.read_tiles

    def breaking(scene, windows, **options):
        if scene.record.href == str(first):
            raise MemoryError("as if")
        return real(scene, windows, **options)

    monkeypatch.setattr(executor, "read_tiles", breaking)
    summary = index([first, second], archive=archive, model=encoder)
    assert (summary.scenes, len(summary.failed)) == (1, 1)
    assert "MemoryError" in summary.failed[0][1]


def test_a_sidecar_places_a_picture_and_names_its_bands(tmp_path, archive, encoder):
    scene = write(tmp_path / "cube.tif", picture(6, 64, 64), crs=None)
    Path(f"{scene}.bandsight.json").write_text(
        '{"crs": "EPSG:4326", "bounds": [10, 50, 10.1, 50.1], "datetime": "2020-05-01T10:00:00Z",'
        ' "wavelengths_um": [0.5, 0.6, 0.7, 0.8, 1.6, 2.2]}'
    )
    assert index([scene], archive=archive, model=encoder).failed == []
    found = nearest(archive, encoder.embed_texts(["x"]), 9, Filter.parse(bbox="10,50,10.1,50.1", datetime="2020-05-01"))
    assert len(found[0]) > 0
    assert [band.wavelength_um for band in archive.scenes()[0].bands] == [0.5, 0.6, 0.7, 0.8, 1.6, 2.2]


JOB = """
import sys, time
from pathlib import Path
from bandsight.archive import ArchiveWriter
from indexer import job, pipeline
from tests.fakes import FakeEmbedder
from tests.indexer.conftest import identity
class Slow(FakeEmbedder):
    def embed_pixels(self, pixels, wavelengths):
        time.sleep(0.02)
        return super().embed_pixels(pixels, wavelengths)
job._COMMIT_TILES = 8
model = Slow()
with ArchiveWriter.open_or_create(Path(sys.argv[2]), identity(model)) as archive:
    print("ready", flush=True)
    summary = pipeline.index([sys.argv[1]], archive=archive, model=model, batch_size=4)
print(summary.tiles, summary.skipped_scenes)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_job_stopped_at_any_moment_resumes(tmp_path, how):
    for n in range(12):
        write(tmp_path / "in" / f"{n}.tif", picture(3, 64, 64, seed=n))
    for delay in (0.02, 0.1, 0.2):
        job = started(JOB, str(tmp_path / "in"), str(tmp_path / "archive"))
        time.sleep(delay)
        job.send_signal(how)
        job.communicate()
    job = started(JOB, str(tmp_path / "in"), str(tmp_path / "archive"))
    job.communicate()
    assert job.returncode == 0
    with Archive.open(tmp_path / "archive") as archive:
        assert verify(archive, full=True) == []
        windows = [
            (hit.scene.href, hit.tile.col_off, hit.tile.row_off)
            for hit in nearest(archive, FakeEmbedder().embed_texts(["x"]), 10_000)[0]
        ]
        assert len({href for href, _, _ in windows}) == 12
        assert len(windows) == len(set(windows)) == archive.stats()["tiles"]


def test_band_files_of_two_dates_in_one_folder_are_two_scenes(tmp_path, archive, encoder):
    for day in ("20200101", "20200111"):
        for band in ("B02", "B03", "B04"):
            write(tmp_path / f"T33UUU_{day}T100000_{band}.tif", picture(1, 64, 64, dtype="uint16") * 10)
    shutil.copy(tmp_path / "T33UUU_20200101T100000_B02.tif", tmp_path / "T33UUU_20200101T100000_SCL.tif")
    summary = index([tmp_path], archive=archive, model=encoder)
    assert (summary.scenes, summary.failed) == (2, [])
    assert sorted(str(scene.datetime.date()) for scene in archive.scenes()) == ["2020-01-01", "2020-01-11"]


def test_a_scene_smaller_than_a_tile_is_a_tile(tmp_path, archive, encoder):
    values = picture(3, 10, 12)
    summary = index([write(tmp_path / "small.tif", values)], archive=archive, model=encoder)
    assert (summary.tiles, summary.failed) == (1, [])
    tile = nearest(archive, encoder.embed_texts(["x"]), 1)[0][0].tile
    assert tile.valid_fraction == pytest.approx(10 * 12 / 32**2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "found a JSON list, need an object"),
        ('{"bound": [1, 2, 3, 4]}', "unknown bound"),
        ('{"bounds": [1, 2, 0, 4]}', "need left, bottom, right, top"),
        ('{"crs": "EPSG:0"}', "is unknown"),
        ('{"datetime": "May"}', "need RFC 3339"),
        ('{"sensor": "nope"}', "no such profile"),
        ('{"wavelengths_um": [665, 560, 490]}', "looks like nanometres"),
        ('{"wavelengths_um": [0.6]}', "1 wavelengths for 3 bands"),
        ("{", "not a sidecar"),
    ],
)
def test_a_sidecar_with_mistakes_is_named_with_what_it_needs(tmp_path, archive, encoder, text, message):
    scene = write(tmp_path / "a.tif", picture(3, 64, 64))
    Path(f"{scene}.bandsight.json").write_text(text)
    assert message in index([scene], archive=archive, model=encoder).failed[0][1]


def _level_2a(folder: Path) -> Path:
    """Write three bands and their classification: the western half cloud, a strip in the east without data."""
    for band in ("B02", "B03", "B04"):
        values = picture(1, 64, 64, dtype="uint16") * 20
        write(folder / f"S2A_MSIL2A_20200101T100000_{band}_10m.tif", values, origin=(320_000, 5_760_000))
    scl = np.full((1, 32, 32), 4, np.uint8)
    scl[:, :, :16], scl[:, :, 28:] = 9, 0
    write(folder / "S2A_MSIL2A_20200101T100000_SCL_20m.tif", scl, origin=(320_000, 5_760_000), gsd=20)
    return folder


def test_a_quality_band_gives_cloud_and_missing_data_of_each_tile(tmp_path, archive, encoder):
    index([_level_2a(tmp_path)], archive=archive, model=encoder)
    hits = nearest(archive, encoder.embed_texts(["x"]), 9)[0]
    assert {(hit.tile.col_off, hit.tile.valid_fraction) for hit in hits} == {(0, 1.0), (32, 0.75)}
    assert archive.scenes()[0].properties["eo:cloud_cover"] == 50


def test_cloudy_tiles_are_counted_and_left_out_on_request(tmp_path, archive, encoder):
    tiling = Tiling(tile_px=32, max_cloud=0.2)
    summary = index([_level_2a(tmp_path)], archive=archive, model=encoder, tiling=tiling)
    assert (summary.tiles, dict(summary.skipped_tiles)) == (2, {"too cloudy": 2})


def test_tiles_of_any_size_overlap_and_scale(tmp_path, archive, encoder):
    scene = write(tmp_path / "a.tif", picture(3, 128, 128), origin=(320_000, 5_760_000))
    tiling = Tiling(tile_px=64, scales=(1, 2), overlap=0.5)
    summary = index([scene], archive=archive, model=encoder, tiling=tiling)
    hits = nearest(archive, encoder.embed_texts(["x"]), 99)[0]
    windows = sorted((hit.tile.scale, hit.tile.row_off, hit.tile.col_off, hit.tile.width) for hit in hits)
    assert windows == [(1, row, col, 64) for row in (0, 32, 64) for col in (0, 32, 64)] + [(2, 0, 0, 128)]
    assert summary.tiles == 10
    assert {shape[-1] for shape in encoder.batches} == {64}
    assert archive.scenes()[0].tiling["overlap"] == 0.5
    again = index([scene], archive=archive, model=encoder, tiling=Tiling(tile_px=64))
    assert (again.scenes, again.skipped_scenes) == (1, 0)


def test_a_scale_whose_tiles_are_far_larger_than_the_scene_is_left_out(tmp_path, archive, encoder):
    scene = write(tmp_path / "a.tif", picture(3, 64, 64))
    index([scene], archive=archive, model=encoder, tiling=Tiling(tile_px=32, scales=(1, 2, 8)))
    assert {hit.tile.scale for hit in nearest(archive, encoder.embed_texts(["x"]), 99)[0]} == {1, 2}


@pytest.mark.parametrize(
    ("gsd_m", "scales"),
    [(None, (1,)), (0.1, (3, 12)), (0.24, (1, 4)), (0.3, (1, 4)), (0.9, (1, 4)), (1.0, (1,)), (10, (1,)), (500, (1,))],
)
def test_scales_match_the_resolution_of_the_model(gsd_m, scales):
    assert auto_scales(gsd_m, 0.3) == scales
    assert auto_scales(gsd_m, None) == (1,)


def test_imagery_finer_than_the_model_knows_is_read_coarser_and_says_so(tmp_path, archive, encoder):
    encoder.gsd_m = (30.0, 100.0)
    scene = write(tmp_path / "a.tif", picture(3, 192, 192), origin=(320_000, 5_760_000))
    notes = []

    class Listener:
        def on(self, event):
            if isinstance(event, Note):
                notes.append(event.text)

    index([scene], archive=archive, model=encoder, progress=Listener())
    assert {tile.scale for tile in archive.tiles_by_id(archive.tile_ids(Filter()).tolist()).values()} == {3}
    (note,) = notes
    assert note.startswith("a.tif: pixels of 10 m are finer than the 30 m that the model supports, so 3 × 3 pixels are")
    again = index([scene], archive=archive, model=encoder)
    assert (again.scenes, again.skipped_scenes) == (0, 1)
    own = index([scene], archive=archive, model=encoder, tiling=Tiling.of_model(encoder, scales=(1,)))
    assert (own.scenes, own.tiles) == (1, 36)
    assert archive.scenes()[0].tiling["scales"] == [1]


@pytest.mark.parametrize(("wrong", "says"), [({"scales": (0,)}, "integers"), ({"overlap": 1.0}, "overlap 1")])
def test_invalid_tile_sizes_are_rejected(wrong, says):
    with pytest.raises(SceneError, match=says):
        Tiling(tile_px=32, **wrong)
