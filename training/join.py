"""Joins trained trunks into the model that ships: one linear head over all, trained on features that are kept.

Trunks that were shown different things err differently; read side by side they know more than either does, at the
price of both. Only the head, the text projection and the sentence encoder's last layers are trained here, which takes
minutes.
"""

import argparse
import json
from pathlib import Path

from demo.scenes import fetch
from training.batches import Batches
from training.calibrate import calibrate
from training.captions import read_sets, stored
from training.evaluate import quick
from training.export import export, read_trunks
from training.head import train_head
from training.mean import mean_with
from training.measured import read_measured
from training.scenes import read_stacks
from training.sentences import Sentences
from training.tune import tune
from training.views import make_views, read_features, read_steps, trunks_of


def main() -> None:
    """Make views, put them through the trunks, train the head, write the model and fit its probabilities."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: views, features, model/")
    parser.add_argument("--trunks", type=Path, nargs="+", required=True, help="folders of models whose trunks to take")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--layers", type=int, default=2, help="how many last layers of the sentence encoder to tune")
    parser.add_argument("--tuning-epochs", type=int, default=1)
    parser.add_argument("--mean-with", type=Path, help="a joined model of the same trunks, to take the mean with")
    parser.add_argument("--seed", type=int, default=7000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train = stored(image for images in read_sets(args.data, "train").values() for image in images)
    sentences = Sentences(train, args.out / "sentences.pt")
    sentences.share_words(in_head=True)
    folder = args.data / "scenes"
    batches = Batches(train, sentences, read_stacks(folder), read_measured(folder))
    files = make_views(batches, args.out / "views", args.seed)
    features = [
        read_features(trunk, files, args.out / f"features-{i}") for i, trunk in enumerate(trunks_of(args.trunks))
    ]
    steps = read_steps(files, features)
    model, validation = args.out / "model", read_sets(args.data, "validation")
    states = [state for folder in args.trunks for state in read_trunks(folder)]
    head = train_head(steps, sentences, args.epochs, args.seed)
    export(model, states, head, indices=True)
    said = {"head alone": quick(model, validation)}
    head, text = tune(head, steps, sentences, args.layers, args.tuning_epochs, args.seed)
    if args.mean_with is not None:
        export(model, states, head, indices=True, text=text)
        said["tuned"] = quick(model, validation)
        head, text = mean_with(args.mean_with, states, head, text)
    export(model, states, head, indices=True, text=text)
    fetch(args.cache)
    calibrate(model, args.data, args.cache / "scenes")
    said["tuned" if args.mean_with is None else "mean"] = quick(model, validation)
    (args.out / "join.json").write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps(said, indent=1))


if __name__ == "__main__":
    main()
