"""Checks that the files of a scene exist."""

from bandsight.catalog.records import Scene
from bandsight.errors import SceneError
from bandsight.raster.drivers import local_file


def check_files(scene: Scene) -> Scene:
    """Return the scene if its local files exist. Without them, not even cached images are served.

    Raises:
        SceneError: A file is missing.
    """
    for href in {band.href for band in scene.bands}:
        file = local_file(href)
        if file is not None and not file.is_file():
            raise SceneError(f"{href}: no such file; check the path")
    return scene
