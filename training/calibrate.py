"""Fits what a cosine is worth for each family of imagery, and the level of a match, on the validation part."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import class_vectors, embed
from bandsight.evaluation.metrics import nothing_here
from bandsight.model import load_model
from bandsight.model.calibration import FILE, Platt
from bandsight.model.protocol import Encoder
from training.captions import read_sets
from training.evaluate import WISHES, rgb_of
from training.medium import read_medium
from training.simulate import radar_look

SAR_UM = 5.405
# Asked of medium-resolution tiles beside what they show: none of them shows any of these.
ABSENT = ("an airplane", "a stadium", "storage tanks", "sand dunes", "a container port", "a tennis court", "a volcano")
# Cosines and truths of images and sentences, both of shape (images, sentences).
_Pairs = tuple[NDArray[np.float32], NDArray[np.bool_]]
_LEVELS = np.arange(0.02, 0.9, 0.01)


def calibrate(model: Path, data: Path, demo_scenes: Path) -> dict[str, Any]:
    """Write calibration.json into a model folder and return what it says.

    Args:
        model: The folder.
        data: The training data; its validation part is used.
        demo_scenes: The demo's scenes; the western halves of those labelled by eye are used.
    """
    (model / FILE).unlink(missing_ok=True)
    encoder = load_model(f"local-dir:{model}", check=False)
    pairs: dict[str, list[tuple[NDArray[np.float32], NDArray[np.bool_]]]] = {
        "rgb": [],
        "radar": [],
        "multispectral": [],
    }
    for images in read_sets(data, "validation").values():
        pairs["rgb"].append(_class_pairs(encoder, images))
        pairs["radar"].append(_class_pairs(encoder, [_as_radar(image, row) for row, image in enumerate(images)]))
    tiles = [tile for tile in read_medium(data, demo_scenes) if not tile.east and tile.labels]
    names = [*(wishes[0] for wishes in WISHES.values()), *ABSENT]
    truth = np.array([[label in tile.labels for label in WISHES] + [False] * len(ABSENT) for tile in tiles])
    weights = class_vectors(encoder, names)
    # What is seen in red, green and blue is judged as that, from however high: one scale has to do for both.
    for name, view in (
        ("multispectral", [tile.image for tile in tiles]),
        ("rgb", [rgb_of(tile.image) for tile in tiles]),
    ):
        pairs[name].append((embed(encoder, view) @ weights.T, truth))
    said = {"families": {name: _fit(found) for name, found in pairs.items()}}
    said["families"]["default"] = _fit([pair for found in pairs.values() for pair in found])
    (model / FILE).write_text(json.dumps(said, indent=1) + "\n")
    return said


def _class_pairs(encoder: Encoder, images: list[LabelledImage]) -> _Pairs:
    classes = sorted({image.cls for image in images if image.cls})
    truth = np.array([[image.cls == cls for cls in classes] for image in images])
    return embed(encoder, images) @ class_vectors(encoder, classes).T, truth


def _as_radar(image: LabelledImage, row: int) -> LabelledImage:
    view = torch.from_numpy(image.pixels).unsqueeze(0).float() / 255
    seen = radar_look(view, np.random.default_rng(row), 1)[0]
    pixels = (seen * 255).round().to(torch.uint8).numpy()
    return LabelledImage(key=image.key, pixels=pixels, wavelengths=(SAR_UM,), cls=image.cls)


def _fit(pairs: list[_Pairs]) -> dict[str, Any]:
    """Return scale and bias by logistic regression on all pairs, and the level that tells best what is there."""
    cosines = torch.from_numpy(np.concatenate([c.ravel() for c, _ in pairs])).double()
    truths = torch.from_numpy(np.concatenate([t.ravel() for _, t in pairs])).double()
    line = torch.tensor([10.0, -5.0], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([line], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(cosines * line[0] + line[1], truths)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(loss)  # type: ignore[no-untyped-call]
    scale, bias = (float(value) for value in line.detach())
    platt = Platt(scale=scale, bias=bias)
    best: tuple[float, float, dict[str, float]] = (-1.0, 0.5, {})
    for level in _LEVELS.tolist():
        found = [nothing_here(platt.probability(c), t, level) for c, t in pairs]
        figures = {name: round(float(np.mean([f[name] for f in found])), 4) for name in found[0]}
        precision, recall = figures["archive_precision"], figures["archive_recall"]
        balance = 2 * precision * recall / max(precision + recall, 1e-9)
        if balance > best[0]:
            best = (balance, level, figures)
    return {
        "scale": round(scale, 4),
        "bias": round(bias, 4),
        "threshold": round(best[1], 2),
        "pairs": len(truths),
        "fitted_on": best[2],
    }
