"""Fits probabilities for the families of imagery with labelled data, on images excluded from training."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.evaluation.evaluate import embed
from bandsight.evaluation.fitting import KeyedScores, LabelledScores, class_scores, fit_and_check, questions
from bandsight.model import load_model
from bandsight.model.calibration import FILE, background_entry, background_mean
from bandsight.model.scoring import less_background
from demo.scenes import fetch
from training.data import read_examples
from training.evaluate import WISHES, rgb_of
from training.medium import MediumTile, read_medium

# Negative queries for red, green and blue tiles of 10 to 30 m: none of the tiles shows any of these. The calibration
# must be valid for any query.
ABSENT = ("an airplane", "a stadium", "storage tanks", "sand dunes", "a container port", "a tennis court", "a volcano")
# The red, green and blue sets, and the range of ground sample distances of these and of the tiles, m.
_RGB_SETS = ("rsicd", "ucm", "nwpu", "eurosat")
_GSD_M = {"rgb": [0.2, 30.0], "multispectral": [10.0, 30.0]}
# A match threshold is set only if precision and recall of "something here matches" reach this value, both on images
# that it was not fitted on and on all images.
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

    Radar, thermal imagery and elevation get no entry, because too few of their labelled images were excluded from
    training.

    Args:
        model: The folder.
        data: The training data; the validation parts are used.
        demo_scenes: The demo's scenes; the western halves of those labelled by eye are used.
    """
    (model / FILE).unlink(missing_ok=True)
    encoder = load_model(f"local-dir:{model}", check=False)
    mean = background_mean(encoder)

    def embed_texts(texts: list[str]) -> NDArray[np.float32]:
        return less_background(encoder.embed_texts(texts), mean)

    tiles = [tile for tile in read_medium(data, demo_scenes) if not tile.east and tile.labels]
    rgb: list[KeyedScores] = []
    for name in _RGB_SETS:
        images = read_examples(data, name, "validation")
        keys = [f"{name}/{image.key}" for image in images]
        rgb.append((class_scores(embed_texts, embed(encoder, images), images), keys))
    wishes = [wish for each in WISHES.values() for wish in each]
    asked = embed_texts([*wishes, *ABSENT])
    rgb.append(_tile_scores(asked, embed(encoder, [rgb_of(tile.image) for tile in tiles]), tiles))
    all_bands = _tile_scores(asked[: len(wishes)], embed(encoder, [tile.image for tile in tiles]), tiles)
    entries = fit_and_check({"rgb": rgb, "multispectral": [all_bands]})
    for name, gsd_m in _GSD_M.items():
        entries[name] = {**_sure(entries[name]), "gsd_m": gsd_m}
    # Six kinds of land cover are no basis for queries about objects.
    entries["multispectral"] |= questions(embed_texts, WISHES)
    said = {"model_digest": encoder.digest, "background": background_entry(mean), "families": entries}
    (model / FILE).write_text(json.dumps(said, indent=1) + "\n")
    return said


def _sure(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of calibration.json, without a match threshold if that would be wrong too often."""
    figures = [
        entry[images][name] for images in ("held_out", "all") for name in ("archive_precision", "archive_recall")
    ]
    if min(figures) < _LEAST:
        entry["threshold"] = None
    return entry


def _tile_scores(texts: NDArray[np.float32], vectors: NDArray[np.float32], tiles: list[MediumTile]) -> KeyedScores:
    """Return the scores of tiles with all queries, and with additional sentences that are true for none of them."""
    shown = np.zeros((len(tiles), len(texts)), np.bool_)
    labels = [label for label, wishes in WISHES.items() for _ in wishes]
    for row, tile in enumerate(tiles):
        shown[row, : len(labels)] = [label in tile.labels for label in labels]
    scores = LabelledScores(cosines=np.asarray(vectors @ texts.T, np.float32), truth=shown)
    return scores, [f"tiles/{tile.image.key}" for tile in tiles]


if __name__ == "__main__":
    main()
