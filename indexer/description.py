"""Says what a scene would be indexed as, without indexing it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from bandsight.errors import BandsightError
from bandsight.sensors.profile import load_profiles
from indexer.scene import RasterScene, open_scene
from indexer.sources import find_scenes


def describe_scenes(
    paths: Iterable[str | Path], *, sensor: str | None = None, profiles: Path | None = None
) -> Iterator[tuple[str, bool]]:
    """Yield (text, whether it can be indexed) for each scene under files and folders."""
    known = load_profiles(profiles)
    for source in find_scenes(paths, known):
        try:
            yield scene_text(open_scene(source, "", sensor=sensor, profiles=known, tiling={})), True
        except BandsightError as error:
            yield str(error), False


def scene_text(scene: RasterScene) -> str:
    """Return what was settled about a scene, as lines of text."""
    record = scene.record
    box = ", ".join(f"{b.west:.4f},{b.south:.4f},{b.east:.4f},{b.north:.4f}" for b in record.boxes)
    lines = [
        f"{record.name}: {record.sensor}, bands by: {record.properties['bandsight:bands_from']}",
        f"  {record.width} × {record.height} pixels of {record.gsd_m:.3g} m, {record.crs}, bbox {box}",
        f"  taken: {record.datetime.isoformat() if record.datetime else 'not said'}",
    ]
    lines += [
        f"  {band.name:<13}{band.wavelength_um:g} µm  {low:g} to {high:g} become 0 to 255"
        for band, low, high in zip(record.bands, scene.low, scene.high, strict=True)
    ]
    if scene.quality:
        lines.append(f"  quality band: {scene.quality.quality.name}")
    return "\n".join(lines)
