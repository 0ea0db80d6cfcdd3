"""Checks the blocks in which rasters are stored."""

from rasterio.io import DatasetReader

from bandsight.errors import SceneError
from bandsight.raster.bands import number_type

# Maximum size of a block, bytes.
_MAX_BLOCK = 512 << 20


def check_blocks(href: str, dataset: DatasetReader) -> None:
    """Check that the blocks of a raster fit in memory. Larger ones are bombs, or would be decoded again for every tile.

    Raises:
        SceneError: Its blocks are too large.
    """
    rows, cols = dataset.block_shapes[0]
    size = rows * cols * number_type(dataset.dtypes[0]).itemsize * (dataset.count if _interleaved(dataset) else 1)
    if size > _MAX_BLOCK:
        raise SceneError(
            f"{href}: its blocks of {cols} × {rows} pixels have {size >> 20} MB each; at most {_MAX_BLOCK >> 20} MB "
            "are allowed; convert it to a tiled format, e.g. with gdal_translate -of COG"
        )


def _interleaved(dataset: DatasetReader) -> bool:
    return bool(dataset.interleaving) and dataset.interleaving.name == "pixel"
