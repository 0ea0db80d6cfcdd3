"""Opens a scene: which bands, on which grid, where on Earth, and how its numbers become 0..255."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds

from bandsight.catalog.records import BandRef, SceneRecord
from bandsight.errors import SceneError
from bandsight.geo.footprint import footprint
from bandsight.rasters import open_raster
from bandsight.sensors.match import Match, match
from bandsight.sensors.profile import Band, Profile
from bandsight.sensors.quality import Quality
from bandsight.sensors.raster_info import RasterInfo
from bandsight.sensors.scaling import Decibel, Scaling, decibel
from indexer.acquired import acquired, parse_time
from indexer.sidecar import Sidecar, read_sidecar, sidecar_path
from indexer.sources import Source

# Longest side of the overview from which a percentile stretch is computed.
_OVERVIEW_PX = 1024
# Most values of one file in that overview, over all its bands.
_OVERVIEW_VALUES = 40_000_000
_PERCENTILES = (1.0, 99.0)
# Bands in here are stretched together, so that colours keep.
_VISIBLE_UM = (0.44, 0.70)
_HASHED_BYTES = 1 << 16
_METRES_PER_DEGREE = 111_320.0

Transform = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneBand:
    """One band to be read."""

    name: str
    """Name in the sensor profile."""
    wavelength_um: float
    """Centre wavelength, µm."""
    path: str
    """File."""
    index: int
    """Band number in the file, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneQuality:
    """The quality band, to be read beside the others."""

    quality: Quality
    """What its numbers mean."""
    path: str
    """File."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RasterScene:
    """All that reading tiles needs; holds no open file, so threads can share it."""

    record: SceneRecord
    """What the catalog will keep."""
    bands: tuple[SceneBand, ...]
    """In the order in which the model sees them."""
    transform: Transform
    """Affine of the reference grid, the finest of the bands."""
    width: int
    """Columns of the reference grid."""
    height: int
    """Rows of the reference grid."""
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
            found.setdefault(band.path, []).append(position)
        return found


def scene_key(source: Source, options: Mapping[str, Any]) -> str:
    """Return a scene's identity: names, sizes, times and ends of its files, their sidecars, and how it is tiled.

    Raises:
        SceneError: A file cannot be read.
    """
    digest = hashlib.sha256(repr(sorted(options.items())).encode())
    for path in source.paths:
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
    datasets = {str(path): _open(path) for path in source.paths}
    try:
        sidecars = {path: read_sidecar(Path(path)) for path in datasets}
        infos = [_info(Path(path), datasets[path], sidecars[path]) for path in datasets]
        matched = match(infos, sensor, profiles)
        bands = tuple(
            SceneBand(name=m.band.name, wavelength_um=m.band.wavelength_um, path=str(m.path), index=m.index)
            for m in matched.bands
        )
        return _settle(source, key, datasets, sidecars, matched, bands, dict(tiling))
    finally:
        for dataset in datasets.values():
            dataset.close()


def _settle(
    source: Source,
    key: str,
    datasets: Mapping[str, DatasetReader],
    sidecars: Mapping[str, Sidecar],
    matched: Match,
    bands: tuple[SceneBand, ...],
    tiling: dict[str, Any],
) -> RasterScene:
    used = {band.path: datasets[band.path] for band in bands}
    transforms = {path: _transform(dataset, sidecars[path]) for path, dataset in used.items()}
    reference = min(used, key=lambda path: abs(transforms[path].determinant))
    dataset, affine = used[reference], transforms[reference]
    crs = _crs(dataset, sidecars[reference])
    for path, other in used.items():
        if _crs(other, sidecars[path]) != crs or not _aligned(transforms[path], affine):
            raise SceneError(
                f"{source.name}: {Path(path).name} lies on another grid than {Path(reference).name}; "
                "the bands of a scene need one CRS and one orientation"
            )
    nodata = dataset.nodata if dataset.nodata is not None else matched.profile.nodata
    nodata = None if nodata is None or math.isnan(nodata) else float(nodata)
    scaling, low, high = _limits(used, matched, nodata, source)
    transform: Transform = (affine.a, affine.b, affine.c, affine.d, affine.e, affine.f)
    where = footprint(transform, _crs_text(crs), 0, 0, dataset.width, dataset.height)
    said = next((sidecar.datetime for sidecar in sidecars.values() if sidecar.datetime), None)
    when = parse_time(said) if said else acquired(source.paths, dataset.tags())
    if said and when is None:
        raise SceneError(f"{source.name}: datetime {said!r} in its sidecar; need RFC 3339, e.g. 2020-05-01T10:00:00Z")
    record = SceneRecord(
        key=key,
        href=str(source.paths[0]),
        name=source.name,
        collection=matched.profile.collection,
        sensor=matched.profile.name,
        datetime=when,
        crs=_crs_text(crs),
        transform=transform,
        width=dataset.width,
        height=dataset.height,
        gsd_m=_gsd_m(affine, crs, dataset.height),
        bands=tuple(
            BandRef(name=band.name, wavelength_um=band.wavelength_um, href=band.path, index=band.index)
            for band in bands
        ),
        stretch={
            "kind": scaling.kind,
            "to_db": scaling.to_db,
            "low": list(low),
            "high": list(high),
            "quantity": scaling.quantity,
            "scale": scaling.scale,
            "offset": scaling.offset,
        },
        properties={"bandsight:bands_from": matched.origin},
        geometry=where.geometry,
        boxes=tuple(where.boxes),
        tiling=tiling,
    )
    return RasterScene(
        record=record,
        bands=bands,
        transform=transform,
        width=dataset.width,
        height=dataset.height,
        file_transforms=transforms,
        nodata=nodata,
        fill_values=matched.profile.fill_values,
        to_db=scaling.to_db,
        low=low,
        high=high,
        quality=_quality(matched, datasets, sidecars, affine),
    )


def _quality(
    matched: Match, datasets: Mapping[str, DatasetReader], sidecars: Mapping[str, Sidecar], affine: Affine
) -> SceneQuality | None:
    if matched.quality is None:
        return None
    path = str(matched.quality.path)
    if not _aligned(_transform(datasets[path], sidecars[path]), affine):
        raise SceneError(f"{path}: lies on another grid than the bands of its scene; leave it out or warp it")
    return SceneQuality(quality=matched.quality.quality, path=path)


def _open(path: Path) -> DatasetReader:
    dataset = open_raster(path)
    if dataset.count == 0:
        names = ", ".join(dataset.subdatasets[:8])
        dataset.close()
        raise SceneError(f"{path}: a container without bands of its own; export the part to index ({names})")
    return dataset


def _info(path: Path, dataset: DatasetReader, sidecar: Sidecar) -> RasterInfo:
    band_tags = [{**dataset.tags(i), **dataset.tags(i, ns="IMAGERY")} for i in range(1, dataset.count + 1)]
    return RasterInfo(
        path=path,
        count=dataset.count,
        dtype=dataset.dtypes[0],
        descriptions=tuple(dataset.descriptions),
        tags=dataset.tags(),
        band_tags=tuple(band_tags),
        colorinterp=tuple(interp.name for interp in dataset.colorinterp),
        wavelengths_um=sidecar.wavelengths_um,
        sensor=sidecar.sensor,
    )


def _crs(dataset: DatasetReader, sidecar: Sidecar) -> CRS:
    # xarray's rasterio convention keeps the CRS of a NetCDF variable in an attribute `crs`.
    named = sidecar.crs or (dataset.crs and dataset.crs.to_wkt()) or dataset.tags(1).get("crs")
    if named and named.lower().startswith("+init="):
        # The PROJ 4 spelling, still found in files.
        named = named[len("+init=") :].upper()
    path = Path(dataset.name)
    if not named:
        raise SceneError(
            f"{path}: no CRS, so it cannot be placed on Earth; write {sidecar_path(path).name} beside it with "
            '{"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    try:
        crs = CRS.from_string(named)
    except CRSError as error:
        raise SceneError(f"{path}: CRS {named!r} is not known; need EPSG:n or WKT") from error
    if not (crs.is_projected or crs.is_geographic):
        raise SceneError(f"{path}: its CRS is neither projected nor geographic; give one in {sidecar_path(path).name}")
    return crs


def _crs_text(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def _transform(dataset: DatasetReader, sidecar: Sidecar) -> Affine:
    if sidecar.bounds:
        placed: Affine = from_bounds(*sidecar.bounds, dataset.width, dataset.height)
        return placed
    if dataset.transform.is_identity:
        path = Path(dataset.name)
        raise SceneError(
            f"{path}: no georeference, so it cannot be placed on Earth; write {sidecar_path(path).name} beside it "
            'with {"crs": "EPSG:…", "bounds": [left, bottom, right, top]}'
        )
    own: Affine = dataset.transform
    return own


def _aligned(one: Affine, other: Affine) -> bool:
    """Say whether two grids differ by scale and offset only."""
    step = ~one @ other
    size = max(abs(step.a), abs(step.e))
    return bool(max(abs(step.b), abs(step.d)) < 1e-6 * size and step.a > 0 and step.e > 0)


def _gsd_m(affine: Affine, crs: CRS, height: int) -> float:
    side = math.sqrt(abs(affine.determinant))
    if crs.is_projected:
        return side * float(crs.linear_units_factor[1])
    # Degrees: the geometric mean of both directions at the scene's middle.
    middle = affine.f + affine.e * height / 2
    return side * _METRES_PER_DEGREE * math.sqrt(max(math.cos(math.radians(middle)), 1e-6))


def _limits(
    used: Mapping[str, DatasetReader], matched: Match, nodata: float | None, source: Source
) -> tuple[Scaling, tuple[float, ...], tuple[float, ...]]:
    """Return the rule that holds for the scene, and the stored values that become 0 and 255, for each band."""
    bands = [m.band for m in matched.bands]
    first = used[str(matched.bands[0].path)]
    rules = matched.profile.rules_for(first.dtypes[0])
    samples: list[NDArray[np.float32]] = []
    if any(rule.kind == "percentile" or rule.plausible for rule in rules):
        samples = _overviews(used, matched, nodata)
        if not all(len(sample) for sample in samples):
            raise SceneError(f"{source.name}: no valid pixel in it, so there is nothing to index")
    rule, samples = _plausible(rules, samples, matched.profile.name, source)
    if rule.kind == "as_is":
        return rule, (0.0,) * len(bands), (255.0,) * len(bands)
    if rule.kind == "linear":
        own = [_of_file(rule, used[str(m.path)], m.index) for m in matched.bands]
        low = [o.stored(o.low if b.low is None else b.low) for o, b in zip(own, bands, strict=True)]
        high = [o.stored(o.high if b.high is None else b.high) for o, b in zip(own, bands, strict=True)]
        return rule, tuple(low), tuple(high)
    visible = [sample for band, sample in zip(bands, samples, strict=True) if _is_visible(band)]
    together = np.concatenate(visible) if visible else None
    limits = [
        np.percentile(together if together is not None and _is_visible(band) else sample, _PERCENTILES)
        for band, sample in zip(bands, samples, strict=True)
    ]
    return rule, tuple(float(pair[0]) for pair in limits), tuple(float(pair[1]) for pair in limits)


def _plausible(
    rules: Sequence[Scaling], samples: list[NDArray[np.float32]], sensor: str, source: Source
) -> tuple[Scaling, list[NDArray[np.float32]]]:
    """Return the first rule whose numbers these can be, and the samples as it sees them."""
    found = []
    for rule in rules:
        seen = [decibel(sample, rule.to_db) for sample in samples] if rule.to_db else samples
        if rule.plausible is None:
            return rule, seen
        middle = float(np.median([np.median(sample) for sample in seen]))
        if rule.plausible[0] <= middle <= rule.plausible[1]:
            return rule, seen
        found.append(f"{rule.plausible[0]:g} to {rule.plausible[1]:g}" + (" after dB" if rule.to_db else ""))
    middle = float(np.median([np.median(sample) for sample in samples]))
    raise SceneError(
        f"{source.name}: its numbers have median {middle:g}, sensor {sensor} has {' or '.join(found)}; "
        "choose another --sensor or convert the scene"
    )


def _of_file(rule: Scaling, dataset: DatasetReader, index: int) -> Scaling:
    """Return the rule with the scale that the file itself states, where the rule is for scaled integers."""
    scale, offset = dataset.scales[index - 1], dataset.offsets[index - 1]
    if rule.scale == 1 or (scale, offset) == (1, 0) or scale <= 0:
        return rule
    return replace(rule, scale=scale, offset=offset)


def _is_visible(band: Band) -> bool:
    return _VISIBLE_UM[0] < band.wavelength_um < _VISIBLE_UM[1]


def _overviews(used: Mapping[str, DatasetReader], matched: Match, nodata: float | None) -> list[NDArray[np.float32]]:
    """Return the valid values of each band, from a picture of the scene small enough to be held at once."""
    found: dict[tuple[str, int], NDArray[np.float32]] = {}
    for path, dataset in used.items():
        indexes = [m.index for m in matched.bands if str(m.path) == path]
        pixels = dataset.width * dataset.height
        shrink = max(1.0, math.sqrt(pixels * len(indexes) / _OVERVIEW_VALUES), math.sqrt(pixels) / _OVERVIEW_PX)
        shape = (len(indexes), math.ceil(dataset.height / shrink), math.ceil(dataset.width / shrink))
        try:
            data = dataset.read(indexes, out_shape=shape, resampling=Resampling.nearest)
            seen = dataset.read_masks(indexes, out_shape=shape, resampling=Resampling.nearest) > 0
        except RasterioError as error:
            reason = (str(error).splitlines() or ["?"])[0]
            raise SceneError(f"{path}: cannot be read ({reason}); get the file again") from error
        values = np.abs(data) if np.iscomplexobj(data) else data
        seen &= np.isfinite(values)
        if nodata is not None:
            seen &= values != nodata
        for index, band, valid in zip(indexes, values, seen, strict=True):
            found[path, index] = np.asarray(band[valid], np.float32)
    return [found[str(m.path), m.index] for m in matched.bands]
