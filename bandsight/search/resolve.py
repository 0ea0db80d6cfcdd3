"""From a request by meaning to a question: examples become vectors, vectors a scorer."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from bandsight.archive import Archive
from bandsight.attributes.filters import Filter
from bandsight.errors import QueryError
from bandsight.geo.area import Area
from bandsight.geo.box import LonLatBox
from bandsight.geo.vertices import check_vertices
from bandsight.search.question import MAX_AREA_TILES, MAX_TERMS, Example, Semantic, Vector, check_text
from bandsight.search.ranking import ResultSelection
from bandsight.search.scorers import BestScorer, MeanScorer, Scorer
from bandsight.search.searcher import Searcher

_UNIT = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resolved:
    """An example with its vector."""

    vector: NDArray[np.float32]
    """Unit vector, shape (dim,)."""
    label: str
    """Name of the example in results."""
    is_text: bool
    """Whether it is made of sentences, which have probabilities."""
    tiles: tuple[int, ...]
    """Tiles of the archive that it consists of."""
    weight: float
    """Its weight in the mean."""
    saved_form: Example
    """The example as it is saved: a picture as its vector."""
    page_form: Example
    """The example as later pages repeat it: places are vectors too, so that new scenes there change nothing."""


def resolve(searcher: Searcher, examples: Sequence[Example]) -> list[Resolved]:
    """Return examples with their vectors.

    Raises:
        QueryError: A text, picture, point or area cannot be used.
        NotFoundError: The archive does not hold a tile.
    """
    sentences = [[check_text(text) for text in _texts(example)] for example in examples]
    flat = [one for several in sentences for one in several]
    vectors = iter(searcher.encoder.embed_texts(flat) if flat else ())
    found = []
    for number, (example, own) in enumerate(zip(examples, sentences, strict=True), 1):
        if own:
            mean = unit(np.stack([next(vectors) for _ in own]))
            found.append(_resolved(example, mean, label=", ".join(own), is_text=True))
        elif example.image is not None:
            vector, label = searcher.embed_picture(example.image)[0], f"image {number}"
            saved_form = _as_vector(searcher, example, vector, label)
            found.append(_resolved(example, vector, label=label, saved_form=saved_form, page_form=saved_form))
        elif example.vector is not None:
            vector, own_tiles = _checked(searcher, example.vector), tuple(example.vector.tiles)
            found.append(_resolved(example, vector, label=f"vector {number}", tiles=own_tiles))
        else:
            ids, label = _tiles(searcher.archive, example, number)
            vector = unit(searcher.archive.vectors(ids))
            page_form = None if example.id is not None else _as_vector(searcher, example, vector, label, ids)
            found.append(_resolved(example, vector, label=label, tiles=tuple(ids), page_form=page_form))
    return found


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of rows as a unit vector, shape (dim,).

    Raises:
        QueryError: They cancel out.
    """
    mean = rows.astype(np.float64).mean(axis=0)
    norm = float(np.linalg.norm(mean))
    if norm < _UNIT:
        raise QueryError("semantic: the parts of an example cancel out; split it into several examples")
    return np.asarray(mean / norm, np.float32)


def _resolved(
    example: Example,
    vector: NDArray[np.float32],
    *,
    label: str,
    is_text: bool = False,
    tiles: tuple[int, ...] = (),
    saved_form: Example | None = None,
    page_form: Example | None = None,
) -> Resolved:
    return Resolved(
        vector=vector,
        label=example.label or label,
        is_text=is_text,
        tiles=tiles,
        weight=1.0 if example.weight is None else example.weight,
        saved_form=saved_form or example,
        page_form=page_form or example,
    )


def _as_vector(
    searcher: Searcher, example: Example, vector: NDArray[np.float32], label: str, tiles: Sequence[int] = ()
) -> Example:
    made = Vector(data=vector.astype("<f4").tobytes(), digest=searcher.archive.model.digest, tiles=list(tiles))
    return Example(vector=made, weight=example.weight, label=example.label or label)


def _texts(example: Example) -> list[str]:
    return [example.text] if isinstance(example.text, str) else example.text or []


def _checked(searcher: Searcher, given: Vector) -> NDArray[np.float32]:
    model = searcher.archive.model
    if given.digest != model.digest:
        raise QueryError(
            f"vector: found one of model {given.digest[:12]!r}; this archive has {model.name} ({model.digest[:12]}), "
            "so send the sentence or the picture instead"
        )
    if len(given.data) != 4 * model.dim:
        raise QueryError(f"vector: found {len(given.data)} bytes; need {model.dim} numbers of float32")
    vector = np.frombuffer(given.data, "<f4").astype(np.float32)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not abs(norm - 1) < _UNIT:
        raise QueryError(f"vector: found one of length {norm:g}; need finite numbers of length 1")
    return vector


def _tiles(archive: Archive, example: Example, number: int) -> tuple[list[int], str]:
    """Return the tiles of an example, of every scene, scale and date, and the name of the example."""
    if example.id is not None:
        return [example.id], f"tile {example.id}"
    if example.point is not None:
        lon, lat = example.point
        here = Area.from_box(LonLatBox(west=lon, south=lat, east=lon, north=lat))
        ids = _tiles_meeting(archive, here, "point")
        if not ids:
            raise QueryError(f"point: no tile of this archive covers {lon:g},{lat:g}; choose a place that was indexed")
        return ids, f"point {lon:g},{lat:g}"
    assert example.area is not None
    check_vertices(example.area, "area")
    area = Area.from_geojson(example.area, "area")
    ids = _tiles_meeting(archive, area, "area")
    if not ids:
        raise QueryError("area: no tile of this archive lies there; draw it where scenes were indexed")
    shapely.prepare(area.geometry)
    inside = shapely.covers(area.geometry, archive.footprints(ids))
    # An area smaller than a tile stands for the tiles that it lies in.
    return [one for one, within in zip(ids, inside, strict=True) if within] or ids, f"area {number}"


def _tiles_meeting(archive: Archive, area: Area, name: str) -> list[int]:
    ids: list[int] = archive.tile_ids(Filter(area=area)).tolist()
    if len(ids) > MAX_AREA_TILES:
        raise QueryError(f"{name}: {len(ids):,} tiles lie there; at most {MAX_AREA_TILES:,} make an example")
    return ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Question:
    """A question by meaning; made once for each request."""

    scorer: Scorer
    """Scores tiles."""
    positives: NDArray[np.float32]
    """Vectors of the positive examples, shape (p, dim)."""
    negatives: NDArray[np.float32]
    """Vectors of the negative examples, shape (n, dim)."""
    labels: tuple[str, ...]
    """What each positive example is called."""
    texts: NDArray[np.float32]
    """Vectors of the positive sentences, shape (texts, dim): probabilities are about these."""
    exclude: tuple[int, ...]
    """Tiles that are examples; they are not among the results."""
    selection: ResultSelection
    """Which of the ranked tiles are shown."""
    min_probability: float | None
    """Least probability of a hit."""
    exact: bool
    """Look at every tile."""
    saved_form: Semantic
    """The request as it is saved: pictures as vectors."""
    page_form: Semantic
    """The request as later pages repeat it: places as vectors too."""
    key: str
    """Tells the question from others."""

    @property
    def is_one(self) -> bool:
        """True for one positive example and nothing else: a hit's score is its cosine with it."""
        return len(self.positives) == 1 and not len(self.negatives)


def resolve_question(searcher: Searcher, asked: Semantic) -> Question:
    """Return the question that a request by meaning stands for.

    Raises:
        QueryError: An example cannot be used, or the parts contradict each other.
        NotFoundError: The archive does not hold a tile.
    """
    examples = list(asked.positives())
    made = resolve(searcher, [*examples, *asked.negative])
    wanted, unwanted = made[: len(examples)], made[len(examples) :]
    dim = searcher.dim
    texts = _stacked([one.vector for one in wanted if one.is_text], dim)
    if asked.min_probability is not None and not len(texts):
        raise QueryError(
            "min_probability: found no sentence among the positive examples; only sentences have a probability, so use "
            "min_score"
        )
    positives = _stacked([one.vector for one in wanted], dim)
    negatives = _stacked([one.vector for one in unwanted], dim)
    page_form = _with_examples(asked, [one.page_form for one in wanted], [one.page_form for one in unwanted])
    return Question(
        scorer=_scorer(asked, wanted, unwanted, positives, negatives),
        positives=positives,
        negatives=negatives,
        labels=tuple(one.label for one in wanted),
        texts=texts,
        exclude=tuple(sorted({tile for one in made for tile in one.tiles})),
        selection=ResultSelection(
            min_score=asked.min_score,
            group_by=asked.group_by,
            per_group=asked.group_limit or 1,
            max_overlap=asked.overlap,
            diversity=asked.diversity,
        ),
        min_probability=asked.min_probability,
        exact=asked.exact,
        saved_form=_with_examples(asked, [one.saved_form for one in wanted], [one.saved_form for one in unwanted]),
        page_form=page_form,
        key=hashlib.blake2b(page_form.model_dump_json().encode(), digest_size=16).hexdigest(),
    )


def question_of(searcher: Searcher, q: str | list[str] | None, semantic: Semantic | None) -> Question | None:
    """Return the question of a request, None where it has none.

    Args:
        searcher: Archive and model.
        q: The short form: a sentence, or alternatives.
        semantic: The long form.

    Raises:
        QueryError: There are both, or the question cannot be used.
    """
    if q is not None and semantic is not None:
        raise QueryError("q, semantic: found both; pass one of them")
    asked = semantic if q is None else terms_of(q)
    return None if asked is None else resolve_question(searcher, asked)


def terms_of(q: str | list[str]) -> Semantic:
    """Return the request that `q` stands for: alternatives in a list or separated by commas, of which the best counts.

    Raises:
        QueryError: There is none, or there are too many, or one is too long.
    """
    parts = q.split(",") if isinstance(q, str) else q
    terms = [check_text(part) for part in parts if part.strip()]
    if not terms:
        raise QueryError("q: found no text (empty); describe the place, e.g. a river beside fields")
    if len(terms) > MAX_TERMS:
        raise QueryError(f"q: found {len(terms)} alternatives; at most {MAX_TERMS} are allowed")
    return Semantic(text=terms, strategy="best" if len(terms) > 1 else "average")


def like_tile(tile_id: int) -> Semantic:
    """Return the request for tiles that look like one."""
    return Semantic(ids=[tile_id])


def _scorer(
    asked: Semantic,
    wanted: list[Resolved],
    unwanted: list[Resolved],
    positives: NDArray[np.float32],
    negatives: NDArray[np.float32],
) -> Scorer:
    if asked.strategy == "best":
        return BestScorer(positives, negatives)
    if len(negatives):
        # Their weighted mean counts as one.
        negatives = np.average(negatives, axis=0, weights=[one.weight for one in unwanted])[None].astype(np.float32)
    weights = tuple(one.weight for one in wanted)
    return MeanScorer(positives, negatives, None if set(weights) == {1.0} else weights)


def _with_examples(asked: Semantic, positive: list[Example], negative: list[Example]) -> Semantic:
    """Return a request with these examples in place of its own, short forms included."""
    short = dict.fromkeys(("text", "image", "ids", "points", "area"))
    return asked.model_copy(update={**short, "positive": positive, "negative": negative})


def _stacked(vectors: list[NDArray[np.float32]], dim: int) -> NDArray[np.float32]:
    return np.stack(vectors) if vectors else np.empty((0, dim), np.float32)
