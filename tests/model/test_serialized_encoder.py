"""Sentences are embedded once, and those of several requests at the same time where the model allows it."""

import threading

import numpy as np
import pytest

from bandsight.model import serialized_encoder
from bandsight.model.serialized_encoder import SerializedEncoder
from tests.fakes import FakeEmbedder


class Counting(FakeEmbedder):
    """Notes what it is asked, and how many threads are inside at once."""

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


def test_what_a_caller_writes_into_its_vectors_changes_no_other_answer():
    encoder = SerializedEncoder(Counting())
    first = encoder.embed_texts(["a lake"])
    expected = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(encoder.embed_texts(["a lake"]), expected)


def test_only_the_sentences_asked_last_are_kept(monkeypatch):
    monkeypatch.setattr(serialized_encoder, "_KEPT", 2)
    inner = Counting()
    encoder = SerializedEncoder(inner)
    for text in ("a", "b", "a", "c", "a", "b"):
        encoder.embed_texts([text])
    assert inner.asked == [["a"], ["b"], ["c"], ["b"]]


@pytest.mark.parametrize(("safe", "together"), [(True, 3), (False, 1)])
def test_sentences_of_several_requests_are_embedded_at_once_where_that_is_safe(safe, together):
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
