"""Computes the model card's figures on the validation parts of all sets and on tiles of 10 to 30 m labelled by eye."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import band_agreement, class_vectors, embed, evaluate, nothing_matches
from bandsight.evaluation.metrics import average_precision, calibration_curve, precision_at
from bandsight.evaluation.report import markdown
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors
from bandsight.model.wavelengths import nearest_bands
from demo.scenes import fetch
from training.data import read_examples
from training.measure import twin_figures
from training.medium import MediumTile, read_medium

# Five queries for each of the six kinds of land cover; results are averaged over them.
WISHES = {
    "water": ("water", "a lake", "open water", "a lake or a river", "where is water"),
    "forest": ("forest", "dense trees", "a forest seen from above", "woodland", "woods"),
    "fields": ("fields", "farmland", "agricultural fields", "crop fields", "farmland divided into fields"),
    "settlement": ("houses", "a village", "a town with houses and streets", "residential area", "buildings"),
    "cloud": ("clouds", "cloud", "thick clouds", "a satellite image of clouds", "cloud cover hiding the ground"),
    "bare": ("bare ground", "bare soil", "bare land", "barren mountains", "ground without vegetation"),
}
_RGB_UM = (0.66, 0.56, 0.49)


# The sets whose validation parts are used, and the quality of their splits.
MEASURED = {
    "rsicd": "AID images with RSICD captions, one in twenty, by image",
    "ucm": "UC Merced with UCM captions, one in twenty, by image",
    "nwpu": "NWPU-Captions, one in twenty of its validation list, by image",
    "rsicd_other": "RSICD images that are not AID's, one in twenty, by image",
    "uavic": "drone images of one flight that was left out",
    "eurosat": "EuroSAT RGB, one in twenty, by image",
    "hls": "HLS, seven bands, one in twenty, by image",
    "ships": "Sentinel-1 chips of one product that was left out",
}


def main() -> None:
    """Measure a model; write evaluation.json and EVALUATION.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the tars, more/ and scenes/")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    parser.add_argument("--out", type=Path, help="default: the shipped model's folder")
    parser.add_argument("--whole", nargs="*", default=[], choices=MEASURED, help="sets the model was trained without")
    args = parser.parse_args()
    if args.out is None:
        if args.model != "embedded":
            parser.error("--out: need a folder for figures of a model other than the shipped one")
        args.out = Path("bandsight/model/embedded")
    fetch(args.cache)
    encoder = load_model(args.model)
    results: dict[str, Any] = {}
    for name in MEASURED:
        part = "whole" if name in args.whole else "validation"
        results[name] = evaluate(encoder, read_examples(args.data, name, part))
    splits = MEASURED | dict.fromkeys(args.whole, "the whole set, which the model was trained without")
    ground = medium(encoder, read_medium(args.data, args.cache / "scenes"))
    pairs = twin_figures(encoder, read_examples(args.data, "twins", "validation"))
    said = {
        "model_digest": encoder.digest,
        "splits": splits,
        "results": results,
        "medium_resolution": ground,
        "radar_and_optical": pairs,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "evaluation.json").write_text(json.dumps(said, indent=1) + "\n")
    listed = "\n".join(f"- `{name}`: {split}" for name, split in splits.items())
    text = f"{markdown(encoder.name, results)}\n{listed}\n\n{medium_markdown(ground)}\n{pairs_markdown(pairs)}"
    (args.out / "EVALUATION.md").write_text(f"# Figures\n\nMade by `make evaluate DATA=…`.\n\n{text}")
    print(text)


def pairs_markdown(pairs: dict[str, float]) -> str:
    """Return a line about radar images and their optical twins."""
    return (
        f"Sentinel-1 and Sentinel-2 images of the same ground, {pairs['twins_pairs']} pairs from places left out: "
        f"mean cosine {pairs['twins_cosine']:.2f}; the right optical image comes first for {pairs['twins_first']:.0f}% "
        "of the radar images.\n"
    )


def medium(encoder: Encoder, tiles: Sequence[MediumTile]) -> dict[str, Any]:
    """Return precision at 10 for six kinds of land cover, from all bands and from RGB, and the agreement of both."""
    images = [tile.image for tile in tiles]
    out: dict[str, Any] = {"tiles": len(tiles)}
    views = {"all_bands": images, "rgb": [rgb_of(image) for image in images]}
    vectors = {bands: embed(encoder, seen) for bands, seen in views.items()}
    asked = partial(sentence_vectors, encoder)
    for bands, rows in vectors.items():
        out[bands] = {}
        for label, wishes in WISHES.items():
            relevant = np.array([label in tile.labels for tile in tiles])
            scores = sentence_vectors(encoder, list(wishes)) @ rows.T
            each = [precision_at(row, relevant) for row in scores]
            mean = precision_at(class_vectors(asked, wishes[:1])[0] @ rows.T, relevant)
            out[bands][label] = {
                "tiles": int(relevant.sum()),
                "precision_at_10": round(float(np.mean(each)), 3),
                "average_precision": round(float(np.mean([average_precision(row, relevant) for row in scores])), 3),
                "least": min(each),
                "templates": mean,
            }
    out["bands"] = band_agreement(encoder, images, vectors["all_bands"])
    # Thresholds were set on the western halves of the scenes.
    east = [i for i, tile in enumerate(tiles) if tile.east and tile.labels]
    truth = np.array([[label in tiles[i].labels for label in WISHES] for i in east])
    weights = class_vectors(asked, [wishes[0] for wishes in WISHES.values()])
    for bands, seen in views.items():
        waves = [seen[i].wavelengths for i in east]
        chances = encoder.probabilities.of(vectors[bands][east] @ weights.T, weights, waves)
        out[f"calibration_{bands}"] = calibration_curve(chances, truth)
        if (nothing := nothing_matches(encoder, chances, truth, waves)) is not None:
            out[f"nothing_matches_{bands}"] = {"questions": 2 * len(WISHES), **nothing}
    return out


def rgb_of(image: LabelledImage) -> LabelledImage:
    """Return an image's red, green and blue."""
    keep = nearest_bands(image.wavelengths, _RGB_UM)
    return replace(image, pixels=image.pixels[keep], wavelengths=tuple(image.wavelengths[band] for band in keep))


def medium_markdown(ground: dict[str, Any]) -> str:
    """Return the table of the tiles of medium resolution."""
    lines = [
        (
            f"{ground['tiles']} tiles of 10 to 30 m, labelled by eye, none trained on: precision at 10, mean and least "
            "of five wordings, and mean average precision (AP; by chance the share of tiles)"
        ),
        "",
        "| ground | tiles | all bands | least | AP | red, green, blue | least | AP |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for label in WISHES:
        cells = [label, str(ground["all_bands"][label]["tiles"])]
        for bands in ("all_bands", "rgb"):
            found = ground[bands][label]
            cells += [f"{found[name]:.2f}" for name in ("precision_at_10", "least", "average_precision")]
        lines.append(f"| {' | '.join(cells)} |")
    agreement = ground["bands"]
    lines += [
        "",
        (
            "Median cosine of one tile's vectors: "
            f"red, green, blue with all bands {agreement['rgb_with_all']:.2f}, "
            f"some bands with all {agreement['some_with_all']:.2f}; "
            f"of different tiles {agreement['different_places']:.2f}."
        ),
        "",
    ]
    for bands, name in (("all_bands", "all bands"), ("rgb", "red, green, blue")):
        error = ground[f"calibration_{bands}"]["expected_calibration_error"]
        said = f"Eastern halves, {name}: calibration error {error:.3f}"
        if (found := ground.get(f"nothing_matches_{bands}")) is not None:
            said += (
                f"; something here matches, of {found['questions']} questions: precision "
                f"{found['archive_precision']:.2f}, recall {found['archive_recall']:.2f}"
            )
        lines += [f"{said}.", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
