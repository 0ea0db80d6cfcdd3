"""Three synthetic image-text models, different from each other and from `bench.engine.made_up`, and typical queries.

`Clustered`: 400 clusters of uneven size whose centres and spreads have an exponential spectrum, like embeddings of a
few kinds of scenes. `Curved`: a manifold without clusters, a random two-layer network of 24 heavy-tailed numbers, like
embeddings of scenes that change gradually. `Series`: a tree of kinds of places with sizes by Zipf's law, each place on
many dates, with a power-law spectrum, heavy tails and some rows of no kind. No parameter of the search was chosen on
`Series`. All are on a cone; sentences are on another one, with a weaker signal of the same content (the modality gap).
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_CLUSTERS, _DECAY = 400, 48.0
_LATENT, _HIDDEN = 24, 256
_GAP, _MIXED = 0.9, 3
# Groups of kinds, kinds, dates per place, and the share of rows of no kind.
_TOPS, _KINDS, _DATES, _STRAYS = 12, 900, 6, 0.01


class Distribution(Protocol):
    """A synthetic model."""

    def images(self, count: int, seed: int) -> Vectors:
        """Return images like those of the archive, shape (count, dim)."""

    def far_images(self, count: int, seed: int) -> Vectors:
        """Return images of the same content, but farther from those of the archive: haze, another season."""

    def other_sensor(self, count: int, seed: int) -> Vectors:
        """Return images of another sensor: shifted by the same offset, with less contrast."""

    def sentences(self, count: int, seed: int) -> Vectors:
        """Return sentences like those used for tuning."""

    def odd_sentences(self, count: int, seed: int) -> Vectors:
        """Return sentences with other content and wording."""


class Clustered:
    """Clusters, an exponential spectrum, a text side with a gap."""

    def __init__(self, dim: int, seed: int = 5) -> None:
        """Draw cones, clusters and offsets for vectors of a length."""
        rng = np.random.default_rng(seed)
        spectrum = np.exp(-np.arange(dim) / _DECAY)
        self._dim = dim
        self._deviation = np.sqrt(spectrum / spectrum.sum()).astype(np.float32)
        self._cones = unit(rng.normal(size=(2, dim))) * np.float32(0.7)
        self._centres = rng.standard_normal((_CLUSTERS, dim), np.float32) * self._deviation
        share = rng.gamma(0.7, size=_CLUSTERS) + 0.02
        self._share = share / share.sum()
        self._spread = rng.uniform(0.6, 1.1, (_CLUSTERS, 1)).astype(np.float32)
        self._offset = rng.standard_normal(dim).astype(np.float32) * self._deviation * np.float32(0.6)
        self._turn, _ = (part.astype(np.float32) for part in np.linalg.qr(rng.standard_normal((dim, dim))))

    def images(self, count: int, seed: int) -> Vectors:  # noqa: D102  (see `Distribution`)
        return self._drawn(count, seed)

    def far_images(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._drawn(count, seed, wider=1.6)

    def other_sensor(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._drawn(count, seed, contrast=0.6, offset=self._offset)

    def sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._text(count, seed, content=0.5, noise=0.4)

    def odd_sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._text(count, seed, content=0.1, noise=0.9)

    def _drawn(
        self, count: int, seed: int, wider: float = 1.0, contrast: float = 1.0, offset: Vectors | float = 0.0
    ) -> Vectors:
        rng = np.random.default_rng(seed)
        own = rng.choice(_CLUSTERS, count, p=self._share)
        noise = rng.standard_normal((count, self._dim), np.float32) * self._deviation
        content = self._centres[own] + noise * self._spread[own] * np.float32(wider)
        return unit((self._cones[0] + content * np.float32(contrast) + offset) @ self._turn)

    def _text(self, count: int, seed: int, content: float, noise: float) -> Vectors:
        rng = np.random.default_rng(seed)
        own = rng.integers(_CLUSTERS, size=count)
        strewn = rng.standard_normal((count, self._dim), np.float32) * self._deviation * np.float32(noise)
        return unit((self._cones[1] + self._centres[own] * np.float32(content) + strewn) @ self._turn)


class Curved:
    """The output of a random network for heavy-tailed numbers; for text, that of another network."""

    def __init__(self, dim: int, seed: int = 6) -> None:
        """Draw both networks for vectors of a length."""
        rng = np.random.default_rng(seed)
        self._first = (rng.standard_normal((_LATENT, _HIDDEN)) / _LATENT**0.5).astype(np.float32)
        self._bias = rng.standard_normal(_HIDDEN).astype(np.float32)
        self._second = (rng.standard_normal((_HIDDEN, dim)) / _HIDDEN**0.5).astype(np.float32)
        self._text_second = (self._second * 0.6 + rng.standard_normal((_HIDDEN, dim)) / _HIDDEN**0.5 * 0.8).astype("f4")
        self._gap = unit(rng.standard_normal((1, dim)))[0] * np.float32(_GAP)
        self._offset = unit(rng.standard_normal((1, dim)))[0] * np.float32(0.3)
        self._noise = np.float32(0.25 / dim**0.5)
        self._latent_offset = rng.standard_normal(_LATENT).astype(np.float32) * np.float32(0.5)

    def images(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._image(self._latent(count, seed), seed)

    def far_images(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._image(self._latent(count, seed) * np.float32(1.3) + self._latent_offset, seed)

    def other_sensor(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return unit(self._image(self._latent(count, seed), seed) * np.float32(0.8) + self._offset)

    def sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return unit(self._through(self._latent(count, seed) * np.float32(0.7), self._text_second) + self._gap)

    def odd_sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        strange = np.random.default_rng(seed + 1).standard_normal((count, self._second.shape[1]), np.float32)
        return unit(self.sentences(count, seed) * np.float32(0.7) + unit(strange) * np.float32(0.7))

    def _latent(self, count: int, seed: int) -> Vectors:
        rng = np.random.default_rng(seed)
        heavy = np.sqrt(rng.chisquare(5, (count, 1)) / 5).astype(np.float32)
        return rng.standard_normal((count, _LATENT), np.float32) / heavy

    def _image(self, latent: Vectors, seed: int) -> Vectors:
        noise = np.random.default_rng(seed + 7).standard_normal((len(latent), self._second.shape[1]), np.float32)
        return unit(self._through(latent, self._second) + noise * self._noise)

    def _through(self, latent: Vectors, second: Vectors) -> Vectors:
        return np.asarray(np.tanh(latent @ self._first + self._bias) @ second, np.float32)


class Series:
    """Nested kinds of places, with many dates per place."""

    def __init__(self, dim: int, seed: int = 11) -> None:
        """Draw kinds, places and the text side for vectors of a length."""
        rng = np.random.default_rng(seed)
        self._dim = dim
        spectrum = 1.0 / np.arange(1, dim + 1) ** 0.9
        turn, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
        self._axes = (np.sqrt(spectrum / spectrum.sum())[:, None] * turn).astype(np.float32)
        tops, kinds = self._drawn(rng, _TOPS), self._drawn(rng, _KINDS)
        self._kinds = tops[rng.integers(_TOPS, size=_KINDS)] * np.float32(0.8) + kinds * np.float32(0.6)
        share = 1.0 / np.arange(1, _KINDS + 1)
        self._share = share / share.sum()
        self._cones = unit(rng.standard_normal((2, dim))) * np.float32(1.1)
        self._offset = self._drawn(rng, 1)[0] * np.float32(0.5)
        mixing = rng.standard_normal((dim, dim)) / dim**0.5
        self._to_text = (0.5 * np.eye(dim) + 0.5 * mixing).astype(np.float32)

    def images(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._seen(count, seed)

    def far_images(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._seen(count, seed, date=0.8, place=0.9)

    def other_sensor(self, count: int, seed: int) -> Vectors:  # noqa: D102
        return self._seen(count, seed, contrast=0.5, offset=self._offset)

    def sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        rng = np.random.default_rng(seed)
        kinds = self._kinds[rng.integers(_KINDS, size=count)]
        return unit(kinds @ self._to_text + self._drawn(rng, count) * np.float32(0.4) + self._cones[1])

    def odd_sentences(self, count: int, seed: int) -> Vectors:  # noqa: D102
        rng = np.random.default_rng(seed)
        one, other = (self._kinds[rng.integers(_KINDS, size=count)] for _ in range(2))
        strange = unit(rng.laplace(size=(count, self._dim)))
        return unit((one - other) @ self._to_text * np.float32(0.7) + strange * np.float32(0.8) + self._cones[1])

    def _seen(
        self,
        count: int,
        seed: int,
        date: float = 0.25,
        place: float = 0.55,
        contrast: float = 1.0,
        offset: Vectors | float = 0.0,
    ) -> Vectors:
        rng = np.random.default_rng(seed)
        places = -(-count // _DATES)
        kinds = self._kinds[rng.choice(_KINDS, places, p=self._share)]
        each = kinds + self._drawn(rng, places) * np.float32(place)
        content = np.repeat(each, _DATES, axis=0)[:count] + self._drawn(rng, count) * np.float32(date)
        strays = rng.random(count) < _STRAYS
        content[strays] = self._drawn(rng, int(strays.sum())) * np.float32(1.5)
        return unit(self._cones[0] + content * np.float32(contrast) + offset)

    def _drawn(self, rng: np.random.Generator, count: int) -> Vectors:
        """Return heavy-tailed vectors along the axes, with lengths of about 1."""
        heavy = np.sqrt(rng.chisquare(4, (count, 1)) / 4).astype(np.float32)
        return np.asarray(rng.standard_normal((count, self._dim), np.float32) / heavy @ self._axes, np.float32)


DISTRIBUTIONS: dict[str, Callable[[int], Distribution]] = {"clustered": Clustered, "curved": Curved, "series": Series}


def queries(made: Distribution, count: int, seed: int = 90_000) -> dict[str, Vectors]:
    """Return unit vectors of every kind of query, none of which is a row of an archive.

    Args:
        made: The model.
        count: Number of queries of each kind.
        seed: Seed of the random number generator.
    """
    asked = {
        "image": made.images(count, seed),
        "far image": made.far_images(count, seed + 1),
        "other sensor": made.other_sensor(count, seed + 2),
        "mixture": _mixtures(made, count, seed + 3),
        "sentence": made.sentences(count, seed + 4),
        "odd sentence": made.odd_sentences(count, seed + 5),
    }
    dim = asked["image"].shape[1]
    asked["random"] = unit(np.random.default_rng(seed + 6).standard_normal((count, dim)))
    return asked


def _mixtures(made: Distribution, count: int, seed: int) -> Vectors:
    """Return twice the mean of positive images minus the mean of negative ones, as in a search with both."""
    liked = made.images(count * _MIXED, seed + 50).reshape(count, _MIXED, -1)
    disliked = made.images(count * _MIXED, seed + 51).reshape(count, _MIXED, -1)
    return unit(2 * liked.mean(axis=1) - disliked.mean(axis=1))


def unit(values: NDArray[np.floating]) -> Vectors:
    """Return rows of length 1."""
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)
