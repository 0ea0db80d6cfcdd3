"""Open files of a scene; each is opened once, on first use."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from affine import Affine
from rasterio.io import DatasetReader

from bandsight.raster.drivers import gdal_name, is_remote, open_raster
from bandsight.raster.masks import FileMask, file_mask
from bandsight.raster.orientation import is_askew
from bandsight.raster.palette import with_bands
from bandsight.raster.scene_raster import SceneRaster


class OpenFiles:
    """Open files of one scene. Not thread-safe; the creator closes it."""

    def __init__(self, opened: Mapping[str, DatasetReader] | None = None) -> None:
        """Prepare.

        Args:
            opened: Files that are already open, by href; their owner closes them.
        """
        self._opened = dict(opened or {})
        self._datasets: dict[str, DatasetReader] = {}
        self._masks: dict[str, FileMask] = {}
        self._names: dict[str, str] = {}

    def dataset(self, href: str, raster: SceneRaster | None = None) -> DatasetReader:
        """Return an open dataset.

        Args:
            href: The file.
            raster: The scene, because older versions indexed rotated grids without warping; None during indexing.

        Raises:
            SceneError: The file does not exist, or no driver can read it.
        """
        found = self._opened.get(href, self._datasets.get(href))
        if found is not None and is_remote(href) and self._names.get(href, gdal_name(href)) != gdal_name(href):
            # Its signature expires soon.
            self._datasets.pop(href).close()
            found = None
        if found is None:
            upright = raster is None or not is_askew(Affine(*raster.transform))
            self._names[href] = gdal_name(href)
            found = open_raster(href, upright=upright)
            if raster is not None:
                found = with_bands(found, max((band.index for band in raster.bands if band.href == href), default=1))
            self._datasets[href] = found
        return found

    def mask(self, raster: SceneRaster, href: str) -> FileMask:
        """Return how a file marks its valid pixels."""
        known = raster.files.get(href)
        if known is not None:
            return known.mask
        if href not in self._masks:
            used = [band.index for band in raster.bands if band.href == href]
            self._masks[href] = file_mask(self.dataset(href, raster), used)
        return self._masks[href]

    def transform(self, raster: SceneRaster, href: str) -> Affine:
        """Return the affine transform from a file's pixels to the scene's CRS.

        For scenes indexed by older versions, a file of the scene's size has the scene's grid, even if a sidecar rather
        than the file states it.
        """
        known = raster.files.get(href)
        if known is not None:
            return known.transform
        dataset, grid = self.dataset(href, raster), Affine(*raster.transform)
        same = (dataset.width, dataset.height) == (raster.width, raster.height)
        if same or dataset.transform.is_identity:
            found: Affine = grid @ Affine.scale(raster.width / dataset.width, raster.height / dataset.height)
            return found
        own: Affine = dataset.transform
        return own

    def close(self) -> None:
        """Close all files."""
        while self._datasets:
            self._datasets.popitem()[1].close()
        self._masks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
