"""The imagery of a scene's tiles, which decides how their scores are calibrated."""

from bandsight.catalog.records import SceneRecord
from bandsight.errors import SensorError
from bandsight.model.scoring import Imagery, family, radar_family
from bandsight.sensors.profile import profile_named

_ELEVATION = "elevation"


def imagery_of(scene: SceneRecord, scale: int = 1) -> Imagery:
    """Return the imagery of a scene's tiles.

    Args:
        scene: The scene.
        scale: Native pixels per model pixel, along each side.
    """
    return Imagery(
        family=_ELEVATION if scene.sensor == _ELEVATION else _family(scene),
        gsd_m=None if scene.gsd_m is None else scene.gsd_m * scale,
    )


def _family(scene: SceneRecord) -> str:
    found = family(scene.wavelengths_um)
    if found != "radar":
        return found
    # Models have one code for all radar, so wavelengths do not distinguish radar bands.
    frequency = _frequency_ghz(scene)
    return found if frequency is None else radar_family(frequency)


def _frequency_ghz(scene: SceneRecord) -> float | None:
    """Return the frequency of a radar scene, GHz: the stored one, else its sensor's."""
    bands = (scene.decisions or {}).get("bands") or [{}]
    stored: float | None = bands[0].get("frequency_ghz")
    if stored is not None:
        return stored
    try:
        return next((band.frequency_ghz for band in profile_named(scene.sensor).bands), None)
    except SensorError:
        return None
