"""Recognises scenes already in an archive, even if moved, re-signed, or passed by another path."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bandsight.archive import Archive
from bandsight.catalog.records import Scene
from bandsight.raster.drivers import local_file
from bandsight.sensors.refusals import not_applied
from indexer.identity import Fingerprint, scene_key
from indexer.source import Source
from indexer.tiling import Tiling


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """A scene to index, with options."""

    source: Source
    """Files of the scene."""
    sensor: str | None = None
    """Profile for a scene that matches no profile; None for the one it was indexed with, if any."""
    force: bool = False
    """Apply `sensor` even if the scene matches another profile."""
    tiling: Tiling
    """Tiling parameters."""
    remember: bool = False
    """Whether a scene already in the archive keeps its tiling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What is known about a scene before it is opened."""

    spec: SceneSpec
    """Spec with the options it was indexed with, if kept."""
    identity: str
    """As the catalog keeps it."""
    key: str
    """As the catalog keeps it."""
    plain_key: str
    """The key without applying `spec.sensor`."""
    scene: Scene | None = None
    """The scene in the archive, of this or another version."""
    lease: str = ""
    """What jobs share out among themselves: the identity of its files."""
    unchanged: bool = False
    """Whether indexing would change nothing."""

    @property
    def note(self) -> str:
        """Note for the user about a skipped scene; empty for none."""
        given = self.spec.sensor
        if not given or self.spec.force or not _matched_by_itself(self.scene) or self.scene is None:
            return ""
        if given == self.scene.sensor:
            return ""
        return not_applied(self.scene.name, self.scene.sensor, given)

    @property
    def moved(self) -> dict[str, str]:
        """Old and new paths of moved files; empty if nothing moved."""
        if self.scene is None:
            return {}
        kept, now = (self.scene.source or {}).get("hrefs", ()), self.spec.source.hrefs
        pairs = zip(kept, now, strict=True) if len(kept) == len(now) else ((self.scene.href, now[0]),)
        return {old: new for old, new in pairs if old != new}


def recognise(
    archive: Archive, spec: SceneSpec, found: Fingerprint, model: str, before: Mapping[str, Source] | None = None
) -> Recognised:
    """Look up a scene in an archive, independent of its location.

    Args:
        archive: The archive.
        spec: The scene and its options.
        found: Fingerprint of the scene.
        model: Digest of the model.
        before: Earlier scenes of the same job, by identity.
    """
    identity = found.identity
    first = (before or {}).get(identity)
    scene = None if first else _same(archive, identity, spec.source)
    if first or (scene is None and _of_identity(archive, identity)):
        # A copy, because the indexed file still exists.
        identity = f"{identity}|{spec.source.hrefs[0]}"
        scene = _same(archive, identity, spec.source)
    if scene is None:
        scene = _of_hrefs(archive, spec.source.hrefs)
    spec = _with_remembered(spec, scene)
    options = {"model": model, **spec.tiling.as_dict()}
    own = replace(found, identity=identity)
    plain, key = own.key({**options, "sensor": None}), own.key({**options, "sensor": spec.sensor})
    keys = {key, plain} if spec.sensor and not spec.force and _matched_by_itself(scene) else {key}
    unchanged = scene is not None and (scene.key in keys or _is_legacy(scene, spec, options))
    return Recognised(
        spec=spec,
        identity=identity,
        key=key,
        plain_key=plain,
        scene=scene,
        lease=found.identity,
        unchanged=unchanged,
    )


def _of_identity(archive: Archive, identity: str) -> list[Scene]:
    """Return the scenes with an identity (`SceneRecord.identity`)."""
    with archive.database.reading() as catalog:
        return list(catalog.scenes(catalog.scene_ids_of_identity(identity)).values())


def _of_hrefs(archive: Archive, hrefs: Sequence[str]) -> Scene | None:
    """Return the scene with one of these hrefs, or None."""
    with archive.database.reading() as catalog:
        ids = list(catalog.scene_ids_of(hrefs).values())
        return next(iter(catalog.scenes(ids[:1]).values())) if ids else None


def _same(archive: Archive, identity: str, source: Source) -> Scene | None:
    """Return the scene with an identity, unless its file still exists elsewhere."""
    for scene in _of_identity(archive, identity):
        there, here = local_file(scene.href), local_file(source.hrefs[0])
        if there is None or here is None or not there.exists() or _same_file(there, here):
            return scene
    return None


def is_repeated(source: Source, first: Source) -> bool:
    """Return whether a scene is the same as another with the same identity, rather than a copy."""
    one, other = local_file(source.hrefs[0]), local_file(first.hrefs[0])
    return one is None or other is None or (source.hrefs == first.hrefs) or (one != other and _same_file(one, other))


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _with_remembered(spec: SceneSpec, scene: Scene | None) -> SceneSpec:
    if scene is None:
        return spec
    if spec.remember:
        kept: Mapping[str, Any] = scene.tiling
        if "tile_px" in kept:
            spec = replace(spec, tiling=Tiling.of_dict(kept))
    if spec.sensor is None and (scene.source or {}).get("sensor"):
        spec = replace(spec, sensor=(scene.source or {})["sensor"], force=True)
    return spec


def _matched_by_itself(scene: Scene | None) -> bool:
    return scene is not None and scene.source is not None and scene.source.get("sensor") is None


def _is_legacy(scene: Scene, spec: SceneSpec, options: Mapping[str, Any]) -> bool:
    """Return whether a scene indexed by an older version is unchanged, by its legacy key."""
    if scene.identity is not None:
        return False
    own = (scene.source or {}).get("sensor")
    sensor = own if spec.sensor is None or not spec.force else spec.sensor
    return scene.key == scene_key(spec.source, {**options, "sensor": sensor})
