"""The resources of a search: an archive, the model of its vectors, and what scores mean on its scenes."""

import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.archive.scene_imagery import imagery_of
from bandsight.attributes.columns import SceneColumns
from bandsight.attributes.filters import Filter
from bandsight.catalog.records import Hit, Scene
from bandsight.model.protocol import Encoder
from bandsight.model.scoring import Imagery, ImageryLike, ScoreScale
from bandsight.search.recall_check import RecallCheck
from bandsight.work import check_cancelled, stage

# Cached text vectors: result pages repeat the same query, and users repeat each other's.
_MOST_TEXTS = 2048
# Texts embedded at a time. In between, other requests get their turn and cancelled ones stop.
_AT_ONCE = 16
# Scenes read at a time, each several kB.
_SCENES_AT_ONCE = 1000
# Bisection steps of -1..1 to reach float32 resolution.
_HALVINGS = 30
# The calibration was fitted on English sentences of at most this length.
_MAX_WORDS = 40
# Short foreign words that are neither English nor part of names used in English (Las Vegas, El Paso).
# fmt: off
_FOREIGN = frozenset([
    "und", "mit", "der", "das", "ein", "eine", "zwischen", "wo", "sind", "auf", "im", "le", "les", "une",
    "et", "avec", "dans", "du", "au", "una", "y", "en", "del", "donde", "il", "gli", "uno", "della",
    "nel", "dove", "em", "com", "uma", "onde", "een", "het", "waar",
])
# fmt: on

Decode = Callable[[bytes, Sequence[float] | None], tuple[NDArray[np.uint8], tuple[float, ...]]]
"""Decodes the bytes of a query image, with optional wavelengths, to pixels (C, H, W) and wavelengths in µm."""


class SerializedEncoder:
    """An encoder that runs one query at a time and caches text vectors.

    Tokenizers are not thread-safe, and models already use all cores. A thread-safe text tower (`LightEncoder`) embeds
    texts of several requests concurrently, also alongside an image. Requests are not batched together, because the last
    digits of a vector would then depend on the rest of the batch.
    """

    def __init__(self, encoder: Encoder, most_texts: int = _MOST_TEXTS) -> None:
        """Initialize.

        Args:
            encoder: The encoder to share between threads.
            most_texts: Maximum number of cached texts.
        """
        self._encoder, self._most_texts = encoder, most_texts
        self._lock = threading.Lock()
        self._text_lock = nullcontext() if getattr(encoder, "thread_safe_texts", False) else self._lock
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._vectors_lock = threading.Lock()
        self.name = encoder.name
        self.digest = encoder.digest
        self.license = encoder.license
        self.dim = encoder.dim
        self.image_size = encoder.image_size
        self.gsd_m = encoder.gsd_m
        self.background = encoder.background
        self.probabilities = encoder.probabilities

    def embed_pixels(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector per tile; see `Encoder`."""
        with self._lock:
            check_cancelled()
            with stage("encode"):
                return self._encoder.embed_pixels(pixels, wavelengths)

    def dense(self, pixels: NDArray[np.uint8], wavelengths: Sequence[float]) -> NDArray[np.float32]:
        """Return one unit vector for each cell of each tile; see `Encoder`."""
        with self._lock:
            check_cancelled()
            with stage("encode"):
                return self._encoder.dense(pixels, wavelengths)

    def embed_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return one unit vector per text; see `Encoder`."""
        with self._vectors_lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
            for text in known:
                self._vectors.move_to_end(text)
        new = list(dict.fromkeys(text for text in texts if text not in known))
        if new:
            known |= dict(zip(new, self._embedded(new), strict=True))
            with self._vectors_lock:
                # Copy, because a row view would keep the whole batch in memory.
                self._vectors |= {text: known[text].copy() for text in new}
                while len(self._vectors) > self._most_texts:
                    self._vectors.popitem(last=False)
        return np.array([known[text] for text in texts], np.float32).reshape(len(texts), self.dim)

    def _embedded(self, texts: list[str]) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(texts), _AT_ONCE):
            with self._text_lock:
                check_cancelled()
                with stage("encode"):
                    vectors = self._encoder.embed_texts(texts[start : start + _AT_ONCE])
            yield from vectors


class Searcher:
    """An open archive with the model that encodes its queries; thread-safe."""

    def __init__(
        self,
        archive: Archive,
        encoder: Encoder | Callable[[], Encoder],
        decode: Decode | None = None,
        *,
        max_hits: int = 1000,
        check: RecallCheck | None = None,
    ) -> None:
        """Initialize.

        Args:
            archive: The archive to search.
            encoder: Encodes queries, or a function that loads it, called once when a sentence or image needs it.
            decode: Decodes query images; None to decode in this process.
            max_hits: Maximum number of hits per page.
            check: Compares some searches with exact ones.
        """
        self.archive = archive
        self.max_hits = max_hits
        self.check = check
        self.imagery = SceneImagery()
        self._decode = decode
        self._loading = threading.Lock()
        self._load = encoder if callable(encoder) else lambda: encoder
        self._encoder: SerializedEncoder | None = None

    @property
    def encoder(self) -> SerializedEncoder:
        """The model that encodes queries; loaded on first use.

        Raises:
            ModelError: It cannot be loaded, or differs from the archive's.
        """
        with self._loading:
            if self._encoder is None:
                loaded = self._load()
                # One that several searchers share keeps its own cache and locks.
                self._encoder = loaded if isinstance(loaded, SerializedEncoder) else SerializedEncoder(loaded)
            return self._encoder

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self.archive.model.dim

    def embed_picture(
        self, data: bytes, wavelengths: Sequence[float] | None = None
    ) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        """Return the unit vector of an image, shape (dim,), and the wavelengths of its bands, µm.

        Args:
            data: A file: PNG, JPEG or GeoTIFF.
            wavelengths: Wavelengths of the bands, µm, for a GeoTIFF that does not state them.

        Raises:
            ImageError: It cannot be decoded within the limits.
            BusyError: The decoders are busy with other images.
            WavelengthError: A wavelength is not in µm.
        """
        decode = self._decode
        if decode is None:
            from bandsight.query_image import decode_query_image

            decode = decode_query_image
        pixels, found = decode(data, wavelengths)
        vector: NDArray[np.float32] = self.encoder.embed_pixels(pixels[None], found)[0]
        return vector, found

    def likely(self, texts: NDArray[np.float32], probability: float, among: Filter) -> list[int]:
        """Return the ids of the tiles that show what a sentence describes with a minimum probability.

        Args:
            texts: Unit vectors of the sentences, shape (sentences, dim); one of them suffices.
            probability: The minimum, 0..1.
            among: Filter for the tiles.
        """
        archive = self.archive
        found = archive.similarities(texts, among)
        scenes = found.selection.scenes.ids.tolist()
        kinds = dict(zip(scenes, self.imagery.of(archive, scenes), strict=True))
        # The resolution of a tile depends on its scale, which is read only for candidates.
        never = [np.inf] * len(texts)
        level = {
            one: never
            if _reason(self.encoder, replace(one, gsd_m=None), texts)
            else [least_cosine(self.encoder, replace(one, gsd_m=None), text, probability) for text in texts]
            for one in set(kinds.values()) - {None}
        }
        least = np.array([level.get(kinds[scene], never) for scene in scenes], np.float64).reshape(-1, len(never)).T
        passing = (found.scores >= least[:, found.selection.scene_at]).any(axis=0)
        tiles = archive.tiles_by_id(found.selection.ids[passing].tolist())
        return [tile.id for tile in tiles.values() if self._is_covered(kinds.get(tile.scene_id), tile.scale)]

    def _is_covered(self, imagery: Imagery | None, scale: int) -> bool:
        return imagery is not None and self.encoder.probabilities.reason(at_scale(imagery, scale)) is None


def calibrated(
    encoder: Encoder,
    hits: Sequence[Hit],
    kinds: Sequence[Imagery],
    cosines: NDArray[np.float32],
    texts: NDArray[np.float32],
) -> list[Hit]:
    """Return hits with the probability of their likeliest sentence, and whether it is a match.

    Hits without a calibration for their imagery or for one of the sentences get a reason instead.

    Args:
        encoder: Its calibration turns cosines into probabilities.
        hits: The hits.
        kinds: Imagery of each hit.
        cosines: Cosine of each hit with each sentence, shape (hits, sentences).
        texts: Unit vectors of the sentences as used in searches, shape (sentences, dim).
    """
    if not hits:
        return []
    meaning = encoder.probabilities
    # Any of the sentences may have determined the order, so a probability needs all of them.
    values = meaning.of(cosines, texts, kinds).max(axis=1)
    known = {one: (meaning.threshold(one), _reason(encoder, one, texts)) for one in set(kinds)}
    return [
        _judged(hit, float(value), meaning.sure, *known[one])
        for hit, value, one in zip(hits, values, kinds, strict=True)
    ]


def _reason(encoder: Encoder, imagery: ImageryLike, texts: NDArray[np.float32]) -> str | None:
    """Return why some of the sentences have no probability for imagery, or None if all have one."""
    return next(filter(None, (encoder.probabilities.reason(imagery, text) for text in texts)), None)


def _judged(hit: Hit, value: float, sure: float | None, level: float | None, reason: str | None) -> Hit:
    """Return a hit with its probability.

    A match has the same probability for every family. That a hit is no match is only known where a threshold was
    measured for its family.
    """
    if not np.isfinite(value):
        return replace(hit, probability_reason=reason)
    match = True if sure is not None and value >= sure else False if level is not None and value < level else None
    return replace(hit, probability=value, match=match)


def least_cosine(encoder: Encoder, imagery: ImageryLike, text: NDArray[np.float32], probability: float) -> float:
    """Return the minimum cosine with a sentence (dim,) for a probability, or infinity if none reaches it.

    The probability increases with the cosine, so bisection works. Imagery without probabilities reaches none.
    """

    def of(cosine: float) -> float:
        return float(encoder.probabilities.of(np.full((1, 1), cosine, np.float32), text[None], [imagery])[0, 0])

    if encoder.probabilities.reason(imagery, text) is not None:
        return np.inf
    low, high = -1.0, 1.0
    if of(low) >= probability:
        return -np.inf
    if of(high) < probability:
        return np.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if of(middle) >= probability else (middle, high)
    return high


def unfamiliar(text: str) -> str | None:
    """Return why a query has no valid probability, or None if no reason is found.

    Only the wording is checked. A single foreign noun without diacritics is not recognised.
    """
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return "not calibrated for queries without words"
    latin = sum(unicodedata.name(char, "").startswith("LATIN") for char in letters)
    if 2 * latin < len(letters):
        return "not calibrated for queries in scripts other than Latin"
    words = text.lower().split()
    if len(words) > _MAX_WORDS:
        return f"not calibrated for queries of more than {_MAX_WORDS} words"
    if not "".join(letters).isascii() or _FOREIGN & {word.strip(".,;:!?\"'()") for word in words}:
        return "not calibrated for queries in languages other than English"
    return None


class SceneImagery:
    """A cache of scenes' imagery at native resolution, which never changes."""

    def __init__(self) -> None:
        self._of: dict[int, Imagery] = {}
        self._families: tuple[SceneColumns | None, dict[str, tuple[int, ...]]] = (None, {})

    def of_hits(self, hits: Sequence[Hit]) -> list[Imagery]:
        """Return the imagery of each hit's tile."""
        return [at_scale(self._of.get(hit.scene.id) or self._added(hit.scene), hit.tile.scale) for hit in hits]

    def _added(self, scene: Scene) -> Imagery:
        self._of[scene.id] = imagery = imagery_of(scene)
        return imagery

    def of(self, archive: Archive, scene_ids: Sequence[int]) -> list[Imagery | None]:
        """Return the imagery of scenes; None for a scene that is gone."""
        missing = [one for one in scene_ids if one not in self._of]
        for start in range(0, len(missing), _SCENES_AT_ONCE):
            some = archive.scenes_by_id(missing[start : start + _SCENES_AT_ONCE])
            self._of |= {one: imagery_of(scene) for one, scene in some.items()}
        return [self._of.get(one) for one in scene_ids]

    def families(self, archive: Archive, scenes: SceneColumns) -> dict[str, tuple[int, ...]]:
        """Return the ids of scenes by family; scenes that are gone are left out."""
        known, families = self._families
        if known is not scenes:
            found: dict[str, list[int]] = {}
            ids = scenes.ids.tolist()
            for scene_id, imagery in zip(ids, self.of(archive, ids), strict=True):
                if imagery is not None:
                    found.setdefault(imagery.family, []).append(scene_id)
            families = {name: tuple(members) for name, members in found.items()}
            self._families = (scenes, families)
        return families


def at_scale(imagery: Imagery, scale: int) -> Imagery:
    """Return imagery downsampled by a scale of s×s native pixels."""
    return imagery if imagery.gsd_m is None or scale == 1 else replace(imagery, gsd_m=imagery.gsd_m * scale)


_COSINES = ScoreScale()


@dataclass(frozen=True, slots=True)
class FamilyScales:
    """The scales of the families of imagery whose scores differ from cosines."""

    imagery: SceneImagery = field(default_factory=SceneImagery)
    """Knows the family of each scene."""
    scales: Mapping[str, ScoreScale] = field(default_factory=dict)
    """Scale of each family; scores of families that are not listed are cosines."""

    def split(self, archive: Archive, scenes: SceneColumns) -> list[tuple[Filter, ScoreScale]]:
        """Return filters that together select all tiles, each once, and the scale of each part.

        Args:
            archive: The archive.
            scenes: All its scenes.
        """
        if not self.scales or not len(scenes.ids):
            return [(Filter(), _COSINES)]
        members: dict[ScoreScale, tuple[int, ...]] = {}
        for name, ids in self.imagery.families(archive, scenes).items():
            if name in self.scales:
                members[self.scales[name]] = members.get(self.scales[name], ()) + ids
        parts = [(Filter(scenes=ids), scale) for scale, ids in members.items()]
        apart = tuple(one for ids in members.values() for one in ids)
        if len(apart) == len(scenes.ids):
            return parts if len(parts) > 1 else [(Filter(), parts[0][1])]
        return [(~Filter(scenes=apart) if apart else Filter(), _COSINES), *parts]

    def of(self, family: str) -> ScoreScale:
        """Return the scale of a family."""
        return self.scales.get(family, _COSINES)

    def cosines(self, scores: NDArray[np.float32], imagery: Sequence[Imagery]) -> NDArray[np.float32]:
        """Return the cosines of scores, shape (n,), for the imagery of each."""
        if not self.scales:
            return scores
        return np.array([self.of(one.family).cosines(score) for one, score in zip(imagery, scores, strict=True)])

    def scores(
        self, archive: Archive, cosines: NDArray[np.float32], scenes: SceneColumns, scene_at: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Return the scores of tiles, shape (n,), from their cosines and the rows of their scenes."""
        if not self.scales:
            return cosines
        kinds = self.imagery.of(archive, scenes.ids.tolist())
        scales = [_COSINES if one is None else self.of(one.family) for one in kinds]
        found = cosines.copy()
        for scale in set(scales) - {_COSINES}:
            rows = np.array([one == scale for one in scales])[scene_at]
            found[rows] = scale.scores(cosines[rows])
        return found
