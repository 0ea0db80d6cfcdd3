"""Reindexes an archive with another model, while the old vectors stay searchable until they are swapped."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter, archive_exists
from bandsight.archive.admin import create_beside, swap_in
from bandsight.archive.open import beside as location_beside
from bandsight.catalog.records import ModelIdentity, Scene
from bandsight.model.protocol import BatchEncoder, Encoder
from bandsight.model.scoring import sentence_vectors
from indexer.pipeline import JobOptions, run
from indexer.recognition import SceneSpec
from indexer.source import Source
from indexer.summary import Summary
from indexer.tiling import Tiling

_FOLDER = "reindex"
# Number of characters of the digest in folder names.
_NAME = 16


def reindex(
    archive: ArchiveWriter,
    model: BatchEncoder,
    *,
    tile_px: int | None = None,
    drop_failed: bool = False,
    sentences: Sequence[str] = (),
    **options: Unpack[JobOptions],
) -> tuple[Summary, bool]:
    """Reindex all scenes of an archive with another model, then swap in the result.

    Interrupted runs are resumed. Nothing is swapped if a scene fails; until then, searches use the old vectors.

    Args:
        archive: Open for writing.
        model: The new model.
        tile_px: Tile size; None for that of each scene.
        drop_failed: Swap even if scenes fail, dropping those.
        sentences: Queries for tuning the search index, if the archive has one.
        options: See `JobOptions`.

    Returns:
        The summary, and whether the archive has the new model.
    """
    place = archive.path / _FOLDER
    if archive.model.digest == model.digest:
        # Left by a run that was killed between swap and cleanup.
        shutil.rmtree(place, ignore_errors=True)
        return Summary(skipped_scenes=len(archive.scenes())), True
    path = location_beside(archive.location, place / model.digest[:_NAME])
    identity = ModelIdentity(name=model.name, digest=model.digest, dim=model.dim, license=model.license)
    there = archive_exists(path)
    with ArchiveWriter.open(path) if there else create_beside(archive, path, identity) as beside:
        beside.check_model(identity)
        scenes = archive.scenes()
        gone = {scene.href for scene in beside.scenes()} - {scene.href for scene in scenes}
        if gone:
            beside.remove(sorted(gone))
        specs = [_spec(scene, tile_px, model) for scene in scenes]
        asked = [f"{archive.path} with model {model.name}"]
        summary = run(specs, archive=beside, model=model, asked=asked, kind="reindex", recorded_in=archive, **options)
        if summary.failed and not drop_failed:
            return summary, False
        if archive.store.index_figures["index"] != "none":
            beside.optimize(_texts(model, sentences))
        swap_in(archive, beside)
    shutil.rmtree(place, ignore_errors=True)
    return summary, True


def _texts(model: Encoder, sentences: Sequence[str]) -> NDArray[np.float32] | None:
    return sentence_vectors(model, list(sentences)) if sentences else None


def _spec(scene: Scene, tile_px: int | None, model: Encoder) -> SceneSpec:
    """Return the spec for reindexing a scene from the same source with the same options."""
    kept = scene.source
    sensor: str | None
    if kept is None:
        # Scenes of older versions lack a source; use the files of their bands and their sensor.
        hrefs = dict.fromkeys([scene.href, *(band.href for band in scene.bands)])
        source, sensor = Source(name=scene.name, hrefs=tuple(hrefs)), scene.sensor
    else:
        source, sensor = Source.from_dict(kept), kept.get("sensor")
    tiling = Tiling.of_dict(scene.tiling)
    if not tiling.scales:
        # The new model may have a different finest resolution, or not state one.
        tiling = replace(tiling, finest_m=None if model.gsd_m is None else model.gsd_m[0])
    return SceneSpec(
        source=source, sensor=sensor, tiling=tiling if tile_px is None else replace(tiling, tile_px=tile_px)
    )
