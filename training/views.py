"""The views that the joined head is trained on: made once, kept as files, and put through each trunk once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bandsight.model import load_model
from bandsight.model.architecture import SideBySide, wavelength_inputs
from bandsight.model.spectral_indices import SpectralIndices
from training.batches import Batches, SceneBatch
from training.parts import Part
from training.sentences import Meaning

# As searches see captioned images, and as the world's sensors do.
_CLEAN = Part(
    until=1,
    size=128,
    wide=False,
    area=0.45,
    prompts=0.1,
    mosaics=0.04,
    other_bands=0.06,
    imitated=0,
    crops=(12, 12),
    weather=0.3,
)
_WORLD = Part(
    until=1, size=128, wide=True, area=0.35, prompts=0.1, mosaics=0.2, other_bands=0.12, imitated=0.3, crops=(12, 12)
)
PASSES = (_CLEAN, _WORLD) * 3
_BATCH = 112
# Batches of imitated ground beside, and crops in each: what calm water and bare hills look like, scenes hardly show.
_GROUND = (288, 24)
# Clouds and snow in those, so many times as often: in all bands the scenes have few.
_GROUND_WEATHER = 2.5
# Share of those that are also seen in red, green, blue alone, which is all that most archives have.
_GROUND_RGB = 0.6


@dataclass(frozen=True, slots=True)
class Scene:
    """Features of crops of one scene."""

    whole: Tensor
    """From all bands, shape (n, features)."""
    seen: Tensor
    """From some bands, in worse light, likewise."""
    labelled: list[int]
    """Which crops have a label."""
    kinds: NDArray[np.int64]
    """The labels, as kinds of sentences."""
    name: str
    """Which scene."""


@dataclass(frozen=True, slots=True)
class Step:
    """Features of what one step looks at."""

    features: Tensor | None
    """Of captioned images, shape (n, features); None where there are none."""
    meaning: Meaning
    """What they mean."""
    images: NDArray[np.int64]
    """Whose captions are true; -1 where only the kind is known."""
    scenes: list[Scene]


def make_views(batches: Batches, folder: Path, seed: int) -> list[Path]:
    """Write a file for each step and return them all; those there are already stay."""
    folder.mkdir(parents=True, exist_ok=True)
    per_pass = len(batches.images) // _BATCH
    files = []

    def write(path: Path, make: Callable[[np.random.Generator, torch.Generator], dict[str, Any]], one: int) -> None:
        files.append(path)
        if not path.exists():
            torch.save(make(np.random.default_rng(one), torch.Generator().manual_seed(one)), path.with_suffix(".new"))
            path.with_suffix(".new").replace(path)

    for number, part in enumerate(PASSES):
        order = np.random.default_rng(seed + number).permutation(len(batches.images))
        for step in range(per_pass):
            rows = order[step * _BATCH : (step + 1) * _BATCH].tolist()
            made = partial(_made, batches, rows, part)
            write(folder / f"{number}-{step:03}.pt", made, seed + 1000 * number + step)
    for step in range(_GROUND[0]):
        write(folder / f"ground-{step:03}.pt", partial(_only_ground, batches), seed + 1000 * len(PASSES) + step)
    return files


def _made(
    batches: Batches, rows: list[int], part: Part, rng: np.random.Generator, torch_rng: torch.Generator
) -> dict[str, Any]:
    batch = batches.captioned(rows, part, rng, torch_rng)
    return {
        "groups": [(_small(views), waves) for views, waves in batch.groups],
        "meaning": batch.meaning.vectors,
        "kinds": batch.meaning.kinds.tolist(),
        "images": batch.images.tolist(),
        "scenes": [_scene(batches.scene(count, part, rng, torch_rng)) for count in part.crops],
    }


def _only_ground(batches: Batches, rng: np.random.Generator, torch_rng: torch.Generator) -> dict[str, Any]:
    part = replace(_WORLD, weather=_GROUND_WEATHER)
    scene = _scene(batches.ground(_GROUND[1], part, rng, torch_rng, rgb=_GROUND_RGB))
    return {"groups": [], "meaning": torch.empty(0, 384), "kinds": [], "images": [], "scenes": [scene]}


def _scene(scene: SceneBatch) -> dict[str, Any]:
    return {
        "whole": (_small(scene.whole), scene.whole_wavelengths),
        "seen": (_small(scene.seen), scene.wavelengths),
        "labelled": scene.labelled,
        "kinds": scene.meaning.kinds.tolist(),
        "name": scene.name,
    }


def _small(views: Tensor) -> Tensor:
    return (views * 255).round().to(torch.uint8)


def make_features(trunk: Callable[[Tensor, tuple[float, ...]], Tensor], files: list[Path], folder: Path) -> None:
    """Write a trunk's pooled features of all views of each step: `captioned`, and `scenes` (whole, seen).

    Args:
        trunk: A `Trunk`: uint8 views of some bands to pooled features.
        files: What `make_views` wrote.
        folder: Where they are kept, under the names of `files`; goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = folder / file.name
        if not path.exists():
            step = torch.load(file, weights_only=True)
            captioned = [trunk(views, waves) for views, waves in step["groups"]]
            scenes = [(trunk(*scene["whole"]), trunk(*scene["seen"])) for scene in step["scenes"]]
            torch.save(
                {"captioned": torch.cat(captioned) if captioned else None, "scenes": scenes}, path.with_suffix(".new")
            )
            path.with_suffix(".new").replace(path)


class Trunk:
    """One trunk, learned or not: uint8 views to pooled features, float16."""

    def __init__(self, trunk: nn.Module, device: torch.device) -> None:
        self._trunk, self._device = trunk, device
        self._inputs = wavelength_inputs(trunk)

    @torch.inference_mode()
    def __call__(self, views: Tensor, wavelengths: tuple[float, ...]) -> Tensor:
        """Return features (n, features) of views uint8 (n, bands, size, size)."""
        for stage in self._inputs:
            stage.use(wavelengths)
        out: Tensor = self._trunk((views.to(self._device).float() / 255 - 0.5) / 0.5)
        return out.half().cpu()


def trunks_of(models: Sequence[Path]) -> list[Trunk]:
    """Return the learned trunks of exported models, one or several each, and the spectral indices as the last."""
    found = []
    for model in models:
        encoder = load_model(f"local-dir:{model}", check=False)
        trunk = encoder._model.visual.trunk  # noqa: SLF001  (before its head)
        each = trunk.trunks if isinstance(trunk, SideBySide) else [trunk]
        found += [Trunk(one, encoder.device) for one in each if not isinstance(one, SpectralIndices)]
    return [*found, Trunk(SpectralIndices(), torch.device("cpu"))]


def read_steps(files: list[Path], folders: Sequence[Path]) -> list[Step]:
    """Return all steps with the features of the trunks side by side.

    Args:
        files: What `make_views` wrote.
        folders: Where `make_features` put each trunk's features of them.
    """
    steps = []
    for file in files:
        said = torch.load(file, weights_only=True, mmap=True)
        parts = [torch.load(folder / file.name, weights_only=True) for folder in folders]
        scenes = [
            Scene(
                torch.cat([part["scenes"][i][0] for part in parts], dim=1),
                torch.cat([part["scenes"][i][1] for part in parts], dim=1),
                scene["labelled"],
                np.array(scene["kinds"], np.int64),
                scene["name"],
            )
            for i, scene in enumerate(said["scenes"])
        ]
        captioned = [part["captioned"] for part in parts]
        features = None if captioned[0] is None else torch.cat(captioned, dim=1)
        meaning = Meaning(said["meaning"].clone(), np.array(said["kinds"]))
        steps.append(Step(features, meaning, np.array(said["images"]), scenes))
    return steps
