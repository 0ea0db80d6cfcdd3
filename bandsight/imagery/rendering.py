"""Renders stored values as images: bands, stretch and colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bandsight.catalog.records import Scene
from bandsight.errors import QueryError
from bandsight.imagery.despeckle import box_sum, despeckle_radius, despeckled
from bandsight.imagery.display import Display, Tone, decibel_of, display_of, is_radar, toned
from bandsight.imagery.scene_raster import decisions_of, shipped_profile
from bandsight.raster.bands import BandRef
from bandsight.sensors.scaling import Decibel, decibel
from bandsight.sensors.styles import RATIO, Style, styles_of

# Percentiles for stretching an image to its own values.
_OWN_PERCENTILES = (0.5, 99.5)
_COLOURS = 3
# Single invalid pixels are filled if more than this fraction of the pixels within the radius is valid.
_HOLE_RADIUS, _HOLE_SHARE = 2, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderSpec:
    """How to render a scene."""

    channels: tuple[tuple[int, ...], ...]
    """One channel, or three for red, green and blue. Each has a position in `reads`, or two for a ratio in dB."""
    reads: tuple[BandRef, ...]
    """The bands to read."""
    ranges: tuple[tuple[float, float], ...]
    """Range mapped to 0..255 for each channel, in stored values, or dB if `to_db` is set."""
    tone: Tone = "linear"
    """The tone curve."""
    to_db: Decibel | None = None
    """Conversion to dB, applied first."""
    speckle: Literal["decibel", "amplitude"] | None = None
    """Unit of the values for speckle filtering; None for no filtering."""
    colormap: str | None = None
    """Name of a rio-tiler colormap for a single channel."""
    own_stretch: bool = False
    """Stretch to the values in the image instead of the scene. Such images are not comparable."""

    def margin(self, step: float) -> int:
        """Return the margin that an image needs for filtering, pixels, at `step` scene pixels per pixel."""
        return despeckle_radius(step) if self.speckle else 0


def scene_styles(scene: Scene) -> tuple[Style, ...]:
    """Return the styles of a scene, the default first.

    They come from the profile the scene was indexed with. For scenes indexed by an older version, from the built-in
    profile with that name.
    """
    decided, profile = decisions_of(scene), shipped_profile(scene.sensor)
    own = decided.styles if decided is not None else profile.styles if profile else ()
    first: dict[tuple[str, int], BandRef] = {}
    for band in scene.bands:
        # A stored band may be repeated, e.g. panchromatic as three equal bands.
        first.setdefault((band.href, band.index), band)
    bands = [(band.name, band.wavelength_um) for band in first.values()]
    return styles_of(bands, own)


def render_spec(
    scene: Scene,
    *,
    style: str | None = None,
    bands: Sequence[str] | None = None,
    rescale: Sequence[tuple[float, float]] | None = None,
    colormap: str | None = None,
    own_stretch: bool = False,
) -> RenderSpec:
    """Return how to render a scene.

    Args:
        scene: The scene.
        style: Name of one of its styles.
        bands: Names of one band, or three for red, green and blue; cannot be combined with a style.
        rescale: Range mapped to 0..255, in stored values (dB for radar stored as amplitude or power): one pair for all
            bands, or one for each.
        colormap: Colormap for a single band.
        own_stretch: Stretch to the values in the image.

    Raises:
        QueryError: The scene has no such style or band, or parameters contradict each other.
    """
    chosen = _chosen(scene, style, bands)
    if colormap is not None:
        if len(chosen.bands) == _COLOURS:
            raise QueryError(
                f"colormap: found {colormap!r} with three bands; it applies to a single band, so pass bands=NAME"
            )
        _check_colormap(colormap)
    by_name = {band.name: (position, band) for position, band in enumerate(scene.bands)}
    reads = [by_name[name] for name in chosen.needs]
    at = {name: number for number, name in enumerate(chosen.needs)}
    display = _display(scene, chosen, [[by_name[part][0] for part in _parts(band)] for band in chosen.bands])
    ranges, tone = display.ranges, display.tone
    if rescale is not None:
        if len(rescale) not in {1, len(chosen.bands)}:
            raise QueryError(
                f"rescale: found {len(rescale)} ranges for {len(chosen.bands)} bands; pass one low,high for all, "
                "or one for each"
            )
        ranges = tuple(rescale) * (len(chosen.bands) if len(rescale) == 1 else 1)
        # Show stored values linearly.
        tone = "linear"
    return RenderSpec(
        channels=tuple(tuple(at[part] for part in _parts(band)) for band in chosen.bands),
        reads=tuple(band for _, band in reads),
        ranges=ranges,
        tone=tone,
        to_db=decibel_of(scene),
        speckle=None
        if rescale is not None or not is_radar(scene)
        else "amplitude"
        if scene.stretch.get("kind") == "as_is"
        else "decibel",
        colormap=colormap or chosen.colormap,
        # 8-bit imagery needs no stretch.
        own_stretch=own_stretch and rescale is None and scene.stretch.get("kind") != "as_is",
    )


def render(
    spec: RenderSpec,
    values: Sequence[NDArray[Any]] | NDArray[np.float32],
    valid: NDArray[np.bool_],
    step: float,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Render an image, uint8 (rows, columns, 3), and its visible pixels, bool (rows, columns).

    Args:
        spec: How to render the scene.
        values: Stored values of the bands in `spec.reads`, shape (rows, columns) each.
        valid: Valid pixels, shape (bands, rows, columns).
        step: Scene pixels per image pixel, along each side.
    """
    numbers = np.stack([np.asarray(layer, np.float32) for layer in values])
    numbers, seen = _without_pinholes(numbers, valid & np.isfinite(numbers))
    if spec.to_db:
        numbers = decibel(numbers, spec.to_db)
    if spec.speckle:
        decibels, radius = spec.speckle == "decibel", spec.margin(step)
        numbers = np.stack([despeckled(layer, seen, radius, decibel=decibels) for layer in numbers])
    layers = [numbers[c[0]] if len(c) == 1 else numbers[c[0]] - numbers[c[1]] for c in spec.channels]
    ranges: Sequence[tuple[float, float]] = spec.ranges
    tone = spec.tone
    if spec.own_stretch and seen.any():
        ranges, tone = _own_ranges(layers, seen), "linear"
    shown = [toned(layer, low, high, tone) for layer, (low, high) in zip(layers, ranges, strict=True)]
    if spec.colormap is not None:
        return _coloured(shown[0], spec.colormap), seen
    return np.stack(shown * (_COLOURS if len(shown) == 1 else 1), axis=-1), seen


def _without_pinholes(
    numbers: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fill single invalid pixels from their neighbours. Returns the values, and where all bands are valid.

    Dark water and white roofs may equal the nodata value. Larger invalid areas stay transparent, because a pixel that
    lacks a band would be shown in a wrong colour.
    """
    seen = np.asarray(valid.all(axis=0))
    numbers = np.where(valid, numbers, 0).astype(np.float32)
    if seen.all() or not seen.any():
        return numbers, seen
    around = box_sum(seen.astype(np.float64), _HOLE_RADIUS)
    holes = ~seen & (around > _HOLE_SHARE * (2 * _HOLE_RADIUS + 1) ** 2)
    for layer, own in zip(numbers, valid, strict=True):
        fill = holes & ~own
        if fill.any():
            mean = box_sum(np.where(seen, layer, 0).astype(np.float64), _HOLE_RADIUS) / np.maximum(around, 1)
            layer[fill] = mean[fill]
    return numbers, seen | holes


def _chosen(scene: Scene, style: str | None, bands: Sequence[str] | None) -> Style:
    if style is not None and bands is not None:
        raise QueryError("style, bands: cannot be combined; pass one of them")
    if bands is not None:
        known = {band.name for band in scene.bands}
        unknown = [name for name in bands if name not in known]
        if unknown:
            raise QueryError(f"bands: {scene.name} has no {unknown[0][:60]!r}; it has {', '.join(sorted(known))}")
        if len(bands) not in {1, _COLOURS}:
            raise QueryError(f"bands: found {len(bands)}; need 1, or 3 for red, green and blue")
        own = next((one for one in scene_styles(scene) if one.bands == tuple(bands)), None)
        return own or Style(name="bands", title=", ".join(bands), bands=tuple(bands))
    styles = scene_styles(scene)
    if style is None:
        return styles[0]
    for one in styles:
        if one.name == style:
            return one
    raise QueryError(f"style: {scene.name} has no {style[:60]!r}; it has {', '.join(one.name for one in styles)}")


def _parts(band: str) -> list[str]:
    return band.split(RATIO)


def _display(scene: Scene, style: Style, channels: Sequence[Sequence[int]]) -> Display:
    """Return the stretch of a style; each channel is a band, or a ratio with its own range."""
    shares = style.ranges or ((0.0, 1.0),) * len(channels)
    single = [number for number, positions in enumerate(channels) if len(positions) == 1]
    display = display_of(scene, [channels[number][0] for number in single], [shares[number] for number in single])
    own = dict(zip(single, display.ranges, strict=True))
    return Display(ranges=tuple(own.get(n, shares[n]) for n in range(len(channels))), tone=display.tone)


def _own_ranges(layers: Sequence[NDArray[np.float32]], seen: NDArray[np.bool_]) -> list[tuple[float, float]]:
    # A separate low end per band removes blue haze. No band is stretched more than twice as much as another, so that
    # noise on a uniform surface stays grey.
    low, high = np.percentile(np.stack(layers)[:, seen], _OWN_PERCENTILES, axis=1)
    span = np.maximum(high - low, (high - low).max() / 2)
    return [(float(a), float(a + s)) for a, s in zip(low, span, strict=True)]


def _check_colormap(name: str) -> None:
    from rio_tiler.colormap import cmap

    if name not in cmap.list():
        raise QueryError(f"colormap: found {name[:60]!r}; need a rio-tiler colormap, e.g. inferno, viridis, terrain")


def _coloured(layer: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    from rio_tiler.colormap import apply_cmap, cmap

    colours, _ = apply_cmap(layer[None], cmap.get(name))
    return np.ascontiguousarray(np.moveaxis(colours[:_COLOURS], 0, -1)).astype(np.uint8, copy=False)
