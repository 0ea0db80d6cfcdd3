"""A distribution of real embeddings: crops of labelled images, embedded with the embedded model.

    python -m bench.recall --folder /data/bench --images DIR/*.tar --rows 100000

Each row is a random crop of 35 to 100% of an image's side, rotated by multiples of 90°. Sentences for tuning the index
are those of `bandsight optimize`; unusual ones are human captions of these images. One in ten images is used only for
queries.
"""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bandsight.model import load_for_queries
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import sentence_vectors
from bandsight.search.recall_queries import sentences

_RGB_UM, _GREY_UM = (0.665, 0.56, 0.49), (0.842,)
_BATCH, _QUERIES_FROM = 64, 10
_LEAST_SHARE = 0.35
# Rows are drawn with seeds whose remainder by this is 1 (`bench.recall.__main__.filled`); others draw queries.
_ROW_SEEDS = 20_000

Change = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]


class Embedded:
    """Crops of real images, and their human captions."""

    def __init__(self, tars: Sequence[Path], encoder: Encoder | None = None) -> None:
        """Read the images of webdataset tars (KEY.jpg, KEY.json with `captions`) and load the model."""
        self._encoder = encoder or load_for_queries("embedded", "cpu")
        self._images: list[NDArray[np.uint8]] = []
        captions: list[str] = []
        for path in tars:
            with tarfile.open(path) as tar:
                for member in tar:
                    content = tar.extractfile(member)
                    if content is None:
                        continue
                    if member.name.endswith(".jpg"):
                        self._images.append(np.asarray(Image.open(io.BytesIO(content.read())).convert("RGB")))
                    elif member.name.endswith(".json"):
                        captions += json.loads(content.read()).get("captions", [])[:1]
        self._captions = sorted(set(captions))
        self._words = sentences()

    def images(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors of crops, shape (count, dim)."""
        return self._embedded(count, seed, lambda crop, _: crop, _RGB_UM)

    def far_images(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors of crops with haze and a quarter of their contrast."""
        return self._embedded(count, seed, lambda crop, rng: crop // 4 + rng.integers(90, 150, dtype=np.uint8), _RGB_UM)

    def other_sensor(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors of crops of one band, labelled as near infrared."""
        return self._embedded(count, seed, lambda crop, _: crop[1:2], _GREY_UM)

    def sentences(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors of sentences used for tuning."""
        return self._text(self._words, count, seed)

    def odd_sentences(self, count: int, seed: int) -> NDArray[np.float32]:
        """Return vectors of human captions."""
        return self._text(self._captions, count, seed)

    def _text(self, texts: list[str], count: int, seed: int) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(texts), count, replace=count > len(texts))
        return sentence_vectors(self._encoder, [texts[place] for place in chosen])

    def _embedded(self, count: int, seed: int, change: Change, waves: Sequence[float]) -> NDArray[np.float32]:
        rng = np.random.default_rng(seed)
        queries = seed % _ROW_SEEDS != 1
        own = [n for n in range(len(self._images)) if (n % _QUERIES_FROM == 0) == queries]
        parts = []
        for start in range(0, count, _BATCH):
            crops = [self._crop(self._images[n], rng) for n in rng.choice(own, min(_BATCH, count - start))]
            parts.append(self._encoder.embed_pixels(np.stack([change(crop, rng) for crop in crops]), waves))
        return np.concatenate(parts)

    def _crop(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        side = int(min(image.shape[:2]) * rng.uniform(_LEAST_SHARE, 1))
        top, left = (int(rng.integers(size - side + 1)) for size in image.shape[:2])
        size = self._encoder.image_size
        crop = Image.fromarray(image[top : top + side, left : left + side]).resize((size, size))
        turned = np.rot90(np.asarray(crop), int(rng.integers(4)))
        return np.ascontiguousarray(turned.transpose(2, 0, 1))
