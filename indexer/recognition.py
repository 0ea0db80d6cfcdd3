"""Recognises scenes that an archive has already: moved, with a new signature, or named by another path."""

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
    """A scene to be indexed, and how."""

    source: Source
    """Its files."""
    sensor: str | None = None
    """Profile for a scene that matches none; None for what it was indexed with, if it was."""
    force: bool = False
    """`sensor` also overrides what the scene matches."""
    tiling: Tiling
    """How it is cut."""
    remember: bool = False
    """A scene that is in the archive keeps the tiling that it was indexed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """What is known of a scene before it is opened."""

    spec: SceneSpec
    """With the options that it was indexed with, where those are kept."""
    identity: str
    """As the catalog keeps it."""
    key: str
    """As the catalog keeps it."""
    plain_key: str
    """The key where `spec.sensor` is not applied."""
    scene: Scene | None = None
    """The scene in the archive, of this or another version."""
    lease: str = ""
    """What jobs share out among themselves: the identity of its files."""
    unchanged: bool = False
    """It is there as it would be indexed now."""

    @property
    def note(self) -> str:
        """What the user is to know of a scene that is left as it is; empty for nothing."""
        given = self.spec.sensor
        if not given or self.spec.force or not _matched_by_itself(self.scene) or self.scene is None:
            return ""
        if given == self.scene.sensor:
            return ""
        return not_applied(self.scene.name, self.scene.sensor, given)

    @property
    def moved(self) -> dict[str, str]:
        """Where its files were and where they are now; empty where nothing has moved."""
        if self.scene is None:
            return {}
        kept, now = (self.scene.source or {}).get("hrefs", ()), self.spec.source.hrefs
        pairs = zip(kept, now, strict=True) if len(kept) == len(now) else ((self.scene.href, now[0]),)
        return {old: new for old, new in pairs if old != new}


def recognise(
    archive: Archive, spec: SceneSpec, found: Fingerprint, model: str, before: Mapping[str, Source] | None = None
) -> Recognised:
    """Return whether a scene is in an archive, wherever it lay then, and with which options.

    Args:
        archive: The archive.
        spec: The scene and the options that were given.
        found: What it is.
        model: Digest of the model.
        before: Scenes of the same job that come before this one, by identity.
    """
    identity = found.identity
    first = (before or {}).get(identity)
    scene = None if first else _same(archive, identity, spec.source)
    if first or (scene is None and _of_identity(archive, identity)):
        # A copy: the file that was indexed is still where it was.
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
    """Return the scenes with an identity (`SceneRecord.identity`); none where it is unknown."""
    with archive.database.reading() as catalog:
        return list(catalog.scenes(catalog.scene_ids_of_identity(identity)).values())


def _of_hrefs(archive: Archive, hrefs: Sequence[str]) -> Scene | None:
    """Return the scene that has one of some hrefs as its own, None where there is none."""
    with archive.database.reading() as catalog:
        ids = list(catalog.scene_ids_of(hrefs).values())
        return next(iter(catalog.scenes(ids[:1]).values())) if ids else None


def _same(archive: Archive, identity: str, source: Source) -> Scene | None:
    """Return the scene of an identity, unless its file still lies somewhere else."""
    for scene in _of_identity(archive, identity):
        there, here = local_file(scene.href), local_file(source.hrefs[0])
        if there is None or here is None or not there.exists() or _same_file(there, here):
            return scene
    return None


def is_repeated(source: Source, first: Source) -> bool:
    """Say whether a scene is one of the same identity once more, by another name or signature, and not a copy."""
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
    """Say whether a scene of an older version is unchanged, by the key that this version gave it."""
    if scene.identity is not None:
        return False
    own = (scene.source or {}).get("sensor")
    sensor = own if spec.sensor is None or not spec.force else spec.sensor
    return scene.key == scene_key(spec.source, {**options, "sensor": sensor})
