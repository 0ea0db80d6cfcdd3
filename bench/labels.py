"""Compares classifiers trained on few labels with single queries, on a labelled data set that is split in two.

One half becomes an archive from which labels are drawn; the other is only scored. For each draw and class:

- the sentence of the class;
- the best single query: the sentence, or the positive example that performs best on the other half (an oracle);
- twice the mean of the positives minus the mean of the negatives;
- a classifier trained on the same labels, half of them positive, drawn at random;
- a classifier trained on as many labels chosen by `propose`, five at a time, starting with the sentence.

The target is a class or, which is harder, a word from human captions (`--words`). Figures are means over draws and
classes, with 95% intervals over draws. The cross-validated average precision is compared with that on the other half,
at the labels' share of positives.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive, ArchiveWriter
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import ModelIdentity, SceneRecord, TileRecord
from bandsight.evaluation.bootstrap import interval
from bandsight.evaluation.datasets import read_dataset
from bandsight.evaluation.metrics import average_precision, calibration_curve
from bandsight.geo.box import LonLatBox
from bandsight.learning.logistic import sigmoid
from bandsight.learning.proposals import propose
from bandsight.learning.training import fit
from bandsight.model import load_model
from bandsight.model.protocol import Encoder
from bandsight.raster.bands import BandRef
from bandsight.search.searcher import Searcher

_ROUND = 5
_LEAST = 15
_BATCH = 32
# Minimum number of captions with a word for an image to count as showing it.
_NAMED = 2
_ANY = Filter()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Data:
    """Vectors of labelled images."""

    vectors: NDArray[np.float32]
    """Shape (n, dim)."""
    targets: dict[str, NDArray[np.bool_]]
    """For each target, by its sentence: whether each image shows it, shape (n,)."""


def main() -> None:
    """Run the measurement and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of class folders, or webdataset tar")
    parser.add_argument("--images", type=int, default=3000, help="images drawn from it")
    parser.add_argument("--words", nargs="*", default=[], help="look for words of captions instead of classes")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--classes", type=int, default=12, help="most classes, drawn at random")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    encoder = load_model("embedded", "cpu")
    data = encoded(encoder, args.data, args.images, args.words)
    made = {"data": args.data.name, "images": len(data.vectors), "labels": args.labels, "draws": args.draws}
    made |= measured(encoder, data, args.draws, args.labels, args.classes)
    print(json.dumps(made, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(made, indent=1) + "\n")


def encoded(encoder: Encoder, path: Path, most: int, words: list[str]) -> Data:
    """Return the vectors of random images of a data set."""
    import torch

    side = (encoder.image_size, encoder.image_size)

    def resized(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        values = torch.from_numpy(pixels.astype(np.float32))
        smooth = torch.nn.functional.interpolate(values, side, mode="bilinear", antialias=True)
        return np.asarray(smooth.clamp(0, 255).round().numpy(), np.uint8)

    images = [one for one in read_dataset(path, resized=resized) if one.cls is not None]
    chosen = [images[at] for at in np.random.default_rng(0).permutation(len(images))[:most]]
    vectors = np.concatenate(
        [
            encoder.embed_pixels(np.stack([one.pixels for one in chosen[at : at + _BATCH]]), chosen[0].wavelengths)
            for at in range(0, len(chosen), _BATCH)
        ]
    )
    if words:
        named = {
            word: np.array([sum(word in text.lower() for text in one.captions) >= _NAMED for one in chosen])
            for word in words
        }
        return Data(vectors=vectors, targets={f"a satellite image with {word}": truth for word, truth in named.items()})
    classes = np.array([one.cls for one in chosen], np.str_)
    return Data(
        vectors=vectors,
        targets={f"a satellite image of {name}": classes == name for name in np.unique(classes).tolist()},
    )


def measured(encoder: Encoder, data: Data, draws: int, labels: int, most: int) -> dict[str, Any]:
    """Return all figures."""
    by_draw: dict[str, list[float]] = {}
    seconds: list[float] = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        order = rng.permutation(len(data.vectors))
        pool, test = order[: len(order) // 2], order[len(order) // 2 :]
        names = [name for name, truth in data.targets.items() if min(truth[pool].sum(), truth[test].sum()) >= _LEAST]
        figures: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            searcher = _archive_of(encoder, data.vectors[pool], Path(folder) / "archive")
            for name in rng.permutation(names)[:most].tolist():
                for key, value in _one(searcher, data, pool, test, name, labels, rng, seconds).items():
                    figures.setdefault(key, []).append(value)
            searcher.archive.close()
        for key, values in figures.items():
            by_draw.setdefault(key, []).append(float(np.nanmean(values)))
    made: dict[str, Any] = {
        key: {"mean": round(float(np.mean(values)), 4), "interval": _interval(values)}
        for key, values in by_draw.items()
    }
    for name in ("sentence", "best_single_query", "mean_difference"):
        ratios = np.array(by_draw["classifier_proposed"]) / np.array(by_draw[name])
        made[f"proposed_over_{name}"] = {"mean": round(float(ratios.mean()), 3), "interval": _interval(ratios.tolist())}
    made["training_over_scan_median"] = round(float(np.median(seconds)), 2)
    return made


def _one(
    searcher: Searcher,
    data: Data,
    pool: NDArray[np.intp],
    test: NDArray[np.intp],
    text: str,
    labels: int,
    rng: np.random.Generator,
    seconds: list[float],
) -> dict[str, float]:
    archive, unseen = searcher.archive, data.vectors[test]
    truth, known = data.targets[text][pool], data.targets[text][test]
    sentence = searcher.encoder.embed_texts([text])[0]
    positive = rng.choice(np.flatnonzero(truth), labels // 2, replace=False)
    negative = rng.choice(np.flatnonzero(~truth), labels - labels // 2, replace=False)
    examples = data.vectors[pool][positive]

    def ap(scores: NDArray[np.floating[Any]]) -> float:
        return average_precision(np.asarray(scores, np.float32), known)

    made = {"sentence": ap(unseen @ sentence)}
    made["best_single_query"] = max(made["sentence"], *(ap(unseen @ one) for one in examples))
    made["mean_difference"] = ap(unseen @ (2 * examples.mean(0) - data.vectors[pool][negative].mean(0)))
    archive.labels.create("drawn", {"target": text})
    ids = {int(at) + 1: "target" for at in positive} | {int(at) + 1: "none" for at in negative}
    archive.labels.add("drawn", ids, "bench")
    began = time.perf_counter()
    classifier = fit(searcher, archive.labels.get("drawn"), archive.labels.labels("drawn"))
    trained = time.perf_counter() - began
    began = time.perf_counter()
    archive.similarities(sentence[None], _ANY)
    seconds.append(trained / (time.perf_counter() - began))
    (head,) = classifier.heads
    logits = unseen @ head.weights + head.bias
    chances = sigmoid(logits.astype(np.float64)).astype(np.float32)
    made["classifier_drawn"] = ap(logits)
    made["calibration_error"] = calibration_curve(chances, known)["expected_calibration_error"]
    own = classifier.report["classes"]["target"].get("average_precision")
    if own is not None:
        low, high = own["interval"]
        # Equal numbers with and without the class, as among the labels.
        others = rng.choice(np.flatnonzero(~known), min(int(known.sum()), int((~known).sum())), replace=False)
        even = np.concatenate([np.flatnonzero(known), others])
        held_out = average_precision(logits[even].astype(np.float32), known[even])
        made["held_out_within_interval"] = float(low <= held_out <= high)
    archive.labels.delete("drawn")
    archive.labels.create("proposed", {"target": text})
    while len(archive.labels.labels("proposed")) < labels:
        found = propose(searcher, "proposed", _ROUND)
        said = {one.tile: "target" if truth[one.tile - 1] else "none" for one in found}
        archive.labels.add("proposed", said, "bench")
    held = {one.cls for one in archive.labels.labels("proposed")}
    if len(held) > 1:
        (head,) = fit(searcher, archive.labels.get("proposed"), archive.labels.labels("proposed")).heads
        made["classifier_proposed"] = ap(unseen @ head.weights)
    else:
        made["classifier_proposed"] = made["sentence"]
    archive.labels.delete("proposed")
    return made


def _interval(values: list[float]) -> Any:
    rng = np.random.default_rng(0)
    means = rng.choice(values, (2000, len(values))).mean(axis=1)
    return interval(means, 4)


def _archive_of(encoder: Encoder, vectors: NDArray[np.float32], path: Path) -> Searcher:
    """Return an archive of vectors, each a tile at its own place; ids start at 1."""
    identity = ModelIdentity(name=encoder.name, digest=encoder.digest, dim=encoder.dim, license=encoder.license)
    with ArchiveWriter.create(path, identity) as writer:
        writer.add([(*archive_entry(len(vectors)), vectors)])
    return Searcher(Archive.open(path), encoder)


def archive_entry(count: int) -> tuple[SceneRecord, list[TileRecord]]:
    """Return a scene of tiles, each at its own place."""
    whole = LonLatBox(west=-170, south=-80, east=170, north=80)
    scene = SceneRecord(
        key="bench",
        href="/bench.tif",
        name="bench.tif",
        collection="bench",
        sensor="rgb",
        datetime=None,
        crs="EPSG:4326",
        transform=(1, 0, 0, 0, -1, 0),
        width=1,
        height=1,
        gsd_m=10.0,
        bands=(BandRef(name="red", wavelength_um=0.665, href="/bench.tif", index=1),),
        stretch={"kind": "as_is", "low": [0], "high": [255]},
        geometry=_polygon(whole),
        boxes=(whole,),
    )
    tiles = []
    for number in range(count):
        west, south = -170 + number % 300, -80 + number // 300
        box = LonLatBox(west=west * 1.0, south=south * 1.0, east=west + 0.1, north=south + 0.1)
        tiles.append(
            TileRecord(
                cell=f"scene/1x1/{number}_0",
                scale=1,
                col_off=number,
                row_off=0,
                width=1,
                height=1,
                valid_fraction=1.0,
                geometry=_polygon(box),
                boxes=(box,),
            )
        )
    return scene, tiles


def _polygon(box: LonLatBox) -> dict[str, Any]:
    west, south, east, north = box.west, box.south, box.east, box.north
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


if __name__ == "__main__":
    main()
