"""Batches for training: captioned images, and views of other sensors with captions, labels or optical twins."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bandsight.model.wavelengths import nearest_bands
from training.backscatter import SAR_UM, radar_ground
from training.data import RGB_UM, SETS, Example
from training.ground import ground
from training.measured import Measured
from training.scenes import Stack
from training.sentences import Sentences
from training.simulate import add_clouds, add_snow, radar_look, relief
from training.spectra import SENSORS, WATER, imitate
from training.student import Views
from training.views import mosaic, random_light, random_view

# Sentences of each image in a step.
OWN = 3
# Shares of captioned images that become mosaics, or get clouds, snow, simulated bands, simulated radar, a single band.
_MOSAICS, _CLOUDS, _SNOW = 0.08, 0.05, 0.03
_IMITATED, _RADAR, _SINGLE = 0.08, 0.06, 0.04
# Views in each group of another sensor, and of simulated ground in optical bands and in radar.
_GROUP, _GROUND, _RADAR_GROUND = 8, 16, 6
# Classes whose images may contain water; in others, dark or blue pixels are shadow.
_WET = {"beach", "bridge", "golf course", "harbor", "island", "lake", "park", "pond", "port", "resort", "river"}
_WET |= {"sea or lake", "ship", "wetland"}
# Classes whose dark, smooth surfaces are water, not lawn or tarmac.
_SMOOTH_WATER = {"beach", "bridge", "harbor", "island", "lake", "pond", "port", "river", "sea or lake", "ship"}


@dataclass(slots=True)
class Batch:
    """Groups of views, with the targets of each view."""

    groups: list[Views] = field(default_factory=list)
    own: list[list[int]] = field(default_factory=list)
    """Rows of each view's sentences, `OWN` of them; empty without sentences."""
    kinds: list[int] = field(default_factory=list)
    """Kind of each view, or -1."""
    twins: list[tuple[list[int], Views]] = field(default_factory=list)
    """Positions of views that show the same ground as the views for the averaged model, in the same order."""

    def add(self, views: Tensor, wavelengths: tuple[float, ...], own: list[list[int]], kinds: list[int]) -> list[int]:
        """Append a group; return the positions of its views."""
        first = len(self.own)
        self.groups.append((views, wavelengths))
        self.own += own
        self.kinds += kinds
        return list(range(first, len(self.own)))


@dataclass(slots=True)
class Sources:
    """The data that views are drawn from."""

    captioned: dict[str, list[Example]]
    """Images by name of the set."""
    hls: list[Example]
    ships: list[Example]
    thermal: list[Example]
    pairs: list[tuple[Example, Example]]
    stacks: list[Stack]
    measured: list[Measured]


class Batches:
    """Draws batches. All randomness comes from the generators, so equal seeds give equal batches."""

    def __init__(self, sources: Sources, sentences: Sentences) -> None:
        self.sources, self.sentences = sources, sentences
        self.images = [image for images in sources.captioned.values() for image in images]
        self.kinds = np.array([sentences.kind(image) for image in self.images])
        self._of_kind = {kind: np.flatnonzero(self.kinds == kind) for kind in set(self.kinds.tolist())}
        shown = [np.full(len(images), SETS[name][1]) for name, images in sources.captioned.items()]
        weights = np.concatenate(shown)
        self._share = weights / weights.sum()
        self.epoch = int(weights.sum())
        """Number of images in an epoch."""

    def draw(self, count: int, size: int, rng: np.random.Generator, torch_rng: torch.Generator) -> Batch:
        """Return a batch.

        Args:
            count: Number of captioned images.
            size: Side of the views, pixels.
            rng: Random number generator.
            torch_rng: Random number generator for tensors.
        """
        batch = Batch()
        self._captioned(batch, count, size, rng, torch_rng)
        self._multispectral(batch, size, rng, torch_rng)
        self._ground(batch, size, rng, torch_rng)
        self._radar(batch, size, rng, torch_rng)
        if rng.random() < 0.5:
            self._one_band(batch, size, rng, torch_rng)
        return batch

    def _captioned(
        self, batch: Batch, count: int, size: int, rng: np.random.Generator, torch_rng: torch.Generator
    ) -> None:
        rows = rng.choice(len(self.images), count, replace=False, p=self._share)
        images = [self.images[row] for row in rows]
        kinds = [int(kind) for kind in self.kinds[rows]]
        views = torch.cat([random_view(image.pixels, size, rng, _area(rng)) for image in images])
        own = [self.sentences.draw(image, kind, OWN, rng) for image, kind in zip(images, kinds, strict=True)]
        chance = rng.random(count)
        for i in np.flatnonzero(chance < _MOSAICS).tolist():
            if kinds[i] < 0:
                continue
            beside = rng.choice(self._of_kind[kinds[i]], 3 if rng.random() < 0.6 else 15)
            more = [random_view(self.images[other].pixels, size, rng, (0.4, 1.0)) for other in beside]
            views[i] = mosaic(torch.cat([views[i : i + 1], *more]))
            # Captions describe details of one part; the whole mosaic shows the kind.
            own[i] = self.sentences.prompts(kinds[i], OWN, rng)
        views = random_light(views, torch_rng)
        self._weather(views, chance, own, kinds, rng)
        shown = rng.permutation(count)
        parts = np.split(shown, np.cumsum([round(share * count) for share in (_IMITATED, _RADAR, _SINGLE)]))
        white = set(np.flatnonzero((chance > 1 - _CLOUDS - _SNOW) & (chance < 1 - _CLOUDS)).tolist())
        for part, kind in zip(parts, ("imitated", "radar", "single", "rgb"), strict=True):
            seen, waves = views[part], _near_rgb(rng)
            if kind == "imitated":
                waves = _some_bands(SENSORS[int(rng.integers(len(SENSORS)))], rng)
                seen = torch.cat([self._imitated(views[i : i + 1], images[i], waves, i in white, rng) for i in part])
            elif kind == "radar":
                waves = (SAR_UM,) * int(rng.integers(1, 3))
                seen = radar_look(seen, rng, len(waves))
            elif kind == "single":
                waves = (float(rng.choice([0.49, 0.56, 0.58, 0.65, 0.665])),)
                seen = seen.mean(dim=1, keepdim=True)
            batch.add(seen, waves, [own[i] for i in part], [kinds[i] for i in part])

    def _weather(
        self,
        views: Tensor,
        chance: NDArray[np.float64],
        own: list[list[int]],
        kinds: list[int],
        rng: np.random.Generator,
    ) -> None:
        cloudy = np.flatnonzero(chance > 1 - _CLOUDS)
        if len(cloudy):
            share = rng.uniform(0.1, 0.95, len(cloudy))
            views[cloudy] = add_clouds(views[cloudy], share, rng, thin=True)
            for i, covered in zip(cloudy.tolist(), share.tolist(), strict=True):
                if covered > 0.3:
                    self._call(i, "cloud" if covered > 0.6 else "some_cloud", own, kinds, rng)
        snowy = np.flatnonzero((chance > 1 - _CLOUDS - _SNOW) & (chance < 1 - _CLOUDS))
        if len(snowy):
            views[snowy] = add_snow(views[snowy], rng)
            for i in snowy[rng.random(len(snowy)) < 0.5].tolist():
                self._call(i, "snow", own, kinds, rng)

    def _call(self, i: int, label: str, own: list[list[int]], kinds: list[int], rng: np.random.Generator) -> None:
        kinds[i] = self.sentences.label(label)
        own[i] = self.sentences.prompts(kinds[i], OWN, rng)

    def _imitated(
        self, view: Tensor, image: Example, waves: tuple[float, ...], snow: bool, rng: np.random.Generator
    ) -> Tensor:
        dry = () if image.cls in _WET or image.cls is None else WATER
        return imitate(view, waves, rng, snow=snow, without=dry, smooth_is_water=image.cls in _SMOOTH_WATER)

    def _multispectral(self, batch: Batch, size: int, rng: np.random.Generator, torch_rng: torch.Generator) -> None:
        """Add views of several bands. Their targets are the averaged model's vectors for all bands."""
        draw = rng.random()
        if draw < 0.4 and self.sources.hls:
            seen = [self.sources.hls[int(i)] for i in rng.choice(len(self.sources.hls), _GROUP, replace=False)]
            whole = torch.cat([random_view(image.pixels, size, rng, (0.3, 1.0)) for image in seen])
            waves = seen[0].wavelengths
            kinds = [-1] * _GROUP
            own = [self.sentences.draw(image, -1, OWN, rng) for image in seen]
        else:
            whole, waves, labels = self._scene(size, rng)
            kinds, own = self._labelled(labels, rng)
        keep = _kept(waves, rng)
        views = random_light(whole[:, keep], torch_rng)
        positions = batch.add(views, tuple(waves[band] for band in keep), own, kinds)
        batch.twins.append((positions, (whole, waves)))

    def _ground(self, batch: Batch, size: int, rng: np.random.Generator, torch_rng: torch.Generator) -> None:
        """Add simulated ground of 10 to 30 m, in some bands of a sensor and in radar."""
        made = ground(_GROUND, size, rng)
        kinds, own = self._labelled(made.labels, rng)
        keep = _kept(made.wavelengths, rng)
        views = random_light(made.views[:, keep], torch_rng)
        batch.add(views, tuple(made.wavelengths[band] for band in keep), own, kinds)
        echo = radar_ground(_RADAR_GROUND, size, rng)
        kinds, own = self._labelled(echo.labels, rng)
        batch.add(random_light(echo.views, torch_rng), echo.wavelengths, own, kinds)

    def _scene(self, size: int, rng: np.random.Generator) -> tuple[Tensor, tuple[float, ...], list[str | None]]:
        stack = self.sources.stacks[int(rng.integers(len(self.sources.stacks)))]
        height, width = stack.mask.shape
        pixels = stack.pixels if rng.random() < 0.6 else stack.each_alone
        crops, labels = [], []
        for _ in range(_GROUP):
            for _ in range(12):
                side = int(min(rng.uniform(0.5, 1.5) * 96, height, width))
                top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
                window = (slice(top, top + side), slice(left, left + side))
                label = stack.label(window)
                if (stack.mask[window] == 255).mean() < 0.1 and (label is not None or rng.random() < 0.3):
                    break
            crops.append(random_view(pixels[:, window[0], window[1]], size, rng, (0.95, 1.0)))
            labels.append(label)
        return torch.cat(crops), tuple(float(each) for each in stack.wavelengths), labels

    def _labelled(self, labels: list[str | None], rng: np.random.Generator) -> tuple[list[int], list[list[int]]]:
        kinds = [self.sentences.label(label) for label in labels]
        own = [self.sentences.prompts(kind, OWN, rng) if kind >= 0 else [] for kind in kinds]
        return kinds, own

    def _radar(self, batch: Batch, size: int, rng: np.random.Generator, torch_rng: torch.Generator) -> None:
        """Add radar: Sentinel-1 with its optical twin, ships, or a scene labelled by backscatter."""
        draw = rng.random()
        if draw < 0.72:
            chosen = [self.sources.pairs[int(i)] for i in rng.choice(len(self.sources.pairs), _GROUP, replace=False)]
            both = [np.concatenate([radar.pixels, optical.pixels]) for radar, optical in chosen]
            whole = torch.cat([random_view(pixels, size, rng, (0.3, 1.0)) for pixels in both])
            views = random_light(whole[:, :1], torch_rng)
            if rng.random() < 0.5:
                # Simulated VV in addition to VH: a few dB brighter, with independent speckle.
                views = torch.cat([views, (views + 0.1 + 0.04 * torch.randn(views.shape)).clamp(0, 1)], dim=1)
            empty: list[list[int]] = [[] for _ in chosen]
            positions = batch.add(views, (SAR_UM,) * views.shape[1], empty, [-1] * len(chosen))
            batch.twins.append((positions, (whole[:, 1:], RGB_UM)))
        elif draw < 0.87 and self.sources.ships:
            dual = [image for image in self.sources.ships if len(image.wavelengths) == 2]
            seen = [dual[int(i)] for i in rng.choice(len(dual), _GROUP, replace=False)]
            views = torch.cat([random_view(image.pixels, size, rng, (0.6, 1.0)) for image in seen])
            keep = [0, 1] if rng.random() < 0.5 else [int(rng.integers(2))]
            own = [self.sentences.draw(image, self.sentences.kind(image), OWN, rng) for image in seen]
            kinds = [self.sentences.kind(image) for image in seen]
            batch.add(random_light(views[:, keep], torch_rng), (SAR_UM,) * len(keep), own, kinds)
        else:
            scene = next(each for each in self.sources.measured if each.radar)
            self._measured(batch, scene, size, (SAR_UM,), rng, torch_rng)

    def _one_band(self, batch: Batch, size: int, rng: np.random.Generator, torch_rng: torch.Generator) -> None:
        """Add thermal imagery, or elevation."""
        draw = rng.random()
        if draw < 0.5:
            seen = [self.sources.thermal[int(i)] for i in rng.choice(len(self.sources.thermal), _GROUP, replace=False)]
            views = torch.cat([random_view(image.pixels, size, rng, (0.4, 1.0)) for image in seen])
            own = [self.sentences.draw(image, -1, OWN, rng) for image in seen]
            batch.add(random_light(views, torch_rng), seen[0].wavelengths, own, [-1] * _GROUP)
        elif draw < 0.75:
            views, labels = relief(_GROUP, size, rng)
            kinds, own = self._labelled(list(labels), rng)
            batch.add(views, RGB_UM, own, kinds)
        else:
            heights = next(each for each in self.sources.measured if not each.radar)
            self._measured(batch, heights, size, RGB_UM, rng, torch_rng)

    def _measured(
        self,
        batch: Batch,
        scene: Measured,
        size: int,
        waves: tuple[float, ...],
        rng: np.random.Generator,
        torch_rng: torch.Generator,
    ) -> None:
        crops, labels = zip(*(scene.crop(int(rng.integers(64, 129)), rng) for _ in range(_GROUP)), strict=True)
        views = torch.cat([random_view(crop, size, rng, (1.0, 1.0)) for crop in crops])
        if scene.radar:
            views = random_light(views, torch_rng)
        kinds, own = self._labelled(list(labels), rng)
        batch.add(views.repeat(1, len(waves), 1, 1) if views.shape[1] == 1 else views, waves, own, kinds)


def _area(rng: np.random.Generator) -> tuple[float, float]:
    return (0.2, 0.5) if rng.random() < 0.12 else (0.5, 1.0)


def _near_rgb(rng: np.random.Generator) -> tuple[float, ...]:
    return tuple(float(um * rng.uniform(0.985, 1.015)) for um in RGB_UM)


def _some_bands(waves: tuple[float, ...], rng: np.random.Generator) -> tuple[float, ...]:
    if rng.random() < 0.5:
        return waves
    count = int(rng.integers(2, len(waves) + 1))
    return tuple(waves[int(band)] for band in sorted(rng.permutation(len(waves))[:count]))


def _kept(waves: tuple[float, ...], rng: np.random.Generator) -> list[int]:
    """Return the bands of a view: all of them, red, green and blue, or random ones."""
    draw = rng.random()
    if draw < 0.35:
        return list(range(len(waves)))
    if draw < 0.6:
        return list(nearest_bands(waves, (0.66, 0.56, 0.49)))
    count = int(rng.integers(1, min(len(waves), 10) + 1))
    return sorted(int(band) for band in rng.permutation(len(waves))[:count])
