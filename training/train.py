"""Trains the embedded model in one run; resumable and seeded."""

import argparse
import copy
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.batches import OWN, Batches, Sources
from training.data import OTHER_SETS, SETS, paired, read_examples
from training.export import export, load_exported
from training.losses import agreement, contrast
from training.measure import validation_figures
from training.measured import read_measured
from training.scenes import read_stacks
from training.sentences import Sentences
from training.student import Student, follow
from training.text import TunedLayers, first_states, vocabulary_words

# glibc returns large blocks to the system after every step; keeping them makes a step 1.5 times as fast.
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
# Side of a view until a share of the run is done: small views early save time.
_SIZES = ((0.45, 96), (0.85, 112), (1.0, 128))
# The sentence encoder's last layers are trained from this share of the run on.
_TEXT_FROM = 0.5
_TEXT_RATE = 1e-4
# Weights of the terms beside the contrast.
_TWINS, _STAY = 1.5, 2.0
# Words in a step that must keep their vectors, so that what no caption says is not forgotten.
_WORDS = 96
# Further captions that images are told from, while sentence vectors are still fixed.
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
    validation = {name: read_examples(args.data, name, "validation") for name in [*SETS, *OTHER_SETS]}
    captioned = {name: read_examples(args.data, name, "train") for name in SETS}
    hls, ships, thermal = (read_examples(args.data, name, "train") for name in ("hls", "ships", "thermal"))
    folder = args.data / "scenes"
    sources = Sources(
        captioned=captioned,
        hls=hls,
        ships=ships,
        thermal=thermal,
        pairs=paired(read_examples(args.data, "twins", "train")),
        stacks=read_stacks(folder),
        measured=read_measured(folder),
    )
    images = [image for each in captioned.values() for image in each]
    sentences = Sentences([*images, *hls, *ships, *thermal], args.out / "sentences.pt")
    batches = Batches(sources, sentences)
    words = first_states(vocabulary_words(), TunedLayers.count)
    student, layers = Student(), TunedLayers()
    published = copy.deepcopy(layers).requires_grad_(False)
    if args.start is not None:
        load_exported(args.start, student, layers)
    student.trunk.to(memory_format=torch.channels_last)
    both = nn.ModuleDict({"student": student, "layers": layers})
    average = copy.deepcopy(both).eval().requires_grad_(False)
    followed = average["student"]
    assert isinstance(followed, Student)
    trunk = list(student.trunk.parameters())
    rest = [parameter for name, parameter in student.named_parameters() if not name.startswith("trunk")]
    optimizer = torch.optim.AdamW(
        [
            {"params": trunk, "lr": args.lr},
            {"params": rest, "lr": 3 * args.lr},
            {"params": layers.parameters(), "lr": _TEXT_RATE},
        ],
        weight_decay=0.02,
    )
    peak = [group["lr"] for group in optimizer.param_groups]
    state_file, log_file = args.out / "state.pt", args.out / "log.json"
    first, log = 0, []
    if state_file.is_file():
        state = torch.load(state_file, weights_only=True)
        both.load_state_dict(state["both"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, log = state["step"], json.loads(log_file.read_text())
    print(f"{len(images)} captioned images, {len(sentences.texts)} sentences, {len(sentences.kinds)} kinds", flush=True)
    sums: dict[str, float] = {}
    started = time.monotonic()
    for step in range(first, args.steps):
        rng, torch_rng = np.random.default_rng((args.seed, step)), torch.Generator().manual_seed(args.seed + step)
        torch.manual_seed(args.seed + step)
        done = step / args.steps
        size = next(size for until, size in _SIZES if done < until)
        # Weights to start from have a tuned sentence encoder already.
        tune = args.start is not None or done >= _TEXT_FROM
        for group, lr in zip(optimizer.param_groups, peak, strict=True):
            group["lr"] = lr * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-7
        student.train()
        batch = batches.draw(args.batch, size, rng, torch_rng)
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
        sentence_vectors = layers(sentences.states, texts) if tune else sentences.vectors[texts]
        terms = {
            "contrast": contrast(
                student, vectors[told], student.texts(sentence_vectors), sentences.truth(own, kinds, texts)
            )
        }
        apart = [
            agreement(vectors[positions], target) for (positions, _), target in zip(batch.twins, targets, strict=True)
        ]
        terms["twins"] = _TWINS * torch.stack(apart).mean() if apart else vectors.new_zeros(())
        if tune:
            some = rng.choice(len(words.lengths), _WORDS, replace=False)
            with torch.no_grad():
                kept = published(words, some)
            terms["stay"] = _STAY * (1 - functional.cosine_similarity(layers(words, some), kept).mean())
        loss = torch.stack([*terms.values()]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimizer.step()
        follow(average, both, min(_AVERAGE, (1 + step) / (10 + step)))
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + term.item()
        if (step + 1) % 20 == 0:
            rate = (step + 1 - first) / (time.monotonic() - started)
            print(f"step {step + 1}/{args.steps} {size} px loss {loss.item():.3f} {rate:.2f} steps/s", flush=True)
        if (step + 1) % _CHECKPOINT_STEPS == 0 or step + 1 == args.steps:
            kept_state = {
                "both": both.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save({**kept_state, "step": step + 1}, state_file.with_suffix(".new"))
            state_file.with_suffix(".new").replace(state_file)
            log_file.write_text(json.dumps(log, indent=1) + "\n")
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            write(args.out / "model", average)
            row: dict[str, Any] = {"step": step + 1, "size": size, "seconds": round(time.monotonic() - started)}
            row |= {name: round(value / args.every, 4) for name, value in sums.items()}
            row |= validation_figures(args.out / "model", validation)
            sums = {}
            log.append(row)
            print(json.dumps(row), flush=True)
            log_file.write_text(json.dumps(log, indent=1) + "\n")


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
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--every", type=int, default=400, help="steps between two rows of the log")
    parser.add_argument("--batch", type=int, default=96, help="captioned images in a step")
    parser.add_argument("--lr", type=float, default=6e-4, help="of the trunk; projections have three times as much")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
