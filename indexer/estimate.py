"""Estimates scenes, tiles, time and disk space of a job, without running it."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.archive import Archive
from bandsight.errors import BandsightError
from bandsight.model.protocol import Encoder
from bandsight.sensors.profile import Profile
from indexer.folders import roots_of
from indexer.identity import fingerprint
from indexer.reader_pool import InlineReader, ProcessReader, RetryingReader
from indexer.recognition import SceneSpec, recognise
from indexer.sources import find_scenes
from indexer.stac_query import StacQuery
from indexer.tiling import Tiling, open_tiled

# float16 vectors. An archive of 113 small scenes had 1,296 bytes per tile in its catalog and 91 in its index; larger
# scenes need less per tile.
_BYTES_PER_VALUE, _BYTES_PER_TILE = 2, 1400


@dataclass(slots=True, kw_only=True)
class Estimate:
    """Estimated cost of a job."""

    scenes: int = 0
    """Scenes to index."""
    skipped: int = 0
    """Scenes already in the archive."""
    failed: list[str] = field(default_factory=list)
    """Reasons why scenes cannot be opened."""
    tiles: Counter[tuple[float, ...]] = field(default_factory=Counter)
    """Maximum number of tiles, by list of bands."""
    seconds: float = 0.0
    """Time in the model, at its current speed."""
    disk: int = 0
    """Disk space, bytes."""

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate as JSON-serializable values."""
        return {
            "scenes": self.scenes,
            "skipped_scenes": self.skipped,
            "failed": self.failed,
            "tiles_at_most": sum(self.tiles.values()),
            "model_s": round(self.seconds, 1),
            "disk_bytes": self.disk,
        }

    def text(self) -> str:
        """Return the estimate as text."""
        tiles = sum(self.tiles.values())
        cost = f"about {self.seconds:.0f} s in the model, {self.disk / 1e6:.1f} MB on disk"
        lines = [f"would index at most {tiles} tiles of {self.scenes} scenes: {cost}"]
        if self.skipped:
            lines.append(f"{self.skipped} scenes are already in the archive")
        if self.failed:
            lines += [f"{len(self.failed)} scenes would fail:", *(f"  {reason}" for reason in self.failed)]
        return "\n".join(lines)


def estimate(
    paths: Iterable[str | Path],
    *,
    archive: Archive | None,
    model: Encoder,
    sensor: str | None = None,
    force: bool = False,
    profiles: Sequence[Profile] | None = None,
    query: StacQuery | None = None,
    batch_size: int = 64,
    tiling: Tiling,
    remember: bool = False,
    isolate: bool = False,
    time_limit_s: float = 120.0,
) -> Estimate:
    """Open all scenes and time the model on noise, without writing anything.

    Args:
        paths: Inputs that name scenes, see `find_scenes`.
        archive: Target archive; None if it does not exist yet.
        model: The model.
        sensor: Profile for scenes that match no profile.
        force: Apply `sensor` even to scenes that match another profile.
        profiles: Profiles to match.
        query: Query for `stac:URL` inputs.
        batch_size: Tiles per forward pass.
        tiling: Tiling parameters.
        remember: Scenes already in the archive keep their tiling.
        isolate: Open scenes in a separate process, as a job does.
        time_limit_s: With `isolate`, time limit for opening a scene.
    """
    found = Estimate()
    sources = find_scenes(paths, profiles, query)
    readers = RetryingReader(ProcessReader(roots_of(sources), time_limit_s=time_limit_s) if isolate else InlineReader())
    try:
        for source in sources:
            try:
                spec = SceneSpec(source=source, sensor=sensor, force=force, tiling=tiling, remember=remember)
                if archive is not None:
                    known = recognise(archive, spec, fingerprint(source), model.digest)
                    spec = known.spec
                    if known.unchanged:
                        found.skipped += 1
                        continue
                scene, plan = readers.call(open_tiled, source, "", spec.sensor, profiles, spec.tiling, force=spec.force)
            except BandsightError as error:
                reason = str(error)
                found.failed.append(reason if source.name in reason else f"{source.name}: {reason}")
                continue
            found.scenes += 1
            found.tiles[tuple(band.wavelength_um for band in scene.raster.bands)] += len(plan)
    finally:
        readers.close()
    for wavelengths, tiles in found.tiles.items():
        found.seconds += tiles * _seconds_per_tile(model, wavelengths, batch_size, tiling.tile_px)
    found.disk = sum(found.tiles.values()) * (model.dim * _BYTES_PER_VALUE + _BYTES_PER_TILE)
    return found


def _seconds_per_tile(model: Encoder, wavelengths: tuple[float, ...], batch_size: int, tile_px: int) -> float:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (batch_size, len(wavelengths), tile_px, tile_px), np.uint8)
    # Warm up: the first pass also generates the kernel for these bands.
    model.embed_pixels(pixels[:1], wavelengths)
    began = time.perf_counter()
    model.embed_pixels(pixels, wavelengths)
    return (time.perf_counter() - began) / batch_size
