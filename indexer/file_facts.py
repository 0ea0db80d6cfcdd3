"""Collects band metadata of a scene's files from headers, sidecars, products and catalogues."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from bandsight.raster.drivers import local_file, raster_path, stored, subdataset
from bandsight.sensors.raster_info import RasterInfo
from indexer.product_metadata import SceneMetadata
from indexer.sidecar import Sidecar, sidecar_path

if TYPE_CHECKING:
    from pathlib import Path

# Side of the overview used to inspect an alpha band, pixels.
_ALPHA_PX = 256
# Minimum fraction of non-zero alpha values that must be fully opaque; edges may be soft.
_FULL_SHARE = 0.8
_NUMBERED = re.compile(r"Band\d+")


def raster_info(href: str, dataset: DatasetReader, sidecar: Sidecar, metadata: SceneMetadata) -> RasterInfo:
    """Return the metadata of an open file, from its header, sidecar, and product or catalogue."""
    raw = stored(dataset)
    band_tags = [{**raw.tags(i), **raw.tags(i, ns="IMAGERY")} for i in range(1, raw.count + 1)]
    return RasterInfo(
        href=href,
        path=raster_path(href),
        count=raw.count,
        dtype=raw.dtypes[0],
        descriptions=_descriptions(href, raw),
        tags=raw.tags(),
        band_tags=tuple(band_tags),
        colorinterp=tuple(interp.name for interp in raw.colorinterp),
        wavelengths_um=sidecar.wavelengths_um,
        sensor=sidecar.sensor,
        stated=metadata.bands.get(href, ()),
        stated_by=metadata.by,
        hints=metadata.hints,
        sidecar=_sidecar_name(href),
        platform=str(metadata.properties.get("platform") or ""),
        true_alpha=_is_opacity(raw),
    )


def _descriptions(href: str, raw: DatasetReader) -> tuple[str | None, ...]:
    """Return the description of each band; subdatasets without descriptions use their own name."""
    part = subdataset(href)
    if part is None or raw.count > 1 or any(raw.descriptions):
        return tuple(raw.descriptions)
    name = part[1].rsplit("/", 1)[-1]
    # GDAL's default names for NetCDF variables carry no information.
    return (None if _NUMBERED.fullmatch(name) else name,)


def by_part(sidecars: Mapping[str, Sidecar]) -> dict[str, Sidecar]:
    """Return sidecars with the wavelengths of a container distributed to its subdatasets, in order."""
    parts: dict[Path | None, list[str]] = {}
    for href in sidecars:
        parts.setdefault(local_file(href), []).append(href)
    found = dict(sidecars)
    for file, hrefs in parts.items():
        waves = sidecars[hrefs[0]].wavelengths_um
        if file is not None and len(hrefs) > 1 and waves is not None and len(waves) == len(hrefs):
            found |= {
                href: replace(sidecars[href], wavelengths_um=(wave,)) for href, wave in zip(hrefs, waves, strict=True)
            }
    return found


def _sidecar_name(href: str) -> str:
    file = local_file(href)
    return "" if file is None else sidecar_path(file).name


def _is_opacity(dataset: DatasetReader) -> bool:
    """Return whether a band tagged as alpha, if any, has the values of an opacity mask.

    These are 0 and maximal, except for soft edges next to 0. All zeros is not opacity, because the image would be
    empty.
    """
    alpha = [i for i, colour in enumerate(dataset.colorinterp, 1) if colour.name == "alpha"]
    if not alpha or dataset.driver == "PNG":
        # In PNG, the fourth band is always alpha (W3C, Portable Network Graphics).
        return True
    shape = (min(dataset.height, _ALPHA_PX), min(dataset.width, _ALPHA_PX))
    try:
        numbers = dataset.read(alpha[-1], out_shape=shape)
    except RasterioError:
        # Reading the tiles reports the error.
        return True
    full = (1, 255, np.iinfo(numbers.dtype).max) if numbers.dtype.kind in "iu" else (1, 255)
    most, seen = numbers.max(), numbers[numbers != 0]
    least = _FULL_SHARE if seen.size < numbers.size else 1.0
    return bool(most in full and (seen == most).mean() >= least)
