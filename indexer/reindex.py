"""Indexes an archive again with another model beside the old one, which is searched until the new one replaces it."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import ArchiveWriter, archive_exists
from bandsight.archive.admin import create_beside, swap_in
from bandsight.catalog.records import ModelIdentity, Scene
from bandsight.model.background import sentence_vectors
from bandsight.model.protocol import BatchEncoder, Encoder
from indexer.pipeline import run
from indexer.recognition import SceneSpec
from indexer.source import Source
from indexer.summary import Summary
from indexer.tiling import Tiling

_FOLDER = "reindex"
# Characters of a digest: enough to tell models apart.
_NAME = 16


def reindex(
    archive: ArchiveWriter,
    model: BatchEncoder,
    *,
    tile_px: int | None = None,
    drop_failed: bool = False,
    sentences: Sequence[str] = (),
    **options: Any,
) -> tuple[Summary, bool]:
    """Index all scenes of an archive again with another model, then let that take the archive's place.

    A stopped run is resumed. Nothing is swapped while a scene fails, and the old vectors are searched until
    then.

    Args:
        archive: Open for writing.
        model: Embeds the tiles from now on.
        tile_px: Side of a tile; None for what each scene has.
        drop_failed: Swap even so, without the scenes that failed.
        sentences: To measure a search index with, where the archive has one.
        options: As `indexer.pipeline.run`.

    Returns:
        What was done, and whether the archive has the model now.
    """
    place = archive.path / _FOLDER
    if archive.model.digest == model.digest:
        # Of a run that ended after the swap, before it had tidied up.
        shutil.rmtree(place, ignore_errors=True)
        return Summary(skipped_scenes=len(archive.scenes())), True
    path = place / model.digest[:_NAME]
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
    """Return how a scene is indexed again: from the same source, with the same options."""
    kept = scene.source
    sensor: str | None
    if kept is None:
        # Indexed by a version that did not keep that: from the files of its bands, by its sensor.
        hrefs = dict.fromkeys([scene.href, *(band.href for band in scene.bands)])
        source, sensor = Source(name=scene.name, hrefs=tuple(hrefs)), scene.sensor
    else:
        source, sensor = Source.from_dict(kept), kept.get("sensor")
    tiling = Tiling.of_dict(scene.tiling)
    if not tiling.scales:
        # The new model may know finer ground, or not say what it knows.
        tiling = replace(tiling, finest_m=None if model.gsd_m is None else model.gsd_m[0])
    return SceneSpec(
        source=source, sensor=sensor, tiling=tiling if tile_px is None else replace(tiling, tile_px=tile_px)
    )
