"""Compares ways of ranking across sensors: one archive of labelled images of several families, 40 queries.

    python -m bench.mixed_archive DATA --model embedded

DATA is the folder with the training sets (`more/`). The results are precision at 10 and at 50 (or at the number of
relevant images, if smaller) with 95% intervals over the queries, and the difference from raw cosines.
"""

import argparse
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.evaluation.bootstrap import Bootstrap, interval
from bandsight.evaluation.datasets import LabelledImage, read_dataset
from bandsight.evaluation.evaluate import embed
from bandsight.evaluation.splits import ListedImage, Split
from bandsight.model import load_model
from bandsight.model.calibration import background_sentences
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import Probabilities, family

# Maximum number of images per class of a set, so that no set dominates the archive.
_SETS = {
    "nwpu_captions": 40,
    "eurosat_rgb": 60,
    "hls7_worldcover": 60,
    "opensarship_s1": 200,
    "hituav_thermal": 100,
    "cloud_desert": 60,
}
_FARMS = ("rectangular farmland", "circular farmland", "terrace", "annual crop", "permanent crop", "cropland")
_GRASS = ("meadow", "pasture", "herbaceous vegetation", "grassland")
_WATER = ("lake", "river", "sea or lake", "water")
_HOMES = (
    "dense residential",
    "medium residential",
    "sparse residential",
    "mobile home park",
    "residential",
    "built-up",
)
_SHIPS = ("ship", "harbor", "cargo ship", "tanker ship", "passenger ship", "tug ship")
QUESTIONS: dict[str, tuple[str, ...]] = {
    "a forest": ("forest", "tree cover"),
    "dense trees": ("forest", "tree cover"),
    "farmland": _FARMS,
    "crop fields": _FARMS,
    "grassland": _GRASS,
    "a meadow or pasture": _GRASS,
    "shrubs": ("chaparral", "shrubland"),
    "water": (*_WATER, "sea ice", "island", "beach", *_SHIPS),
    "a lake": ("lake", "sea or lake"),
    "a river": ("river",),
    "houses": _HOMES,
    "a residential area": _HOMES,
    "a factory": ("industrial", "industrial area", "thermal power station"),
    "an industrial area": ("industrial", "industrial area", "thermal power station", "storage tank"),
    "a highway": ("highway", "freeway", "overpass"),
    "a road": ("highway", "freeway", "overpass", "intersection", "roundabout"),
    "desert": ("desert", "bare ground"),
    "sand": ("desert", "beach", "bare ground"),
    "clouds": ("cloud", "cloudy"),
    "ships": _SHIPS,
    "a cargo ship at sea": ("ship", "cargo ship", "tanker ship", "passenger ship"),
    "cars": ("parking lot", "car"),
    "people": ("person",),
    "snow": ("snowberg", "sea ice"),
    "mountains": ("mountain", "snowberg"),
    "an airport": ("airport", "runway", "airplane"),
    "airplanes": ("airplane", "airport"),
    "a stadium": ("stadium",),
    "a tennis court": ("tennis court",),
    "a golf course": ("golf course",),
    "a baseball field": ("baseball diamond",),
    "a bridge": ("bridge",),
    "a beach": ("beach",),
    "an island": ("island",),
    "a railway": ("railway", "railway station"),
    "a roundabout": ("roundabout",),
    "a church": ("church",),
    "storage tanks": ("storage tank",),
    "a parking lot": ("parking lot",),
    "a wetland": ("wetland",),
}
# Classes that may show the target without being named after it; they are ignored.
_UNSURE: dict[str, tuple[str, ...]] = {
    "water": ("wetland", "bridge", "golf course"),
    "houses": ("church", "commercial area", "intersection", "palace"),
    "cars": ("person", "bicycle", "intersection", "freeway", "commercial area", "overpass"),
    "people": ("car", "bicycle"),
    "a road": (*_HOMES, "bridge", "commercial area", "car", "person", "bicycle", "parking lot", "industrial"),
    "dense trees": ("wetland", "golf course"),
    "sand": ("baseball diamond", "golf course"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """The archive."""

    vectors: NDArray[np.float32]
    """Unit vectors, shape (n, dim)."""
    classes: NDArray[np.str_]
    """Class of each image, shape (n,)."""
    families: NDArray[np.str_]
    """Family of each image, shape (n,)."""
    background: NDArray[np.float32]
    """Unit vectors of the background sentences, shape (b, dim)."""
    probabilities: Probabilities
    """Converts the model's scores to probabilities."""


Rank = Callable[[Mixed, NDArray[np.float32]], NDArray[np.float32]]
"""Returns the scores of all images, shape (n,), for a query's unit vector, shape (dim,)."""


def raw(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosines."""
    return archive.vectors @ text


def less_background(share: float) -> Rank:
    """Return cosines minus a share of the mean cosine with the background."""
    return lambda archive, text: archive.vectors @ (text - share * archive.background.mean(axis=0))


def softmax(scale: float) -> Rank:
    """Return log-probabilities of the query among the background sentences, at a scale."""

    def rank(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
        others = scale * (archive.vectors @ archive.background.T)
        own = scale * (archive.vectors @ text)
        return np.asarray(own - np.logaddexp(own, np.logaddexp.reduce(others, axis=1)), np.float32)

    return rank


def by_family(*, spread: bool, share: float = 1.0) -> Rank:
    """Return cosines minus the family's mean cosine with the background, optionally divided by their spread."""

    def rank(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = archive.vectors @ text
        others = archive.vectors @ archive.background.T
        for name in np.unique(archive.families):
            rows = archive.families == name
            scores[rows] -= share * others[rows].mean()
            if spread:
                scores[rows] /= others[rows].std()
        return scores

    return rank


def centred(share: float) -> Rank:
    """Return cosines minus a share of the query's mean cosine within the family."""

    def rank(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = archive.vectors @ text
        for name in np.unique(archive.families):
            rows = archive.families == name
            scores[rows] -= share * scores[rows].mean()
        return scores

    return rank


def less_both(share: float) -> Rank:
    """Return cosines minus the mean cosine with the background, minus a share of the mean of these in the family."""

    def rank(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
        return centred(share)(archive, text - archive.background.mean(axis=0))

    return rank


def by_probability(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return cosines less the mean cosine with the background, on the scale of probabilities, as searches use them."""
    apart = text - archive.background.mean(axis=0)
    apart /= np.linalg.norm(apart)
    scores: NDArray[np.float32] = archive.vectors @ apart
    for name, scale in archive.probabilities.scales(apart[None]).items():
        rows = archive.families == name
        scores[rows] = scale.scores(scores[rows])
    return scores


def fused(archive: Mixed, text: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return reciprocal ranks within the family."""
    scores = archive.vectors @ text
    out = np.empty_like(scores)
    for name in np.unique(archive.families):
        rows = np.flatnonzero(archive.families == name)
        out[rows[np.argsort(-scores[rows])]] = 1 / (60 + np.arange(len(rows)))
    return out


WAYS: dict[str, Rank] = {
    "raw cosine": raw,
    "less half of the background's mean": less_background(0.5),
    "less the background's mean": less_background(1.0),
    "less the background's mean, by probability": by_probability,
    "less 1.5 times the background's mean": less_background(1.5),
    "softmax with the background, scale 10": softmax(10),
    "softmax with the background, scale 20": softmax(20),
    "family: less the background's mean": by_family(spread=False),
    "family: less the background's mean, over its spread": by_family(spread=True),
    "family: less half of the question's own mean": centred(0.5),
    "family: less the question's own mean": centred(1.0),
    "less the background's mean, and half of the question's own by family": less_both(0.5),
    "ranks within families, fused": fused,
}


def read(data: Path, encoder: Encoder) -> Mixed:
    """Embed the sets."""
    images: list[LabelledImage] = []
    resized = getattr(encoder, "resized", None)
    for name, most in _SETS.items():
        tar = data / "more" / f"{name}.tar"
        images += read_dataset(tar, split=_some(tar, most), resized=resized)
    return Mixed(
        vectors=embed(encoder, images),
        classes=np.array([image.cls for image in images]),
        families=np.array([family(image.wavelengths) for image in images]),
        background=encoder.embed_texts(background_sentences()),
        probabilities=encoder.probabilities,
    )


def _some(path: Path, most: int) -> Split:
    """Return the first images of each class of a tar, by name."""
    taken: Counter[str] = Counter()
    chosen = {}
    with tarfile.open(path) as tar:
        for name in sorted(name for name in tar.getnames() if name.endswith(".json")):
            member = tar.extractfile(name)
            cls = json.load(member).get("cls") if member else None
            if cls is not None and taken[cls] < most:
                taken[cls] += 1
                chosen[name.removesuffix(".json")] = ListedImage()
    return Split(name=path.stem, file=path, images=chosen)


def measure(archive: Mixed, texts: NDArray[np.float32], way: Rank) -> dict[int, list[float]]:
    """Return the precision at 10 and at 50 of each query."""
    out: dict[int, list[float]] = {10: [], 50: []}
    for (question, classes), text in zip(QUESTIONS.items(), texts, strict=True):
        counted = ~np.isin(archive.classes, _UNSURE.get(question, ()))
        right = np.isin(archive.classes, classes)[counted]
        order = np.argsort(-way(archive, text)[counted], kind="stable")
        for k, values in out.items():
            values.append(float(right[order[: min(k, int(right.sum()))]].mean()))
    return out


def summary(found: dict[str, dict[int, list[float]]]) -> list[dict[str, Any]]:
    """Return the mean of each way with its interval, and the difference from the first way."""
    bootstrap = Bootstrap(len(QUESTIONS))
    first = next(iter(found.values()))
    rows = []
    for name, by_k in found.items():
        row: dict[str, Any] = {"way": name}
        for k, values in by_k.items():
            gain = np.array(values) - np.array(first[k])
            row[f"precision_at_{k}"] = round(float(np.mean(values)), 3)
            row[f"interval_{k}"] = interval(bootstrap.mean(values), 3)
            row[f"gain_{k}"] = round(float(gain.mean()), 3)
            row[f"gain_interval_{k}"] = interval(bootstrap.mean(gain), 3)
        rows.append(row)
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table."""
    lines = ["| way to rank | precision at 10 | gain | precision at 50 | gain |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row["way"]]
        for k in (10, 50):
            for name in ("precision_at", "gain"):
                low, high = row[f"interval_{k}" if name == "precision_at" else f"gain_interval_{k}"]
                sign = "+" if name == "gain" else ""
                cells.append(f"{row[f'{name}_{k}']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with more/*.tar")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("bench/results/mixed-archive.json"))
    args = parser.parse_args()
    encoder = load_model(args.model, args.device)
    archive = read(args.data, encoder)
    figures = compare(archive, encoder.embed_texts(list(QUESTIONS)))
    print(markdown(figures["ways"]))
    said = {"model": encoder.name, "model_digest": encoder.digest, **figures}
    args.out.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def compare(archive: Mixed, texts: NDArray[np.float32]) -> dict[str, Any]:
    """Return the figures of all ways, and the data they were measured on."""
    found = {name: measure(archive, texts, way) for name, way in WAYS.items()}
    names, counts = np.unique(archive.families, return_counts=True)
    return {
        "images": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "questions": len(QUESTIONS),
        "ways": summary(found),
        "each_at_10": {name: dict(zip(QUESTIONS, by_k[10], strict=True)) for name, by_k in found.items()},
    }


if __name__ == "__main__":
    main()
