"""Checks that the files of a scene exist."""

from bandsight.catalog.records import Scene
from bandsight.errors import SceneError
from bandsight.raster.drivers import local_file


def check_files(scene: Scene) -> Scene:
    """Return a scene whose local files exist; pictures of other scenes are refused, also cached ones.

    Raises:
        SceneError: A file is missing.
    """
    for href in {band.href for band in scene.bands}:
        file = local_file(href)
        if file is not None and not file.is_file():
            raise SceneError(f"{href}: no such file; check the path")
    return scene
