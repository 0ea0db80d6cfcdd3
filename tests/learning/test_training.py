import numpy as np
import pytest

from bandsight.archive import Archive, ArchiveWriter
from bandsight.archive.admin import back_up
from bandsight.archive.labels import conflicts
from bandsight.attributes.filters import Filter
from bandsight.errors import NotFoundError, QueryError
from bandsight.learning.heads import wilson
from bandsight.learning.proposals import propose
from bandsight.learning.training import train
from tests.learning.makers import dated, is_pond, label_truly, place_of


def every(archive):
    return archive.tile_ids(Filter()).tolist()


def test_a_classifier_finds_places_that_nobody_labelled(searcher):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive)[:100])
    made = train(searcher, "ponds")
    (head,) = made.heads
    assert (made.version, head.cls, head.calibrated) == (1, "pond", True)
    rest = every(archive)[100:]
    chance = 1 / (1 + np.exp(-(archive.vectors(rest) @ head.weights + head.bias)))
    truth = np.array([is_pond(place_of(archive, one)) for one in rest])
    assert ((chance > 0.5) == truth).mean() > 0.95
    own = made.report["classes"]["pond"]
    assert own["average_precision"]["value"] > 0.9
    assert own["share_of_archive"] == pytest.approx(0.2, abs=0.07)
    assert [step["labels"] for step in own["learning_curve"]] == sorted(s["labels"] for s in own["learning_curve"])


def test_dates_of_a_place_are_never_on_both_sides_of_a_split(searcher):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive))
    made = train(searcher, "ponds")
    assert made.labels == 400
    assert made.report["places"] == 200


def test_versions_are_kept(searcher):
    label_truly(searcher.archive, "ponds", every(searcher.archive)[:60])
    first = train(searcher, "ponds")
    label_truly(searcher.archive, "ponds", every(searcher.archive)[60:120])
    assert train(searcher, "ponds").version == 2
    assert [one.version for one in searcher.archive.labels.classifiers("ponds")] == [2, 1]
    kept = searcher.archive.labels.classifier("ponds", 1)
    assert np.array_equal(kept.heads[0].weights, first.heads[0].weights)
    with pytest.raises(NotFoundError, match="no classifier of version 9"):
        searcher.archive.labels.classifier("ponds", 9)


def test_wrong_labels_are_listed_as_likely_mistakes(searcher):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive)[:150])
    wrong = [one for one in every(archive)[:150] if is_pond(place_of(archive, one))][:2]
    archive.labels.add("ponds", dict.fromkeys(wrong, "none"), "ada")
    listed = {one["tile"] for one in train(searcher, "ponds").report["mistakes"]}
    assert set(wrong) <= listed


def test_too_few_labels_are_an_error_and_the_advice_works(searcher):
    archive = searcher.archive
    with pytest.raises(QueryError, match="no tiles are labelled pond; label some"):
        train(searcher, "ponds")
    ponds = [one for one in every(archive) if is_pond(place_of(archive, one))]
    others = [one for one in every(archive) if not is_pond(place_of(archive, one))]
    archive.labels.add("ponds", dict.fromkeys(ponds[:2], "pond"), "ada")
    with pytest.raises(QueryError, match="all 2 are pond; a classifier also needs tiles that are not"):
        train(searcher, "ponds")
    archive.labels.add("ponds", dict.fromkeys(others[:2], "none"), "ada")
    made = train(searcher, "ponds")
    assert not made.heads[0].calibrated
    assert "with 4 of each, there are figures" in made.report["warnings"][0]


def test_annotators_who_disagree_are_reported_and_the_tile_is_left_out(searcher):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive)[:50])
    tile = every(archive)[0]
    archive.labels.add("ponds", {tile: "none"}, "bob")
    (found,) = conflicts(archive.labels.labels("ponds"))
    assert (found.tile, dict(found.classes)) == (tile, {"none": ("bob",), "pond": ("ada",)})
    made = train(searcher, "ponds")
    assert made.labels == 49
    assert any("their labels disagree evenly" in one for one in made.report["warnings"])


def test_random_labels_are_no_better_than_chance_and_this_is_reported(searcher):
    archive = searcher.archive
    rng = np.random.default_rng(0)
    ids = every(archive)[:120]
    archive.labels.add("ponds", {one: str(rng.choice(["pond", "none"])) for one in ids}, "dice")
    warnings = train(searcher, "ponds").report["warnings"]
    assert any("no better than chance" in one for one in warnings)


def test_proposals_are_neither_labelled_nor_of_one_place_and_beat_chance(searcher):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive)[:30])
    archive.labels.add("ponds", {every(archive)[31]: "skip"}, "ada")
    found = propose(searcher, "ponds", 10)
    tiles = [one.tile for one in found]
    assert not set(tiles) & set(every(archive)[:30]) | ({every(archive)[31]} & set(tiles))
    assert [one.gain for one in found] == sorted((one.gain for one in found), reverse=True)
    assert len({place_of(archive, one) for one in tiles}) > 7


def test_the_first_proposals_are_the_best_of_the_sentence_and_some_at_random(searcher):
    found = propose(searcher, "ponds", 20)
    assert len({one.tile for one in found}) == 20
    best = [is_pond(place_of(searcher.archive, one.tile)) for one in found[:10]]
    assert sum(best) > 8
    searcher.archive.labels.create("bare", {"thing": ""})
    with pytest.raises(QueryError, match="neither labels nor sentences"):
        propose(searcher, "bare", 5)


def test_bad_collections_classes_and_tiles_are_refused_in_one_sentence(searcher):
    labels = searcher.archive.labels
    with pytest.raises(QueryError, match="collection ponds already exists"):
        labels.create("ponds", {"pond": ""})
    with pytest.raises(QueryError, match="need at most 64 letters"):
        labels.create("no spaces", {"pond": ""})
    with pytest.raises(QueryError, match="other than none and skip"):
        labels.create("x", {"none": ""})
    with pytest.raises(NotFoundError, match="existing: ponds"):
        labels.labels("lakes")
    with pytest.raises(QueryError, match="ponds has pond, and every collection has none and skip"):
        labels.add("ponds", {1: "lake"}, "ada")
    with pytest.raises(NotFoundError, match="has no such tile"):
        labels.add("ponds", {1: "pond", 10**9: "pond"}, "ada")
    assert labels.labels("ponds") == []
    with pytest.raises(QueryError, match="annotator"):
        labels.add("ponds", {1: "pond"}, " ")


def test_labels_follow_their_scene_when_it_is_indexed_again(searcher, path):
    archive = searcher.archive
    label_truly(archive, "ponds", every(archive)[:50])
    before = {place_of(archive, one.tile): one.cls for one in archive.labels.labels("ponds")}
    with ArchiveWriter.open(path) as writer:
        record, tiles, rows = dated(range(50), 0)
        writer.remove([record.href])
        writer.add([(record, tiles, rows)])
    archive.refresh()
    with pytest.raises(QueryError, match="no tiles are labelled"):
        train(searcher, "ponds")
    assert archive.labels.reattach("ponds") == (50, 0)
    assert {place_of(archive, one.tile): one.cls for one in archive.labels.labels("ponds")} == before
    assert archive.labels.reattach("ponds") == (0, 0)
    assert train(searcher, "ponds").labels == 50


def test_a_backup_contains_labels_and_classifiers(searcher, tmp_path):
    label_truly(searcher.archive, "ponds", every(searcher.archive)[:50])
    train(searcher, "ponds")
    back_up(searcher.archive, tmp_path / "copy")
    with Archive.open(tmp_path / "copy") as copy:
        assert len(copy.labels.labels("ponds")) == 50
        assert copy.labels.classifier("ponds").version == 1


def test_labelling_while_scenes_are_indexed_loses_nothing(searcher, path):
    ids = every(searcher.archive)
    with ArchiveWriter.open(path) as writer:
        for number, start in enumerate(range(0, 100, 10)):
            writer.add([dated(range(200 + number, 201 + number), 0)])
            searcher.archive.labels.add("ponds", dict.fromkeys(ids[start : start + 10], "none"), "ada")
    assert len(searcher.archive.labels.labels("ponds")) == 100


def test_labels_that_are_separated_without_an_error_have_no_interval_of_zero_width(searcher):
    label_truly(searcher.archive, "ponds", list(range(1, 41)))
    figures = train(searcher, "ponds").report["classes"]["pond"]
    for name in ("average_precision", "recall", "precision"):
        value, (low, high) = figures[name]["value"], figures[name]["interval"]
        assert low <= value <= high
        assert high - low > 0.15, "eight places do not show more"


@pytest.mark.parametrize(("share", "count", "expected"), [(1.0, 10, (0.722, 1.0)), (0.5, 100, (0.404, 0.596))])
def test_wilsons_interval(share, count, expected):
    assert wilson(share, count) == pytest.approx(expected, abs=1e-3)
