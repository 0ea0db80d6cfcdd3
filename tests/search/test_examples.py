"""Kinds of examples: another one takes one class and one member."""

from typing import ClassVar, Literal

import numpy as np
import pytest

from bandsight.search.examples import KINDS, Example, Meaning, resolve_examples
from bandsight.search.searcher import Searcher
from tests.archive.makers import filled
from tests.fakes import FakeEmbedder


class ExampleWithNewest(Example):
    """Examples that may also be the newest tile, as somebody else would add them."""

    kinds: ClassVar[tuple[str, ...]] = (*Example.kinds, "newest")
    newest: Literal[True] | None = None


class Newest:
    def sentences(self, value):
        return []

    def meaning(self, searcher, value, texts, number):
        tile = searcher.archive.newest_tile
        vector = searcher.archive.vectors([tile])[0]
        return Meaning(vector=vector, label=f"newest {number}", tiles=(tile,), lifetime="paging")


def test_another_kind_of_example_takes_one_class_and_one_member(tmp_path):
    with filled(tmp_path / "a", 3) as archive:
        searcher = Searcher(archive, FakeEmbedder())
        examples = [Example(text="a lake"), ExampleWithNewest(newest=True, weight=2.0)]
        lake, newest = resolve_examples(searcher, examples, {**KINDS, "newest": Newest()})
        assert lake.meaning.label == "a lake"
        assert lake.meaning.is_text
        assert newest.meaning.label == "newest 2"
        assert newest.weight == 2.0
        np.testing.assert_array_equal(newest.meaning.vector, archive.vectors([archive.newest_tile])[0])
        # From page to page the tile stays the same one, whatever is indexed meanwhile.
        assert newest.saved_form.kind == "newest"
        assert newest.page_form.kind == "vector"
        (again,) = resolve_examples(searcher, [newest.page_form])
        np.testing.assert_allclose(again.meaning.vector, newest.meaning.vector, atol=1e-6)
        assert again.meaning.tiles == newest.meaning.tiles


def test_an_example_of_two_kinds_names_all_kinds():
    with pytest.raises(ValueError, match=r"found text and newest; need one of text, image, .*, newest"):
        ExampleWithNewest(text="a lake", newest=True)


def test_all_sentences_of_a_request_are_encoded_at_once(tmp_path):
    calls = []

    class Counting(FakeEmbedder):
        def embed_texts(self, texts):
            calls.append(list(texts))
            return super().embed_texts(texts)

    with filled(tmp_path / "a", 3) as archive:
        searcher = Searcher(archive, Counting())
        examples = [Example(text=["a", "b"]), Example(id=1), Example(text="c")]
        both, tile, single = resolve_examples(searcher, examples)
    assert calls == [["a", "b", "c"]]
    assert (both.meaning.label, tile.meaning.label, single.meaning.label) == ("a, b", "tile 1", "c")
    expected = FakeEmbedder().embed_texts(["a", "b"]).mean(axis=0)
    np.testing.assert_allclose(both.meaning.vector, expected / np.linalg.norm(expected), atol=1e-6)
