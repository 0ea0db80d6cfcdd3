"""Trains one of the embedded model's two trunks against frozen sentence vectors; resumable, seeded."""

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
from training.captions import read_sets, training_images
from training.evaluate import quick
from training.export import export
from training.losses import Memory, agreement, contrast, wordings
from training.measured import read_measured
from training.parts import EPOCHS, PARTS, part_of
from training.plot import plot
from training.scenes import read_stacks
from training.sentences import Sentences
from training.student import Student, follow

# glibc gives big blocks back to the system after every step and takes them again; kept, a step is 1.5 times as fast.
_KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
# The rate of learning falls as a cosine this many times as long as the first part, and after it to nothing.
_FIRST_FALL = 2.5
# What the terms of the loss weigh beside the captions' one; how much bands must agree once imagery is wide.
_LABELS, _WORDINGS, _BANDS, _WIDE_BANDS = 0.4, 1.0, 1.0, 2.0


def main() -> None:
    """Run or continue a training run."""
    if any(name not in os.environ for name in _KEEP_MEMORY):
        os.execve(  # noqa: S606  (ourselves)
            sys.executable, [sys.executable, "-m", "training.train", *sys.argv[1:]], os.environ | _KEEP_MEMORY
        )
    args = _arguments()
    parts, epochs = PARTS[args.trunk], args.epochs or EPOCHS[args.trunk]
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    train = training_images(args.data)
    validation = read_sets(args.data, "validation")
    sentences = Sentences(train, args.out / "sentences.pt")
    folder = args.data / "scenes"
    batches = Batches(train, sentences, read_stacks(folder), read_measured(folder))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = Student()
    student.start_text(sentences.whitening())
    student.to(device)
    student.trunk.to(memory_format=torch.channels_last)
    average = copy.deepcopy(student).eval().requires_grad_(False)
    slow = [p for name, p in student.named_parameters() if name.startswith(("trunk", "text_proj"))]
    fast = [p for name, p in student.named_parameters() if not name.startswith(("trunk", "text_proj"))]
    optimizer = torch.optim.AdamW(
        [{"params": slow, "lr": args.lr}, {"params": fast, "lr": args.lr * 3}], weight_decay=0.02
    )
    per_epoch = len(train) // args.batch
    total = per_epoch * epochs
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
    for epoch in range(first, epochs):
        rng, torch_rng = np.random.default_rng(args.seed + epoch), torch.Generator().manual_seed(args.seed + epoch)
        torch.manual_seed(args.seed + epoch)
        part = part_of(parts, epoch, epochs)
        if part.wide:
            sentences.share_words()
        order = rng.permutation(len(train))
        started, sums = time.monotonic(), {"caption": 0.0, "bands": 0.0, "labels": 0.0, "wordings": 0.0}
        student.train()
        for step in range(per_epoch):
            done = epoch * per_epoch + step
            for group, lr in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = lr * rate_of_learning(done, total, parts[0].until) + 1e-6
            rows = order[step * args.batch : (step + 1) * args.batch].tolist()
            batch = batches.captioned(rows, part, rng, torch_rng)
            scenes = [batches.scene(count, part, rng, torch_rng) for count in part.crops]
            groups = (*batch.groups, *((scene.seen, scene.wavelengths) for scene in scenes))
            vectors = student.images(*((views.to(device), waves) for views, waves in groups))
            image, *crops = torch.split(vectors, [len(rows), *(len(scene.seen) for scene in scenes)])
            bank = sentences.bank(rng, captions=part.bank[0], prompts=part.bank[1])
            captions = contrast(student, image, batch.meaning, batch.own, sentences, bank, memory)
            memory.add(image, batch.meaning)
            bands, labels = torch.zeros((), device=device), torch.zeros((), device=device)
            for scene, seen in zip(scenes, crops, strict=True):
                # Any bands should give the vector that the averaged model gives to the whole …
                with torch.no_grad():
                    target = average.images((scene.whole.to(device), scene.whole_wavelengths))
                bands = bands + agreement(seen, target, among=part.wide) / len(scenes)
                # … and be found by the sentences of its label.
                if len(scene.labelled) >= 4:
                    bank = sentences.bank(rng, captions=64, prompts=4)
                    found = contrast(student, seen[scene.labelled], scene.meaning, scene.own, sentences, bank, None)
                    labels = labels + found / len(scenes)
            same = wordings(student, sentences, rows, rng)
            loss = captions + (_WIDE_BANDS if part.wide else _BANDS) * bands + _LABELS * labels + _WORDINGS * same
            terms = (("caption", captions), ("bands", bands), ("labels", labels), ("wordings", same))
            for name, value in terms:
                sums[name] += value.item()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            follow(average, student, min(0.995 if part.wide else 0.997, (1 + done) / (10 + done)))
            if step % 20 == 0:
                rate = (step + 1) * args.batch / (time.monotonic() - started)
                print(f"epoch {epoch} step {step}/{per_epoch} loss {loss.item():.3f} {rate:.0f} images/s", flush=True)
        row: dict[str, Any] = {"epoch": epoch, "size": part.size, "seconds": round(time.monotonic() - started)}
        row |= {name: round(value / per_epoch, 4) for name, value in sums.items()}
        export(args.out / "model", [average.trunk.state_dict()], average)
        # Choices are made on this part, never on the held-out tenth.
        row |= quick(args.out / "model", validation)
        log.append(row)
        print(json.dumps(row), flush=True)
        kept = {"student": student.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**kept, "memory": list(memory.rows), "epoch": epoch + 1}, state_file.with_suffix(".new"))
        state_file.with_suffix(".new").replace(state_file)
        log_file.write_text(json.dumps(log, indent=1))
        plot(log, args.out / "log.png")


def rate_of_learning(step: int, total: int, first_part: float) -> float:
    """Return the share of the peak rate at a step: a short rise, a slow fall, and a fall to nothing after a share."""
    first = first_part * total
    slow = 0.5 + 0.5 * math.cos(math.pi * min(step, first) / (_FIRST_FALL * first))
    last = 0.5 + 0.5 * math.cos(math.pi * max(step - first, 0) / (total - first))
    return min(1.0, (step + 1) / 60) * slow * last


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: state, log, plot, model/")
    parser.add_argument("--trunk", choices=sorted(PARTS), default="world", help="which of the two trunks to train")
    parser.add_argument("--epochs", type=int, help="default: 18 for the world's trunk, 14 for the captions'")
    parser.add_argument("--batch", type=int, default=112)
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
