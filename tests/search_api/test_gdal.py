"""GDAL, from rasterio and pyogrio, opens a served archive as a raster mosaic and as features."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import rasterio

from bandsight.archive import Archive
from tests.search_api.stac.conftest import app_of, served


@pytest.fixture(scope="module")
def url(archive: Archive) -> Iterator[str]:
    with served(app_of(archive)) as url:
        yield url


def test_the_stacit_driver_mosaics_scenes(url: str, archive: Archive) -> None:
    scene = next(scene for scene in archive.scenes() if scene.sensor == "sentinel1")
    with (
        rasterio.open(f'STACIT:"{url}search?collections={scene.collection}.scenes"') as mosaic,
        rasterio.open(scene.href) as file,
    ):
        assert mosaic.driver == "STACIT"
        assert mosaic.crs == file.crs
        assert mosaic.transform == file.transform
        np.testing.assert_array_equal(mosaic.read(), file.read())


def test_the_stacit_driver_mosaics_the_ground_of_tiles(url: str, archive: Archive) -> None:
    scene = next(scene for scene in archive.scenes() if scene.sensor == "sentinel1")
    with (
        rasterio.open(f'STACIT:"{url}search?collections={scene.collection}&limit=2":asset=crop') as mosaic,
        rasterio.open(scene.href) as file,
    ):
        # Two items to a page, four tiles: it follows `next`.
        np.testing.assert_array_equal(mosaic.read(), file.read())


def ogr(code: str) -> Any:
    """Run pyogrio in another process: it holds the GIL while it waits for the server in this one."""
    program = f"import json, pyogrio\nprint(json.dumps({code}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_oapif_driver_lists_and_filters_features(url: str) -> None:
    layers = ogr(f"pyogrio.list_layers('OAPIF:{url}')[:, 0].tolist()")
    assert {"rgb", "rgb.scenes", "sentinel-1-grd", "sentinel-1-grd.scenes"} <= set(layers)
    source = f"OAPIF:{url}collections/rgb"
    assert {"id", "bandsight:sensor", "bandsight:valid_fraction"} <= set(
        ogr(f"pyogrio.read_dataframe('{source}').columns.tolist()")
    )
    assert ogr(f"len(pyogrio.read_dataframe('{source}'))") == 8
    assert 0 < ogr(f"len(pyogrio.read_dataframe('{source}', bbox=(170, -20, 180, -10)))") < 8
    where = "title = 'photo_20200501.tif'"
    assert ogr(f'len(pyogrio.read_dataframe({source!r}, where="{where}"))') == 4


def test_the_oapif_driver_filters_by_time(url: str) -> None:
    source, where = f"OAPIF:{url}collections/rgb.scenes", "datetime >= '2021/01/01 00:00:00'"
    assert ogr(f'pyogrio.read_dataframe({source!r}, where="{where}")["title"].tolist()') == ["fiji_20210601.tif"]


def test_the_geojson_driver_reads_a_search(url: str) -> None:
    ranks = ogr(f"pyogrio.read_dataframe('{url}search?q=a%20lake&limit=5')['bandsight:rank'].tolist()")
    assert ranks == [1, 2, 3, 4, 5]
