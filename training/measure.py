"""Metrics on the validation parts, for the log of a run."""

from pathlib import Path
from typing import Any

import numpy as np

from bandsight.evaluation.evaluate import class_vectors, embed, retrieval, zero_shot
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from training.data import Example, paired


def validation_figures(model: Path, sets: dict[str, list[Example]]) -> dict[str, Any]:
    """Return mean recall and zero-shot accuracy (average over classes), percent, of a model folder on each set."""
    encoder = load_model(f"local-dir:{model}", check=False)
    out: dict[str, Any] = {}
    for name, images in sets.items():
        if name == "twins" or not images:
            continue
        vectors = embed(encoder, images)
        # Sentences from templates are the same for many images, so they cannot measure retrieval.
        if np.mean([len(image.captions) for image in images]) > 2:
            out[f"{name}_recall"] = retrieval(encoder, vectors, images)["mean_recall"]
        classes = sorted({image.cls for image in images if image.cls})
        if len(classes) > 1:
            truth = np.array([[image.cls == cls for cls in classes] for image in images])
            scores = vectors @ class_vectors(encoder.embed_texts, classes).T
            out[f"{name}_zero_shot"] = zero_shot(scores, truth, classes)["top1"]
    return out | twin_figures(encoder, sets["twins"])


def twin_figures(encoder: Encoder, images: list[Example]) -> dict[str, float]:
    """Return the similarity of radar images to optical images of the same ground."""
    whole = paired(images)
    radar, optical = (embed(encoder, [pair[side] for pair in whole]) for side in (0, 1))
    found = (radar @ optical.T).argmax(axis=1) == np.arange(len(radar))
    return {
        "twins_pairs": len(whole),
        "twins_cosine": round(float((radar * optical).sum(axis=1).mean()), 3),
        "twins_first": round(100 * float(found.mean()), 1),
    }
