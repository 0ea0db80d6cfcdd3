"""The model card's figures: captioned sets, bands, wordings, and tiles of 10 to 30 m labelled by eye."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bandsight.evaluation.datasets import LabelledImage
from bandsight.evaluation.evaluate import (
    band_agreement,
    class_vectors,
    classification,
    embed,
    evaluate,
    nothing_matches,
    paraphrases,
    retrieval,
)
from bandsight.evaluation.metrics import average_precision, calibration_curve, precision_at
from bandsight.evaluation.report import markdown
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.model.wavelengths import nearest_bands
from demo.scenes import fetch
from training.captions import read_sets
from training.medium import MediumTile, read_medium

# What the six kinds of ground are asked as; five wordings each, and the mean over them counts.
WISHES = {
    "water": ("water", "a lake", "open water", "a lake or a river", "where is water"),
    "forest": ("forest", "dense trees", "a forest seen from above", "woodland", "woods"),
    "fields": ("fields", "farmland", "agricultural fields", "crop fields", "farmland divided into fields"),
    "settlement": ("houses", "a village", "a town with houses and streets", "residential area", "buildings"),
    "cloud": ("clouds", "cloud", "thick clouds", "a satellite image of clouds", "cloud cover hiding the ground"),
    "bare": ("bare ground", "bare soil", "bare land", "barren mountains", "ground without vegetation"),
}
# Words that occur in no caption and in no phrase of vocabulary.toml, and the classes whose images answer them.
_HOMES = ("dense residential", "medium residential", "sparse residential", "mobile home park")
NEW_WORDS = {
    "dockyard": ("port", "harbor"),
    "boatyard": ("port", "harbor"),
    "ferry": ("port", "harbor"),
    "dinghy": ("port", "harbor"),
    "trawler": ("port", "harbor"),
    "copse": ("forest",),
    "suburbia": _HOMES,
    "bungalow": _HOMES,
    "hangar": ("airport", "airplane", "industrial"),
    "helicopter": ("airport", "airplane"),
    "petroleum": ("storage tanks", "industrial"),
    "savannah": ("desert", "chaparral", "meadow", "bare land"),
    "canyon": ("mountain",),
    "summit": ("mountain",),
    "sorghum": ("farmland", "agricultural"),
    "paddock": ("meadow", "farmland", "agricultural"),
    "racetrack": ("playground", "stadium"),
    "aqueduct": ("bridge", "viaduct", "overpass", "river"),
    "mosque": ("church", "center", "square"),
}
_RGB_UM = (0.66, 0.56, 0.49)


def main() -> None:
    """Measure a model; write evaluation.json and EVALUATION.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--part", default="held-out", help="held-out for figures, validation to choose by")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    parser.add_argument("--out", type=Path, help="default: the shipped model's folder, for its held-out figures alone")
    args = parser.parse_args()
    if args.out is None:
        if (args.model, args.part) != ("embedded", "held-out"):
            parser.error("--out: need a folder for figures that are not the shipped model's held-out ones")
        args.out = Path("bandsight/model/embedded")
    fetch(args.cache)
    encoder = load_model(args.model)
    sets = read_sets(args.data, args.part)
    results: dict[str, Any] = {f"{name}, {args.part}": evaluate(encoder, images) for name, images in sets.items()}
    words = new_words(encoder, [image for images in sets.values() for image in images])
    tiles = read_medium(args.data, args.cache / "scenes")
    ground = medium(encoder, tiles)
    said = {
        "model_digest": encoder.digest,
        "results": results,
        "medium_resolution": ground,
        "words_not_trained_on": words,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "evaluation.json").write_text(json.dumps(said, indent=1) + "\n")
    text = markdown(encoder.name, results) + "\n" + medium_markdown(ground) + "\n" + words_markdown(words)
    (args.out / "EVALUATION.md").write_text(f"# Figures\n\nMade by `make evaluate DATA=…`.\n\n{text}")
    print(text)


def quick(model: Path, sets: dict[str, list[LabelledImage]]) -> dict[str, float]:
    """Return mean recall and zero-shot top-1 of a model folder on some images, for the log of a run."""
    encoder = load_model(f"local-dir:{model}", check=False)
    out: dict[str, float] = {}
    for name, images in sets.items():
        vectors = embed(encoder, images)
        classes = sorted({image.cls for image in images if image.cls})
        truth = np.array([[image.cls == cls for cls in classes] for image in images])
        waves = [image.wavelengths for image in images]
        out[f"{name}_mean_recall"] = retrieval(encoder, vectors, images)["mean_recall"]
        out[f"{name}_zero_shot"] = classification(encoder, vectors, truth, classes, waves)["zero_shot"]["top1"]
        out[f"{name}_wordings"] = paraphrases(encoder, vectors)["top10_overlap"]
    return out


def new_words(encoder: Encoder, images: Sequence[LabelledImage]) -> dict[str, Any]:
    """Return precision at 10 for words that no caption and no phrase holds (tuning keeps some where they were)."""
    vectors = embed(encoder, images)
    each = {}
    for word, classes in NEW_WORDS.items():
        relevant = np.array([image.cls in classes for image in images])
        each[word] = round(precision_at(encoder.embed_texts([word])[0] @ vectors.T, relevant), 2)
    return {"images": len(images), "mean": round(float(np.mean(list(each.values()))), 3), "each": each}


def words_markdown(words: dict[str, Any]) -> str:
    """Return a line on words that were not trained on."""
    each = ", ".join(f"{word} {value:.1f}" for word, value in words["each"].items())
    found = f"precision at 10 among {words['images']} images: {words['mean']:.2f}"
    return f"Words in no caption and no phrase of the vocabulary, {found} ({each}).\n"


def medium(encoder: Encoder, tiles: Sequence[MediumTile]) -> dict[str, Any]:
    """Return precision at 10 for six kinds of ground, from all bands and from red, green and blue; bands' agreement."""
    images = [tile.image for tile in tiles]
    out: dict[str, Any] = {"tiles": len(tiles)}
    views = {"all_bands": images, "rgb": [rgb_of(image) for image in images]}
    vectors = {bands: embed(encoder, seen) for bands, seen in views.items()}
    for bands, rows in vectors.items():
        out[bands] = {}
        for label, wishes in WISHES.items():
            relevant = np.array([label in tile.labels for tile in tiles])
            scores = encoder.embed_texts(list(wishes)) @ rows.T
            each = [precision_at(row, relevant) for row in scores]
            mean = precision_at(class_vectors(encoder, wishes[:1])[0] @ rows.T, relevant)
            out[bands][label] = {
                "tiles": int(relevant.sum()),
                "precision_at_10": round(float(np.mean(each)), 3),
                "average_precision": round(float(np.mean([average_precision(row, relevant) for row in scores])), 3),
                "least": min(each),
                "templates": mean,
            }
    out["bands"] = band_agreement(encoder, images, vectors["all_bands"])
    # Levels were set on the west of each scene.
    east = [i for i, tile in enumerate(tiles) if tile.east and tile.labels]
    truth = np.array([[label in tiles[i].labels for label in WISHES] for i in east])
    weights = class_vectors(encoder, [wishes[0] for wishes in WISHES.values()])
    for bands, seen in views.items():
        waves = [seen[i].wavelengths for i in east]
        chances = encoder.probabilities(vectors[bands][east], weights, waves)
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
