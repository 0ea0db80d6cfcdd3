"""Reads paletted rasters as red, green and blue."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from bandsight.raster.views import DatasetView, finer, resolve_read

_COLOURS = 3
# Colours with an alpha below this are nodata.
_OPAQUE = 128


class ExpandedPalette(DatasetView):
    """A single-band raster with a palette, seen as three bands."""

    def __init__(self, inner: DatasetReader) -> None:
        """Wrap an open raster whose stored first band has a palette."""
        super().__init__(inner)
        stored = _stored(inner)
        colours = stored.colormap(1)
        self._table = np.zeros((np.iinfo(stored.dtypes[0]).max + 1, 4), np.uint8)
        for number, colour in colours.items():
            self._table[number] = colour
        self._transparent = bool((self._table[list(colours), 3] < _OPAQUE).any())

    count = _COLOURS
    indexes = (1, 2, 3)
    dtypes = ("uint8",) * _COLOURS
    colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    descriptions = (None,) * _COLOURS
    scales, offsets = (1.0,) * _COLOURS, (0.0,) * _COLOURS
    # The nodata value is a palette index, so it is expressed by the mask instead.
    nodata = None
    nodatavals = (None,) * _COLOURS

    @property
    def block_shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of the stored blocks, for each band."""
        return list(self.inner.block_shapes) * _COLOURS

    @property
    def mask_flag_enums(self) -> tuple[list[MaskFlags], ...]:
        """Mask flags of each band."""
        flags = list(self.inner.mask_flag_enums[0])
        if (self._transparent and MaskFlags.nodata not in flags) or MaskFlags.alpha in flags:
            flags = [MaskFlags.per_dataset]
        return (flags,) * _COLOURS

    def tags(self, bidx: int = 0, ns: str | None = None) -> dict[str, str]:
        """Return the raster's tags; bands have none."""
        return {} if bidx else dict(self.inner.tags(ns=ns))

    def overviews(self, _: int) -> list[int]:
        """Return the overview factors."""
        return list(self.inner.overviews(1))

    def read(
        self,
        indexes: int | Sequence[int] | None = None,
        window: Window | None = None,
        out_shape: tuple[int, ...] | None = None,
        resampling: Resampling = Resampling.nearest,
    ) -> NDArray[Any]:
        """Read bands like rasterio; colours are averaged, never palette indexes."""
        numbers, where, shape = resolve_read(self, indexes, window, out_shape)
        each = finer(where, shape, resampling)
        colours = self._table[self._stored(where, (shape[0] * each, shape[1] * each))][..., :_COLOURS]
        if each > 1:
            parts = colours.reshape(shape[0], each, shape[1], each, _COLOURS)
            colours = np.floor(parts.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
        found = np.stack([colours[..., number - 1] for number in numbers])
        return found[0] if isinstance(indexes, int) else found

    def read_masks(
        self,
        indexes: int | Sequence[int] | None = None,
        window: Window | None = None,
        out_shape: tuple[int, ...] | None = None,
        resampling: Resampling = Resampling.nearest,  # noqa: ARG002  (rasterio's signature; masks are never averaged here)
    ) -> NDArray[np.uint8]:
        """Return masks like rasterio: 255 for valid pixels, 0 elsewhere."""
        numbers, where, shape = resolve_read(self, indexes, window, out_shape)
        mask = self.inner.read_masks(1, window=where, out_shape=shape, resampling=Resampling.nearest)
        mask = np.where(self._table[self._stored(where, shape), 3] < _OPAQUE, 0, mask).astype(np.uint8)
        return mask if isinstance(indexes, int) else np.stack([mask] * len(numbers))

    def _stored(self, window: Window, shape: tuple[int, int]) -> NDArray[Any]:
        return np.asarray(self.inner.read(1, window=window, out_shape=shape, resampling=Resampling.nearest))


def with_bands(dataset: DatasetReader, needed: int) -> DatasetReader:
    """Return a raster with at least `needed` bands, expanding a palette if necessary.

    Args:
        dataset: An open raster. Closing the result closes it.
        needed: Largest band index that is read, from 1.
    """
    if dataset.count >= needed or not has_palette(dataset):
        return dataset
    return cast("DatasetReader", ExpandedPalette(dataset))


def has_palette(dataset: DatasetReader) -> bool:
    """Return whether a raster has a single band of palette indexes."""
    stored = _stored(dataset)
    one = stored.count == 1 and stored.colorinterp[0] is ColorInterp.palette
    return one and stored.dtypes[0] in {"uint8", "uint16"}


def _stored(dataset: DatasetReader) -> DatasetReader:
    found: DatasetReader = dataset.src_dataset if isinstance(dataset, WarpedVRT) else dataset
    return found
