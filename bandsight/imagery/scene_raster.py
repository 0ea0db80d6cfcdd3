"""Builds the `SceneRaster` of a catalog scene from the decisions made at indexing."""

from functools import lru_cache

from affine import Affine

from bandsight.catalog.records import Scene
from bandsight.raster.byte_scaling import ByteScaling
from bandsight.raster.decisions import BandDecision, Decisions
from bandsight.raster.scene_raster import FileGrid, QualityBand, SceneRaster
from bandsight.sensors.profile import Band, Profile, load_profiles


def decisions_of(scene: Scene) -> Decisions | None:
    """Return the decisions made when a scene was indexed, or None if an older version indexed it."""
    return None if scene.decisions is None else Decisions.from_dict(scene.decisions)


@lru_cache(maxsize=1024)
def shipped_profile(sensor: str) -> Profile | None:
    """Return a built-in profile, or None for a user's own."""
    return next((profile for profile in load_profiles() if profile.name == sensor), None)


def band_decisions(scene: Scene) -> list[BandDecision | None]:
    """Return what is known about each band of a scene; None if only the wavelength is.

    For scenes indexed by an older version, this comes from the built-in profile of the sensor.
    """
    decided = decisions_of(scene)
    if decided is not None and len(decided.bands) == len(scene.bands):
        return list(decided.bands)
    profile = shipped_profile(scene.sensor)
    known = {one.name: one for one in profile.bands} if profile else {}
    return [_of_profile(known[band.name]) if band.name in known else None for band in scene.bands]


def _of_profile(band: Band) -> BandDecision:
    return BandDecision(
        common_name=band.common_name,
        fwhm_um=band.fwhm_um,
        frequency_ghz=band.frequency_ghz,
        polarisation=band.polarisation,
    )


def raster_of(scene: Scene) -> SceneRaster:
    """Return how to read the pixels of a scene.

    Scenes indexed by an older version have no decisions; the built-in profile of the sensor is used instead.
    """
    decided = decisions_of(scene)
    profile = shipped_profile(scene.sensor) if decided is None else None
    nodata, fill_values = (profile.nodata, profile.fill_values) if profile else (None, ())
    if decided is not None:
        nodata, fill_values = decided.nodata, decided.fill_values
    quality = decided.quality if decided else None
    return SceneRaster(
        key=scene.key,
        name=scene.name,
        bands=scene.bands,
        crs=scene.crs,
        transform=scene.transform,
        width=scene.width,
        height=scene.height,
        files={one.href: FileGrid(transform=Affine(*one.transform), mask=one.mask) for one in decided.files}
        if decided
        else {},
        nodata=nodata,
        fill_values=fill_values,
        collar=decided.collar if decided else None,
        quality=None
        if quality is None
        else QualityBand(quality=quality.quality(), href=quality.href, transform=Affine(*quality.transform)),
        scaling=ByteScaling.of_stretch(scene.stretch),
    )
