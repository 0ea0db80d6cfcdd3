"""What imagery a scene is, as a model's calibration distinguishes it."""

from collections.abc import Sequence
from dataclasses import replace

from bandsight.archive import Archive
from bandsight.catalog.records import Hit, SceneRecord
from bandsight.errors import SensorError
from bandsight.model.imagery import Imagery, family, radar_family
from bandsight.sensors.profile import profile_named

_ELEVATION = "elevation"


def imagery_of(scene: SceneRecord, scale: int = 1) -> Imagery:
    """Return what imagery the tiles of a scene are.

    Args:
        scene: The scene.
        scale: Native pixels along each side of a pixel that the model saw.
    """
    return Imagery(
        family=_ELEVATION if scene.sensor == _ELEVATION else _family(scene),
        gsd_m=None if scene.gsd_m is None else scene.gsd_m * scale,
    )


def imagery_of_hit(hit: Hit) -> Imagery:
    """Return what imagery a hit's tile is."""
    return imagery_of(hit.scene, hit.tile.scale)


def _family(scene: SceneRecord) -> str:
    found = family(scene.wavelengths_um)
    if found != "radar":
        return found
    # Models have one code for all radar, so wavelengths do not tell its bands.
    frequency = _frequency_ghz(scene)
    return found if frequency is None else radar_family(frequency)


def _frequency_ghz(scene: SceneRecord) -> float | None:
    """Return the frequency of a radar scene: as stored when it was indexed, else that of its sensor."""
    bands = (scene.decisions or {}).get("bands") or [{}]
    stored: float | None = bands[0].get("frequency_ghz")
    if stored is not None:
        return stored
    try:
        return next((band.frequency_ghz for band in profile_named(scene.sensor).bands), None)
    except SensorError:
        return None


class SceneImagery:
    """A cache of what imagery scenes are at native resolution, which never changes."""

    def __init__(self) -> None:
        self._of: dict[int, Imagery | None] = {}

    def of(self, archive: Archive, scene_ids: Sequence[int]) -> list[Imagery | None]:
        """Return the imagery of scenes; None for a scene that is gone."""
        if missing := [one for one in scene_ids if one not in self._of]:
            self._of |= {one: imagery_of(scene) for one, scene in archive.scenes_by_id(missing).items()}
        return [self._of.get(one) for one in scene_ids]


def at_scale(imagery: Imagery, scale: int) -> Imagery:
    """Return imagery read with fewer pixels: s means s×s native pixels in one."""
    return imagery if imagery.gsd_m is None else replace(imagery, gsd_m=imagery.gsd_m * scale)
