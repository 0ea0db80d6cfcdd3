"""Joins trained trunks into the model that ships: one linear head over all, trained on features that are kept.

Trunks that were shown different things err differently; read side by side they know more than either does, at the
price of both. Only the head, the text projection and the sentence encoder's last layers are trained here, several
times with other chances, each in a process of its own; what ships is the mean of those members.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from bandsight.evaluation.datasets import LabelledImage
from demo.scenes import fetch
from training.batches import Batches
from training.calibrate import calibrate
from training.captions import read_sets, training_images
from training.evaluate import quick
from training.export import export, read_trunks
from training.head import train_head
from training.mean import mean
from training.measured import read_measured
from training.scenes import read_stacks
from training.sentences import Sentences
from training.tune import tune
from training.views import make_features, make_views, read_steps, trunks_of


def main() -> None:
    """Make views, put them through the trunks, train the members, write their mean and fit its probabilities."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    train = training_images(args.data)
    sentences = _bank(train, args.out)
    folder = args.data / "scenes"
    batches = Batches(train, sentences, read_stacks(folder), read_measured(folder))
    files = make_views(batches, args.out / "views", args.seed)
    features = []
    for number, trunk in enumerate(trunks_of(args.trunks)):
        features.append(args.out / f"features-{number}")
        make_features(trunk, files, features[-1])
    del train, sentences, batches
    workers = min(args.members, torch.get_num_threads())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        threads = max(1, torch.get_num_threads() // workers)
        paths = list(pool.map(partial(_member, args, files, features, threads), range(args.members)))
    members = [torch.load(path, weights_only=True) for path in paths]
    states = [state for folder in args.trunks for state in read_trunks(folder)]
    model, validation = args.out / "model", read_sets(args.data, "validation")
    said = {}
    for number, member in enumerate(members):
        head, text = mean([member])
        export(model, states, head, indices=True, text=text)
        said[f"member {number}"] = quick(model, validation)
    head, text = mean(members)
    export(model, states, head, indices=True, text=text)
    fetch(args.cache)
    calibrate(model, args.data, args.cache / "scenes")
    said["mean"] = quick(model, validation)
    (args.out / "join.json").write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps(said, indent=1))


def _bank(train: list[LabelledImage], out: Path) -> Sentences:
    sentences = Sentences(train, out / "sentences.pt")
    sentences.share_words(in_head=True)
    return sentences


def _member(args: argparse.Namespace, files: list[Path], features: list[Path], threads: int, number: int) -> Path:
    """Train and tune one member, unless its file is there, and return the file."""
    path: Path = args.out / f"member-{number}.pt"
    if path.exists():
        return path
    torch.set_num_threads(threads)
    sentences = _bank(training_images(args.data), args.out)
    steps = read_steps(files, features)
    seed = args.seed + number
    head = train_head(steps, sentences, args.epochs, seed, begin=args.seed)
    head, text = tune(head, steps, sentences, args.layers, args.tuning_epochs, seed)
    torch.save((head.state_dict(), text), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    return path


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: views, features, members, model/")
    parser.add_argument("--trunks", type=Path, nargs="+", required=True, help="folders of models whose trunks to take")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    parser.add_argument("--members", type=int, default=2, help="heads with their encoders, whose mean is the model")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=2, help="how many last layers of the sentence encoder to tune")
    parser.add_argument("--tuning-epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
