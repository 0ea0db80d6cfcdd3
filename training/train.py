"""Trains the embedded model: image tower and projections against frozen sentence vectors; resumable, seeded."""

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

from training.batches import Batches
from training.captions import read_sets, stored
from training.evaluate import quick
from training.export import export
from training.finish import finish
from training.losses import Memory, agreement, contrast
from training.measured import read_measured
from training.plot import plot
from training.scenes import read_stacks
from training.sentences import Sentences
from training.student import Student, follow

# Input side for the first, second and last part of the run: small views early cost a half and teach scale.
_SIZES = ((0.5, 96), (0.85, 112), (1.0, 128))
# glibc gives big blocks back to the system after every step and takes them again; kept, a step is 1.5 times as fast.
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
# From this share of the run on, imagery is as the world's sensors have it; before, the captions are learned.
_WIDE = 0.5
# The rate of learning falls as a cosine this many times as long as the first part, and in the second part to nothing.
_FIRST_FALL = 2.5
# Crops of one scene in a step before, and of each of two scenes after.
_CROPS, _WIDE_CROPS = 16, 10


def main() -> None:
    """Run or continue a training run."""
    if any(name not in os.environ for name in _KEEP_MEMORY):
        os.execve(  # noqa: S606  (ourselves)
            sys.executable, [sys.executable, "-m", "training.train", *sys.argv[1:]], os.environ | _KEEP_MEMORY
        )
    args = _arguments()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    train = stored(image for images in read_sets(args.data, "train").values() for image in images)
    validation = read_sets(args.data, "validation")
    sentences = Sentences(train, args.out / "sentences.pt")
    folder = args.data / "scenes"
    batches = Batches(train, sentences, read_stacks(folder), read_measured(folder))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = Student().to(device)
    student.trunk.to(memory_format=torch.channels_last)
    average = copy.deepcopy(student).eval().requires_grad_(False)
    slow = [p for name, p in student.named_parameters() if name.startswith(("trunk", "text_proj"))]
    fast = [p for name, p in student.named_parameters() if not name.startswith(("trunk", "text_proj"))]
    optimizer = torch.optim.AdamW(
        [{"params": slow, "lr": args.lr}, {"params": fast, "lr": args.lr * 3}], weight_decay=0.02
    )
    per_epoch = len(train) // args.batch
    total = per_epoch * args.epochs
    peak = [group["lr"] for group in optimizer.param_groups]
    state_file, log_file = args.out / "state.pt", args.out / "log.json"
    memory = Memory(4096)
    first, log = 0, []
    if state_file.is_file():
        state = torch.load(state_file, map_location=device, weights_only=True)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        memory.rows.extend(state["memory"])
        first, log = state["epoch"], json.loads(log_file.read_text())
    for epoch in range(first, args.epochs):
        rng, torch_rng = np.random.default_rng(args.seed + epoch), torch.Generator().manual_seed(args.seed + epoch)
        torch.manual_seed(args.seed + epoch)
        size = next(side for share, side in _SIZES if epoch < share * args.epochs)
        wide = epoch >= _WIDE * args.epochs
        if wide:
            sentences.share_words()
        order = rng.permutation(len(train))
        started, sums = time.monotonic(), {"caption": 0.0, "bands": 0.0, "labels": 0.0}
        student.train()
        for step in range(per_epoch):
            done = epoch * per_epoch + step
            for group, lr in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = lr * rate_of_learning(done, total) + 1e-6
            rows = order[step * args.batch : (step + 1) * args.batch].tolist()
            batch = batches.captioned(rows, size, rng, torch_rng, wide=wide)
            crops_each = [_WIDE_CROPS, _WIDE_CROPS] if wide else [_CROPS]
            scenes = [batches.scene(size, count, rng, torch_rng, wide=wide) for count in crops_each]
            groups = (*batch.groups, *((scene.seen, scene.wavelengths) for scene in scenes))
            vectors = student.images(*((views.to(device), waves) for views, waves in groups))
            image, *crops = torch.split(vectors, [len(rows), *(len(scene.seen) for scene in scenes)])
            bank = sentences.bank(rng, captions=448, prompts=5)
            captions = contrast(student, image, batch.meaning, batch.own, sentences, bank, memory)
            memory.add(image, batch.meaning)
            bands, labels = torch.zeros((), device=device), torch.zeros((), device=device)
            for scene, seen in zip(scenes, crops, strict=True):
                # Any bands should give the vector that the averaged model gives to red, green and blue …
                with torch.no_grad():
                    target = average.images((scene.rgb.to(device), scene.rgb_wavelengths))
                bands = bands + agreement(seen, target, among=wide) / len(scenes)
                # … and be found by the sentences of its label.
                if len(scene.labelled) >= 4:
                    bank = sentences.bank(rng, captions=64, prompts=4)
                    found = contrast(student, seen[scene.labelled], scene.meaning, scene.own, sentences, bank, None)
                    labels = labels + found / len(scenes)
            loss = captions + (2 if wide else 1) * bands + 0.3 * labels
            for name, value in (("caption", captions), ("bands", bands), ("labels", labels)):
                sums[name] += value.item()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            follow(average, student, min(0.995 if wide else 0.997, (1 + done) / (10 + done)))
            if step % 20 == 0:
                rate = (step + 1) * args.batch / (time.monotonic() - started)
                print(f"epoch {epoch} step {step}/{per_epoch} loss {loss.item():.3f} {rate:.0f} images/s", flush=True)
        row: dict[str, Any] = {"epoch": epoch, "size": size, "seconds": round(time.monotonic() - started)}
        row |= {name: round(value / per_epoch, 4) for name, value in sums.items()}
        export(average, args.out / "model")
        # Choices are made on this part, never on the held-out tenth.
        row |= quick(args.out / "model", validation)
        log.append(row)
        print(json.dumps(row), flush=True)
        kept = {"student": student.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**kept, "memory": list(memory.rows), "epoch": epoch + 1}, state_file.with_suffix(".new"))
        state_file.with_suffix(".new").replace(state_file)
        log_file.write_text(json.dumps(log, indent=1))
        plot(log, args.out / "log.png")
    print(json.dumps(finish(args.out / "model", args.data, args.cache), indent=1))


def rate_of_learning(step: int, total: int) -> float:
    """Return the share of the peak rate at a step: a short rise, a slow fall, and a fall to nothing once it is wide."""
    first = _WIDE * total
    slow = 0.5 + 0.5 * math.cos(math.pi * min(step, first) / (_FIRST_FALL * first))
    last = 0.5 + 0.5 * math.cos(math.pi * max(step - first, 0) / (total - first))
    return min(1.0, (step + 1) / 60) * slow * last


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: state, log, plot, model/")
    parser.add_argument("--cache", type=Path, default=Path(".cache/demo"), help="where the demo keeps its scenes")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=112)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
