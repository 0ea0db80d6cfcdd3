"""Fits probabilities for the families of imagery that there is labelled data for, on images kept out of training."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import PROMPTS, embed
from bandsight.evaluation.fitting import LabelledScores, class_scores, fit_and_check
from bandsight.model import load_model
from bandsight.model.calibration import FILE
from bandsight.model.protocol import Encoder
from demo.scenes import fetch
from training.data import read_examples
from training.evaluate import WISHES, rgb_of
from training.medium import MediumTile, read_medium

# Asked about tiles of 10 to 30 m beside what they show: none of them shows any of these.
ABSENT = ("an airplane", "a stadium", "storage tanks", "sand dunes", "a container port", "a tennis court", "a volcano")
# The sets of red, green and blue, and from and to which ground sample distance they and the tiles are, m.
_RGB_SETS, _RGB_GSD_M = ("rsicd", "ucm", "nwpu", "eurosat"), [0.2, 30.0]
_MULTISPECTRAL_GSD_M = [10.0, 30.0]
# A level of a match is given only if precision and recall of "something here matches" reach this on images that it was
# not fitted on.
_LEAST = 0.7


def main() -> None:
    """Write calibration.json into a model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the tars, more/ and scenes/")
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    args = parser.parse_args()
    fetch(args.cache)
    print(json.dumps(calibrate(args.model, args.data, args.cache / "scenes"), indent=1))


def calibrate(model: Path, data: Path, demo_scenes: Path) -> dict[str, Any]:
    """Write calibration.json into a model folder and return its contents.

    Radar, thermal imagery and elevation get no entry: there are too few labelled images of them that training did not
    see.

    Args:
        model: The folder.
        data: The training data, whose validation parts are used.
        demo_scenes: The demo's scenes. The western halves of those labelled by eye are used.
    """
    (model / FILE).unlink(missing_ok=True)
    encoder = load_model(f"local-dir:{model}", check=False)
    tiles = [tile for tile in read_medium(data, demo_scenes) if not tile.east and tile.labels]
    rgb = []
    for name in _RGB_SETS:
        images = read_examples(data, name, "validation")
        keys = [f"{name}/{image.key}" for image in images]
        rgb.append((class_scores(encoder, embed(encoder, images), images), keys))
    rgb.append(_tile_scores(encoder, tiles, [rgb_of(tile.image) for tile in tiles]))
    all_bands = _tile_scores(encoder, tiles, [tile.image for tile in tiles])
    said = {
        "model_digest": encoder.digest,
        "families": {
            "rgb": {**_fitted(rgb), "gsd_m": _RGB_GSD_M},
            "multispectral": {**_fitted([all_bands]), "gsd_m": _MULTISPECTRAL_GSD_M},
        },
    }
    (model / FILE).write_text(json.dumps(said, indent=1) + "\n")
    return said


def _fitted(sets: list[tuple[LabelledScores, list[str]]]) -> dict[str, Any]:
    """Return an entry of calibration.json, without a level of a match where that is too often wrong."""
    entry = fit_and_check(sets)
    checked = entry["held_out"]
    if min(checked["archive_precision"], checked["archive_recall"]) < _LEAST:
        entry["threshold"] = None
    return entry


def _tile_scores(
    encoder: Encoder, tiles: list[MediumTile], images: list[LabelledImage]
) -> tuple[LabelledScores, list[str]]:
    names = [*(wishes[0] for wishes in WISHES.values()), *ABSENT]
    texts = encoder.embed_texts([prompt.format(name) for name in names for prompt in PROMPTS])
    shown = [[label in tile.labels for label in WISHES] + [False] * len(ABSENT) for tile in tiles]
    scores = LabelledScores(
        cosines=np.asarray(embed(encoder, images) @ texts.T, np.float32),
        truth=np.repeat(np.array(shown), len(PROMPTS), axis=1),
    )
    return scores, [f"tiles/{image.key}" for image in images]


if __name__ == "__main__":
    main()
