"""Opens a scene: determines its bands, grid, georeferencing and scaling."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader

from bandsight.catalog.records import SceneRecord
from bandsight.errors import SceneError, SensorError
from bandsight.geo.footprint import Footprint, footprint
from bandsight.raster.bands import BandRef, number_type
from bandsight.raster.byte_scaling import ByteScaling
from bandsight.raster.collar import find_collar
from bandsight.raster.decisions import BandDecision, Decisions, FileDecision, QualityDecision
from bandsight.raster.drivers import raster_path, stored
from bandsight.raster.masks import file_mask
from bandsight.raster.open_files import OpenFiles
from bandsight.raster.orientation import is_aligned, is_askew, north_up, swaps_axes
from bandsight.raster.palette import with_bands
from bandsight.raster.scene_raster import FileGrid, QualityBand, SceneRaster, Transform
from bandsight.sensors.listing import rule_text
from bandsight.sensors.match import Match, match
from bandsight.sensors.profile import Profile
from bandsight.sensors.refusals import not_applied
from indexer.acquisition_time import acquired
from indexer.blocks import check_blocks
from indexer.datetimes import parse_time
from indexer.file_facts import by_part, raster_info
from indexer.georeferencing import also_unplaced, check_degrees, check_disk, crs_of, crs_text, gsd_m, transform_of
from indexer.product_metadata import SceneMetadata, read_product_metadata
from indexer.sidecar import Sidecar, read_sidecar
from indexer.source import Source
from indexer.stretch_limits import StretchLimits, limits, stretch_record
from indexer.subdatasets import open_rasters


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RasterScene:
    """An opened scene: its catalog record, and what is needed to read tiles. Contains no open files."""

    record: SceneRecord
    """Record for the catalog."""
    raster: SceneRaster
    """How to read its pixels."""
    block: tuple[int, int]
    """Rows and columns of the stored blocks."""
    number_bytes: int
    """Bytes per stored value."""
    notes: tuple[str, ...] = ()
    """Notes for the user, e.g. an option that was not applied."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Opened:
    """The open files of a scene and their metadata."""

    source: Source
    datasets: Mapping[str, DatasetReader]
    """Open files, by href."""
    sidecars: Mapping[str, Sidecar]
    """Sidecar of each file."""
    metadata: SceneMetadata
    """Metadata from a catalogue or product."""
    matched: Match
    """Matched profile and bands."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Grid:
    """The north-up grid of a scene, from its finest file."""

    reference: str
    """The finest file."""
    crs: CRS
    transform: Affine
    width: int
    height: int
    transforms: Mapping[str, Affine]
    """Affine transform of each file to the CRS."""


def open_scene(
    source: Source,
    key: str,
    *,
    sensor: str | None = None,
    force: bool = False,
    profiles: Sequence[Profile] | None = None,
    tiling: Mapping[str, Any],
    identity: str | None = None,
    plain_key: str | None = None,
) -> RasterScene:
    """Open a scene and determine everything needed to read its tiles.

    Args:
        source: The scene's files.
        key: Key of the scene, see `Fingerprint.key`.
        sensor: Profile for a scene that matches no profile.
        force: Apply `sensor` even if the scene matches another profile.
        profiles: Profiles to match; None for the built-in ones.
        tiling: Tiling parameters to store with the scene.
        identity: Identity independent of location, to store with the scene.
        plain_key: Key without applying `sensor`; None for `key`.

    Raises:
        SceneError: A file is not a raster, or the scene is not georeferenced.
        SensorError: No sensor profile matches.
    """
    # Within an Env, GDAL's warnings go to the log instead of stderr.
    with rasterio.Env():
        return _open_scene(
            source, key, sensor, profiles, force=force, tiling=tiling, identity=identity, plain_key=plain_key
        )


def _open_scene(
    source: Source,
    key: str,
    sensor: str | None,
    profiles: Sequence[Profile] | None,
    *,
    force: bool,
    tiling: Mapping[str, Any],
    identity: str | None,
    plain_key: str | None,
) -> RasterScene:
    source.check()
    metadata = read_product_metadata(source.hrefs) if source.metadata is None else source.metadata
    datasets: dict[str, DatasetReader] = {}
    try:
        open_rasters(source.hrefs, datasets, profiles)
        sidecars = by_part({href: read_sidecar(href) for href in datasets})
        infos = [raster_info(href, datasets[href], sidecars[href], metadata) for href in datasets]
        check_disk(source.name, next(iter(datasets.values())))
        try:
            matched = match(infos, sensor, profiles, force=force)
        except SensorError as error:
            first = next(iter(datasets))
            raise SensorError(f"{error}{also_unplaced(datasets[first], sidecars[first])}") from error
        for band in matched.bands:
            datasets[band.href] = with_bands(datasets[band.href], band.index)
        opened = _Opened(source=source, datasets=datasets, sidecars=sidecars, metadata=metadata, matched=matched)
        applied = force or not opened.matched.not_applied
        own_key = key if applied or plain_key is None else plain_key
        return _settle(opened, own_key, dict(tiling), sensor if applied else None, identity)
    finally:
        for dataset in datasets.values():
            dataset.close()


def _settle(opened: _Opened, key: str, tiling: dict[str, Any], sensor: str | None, identity: str | None) -> RasterScene:
    grid = _grid(opened)
    dataset, profile = opened.datasets[grid.reference], opened.matched.profile
    nodata, nodata_from = _nodata(dataset, profile)
    files = OpenFiles(opened.datasets)
    draft = _draft(opened, grid, key, nodata)
    if _may_have_collar(draft, profile):
        draft = replace(draft, collar=find_collar(draft, files))
    stretched = limits(
        draft,
        files,
        opened.matched,
        {href: (scale, offset, opened.metadata.by) for href, (scale, offset) in opened.metadata.scales.items()},
        _sun_elevation(opened.metadata),
    )
    raster = replace(draft, scaling=ByteScaling(to_db=stretched.to_db, low=stretched.low, high=stretched.high))
    when, when_from = _datetime(opened, dataset)
    decisions = _decisions(opened, raster, stretched, {"nodata_from": nodata_from, "datetime_from": when_from})
    where = _footprint(raster, stored(dataset))
    record = SceneRecord(
        key=key,
        href=opened.source.hrefs[0],
        name=opened.source.name,
        collection=profile.collection,
        sensor=profile.name,
        datetime=when,
        start_datetime=opened.metadata.start,
        end_datetime=opened.metadata.end,
        crs=raster.crs,
        transform=raster.transform,
        width=raster.width,
        height=raster.height,
        gsd_m=gsd_m(grid.transform, grid.crs, raster.height),
        bands=raster.bands,
        stretch=stretch_record(stretched),
        properties={**opened.metadata.properties, "bandsight:bands_from": opened.matched.origin},
        geometry=where.geometry,
        boxes=tuple(where.boxes),
        tiling=tiling,
        source={**opened.source.as_dict(), "sensor": sensor},
        decisions=decisions.as_dict(),
        identity=identity,
    )
    return RasterScene(
        record=record,
        raster=raster,
        block=_block(dataset, grid),
        number_bytes=number_type(dataset.dtypes[0]).itemsize,
        notes=_notes(opened),
    )


def _draft(opened: _Opened, grid: _Grid, key: str, nodata: float | None) -> SceneRaster:
    """Return how to read a scene's pixels, without its collar and scaling."""
    bands = tuple(
        BandRef(name=m.band.name, wavelength_um=m.band.wavelength_um, href=m.href, index=m.index)
        for m in opened.matched.bands
    )
    return SceneRaster(
        key=f"{key}|{opened.source.hrefs[0]}",
        name=opened.source.name,
        bands=bands,
        crs=crs_text(grid.crs),
        transform=_six(grid.transform),
        width=grid.width,
        height=grid.height,
        files={href: _file_grid(opened, grid, href) for href in grid.transforms},
        nodata=nodata,
        fill_values=opened.matched.profile.fill_values,
        quality=_quality(opened, grid),
        scaling=ByteScaling(low=(0.0,) * len(bands), high=(255.0,) * len(bands)),
    )


def _block(dataset: DatasetReader, grid: _Grid) -> tuple[int, int]:
    """Return rows and columns of the stored blocks, in the scene's orientation."""
    rows, cols = dataset.block_shapes[0]
    return (cols, rows) if swaps_axes(~grid.transforms[grid.reference] @ grid.transform) else (rows, cols)


def _footprint(raster: SceneRaster, raw: DatasetReader) -> Footprint:
    """Return the footprint of a scene; for warped rotated files without the empty corners."""
    if is_askew(raw.transform) and not is_askew(Affine(*raster.transform)):
        return footprint(_six(raw.transform), raster.crs, 0, 0, raw.width, raw.height)
    return footprint(raster.transform, raster.crs, 0, 0, raster.width, raster.height)


def _notes(opened: _Opened) -> tuple[str, ...]:
    matched = opened.matched
    if not matched.not_applied:
        return ()
    return (not_applied(opened.source.name, matched.profile.name, matched.not_applied),)


def _may_have_collar(raster: SceneRaster, profile: Profile) -> bool:
    """Return whether black at the edge may be a collar, because nothing else marks valid pixels."""
    stated = any(one.mask.kind != "none" for one in raster.files.values())
    return profile.collar and not stated and raster.nodata is None and 0 not in raster.fill_values


def _grid(opened: _Opened) -> _Grid:
    """Return the scene's grid.

    Raises:
        SceneError: The scene is not georeferenced, or its bands have incompatible grids.
    """
    used = {m.href: opened.datasets[m.href] for m in opened.matched.bands}
    for href, dataset in used.items():
        check_blocks(href, stored(dataset))
    name, sidecars = opened.source.name, opened.sidecars
    transforms = {href: transform_of(dataset, sidecars[href]) for href, dataset in used.items()}
    reference = min(used, key=lambda href: abs(transforms[href].determinant))
    dataset = used[reference]
    crs = crs_of(dataset, sidecars[reference])
    transform, width, height = north_up(transforms[reference], dataset.width, dataset.height)
    check_degrees(transform, crs, width, height, name)
    for href, other in used.items():
        if crs_of(other, sidecars[href]) != crs or not is_aligned(~transforms[href] @ transform):
            raise SceneError(
                f"{name}: {raster_path(href).name} has a different grid from {raster_path(reference).name}; "
                "the bands of a scene need one CRS and parallel grids"
            )
    return _Grid(reference=reference, crs=crs, transform=transform, width=width, height=height, transforms=transforms)


def _file_grid(opened: _Opened, grid: _Grid, href: str) -> FileGrid:
    used = [m.index for m in opened.matched.bands if m.href == href]
    return FileGrid(transform=grid.transforms[href], mask=file_mask(opened.datasets[href], used))


def _six(transform: Affine) -> Transform:
    return (transform.a, transform.b, transform.c, transform.d, transform.e, transform.f)


def _nodata(dataset: DatasetReader, profile: Profile) -> tuple[float | None, str]:
    """Return the nodata value and its source."""
    stated = dataset.nodata
    value, by = (stated, "the file") if stated is not None else (profile.nodata, "the profile")
    return (None, "") if value is None or math.isnan(value) else (float(value), by)


def _sun_elevation(metadata: SceneMetadata) -> float | None:
    """Return the sun elevation, degrees, if stated."""
    sun = metadata.properties.get("view:sun_elevation")
    return float(sun) if isinstance(sun, int | float) and math.isfinite(sun) else None


def _decisions(opened: _Opened, raster: SceneRaster, stretched: StretchLimits, given: Mapping[str, str]) -> Decisions:
    """Return the decisions to store with the scene."""
    matched, datasets = opened.matched, opened.datasets
    quality = raster.quality
    rules = dict.fromkeys(rule_text(rule) for rule in stretched.rules)
    return Decisions(
        profile=matched.profile.name,
        title=matched.profile.title,
        profile_from=matched.profile.file or "shipped",
        bands_from=matched.origin,
        evidence=matched.evidence,
        bands=tuple(
            BandDecision(
                wavelength_from=matched.wavelengths_from,
                common_name=m.band.common_name,
                fwhm_um=m.band.fwhm_um,
                frequency_ghz=m.band.frequency_ghz,
                polarisation=m.band.polarisation,
                scale=scale,
                offset=offset,
                scale_from=stated if (scale, offset) != (1, 0) else "",
                path_reflectance=air,
                display_range=shown,
            )
            for m, (scale, offset, stated), air, shown in zip(
                matched.bands,
                stretched.scales,
                stretched.path_reflectance,
                stretched.display_ranges,
                strict=True,
            )
        ),
        files=tuple(
            FileDecision(href=href, transform=_six(one.transform), dtype=datasets[href].dtypes[0], mask=one.mask)
            for href, one in raster.files.items()
        ),
        nodata=raster.nodata,
        nodata_from=given["nodata_from"],
        fill_values=raster.fill_values,
        collar=raster.collar,
        quality=None if quality is None else QualityDecision.of(quality.quality, quality.href, _six(quality.transform)),
        scaling="; ".join(rules),
        sun_elevation_deg=_sun_elevation(opened.metadata) if matched.profile.toa_reflectance else None,
        datetime_from=given["datetime_from"],
        crs_from="the user's sidecar" if any(one.crs for one in opened.sidecars.values()) else "the file",
        styles=matched.profile.styles,
    )


def _datetime(opened: _Opened, dataset: DatasetReader) -> tuple[datetime | None, str]:
    """Return the acquisition time and its source: the user, the product or catalogue, the file, or its name."""
    text = next((sidecar.datetime for sidecar in opened.sidecars.values() if sidecar.datetime), None)
    when = parse_time(text) if text else None
    if text and when is None:
        raise SceneError(
            f"{opened.source.name}: datetime {text!r} in its sidecar; need RFC 3339, e.g. 2020-05-01T10:00:00Z"
        )
    if when is not None:
        return when, "the user's sidecar"
    metadata = opened.metadata
    if metadata.acquired is not None or metadata.start is not None:
        return metadata.acquired, metadata.by
    return acquired([raster_path(href) for href in opened.source.hrefs], stored(dataset).tags())


def _quality(opened: _Opened, grid: _Grid) -> QualityBand | None:
    matched = opened.matched.quality
    if matched is None:
        return None
    href = matched.href
    transform = transform_of(opened.datasets[href], opened.sidecars[href])
    if not is_aligned(~transform @ grid.transform):
        raise SceneError(f"{href}: has a different grid from the bands of its scene; leave it out or warp it")
    return QualityBand(quality=matched.quality, href=href, transform=transform)
