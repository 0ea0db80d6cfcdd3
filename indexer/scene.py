"""Opens a scene: which bands, on which grid, where on Earth, and how its numbers become 0..255."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from affine import Affine
from rasterio.io import DatasetReader

from bandsight.catalog.records import SceneRecord
from bandsight.errors import SceneError
from bandsight.geo.footprint import footprint
from bandsight.raster.bands import BandRef
from bandsight.raster.drivers import check_local, local_file, raster_path, stored
from bandsight.sensors.match import Match, match
from bandsight.sensors.profile import Profile
from bandsight.sensors.quality import Quality
from bandsight.sensors.raster_info import RasterInfo
from bandsight.sensors.scaling import Decibel, Scaling
from indexer.acquisition_time import acquired
from indexer.datetimes import parse_time
from indexer.georeferencing import aligned, check_degrees, crs_of, crs_text, gsd_m, transform_of
from indexer.product_metadata import SceneMetadata, read_product_metadata
from indexer.remote import remote_version
from indexer.sidecar import Sidecar, read_sidecar, sidecar_path
from indexer.source import Source
from indexer.stretch_limits import limits
from indexer.subdatasets import open_rasters

_HASHED_BYTES = 1 << 16
# Largest block that is decoded in one piece.
_MAX_BLOCK = 512 << 20

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneQuality:
    """The quality band, to be read beside the others."""

    quality: Quality
    """What its numbers mean."""
    href: str
    """File."""
    transform: Affine
    """Its affine."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RasterScene:
    """All that reading tiles needs; holds no open file, so threads can share it."""

    record: SceneRecord
    """What the catalog will keep."""
    bands: tuple[BandRef, ...]
    """In the order in which the model sees them."""
    transform: Transform
    """Affine of the reference grid, the finest of the bands."""
    width: int
    """Columns of the reference grid."""
    height: int
    """Rows of the reference grid."""
    block: tuple[int, int]
    """Rows and columns of the pieces in which it is stored."""
    number_bytes: int
    """Bytes that a stored number takes."""
    file_transforms: Mapping[str, Affine]
    """Affine of each file."""
    nodata: float | None
    """Value that means no data, beside NaN and masks."""
    fill_values: tuple[float, ...]
    """A pixel that has one of these in every band holds no data."""
    to_db: Decibel | None
    """SAR amplitudes or powers become dB first."""
    low: tuple[float, ...]
    """Value that becomes 0, for each band."""
    high: tuple[float, ...]
    """Value that becomes 255, for each band."""
    quality: SceneQuality | None = None
    """Its quality band, where there is one."""

    @property
    def files(self) -> dict[str, list[int]]:
        """Positions in `bands` of the bands in each file: what lies together is read together."""
        found: dict[str, list[int]] = {}
        for position, band in enumerate(self.bands):
            found.setdefault(band.href, []).append(position)
        return found


def scene_key(source: Source, options: Mapping[str, Any]) -> str:
    """Return a scene's identity: names, sizes, times and ends of its files, their sidecars, and how it is tiled.

    Of a remote file count its URL and what the item that named it says of its version; where that says nothing, size
    and ETag (or time of change), which its server is asked for.

    Raises:
        SceneError: A file cannot be read.
    """
    source.check()
    digest = hashlib.sha256(repr(sorted(options.items())).encode())
    for href in source.hrefs:
        path = local_file(href)
        if path is None:
            digest.update(f"{href}|{source.version or remote_version(href)}|".encode())
            continue
        check_local(path, href)
        digest.update(f"{href}|{source.version}|".encode())
        for file in (path, sidecar_path(path)):
            try:
                if file is not path and not file.is_file():
                    continue
                facts = file.stat()
                digest.update(f"{file.name}|{facts.st_size}|{facts.st_mtime_ns}|".encode())
                with file.open("rb") as opened:
                    digest.update(opened.read(_HASHED_BYTES))
                    opened.seek(max(0, facts.st_size - _HASHED_BYTES))
                    digest.update(opened.read(_HASHED_BYTES))
            except OSError as error:
                raise SceneError(f"{file}: cannot be read ({error.strerror}); check the path and its rights") from error
    return digest.hexdigest()


def open_scene(
    source: Source,
    key: str,
    *,
    sensor: str | None = None,
    profiles: Sequence[Profile] | None = None,
    tiling: Mapping[str, Any],
) -> RasterScene:
    """Open a scene and settle everything that must be known before its tiles are read.

    Args:
        source: The scene's files.
        key: Its identity, see `scene_key`.
        sensor: Profile to use; None to match one.
        profiles: Those to match; None for the shipped ones.
        tiling: Parameters to keep with the scene.

    Raises:
        SceneError: A file is no raster, or the scene cannot be placed on Earth.
        SensorError: No sensor profile fits.
    """
    source.check()
    said = read_product_metadata(source.hrefs) if source.said is None else source.said
    datasets: dict[str, DatasetReader] = {}
    try:
        open_rasters(source.hrefs, datasets)
        sidecars = {href: read_sidecar(href) for href in datasets}
        infos = [_info(href, datasets[href], sidecars[href], said) for href in datasets]
        matched = match(infos, sensor, profiles)
        return _settle(source, key, datasets, sidecars, said, matched, dict(tiling), sensor)
    finally:
        for dataset in datasets.values():
            dataset.close()


def _settle(
    source: Source,
    key: str,
    datasets: Mapping[str, DatasetReader],
    sidecars: Mapping[str, Sidecar],
    said: SceneMetadata,
    matched: Match,
    tiling: dict[str, Any],
    sensor: str | None,
) -> RasterScene:
    used = {m.href: datasets[m.href] for m in matched.bands}
    for href, dataset in used.items():
        _check_blocks(href, dataset)
    transforms = {href: transform_of(dataset, sidecars[href]) for href, dataset in used.items()}
    reference = min(used, key=lambda href: abs(transforms[href].determinant))
    dataset, affine = used[reference], transforms[reference]
    crs = crs_of(dataset, sidecars[reference])
    check_degrees(affine, crs, dataset.width, dataset.height, source.name)
    for href, other in used.items():
        if crs_of(other, sidecars[href]) != crs or not aligned(transforms[href], affine):
            raise SceneError(
                f"{source.name}: {raster_path(href).name} lies on another grid than {raster_path(reference).name}; "
                "the bands of a scene need one CRS and one orientation"
            )
    nodata = dataset.nodata if dataset.nodata is not None else matched.profile.nodata
    nodata = None if nodata is None or math.isnan(nodata) else float(nodata)
    sun = said.properties.get("view:sun_elevation")
    elevation = float(sun) if isinstance(sun, int | float) and math.isfinite(sun) else None
    scaling, low, high = limits(used, matched, nodata, source.name, said.scales, elevation)
    transform: Transform = (affine.a, affine.b, affine.c, affine.d, affine.e, affine.f)
    where = footprint(transform, crs_text(crs), 0, 0, dataset.width, dataset.height)
    record = SceneRecord(
        key=key,
        href=source.hrefs[0],
        name=source.name,
        collection=matched.profile.collection,
        sensor=matched.profile.name,
        datetime=_datetime(source, sidecars, said, dataset),
        crs=crs_text(crs),
        transform=transform,
        width=dataset.width,
        height=dataset.height,
        gsd_m=gsd_m(affine, crs, dataset.height),
        bands=tuple(
            BandRef(name=m.band.name, wavelength_um=m.band.wavelength_um, href=m.href, index=m.index)
            for m in matched.bands
        ),
        stretch=_stretch(scaling, low, high),
        properties={**said.properties, "bandsight:bands_from": matched.origin},
        geometry=where.geometry,
        boxes=tuple(where.boxes),
        tiling=tiling,
        source={**source.as_dict(), "sensor": sensor},
    )
    return RasterScene(
        record=record,
        bands=record.bands,
        transform=transform,
        width=dataset.width,
        height=dataset.height,
        block=dataset.block_shapes[0],
        number_bytes=np.dtype(dataset.dtypes[0]).itemsize,
        file_transforms=transforms,
        nodata=nodata,
        fill_values=matched.profile.fill_values,
        to_db=scaling.to_db,
        low=low,
        high=high,
        quality=_quality(matched, datasets, sidecars, affine),
    )


def _check_blocks(href: str, dataset: DatasetReader) -> None:
    """Refuse a raster whose parts do not fit into memory: a bomb, or one that would be decoded anew for every tile.

    Raises:
        SceneError: Its blocks are too large.
    """
    rows, cols = dataset.block_shapes[0]
    size = rows * cols * np.dtype(dataset.dtypes[0]).itemsize * (dataset.count if _interleaved(dataset) else 1)
    if size > _MAX_BLOCK:
        raise SceneError(
            f"{href}: its blocks of {cols} × {rows} pixels hold {size >> 20} MB each, at most {_MAX_BLOCK >> 20} MB "
            "are read; rewrite it in tiles, e.g. with gdal_translate -of COG"
        )


def _interleaved(dataset: DatasetReader) -> bool:
    return bool(dataset.interleaving) and dataset.interleaving.name == "pixel"


def _stretch(scaling: Scaling, low: Sequence[float], high: Sequence[float]) -> dict[str, Any]:
    return {
        "kind": scaling.kind,
        "to_db": scaling.to_db,
        "low": list(low),
        "high": list(high),
        "quantity": scaling.quantity,
        "scale": scaling.scale,
        "offset": scaling.offset,
    }


def _datetime(
    source: Source, sidecars: Mapping[str, Sidecar], said: SceneMetadata, dataset: DatasetReader
) -> datetime | None:
    """Return the acquisition: the user's word, the product's or catalogue's, the file's own, its name."""
    text = next((sidecar.datetime for sidecar in sidecars.values() if sidecar.datetime), None)
    when = parse_time(text) if text else None
    if text and when is None:
        raise SceneError(f"{source.name}: datetime {text!r} in its sidecar; need RFC 3339, e.g. 2020-05-01T10:00:00Z")
    return when or said.acquired or acquired([raster_path(href) for href in source.hrefs], stored(dataset).tags())


def _quality(
    matched: Match, datasets: Mapping[str, DatasetReader], sidecars: Mapping[str, Sidecar], affine: Affine
) -> SceneQuality | None:
    if matched.quality is None:
        return None
    href = matched.quality.href
    transform = transform_of(datasets[href], sidecars[href])
    if not aligned(transform, affine):
        raise SceneError(f"{href}: lies on another grid than the bands of its scene; leave it out or warp it")
    return SceneQuality(quality=matched.quality.quality, href=href, transform=transform)


def _info(href: str, dataset: DatasetReader, sidecar: Sidecar, said: SceneMetadata) -> RasterInfo:
    raw = stored(dataset)
    band_tags = [{**raw.tags(i), **raw.tags(i, ns="IMAGERY")} for i in range(1, dataset.count + 1)]
    return RasterInfo(
        href=href,
        path=raster_path(href),
        count=dataset.count,
        dtype=dataset.dtypes[0],
        descriptions=tuple(dataset.descriptions),
        tags=raw.tags(),
        band_tags=tuple(band_tags),
        colorinterp=tuple(interp.name for interp in dataset.colorinterp),
        wavelengths_um=sidecar.wavelengths_um,
        sensor=sidecar.sensor,
        said=said.bands.get(href, ()),
        said_by=said.by,
        hints=said.hints,
    )
