"""What a training step looks at: a batch of captioned images, or crops of one scene without captions."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bandsight.evaluation.datasets import LabelledImage
from bandsight.model.wavelengths import nearest_bands
from training.augment import mosaic, random_air, random_light, random_views
from training.ground import ground
from training.measured import Measured
from training.parts import Part
from training.scenes import Stack
from training.sentences import Meaning, Sentences
from training.simulate import add_clouds, add_snow, radar_look, relief
from training.sky import clouds
from training.spectra import SENSORS, WATER, imitate

RGB_UM = (0.665, 0.56, 0.49)
SAR_UM = 5.405
_CLOUDS, _SNOW = 0.08, 0.05
# Share of mosaics that are of sixteen parts and not of four, once imagery is wide.
_FAR = 0.5
# Share of scene crops that are measured radar or relief, once imagery is wide.
_MEASURED = 0.12
# Share of a scene's crops that are chosen for their label, and among how many.
_FOR_LABEL, _TRIES = 0.5, 12
# Share of a scene's crops that clouds are laid over: few scenes have clouds of their own.
_OVERCAST = 0.12
# Share of scene crops that are seen in red, green, blue alone.
_RGB = 0.25
# Share that is imitated ground, once imagery is wide.
_GROUND = 0.35
# Classes whose images may hold water; on the others what is dark or blue is shade.
_WET = {"beach", "bridge", "golf course", "harbor", "park", "pond", "port", "resort", "river"}
# Those whose dark even surfaces are water and not lawn or tarmac.
_SMOOTH_WATER = {"beach", "bridge", "harbor", "pond", "port", "river"}


@dataclass(frozen=True, slots=True)
class Batch:
    """Views in groups of one list of bands each, what they mean, and a sentence for each."""

    groups: tuple[tuple[Tensor, tuple[float, ...]], ...]
    meaning: Meaning
    own: NDArray[np.int64]
    images: NDArray[np.int64]
    """Whose captions are true of each view; -1 where only its kind is known any more."""


@dataclass(frozen=True, slots=True)
class SceneBatch:
    """Crops of a scene: as the teacher sees them, some bands for the student, labels for some."""

    whole: Tensor
    whole_wavelengths: tuple[float, ...]
    seen: Tensor
    wavelengths: tuple[float, ...]
    labelled: list[int]
    """Which crops have a label."""
    meaning: Meaning
    own: NDArray[np.int64]
    name: str
    """Which scene, `radar`, or what is imitated."""


class Batches:
    """Draws batches; the generators decide everything, so equal seeds give equal batches."""

    def __init__(
        self, images: list[LabelledImage], sentences: Sentences, stacks: list[Stack], measured: list[Measured]
    ) -> None:
        self.images, self.sentences, self.stacks, self.measured = images, sentences, stacks, measured
        self.same_class = {
            kind: np.flatnonzero(sentences.kind_of_image == kind) for kind in set(sentences.kind_of_image.tolist())
        }

    def captioned(self, rows: list[int], part: Part, rng: np.random.Generator, torch_rng: torch.Generator) -> Batch:
        """Return augmented views of images, with weather painted on some.

        Args:
            rows: Which images.
            part: How they are shown.
            rng: Source of chance.
            torch_rng: Source of chance for tensors.
        """
        s, size, wide = self.sentences, part.size, part.wide
        views = random_views([self.images[r].pixels for r in rows], size, torch_rng, area=(part.area, 1.0))
        own = np.array([s.draw(r, part.prompts, rng) for r in rows])
        images = np.array(rows)
        vectors, kinds = s.means[rows].clone(), s.kind_of_image[rows].copy()
        chance, mosaics = rng.random(len(rows)), part.mosaics
        for i in np.flatnonzero(chance < mosaics).tolist():
            parts = 16 if wide and rng.random() < _FAR else 4
            beside = rng.choice(self.same_class[int(kinds[i])], parts - 1)
            more = random_views([self.images[int(o)].pixels for o in beside], size, torch_rng, area=(0.3, 1.0))
            views[i] = mosaic(torch.cat([views[i : i + 1], more]))
            # Details of one part are not what the whole shows.
            own[i], vectors[i] = rng.choice(s.of_kind[kinds[i]]), s.kind_means[kinds[i]]
            images[i] = -1
        views = random_light(views, torch_rng)
        cloudy = np.flatnonzero(chance > 1 - _CLOUDS * part.weather)
        if len(cloudy):
            share = rng.uniform(0.1, 0.95, len(cloudy))
            views[cloudy] = add_clouds(views[cloudy], share, rng, thin=wide)
            for i, covered in zip(cloudy.tolist(), share.tolist(), strict=True):
                if covered > 0.3:
                    self._say(i, "cloud" if covered > 0.6 else "some_cloud", own, vectors, kinds, rng)
                    images[i] = -1
        snowy = np.flatnonzero((chance > mosaics) & (chance < mosaics + _SNOW * part.weather))
        if len(snowy):
            views[snowy] = add_snow(views[snowy], rng)
            for i in snowy[rng.random(len(snowy)) < 0.5].tolist():
                self._say(i, "snow", own, vectors, kinds, rng)
                images[i] = -1
        others = round(part.other_bands * len(rows))
        imitated = round(part.imitated * len(rows))
        rgb, waves = views[others + imitated :], _near_rgb(rng)
        groups = [(random_air(rgb, waves, torch_rng) if wide else rgb, waves), random_bands(views[:others], rng)]
        order = [*range(others + imitated, len(rows)), *range(others)]
        if imitated:
            shown = range(others, others + imitated)
            order += shown
            sensor = SENSORS[int(rng.integers(len(SENSORS)))]
            keep = rng.permutation(len(sensor))
            count = len(sensor) if rng.random() < 0.5 else int(rng.integers(1, 5))
            waves = tuple(sensor[int(b)] for b in keep[:count])
            white = set(snowy.tolist())
            classes = [self.images[rows[row]].cls for row in shown]
            made = torch.cat(
                [
                    imitate(
                        views[row : row + 1],
                        waves,
                        rng,
                        snow=row in white,
                        without=() if cls in _WET else WATER,
                        smooth_is_water=cls in _SMOOTH_WATER,
                    )
                    for row, cls in zip(shown, classes, strict=True)
                ]
            )
            groups.append((random_air(random_light(made, torch_rng), waves, torch_rng), waves))
        return Batch(tuple(groups), Meaning(vectors[order], kinds[order]), own[order], images[order])

    def scene(self, count: int, part: Part, rng: np.random.Generator, torch_rng: torch.Generator) -> SceneBatch:
        """Return crops of one scene under random bands; now and then relief, radar or imitated ground instead."""
        size, wide = part.size, part.wide
        if rng.random() < 0.06:
            views, labels = relief(count, size, rng)
            return self._scene_batch("relief", views, views, RGB_UM, RGB_UM, list(labels), rng)
        if wide and rng.random() < _MEASURED:
            return self._measured(size, count, rng, torch_rng)
        if wide and rng.random() < _GROUND:
            return self.ground(count, part, rng, torch_rng)
        stack = self.stacks[int(rng.integers(len(self.stacks)))]
        height, width = stack.mask.shape
        pixels = stack.pixels if rng.random() < 0.6 else stack.each_alone
        crops: list[NDArray[np.uint8]] = []
        labels_or_none: list[str | None] = []
        for _ in range(count):
            # Half of the crops are taken where they fall, half for a label that has been seldom so far.
            tries = _TRIES if rng.random() < _FOR_LABEL else 1
            windows = [_window(height, width, rng) for _ in range(tries)]
            found = [stack.label(window) for window in windows]
            seldom = min(range(tries), key=lambda i: (found[i] is None, labels_or_none.count(found[i])))
            crops.append(pixels[:, *windows[seldom]])
            labels_or_none.append(found[seldom])
        views = random_views(crops, size, torch_rng, area=(0.8, 1.0))
        waves = tuple(stack.wavelengths.tolist())
        for i in np.flatnonzero(rng.random(count) < _OVERCAST).tolist():
            over = clouds(size, waves, rng)
            # Full brightness of a band is less than a cloud's.
            views[i] = torch.from_numpy(over.over(views[i].numpy(), rng.uniform(0.9, 1.6))).clamp(0, 1)
            labels_or_none[i] = labels_or_none[i] if over.label == "clear" else over.label
        return self._some_bands(stack.name, views, waves, labels_or_none, part, rng, torch_rng)

    def ground(
        self, count: int, part: Part, rng: np.random.Generator, torch_rng: torch.Generator, *, rgb: float = _RGB
    ) -> SceneBatch:
        """Return views of imitated ground under random bands: red, green, blue alone in a share `rgb` of batches."""
        made = ground(count, part.size, rng, part.weather)
        return self._some_bands("ground", made.views, made.wavelengths, made.labels, part, rng, torch_rng, rgb=rgb)

    def _some_bands(
        self,
        name: str,
        views: Tensor,
        wavelengths: tuple[float, ...],
        labels: list[str | None],
        part: Part,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
        *,
        rgb: float = _RGB,
    ) -> SceneBatch:
        """Return what the teacher sees, and under worse light some bands: often all, or red, green, blue, or any."""
        bands = len(wavelengths)
        visible = np.array(sorted(set(nearest_bands(wavelengths, RGB_UM))))
        draw = rng.random()
        if draw < 0.3:
            keep = rng.permutation(bands)
        elif draw < 0.3 + rgb:
            keep = visible
        else:
            keep = rng.permutation(bands)[: rng.integers(1, bands + 1)]
        seen_waves = tuple(wavelengths[int(b)] for b in keep)
        seen = random_light(views[:, keep], torch_rng)
        if part.wide:
            seen = random_air(seen, seen_waves, torch_rng)
        # The captions have taught red, green and blue first; once other bands have meaning too, all bands know best.
        whole = range(bands) if part.wide else visible.tolist()
        whole_waves = tuple(wavelengths[b] for b in whole)
        return self._scene_batch(name, views[:, [*whole]], seen, whole_waves, seen_waves, labels, rng)

    def _measured(self, size: int, count: int, rng: np.random.Generator, torch_rng: torch.Generator) -> SceneBatch:
        source = self.measured[int(rng.integers(len(self.measured)))]
        drawn = [source.crop(int(rng.integers(24, 96)), rng) for _ in range(count)]
        views = random_views([pixels for pixels, _ in drawn], size, torch_rng, area=(0.8, 1.0))
        waves = (SAR_UM,) * int(rng.integers(1, 3)) if source.radar else RGB_UM
        views = views.repeat(1, len(waves), 1, 1)
        seen = random_light(views, torch_rng) if source.radar else views
        name = "radar" if source.radar else "heights"
        return self._scene_batch(name, views, seen, waves, waves, [label for _, label in drawn], rng)

    def _scene_batch(
        self,
        name: str,
        whole: Tensor,
        seen: Tensor,
        whole_wavelengths: tuple[float, ...],
        wavelengths: tuple[float, ...],
        labels: list[str] | list[str | None],
        rng: np.random.Generator,
    ) -> SceneBatch:
        s = self.sentences
        labelled = [i for i, label in enumerate(labels) if label is not None]
        kinds = np.array([s.kind(label) for label in labels if label is not None], np.int64)
        own = np.array([rng.choice(s.of_kind[kind]) for kind in kinds], np.int64)
        return SceneBatch(
            whole, whole_wavelengths, seen, wavelengths, labelled, Meaning(s.kind_means[kinds], kinds), own, name
        )

    def _say(
        self,
        i: int,
        label: str,
        own: NDArray[np.int64],
        vectors: Tensor,
        kinds: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        kinds[i] = self.sentences.kind(label)
        vectors[i] = self.sentences.kind_means[kinds[i]]
        own[i] = rng.choice(self.sentences.of_kind[kinds[i]])


def _window(height: int, width: int, rng: np.random.Generator) -> tuple[slice, slice]:
    """Return rows and columns of a square window of any side that lies anywhere."""
    side = int(min(height, width, 24 * (256 / 24) ** rng.random()))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return slice(top, top + side), slice(left, left + side)


def _near_rgb(rng: np.random.Generator) -> tuple[float, ...]:
    """Return red, green, blue as the sensors of the world have them, a little off each other's."""
    return tuple(w * float(rng.uniform(0.985, 1.015)) for w in RGB_UM)


def random_bands(views: Tensor, rng: np.random.Generator) -> tuple[Tensor, tuple[float, ...]]:
    """Shuffle RGB views or keep one or two of their bands, or pass them off as panchromatic or as radar."""
    waves = _near_rgb(rng)
    draw = rng.random()
    if draw < 0.5:
        keep = rng.permutation(3)[: rng.integers(1, 4)]
        return views[:, keep], tuple(waves[int(k)] for k in keep)
    if draw < 0.7:
        return views.mean(dim=1, keepdim=True), (float(rng.uniform(0.5, 0.7)),)
    channels = int(rng.integers(1, 3))
    return radar_look(views, rng, channels), (SAR_UM,) * channels
