"""Trains the embedded model in one run; resumable and seeded."""

import argparse
import copy
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batches import OWN, Batch, Batches, Sources
from training.data import OTHER_SETS, SETS, Example, paired, read_examples
from training.export import export, load_exported
from training.losses import agreement, contrast
from training.measure import validation_figures
from training.measured import read_measured
from training.scenes import read_stacks
from training.sentences import Sentences
from training.student import Student, follow
from training.text import TunedLayers, first_states, vocabulary_words

# By default, glibc returns large blocks to the system after every step; keeping them makes a step 1.5 times as fast.
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
# Side of views until a share of the run is done; small views at the start save time.
_SIZES = ((0.45, 96), (0.85, 112), (1.0, 128))
# Share of the run after which the sentence encoder's last layers are trained.
_TEXT_FROM = 0.5
_TEXT_RATE = 1e-4
# Weights of the terms of the loss other than the contrastive one.
_TWINS, _STAY = 1.5, 2.0
# Words per step whose vectors must not change, so that words in no caption are not forgotten.
_WORDS = 96
# Additional negative captions while sentence vectors are still fixed.
_MORE_CAPTIONS = 256
_AVERAGE = 0.998
_CHECKPOINT_STEPS = 100


def main() -> None:
    """Run or continue a training run."""
    if any(name not in os.environ for name in _KEEP_MEMORY):
        os.execve(  # noqa: S606  (this program)
            sys.executable, [sys.executable, "-m", "training.train", *sys.argv[1:]], os.environ | _KEEP_MEMORY
        )
    args = _arguments()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    sources, validation = read_sources(args.data, args.without)
    captioned = [image for each in sources.captioned.values() for image in each]
    sentences = Sentences([*captioned, *sources.hls, *sources.ships, *sources.thermal], args.out / "sentences.pt")
    run = Run(Batches(sources, sentences), args)
    print(
        f"{len(captioned)} captioned images, {len(sentences.texts)} sentences, {len(sentences.kinds)} kinds", flush=True
    )
    sums: Counter[str] = Counter()
    started, first = time.monotonic(), run.done
    for step in range(first, args.steps):
        size, terms = run.step(step)
        sums.update(terms)
        seconds = time.monotonic() - started
        if (step + 1) % 20 == 0:
            loss, rate = sum(terms.values()), (step + 1 - first) / seconds
            print(f"step {step + 1}/{args.steps} {size} px loss {loss:.3f} {rate:.2f} steps/s", flush=True)
        last = step + 1 == args.steps
        if (step + 1) % args.every == 0 or last:
            write(args.out / "model", run.average)
            row = {"step": step + 1, "size": size, "seconds": round(seconds)}
            row |= {name: round(value / args.every, 4) for name, value in sums.items()}
            row |= validation_figures(args.out / "model", validation)
            sums.clear()
            run.log.append(row)
            print(json.dumps(row), flush=True)
        if (step + 1) % _CHECKPOINT_STEPS == 0 or last:
            run.save(step + 1)


def read_sources(data: Path, without: Collection[str]) -> tuple[Sources, dict[str, list[Example]]]:
    """Return the training data and the validation images, including all images of a set that is left out."""
    validation = {
        name: read_examples(data, name, "whole" if name in without else "validation") for name in [*SETS, *OTHER_SETS]
    }
    train = {
        name: [] if name in without else read_examples(data, name, "train")
        for name in [*SETS, "hls", "ships", "thermal"]
    }
    folder = data / "scenes"
    sources = Sources(
        captioned={name: train[name] for name in SETS if train[name]},
        hls=train["hls"],
        ships=train["ships"],
        thermal=train["thermal"],
        pairs=paired(read_examples(data, "twins", "train")),
        stacks=read_stacks(folder),
        measured=read_measured(folder),
    )
    return sources, validation


class Run:
    """The trained model, and its state in the run's folder. Equal seeds give equal steps, also in resumed runs."""

    def __init__(self, batches: Batches, args: argparse.Namespace) -> None:
        self.batches, self.args = batches, args
        self.words = first_states(vocabulary_words(), TunedLayers.count)
        self.student, self.layers = Student(), TunedLayers()
        self.published = copy.deepcopy(self.layers).requires_grad_(False)
        if args.start is not None:
            load_exported(args.start, self.student, self.layers)
        self.student.trunk.to(memory_format=torch.channels_last)
        self.both = nn.ModuleDict({"student": self.student, "layers": self.layers})
        self.average = copy.deepcopy(self.both).eval().requires_grad_(False)
        trunk = list(self.student.trunk.parameters())
        rest = [parameter for name, parameter in self.student.named_parameters() if not name.startswith("trunk")]
        groups = [
            {"params": trunk, "lr": args.lr},
            {"params": rest, "lr": 3 * args.lr},
            {"params": self.layers.parameters(), "lr": _TEXT_RATE},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.02)
        self._peak = [group["lr"] for group in self.optimizer.param_groups]
        self._state, self._log = args.out / "state.pt", args.out / "log.json"
        self.done = 0
        """Number of steps done."""
        self.log: list[dict[str, Any]] = []
        """Rows of the log."""
        if self._state.is_file():
            state = torch.load(self._state, weights_only=True)
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.done, self.log = state["step"], json.loads(self._log.read_text())

    def _parts(self) -> dict[str, Any]:
        return {"both": self.both, "average": self.average, "optimizer": self.optimizer}

    def save(self, steps: int) -> None:
        """Write the current state and the log."""
        new = self._state.with_suffix(".new")
        torch.save({name: part.state_dict() for name, part in self._parts().items()} | {"step": steps}, new)
        new.replace(self._state)
        self._log.write_text(json.dumps(self.log, indent=1) + "\n")

    def step(self, step: int) -> tuple[int, dict[str, float]]:
        """Run one step; return the side of the views, pixels, and the terms of the loss."""
        args, done = self.args, step / self.args.steps
        rng, torch_rng = np.random.default_rng((args.seed, step)), torch.Generator().manual_seed(args.seed + step)
        torch.manual_seed(args.seed + step)
        size = next(size for until, size in _SIZES if done < until)
        for group, lr in zip(self.optimizer.param_groups, self._peak, strict=True):
            group["lr"] = lr * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-7
        self.student.train()
        # The initial weights already have a tuned sentence encoder.
        tune = args.start is not None or done >= _TEXT_FROM
        terms = self._terms(self.batches.draw(args.batch, size, rng, torch_rng), tune, rng)
        self.optimizer.zero_grad()
        torch.stack([*terms.values()]).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.both.parameters(), 5.0)
        self.optimizer.step()
        follow(self.average, self.both, min(_AVERAGE, (1 + step) / (10 + step)))
        return size, {name: term.item() for name, term in terms.items()}

    def _terms(self, batch: Batch, tune: bool, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return the weighted terms of the loss; with `tune`, the sentence encoder is trained too."""
        student, sentences = self.student, self.batches.sentences
        followed = self.average["student"]
        assert isinstance(followed, Student)
        vectors = student.images(*batch.groups)
        with torch.no_grad():
            targets = [followed.images(whole) for _, whole in batch.twins]
        told = [i for i, own in enumerate(batch.own) if own]
        own = np.array([batch.own[i] for i in told])
        kinds = np.array([batch.kinds[i] for i in told])
        rows = [*own[:, OWN - 2 :].flatten().tolist(), *sentences.one_prompt_each(rng)]
        if not tune:
            rows += rng.integers(sentences.first_prompt, size=_MORE_CAPTIONS).tolist()
        texts = np.unique(rows)
        sentence_vectors = self.layers(sentences.states, texts) if tune else sentences.vectors[texts]
        truth = sentences.truth(own, kinds, texts)
        apart = [
            agreement(vectors[positions], target) for (positions, _), target in zip(batch.twins, targets, strict=True)
        ]
        terms = {
            "contrast": contrast(student, vectors[told], student.texts(sentence_vectors), truth),
            "twins": _TWINS * torch.stack(apart).mean() if apart else vectors.new_zeros(()),
        }
        if tune:
            some = rng.choice(len(self.words.lengths), _WORDS, replace=False)
            with torch.no_grad():
                kept = self.published(self.words, some)
            terms["stay"] = _STAY * (1 - functional.cosine_similarity(self.layers(self.words, some), kept).mean())
        return terms


def write(folder: Path, average: nn.ModuleDict) -> None:
    """Write the averaged model as a model folder."""
    student, layers = average["student"], average["layers"]
    assert isinstance(student, Student)
    assert isinstance(layers, TunedLayers)
    export(folder, student, layers.encoder_state())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the tars, more/ and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: state, log, model/")
    parser.add_argument("--start", type=Path, help="model folder whose weights the run starts from; default: ImageNet")
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        choices=[*SETS, "hls", "ships"],
        help="sets to leave out, to measure on them",
    )
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--every", type=int, default=400, help="steps between two rows of the log")
    parser.add_argument("--batch", type=int, default=96, help="captioned images in a step")
    parser.add_argument("--lr", type=float, default=6e-4, help="of the trunk; projections have three times as much")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
