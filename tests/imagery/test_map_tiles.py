"""Map tiles show the ground that lies there: each pixel against the place it stands for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint

from bandsight.catalog.records import Scene
from bandsight.errors import QueryError, SceneError
from bandsight.imagery.map_tiles import map_ground, mosaic_tile, native_zoom, scene_tile, zooms
from bandsight.imagery.rendering import render_spec
from bandsight.raster import windows
from bandsight.raster.drivers import open_raster
from tests import rasters
from tests.imagery.makers import ground, ground_picture, on_grid, places, scene_at, tile_at, write_ground

UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
DEGREES = Affine(0.001, 0, 20, 0, -0.001, 50)
BEYOND = Affine(0.001, 0, 179.8, 0, -0.001, -16)
TURNED = Affine(10, 0, 500_000, 0, -10, 5_000_000) @ Affine.rotation(30)
POLAR = Affine(1000, 0, -200_000, 0, -1000, 200_000)


def check(scene: Scene, tile: tuple[int, int, int], *, least: float = 0.02, blur: int = 1) -> None:
    """Compare a tile with the ground, away from the scene's edge."""
    picture = scene_tile(scene, render_spec(scene), map_ground(*tile, 256))
    cols, rows, inside = on_grid(scene, *places(*tile))
    edge = 3 * blur
    well = inside & (cols > edge) & (cols < scene.width - edge) & (rows > edge) & (rows < scene.height - edge)
    assert well.mean() >= least, "the test's own tile shows too little"
    assert picture.seen[well].all()
    outside = (cols < -edge) | (cols > scene.width + edge) | (rows < -edge) | (rows > scene.height + edge)
    assert not picture.seen[outside].any()
    for band in range(3):
        off = np.abs(picture.rgb[..., band][well].astype(float) - ground(cols, rows, band)[well])
        assert np.percentile(off, 99) < 8, band


@pytest.mark.parametrize(
    ("crs", "grid", "place", "zooms"),
    [
        ("EPSG:32633", UTM, (15.02, 45.13), (12, 13, 14)),
        ("EPSG:32633", TURNED, (15.02, 45.13), (12, 13, 14)),
        ("EPSG:4326", DEGREES, (20.15, 49.85), (9, 10, 12)),
        ("EPSG:4326", BEYOND, (179.9, -16.1), (9, 10, 12)),
        ("EPSG:4326", BEYOND, (-179.9, -16.1), (9, 10, 12)),
        ("EPSG:4326", BEYOND @ Affine.translation(-360_000, 0), (179.9, -16.1), (10,)),
        ("EPSG:32760", Affine(100, 0, 800_000, 0, -100, 8_200_000), (179.95, -16.5), (8, 10)),
        ("EPSG:32760", Affine(100, 0, 800_000, 0, -100, 8_200_000), (-179.95, -16.5), (8, 10)),
        ("EPSG:3995", POLAR @ Affine.translation(900, 900), (45, 80), (4, 5)),
    ],
)
def test_a_tile_shows_the_ground_of_its_place(
    tmp_path: Path, crs: str, grid: Affine, place: tuple[float, float], zooms: tuple[int, ...]
) -> None:
    scene = write_ground(tmp_path / "a.tif", crs, grid, 400, 400)
    for zoom in zooms:
        check(scene, tile_at(*place, zoom))


def test_a_scene_over_the_pole_is_shown_up_to_the_edge_of_the_map(tmp_path: Path) -> None:
    scene = write_ground(tmp_path / "a.tif", "EPSG:3995", Affine(5000, 0, -1e6, 0, -5000, 1e6), 400, 400)
    for x in range(4):
        check(scene, (2, x, 0), least=0.01)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
def test_nothing_is_shown_far_from_the_scene(tmp_path: Path, crs: str) -> None:
    """Projections answer on the other side of the Earth, too."""
    scene = write_ground(tmp_path / "a.tif", crs, UTM if crs == "EPSG:32633" else DEGREES, 64, 64)
    for tile in [(1, 0, 0), (1, 0, 1), (3, 0, 7), tile_at(-165, 45, 10), tile_at(15, -45, 10), tile_at(16.5, 45.1, 12)]:
        assert not scene_tile(scene, render_spec(scene), map_ground(*tile, 256)).seen.any()


def test_the_world_shows_a_small_scene_as_a_dot(tmp_path: Path) -> None:
    scene = write_ground(tmp_path / "a.tif", "EPSG:4326", DEGREES @ Affine.scale(10), 400, 400)
    seen = scene_tile(scene, render_spec(scene), map_ground(0, 0, 0, 256)).seen
    assert 2 <= seen.sum() <= 40
    lon, lat = places(0, 0, 0)
    assert np.abs(lon[seen] - 22).max() < 3
    assert np.abs(lat[seen] - 48).max() < 3


def test_a_scene_georeferenced_by_a_sidecar_is_shown_where_the_catalog_says(tmp_path: Path) -> None:
    path = rasters.write(tmp_path / "a.tif", ground_picture(400, 400), crs=None)
    scene = scene_at(path, "EPSG:32633", UTM, 400, 400)
    check(scene, tile_at(15.02, 45.13, 13))


def test_a_scene_georeferenced_by_control_points_is_shown_in_place(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row=row, col=col, x=20 + col * 0.001, y=50 - row * 0.001)
        for row in (0, 200, 400)
        for col in (0, 200, 400)
    ]
    path = tmp_path / "a.tif"
    kind = {"driver": "GTiff", "width": 400, "height": 400, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", **kind, gcps=points, crs="EPSG:4326") as out:
        out.write(ground_picture(400, 400))
    with open_raster(path) as warped:
        grid, crs, size = warped.transform, warped.crs.to_string(), (warped.width, warped.height)
    scene = scene_at(path, crs, grid, *size)
    tile = tile_at(20.15, 49.85, 11)
    picture = scene_tile(scene, render_spec(scene), map_ground(*tile, 256))
    lon, lat = places(*tile)
    cols, rows = (lon - 20) / 0.001, (50 - lat) / 0.001
    well = (cols > 5) & (cols < 395) & (rows > 5) & (rows < 395)
    assert well.mean() > 0.2
    off = np.abs(picture.rgb[..., 0][well].astype(float) - ground(cols, rows, 0)[well])
    assert np.percentile(off, 99) < 12


def test_bands_of_several_files_and_pixel_sizes_are_aligned(tmp_path: Path) -> None:
    scene = write_ground(tmp_path / "fine.tif", "EPSG:32633", UTM, 400, 400)
    coarse = rasters.write(
        tmp_path / "coarse.tif", ground_picture(400, 400, step=4)[2:], crs="EPSG:32633", transform=UTM @ Affine.scale(4)
    )
    blue = replace(scene.bands[2], href=str(coarse), index=1)
    check(replace(scene, bands=(*scene.bands[:2], blue)), tile_at(15.02, 45.13, 13), blur=4)


def test_overviews_are_used_and_scenes_without_them_are_refused_at_low_zoom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_DECODED", 20_000)
    import bandsight.imagery.map_tiles as module

    monkeypatch.setattr(module, "MAX_DECODED", 20_000)
    monkeypatch.setattr(module, "_TILE_PX", 32)
    scene = replace(write_ground(tmp_path / "a.tif", "EPSG:32633", UTM, 512, 512), gsd_m=10)
    least, greatest = zooms(scene, render_spec(scene))
    assert 0 < least <= greatest
    ground_far = map_ground(*tile_at(15.02, 45.13, 5), 256)
    with pytest.raises(QueryError, match=r"a\.tif.*zoom in.*gdaladdo"):
        scene_tile(scene, render_spec(scene), ground_far, max_decoded=20_000)
    with rasterio.open(tmp_path / "a.tif", "r+") as out:
        out.build_overviews([2, 4, 8, 16])
    assert zooms(scene, render_spec(scene))[0] == 0
    assert scene_tile(scene, render_spec(scene), ground_far, max_decoded=20_000).seen.any()


def test_nodata_and_nan_are_transparent(tmp_path: Path) -> None:
    values = ground_picture(400, 400).astype(np.float32)
    values[:, :, :200] = -9999
    values[:, :200, :] = np.nan
    path = rasters.write(tmp_path / "a.tif", values, crs="EPSG:32633", transform=UTM, nodata=-9999)
    scene = scene_at(path, "EPSG:32633", UTM, 400, 400, kind="linear")
    tile = tile_at(15.02, 44.98, 12)
    picture = scene_tile(scene, render_spec(scene), map_ground(*tile, 256))
    cols, rows, inside = on_grid(scene, *places(*tile))
    assert picture.seen[inside & (cols > 204) & (rows > 204) & (cols < 396) & (rows < 396)].all()
    assert not picture.seen[(cols < 196) | (rows < 196)].any()
    assert not picture.rgba()[..., :3][~picture.seen].any()


def test_a_mosaic_shows_the_first_scene_and_the_next_one_beyond_it(tmp_path: Path) -> None:
    left = rasters.write(tmp_path / "l.tif", np.full((3, 400, 200), 50, np.uint8), crs="EPSG:32633", transform=UTM)
    whole = rasters.write(tmp_path / "w.tif", np.full((3, 400, 400), 200, np.uint8), crs="EPSG:32633", transform=UTM)
    scenes = [
        scene_at(left, "EPSG:32633", UTM, 200, 400, day=2),
        scene_at(whole, "EPSG:32633", UTM, 400, 400, number=2),
    ]
    tile = tile_at(15.02, 45.13, 12)
    made = mosaic_tile(scenes, render_spec, map_ground(*tile, 256))
    cols, rows, _ = on_grid(scenes[1], *places(*tile))
    well = (rows > 3) & (rows < 397)
    assert (made.rgb[well & (cols > 3) & (cols < 197)] == 50).all()
    assert (made.rgb[well & (cols > 203) & (cols < 397)] == 200).all()
    turned_round = mosaic_tile(scenes[::-1], render_spec, map_ground(*tile, 256))
    assert (turned_round.rgb[turned_round.seen] == 200).all()


def test_a_mosaic_leaves_out_missing_scenes_and_those_with_other_bands(tmp_path: Path) -> None:
    gone = write_ground(tmp_path / "gone.tif", "EPSG:32633", UTM, 400, 400)
    there = write_ground(tmp_path / "there.tif", "EPSG:32633", UTM, 400, 400)
    Path(gone.href).unlink()
    tile = map_ground(*tile_at(15.02, 45.13, 12), 256)
    with pytest.raises(SceneError, match=r"gone\.tif"):
        scene_tile(gone, render_spec(gone), tile)
    assert mosaic_tile([gone, there], render_spec, tile).seen.any()
    assert not mosaic_tile([gone], render_spec, tile).seen.any()
    assert not mosaic_tile([there], lambda _: None, tile).seen.any()
    assert not mosaic_tile([], render_spec, tile).seen.any()


@pytest.mark.parametrize(("tile", "name"), [((25, 0, 0), "z"), ((-1, 0, 0), "z"), ((2, 4, 0), "x"), ((2, 0, 4), "y")])
def test_an_invalid_map_tile_is_named(tile: tuple[int, int, int], name: str) -> None:
    with pytest.raises(QueryError, match=f"^{name}: found"):
        map_ground(*tile, 256)


def test_the_zoom_of_a_scene_follows_from_its_resolution(tmp_path: Path) -> None:
    scene = write_ground(tmp_path / "a.tif", "EPSG:32633", UTM, 64, 64)
    assert native_zoom([replace(scene, gsd_m=10)]) == 14
    assert native_zoom([replace(scene, gsd_m=10), replace(scene, gsd_m=0.5)]) == 18
