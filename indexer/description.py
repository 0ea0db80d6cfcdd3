"""Describes how scenes would be indexed, without indexing them."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bandsight.catalog.records import SceneRecord
from bandsight.errors import BandsightError
from bandsight.raster.decisions import Decisions
from bandsight.sensors.profile import load_profiles
from indexer.scene import RasterScene, open_scene
from indexer.sources import find_scenes

# With more bands than this, only the first and last are listed.
_LISTED = 13


def describe_scenes(
    paths: Iterable[str | Path], *, sensor: str | None = None, force: bool = False, profiles: Path | None = None
) -> Iterator[tuple[str, bool]]:
    """Yield (description, whether it can be indexed) for each scene in files and folders."""
    known = load_profiles(profiles)
    for source in find_scenes(paths, known):
        try:
            yield scene_text(open_scene(source, "", sensor=sensor, force=force, profiles=known, tiling={})), True
        except BandsightError as error:
            yield str(error), False
        except Exception as error:  # noqa: BLE001  (as in a job, one bad scene does not stop the others)
            yield f"{source.name}: {type(error).__name__}: {error}", False


def scene_text(scene: RasterScene) -> str:
    """Return a description of an opened scene."""
    record = scene.record
    decided = Decisions.from_dict(record.decisions or {})
    box = ", ".join(f"{b.west:.4f},{b.south:.4f},{b.east:.4f},{b.north:.4f}" for b in record.boxes)
    lines = [
        f"{record.name}: {record.sensor}, bands from: {record.properties['bandsight:bands_from']}",
        f"  {record.width} × {record.height} pixels of {record.gsd_m:.3g} m, {record.crs}, bbox {box}",
        f"  acquired: {_time_text(record, decided)}",
    ]
    lines += [
        f"  {band.name:<12} {band.wavelength_um:g} µm  {low:g}..{high:g} becomes 0..255"
        for band, low, high in zip(record.bands, scene.raster.scaling.low, scene.raster.scaling.high, strict=True)
    ]
    if scene.raster.quality:
        lines.append(f"  quality band: {scene.raster.quality.quality.name}")
    lines += [f"  evidence: {one.kind} ({one.found}), {one.score:g}" for one in decided.evidence]
    if decided.nodata is not None:
        lines.append(f"  nodata: {decided.nodata:g}, from {decided.nodata_from}")
    if decided.collar is not None:
        lines.append("  no data: the empty border of the image")
    lines += [f"  mask: {name}" for name in sorted({one.mask.kind for one in decided.files} - {"none"})]
    lines += [f"  note: {text}" for text in scene.notes]
    return "\n".join(lines)


def _time_text(record: SceneRecord, decided: Decisions) -> str:
    if record.datetime is None and record.start_datetime is None:
        return "date unknown"
    interval = [time.isoformat() for time in (record.start_datetime, record.end_datetime) if time]
    moment = [record.datetime.isoformat()] if record.datetime else []
    return f"{', '.join([*moment, ' to '.join(interval)] if interval else moment)}, from {decided.datetime_from}"


def scenes_table(paths: Iterable[str | Path], sensors: Mapping[str, str] | None = None) -> str:
    """Return a Markdown table of scenes: how each would be indexed, the evidence, and its footprint.

    Args:
        paths: Files, folders and other inputs of `find_scenes`.
        sensors: Profiles for scenes that match none, by a part of their path.
    """
    columns = ("scene", "sensor", "bands by", "bands, µm", "acquired", "no data", "pixels", "CRS")
    rows = [f"| {' | '.join(columns)} | footprint: west, south, east, north |", "|---" * 9 + "|"]
    for source in find_scenes(paths):
        sensor = next((name for part, name in (sensors or {}).items() if part in source.hrefs[0]), None)
        try:
            rows.append(_row(open_scene(source, "", sensor=sensor, tiling={})))
        except BandsightError as error:
            rows.append(f"| {source.name} | refused: {str(error).partition(': ')[2]} | | | | | | | |")
    return "\n".join(rows) + "\n"


def _row(scene: RasterScene) -> str:
    record = scene.record
    waves = [f"{band.wavelength_um:.4g}" for band in record.bands]
    bands = f"{len(waves)} bands, {waves[0]} to {waves[-1]}" if len(waves) > _LISTED else " ".join(waves)
    boxes = "; ".join(f"{b.west:.4f}, {b.south:.4f}, {b.east:.4f}, {b.north:.4f}" for b in record.boxes)
    crs = record.crs if record.crs.startswith("EPSG") else "custom (WKT)"
    cells = (
        record.name,
        record.sensor,
        record.properties["bandsight:bands_from"],
        bands,
        _day(record),
        _without_data(scene, Decisions.from_dict(record.decisions or {})),
        f"{record.width} × {record.height}",
        crs,
        boxes,
    )
    return f"| {' | '.join(cells)} |"


def _day(record: SceneRecord) -> str:
    when = record.datetime or record.start_datetime
    if when is None:
        return ""
    return f"{when:%Y-%m-%d}" if (when.hour, when.minute, when.second) == (0, 0, 0) else f"{when:%Y-%m-%d %H:%M:%S}"


def _without_data(scene: RasterScene, decided: Decisions) -> str:
    """Return how nodata is determined: values, masks, the quality band."""
    values = list(decided.fill_values)
    if decided.nodata is not None:
        values = [decided.nodata, *(value for value in values if value != decided.nodata)]
    found = [", ".join(f"{value:g}" for value in values)] if values else []
    found += sorted({one.mask.kind for one in decided.files} - {"none", "nodata"})
    found += ["empty border"] if decided.collar is not None else []
    found += [scene.raster.quality.quality.name] if scene.raster.quality else []
    return "; ".join(found)
