"""Sentences are embedded once, and those of several requests concurrently if the model is thread-safe."""

import threading

import numpy as np
import pytest

from bandsight.search.searcher import SerializedEncoder
from tests.fakes import FakeEmbedder


class Counting(FakeEmbedder):
    """Records its texts, and how many threads run it at the same time."""

    def __init__(self, together: int = 1) -> None:
        super().__init__()
        self.asked: list[list[str]] = []
        self.inside, self.most = 0, 0
        self._count = threading.Lock()
        self._barrier = threading.Barrier(together)

    def embed_texts(self, texts):
        with self._count:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.asked.append(list(texts))
        self._barrier.wait(timeout=20)
        vectors = super().embed_texts(texts)
        with self._count:
            self.inside -= 1
        return vectors


def test_a_sentence_is_embedded_once_and_order_and_repeats_are_kept():
    inner = Counting()
    encoder = SerializedEncoder(inner)
    texts = ["a lake", "a road", "a lake"]
    expected = FakeEmbedder().embed_texts(texts)
    for _ in range(2):
        np.testing.assert_array_equal(encoder.embed_texts(texts), expected)
    np.testing.assert_array_equal(
        encoder.embed_texts(["a road", "a wood"]), FakeEmbedder().embed_texts(["a road", "a wood"])
    )
    assert inner.asked == [["a lake", "a road"], ["a wood"]]
    assert encoder.embed_texts([]).shape == (0, FakeEmbedder.dim)


def test_writing_into_returned_vectors_does_not_change_cached_ones():
    encoder = SerializedEncoder(Counting())
    first = encoder.embed_texts(["a lake"])
    expected = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(encoder.embed_texts(["a lake"]), expected)


def test_only_the_latest_sentences_are_cached():
    inner = Counting()
    encoder = SerializedEncoder(inner, most_texts=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        encoder.embed_texts([text])
    assert inner.asked == [["a"], ["b"], ["c"], ["b"]]


@pytest.mark.parametrize(("safe", "together"), [(True, 3), (False, 1)])
def test_sentences_of_several_requests_are_embedded_concurrently_if_the_model_is_thread_safe(safe, together):
    inner = Counting(together)
    inner.thread_safe_texts = safe
    encoder = SerializedEncoder(inner)
    threads = [threading.Thread(target=encoder.embed_texts, args=([str(number)],)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert inner.most == together
    assert sorted(inner.asked) == [["0"], ["1"], ["2"]]
