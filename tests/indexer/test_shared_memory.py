import os
from multiprocessing import Pipe

import numpy as np
import pytest

from indexer import shared_memory as module
from indexer.shared_memory import Channel, shared_memory


@pytest.fixture(params=[True, False], ids=["shared memory", "none"])
def ends(request, monkeypatch):
    monkeypatch.setattr(module, "_ROOM", 1 << 16)
    file = shared_memory() if request.param else -1
    made = [Channel.joined(one, file) for one in Pipe()]
    if file >= 0:
        os.close(file)
    yield made
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "value",
    [
        ("text", {"a": [1, None]}),
        [np.arange(100, dtype=np.uint8), np.ones((3, 7, 5), np.float32)],
        [np.empty((0, 0, 0), np.uint8), np.arange(4)],
        [np.arange(20_000, dtype=np.uint8), np.arange(100, dtype=np.int64)[::3]],
        [
            part
            for whole in [np.arange(24_000, dtype=np.uint8).reshape(3, 80, 100)]
            for part in (whole[:, 8:40, 3:60], whole[1:, ::2], whole[0].T)
        ],
    ],
)
def test_sent_arrays_arrive_and_stay_valid_when_more_are_sent(ends, value):
    here, there = ends
    here.send(value)
    got = there.receive()
    here.send([np.zeros(30_000, np.uint8)])
    there.receive()
    assert type(got) is type(value)
    for one, other in zip(got, value, strict=True):
        np.testing.assert_equal(one, other)


def test_arrays_that_exceed_the_shared_memory_use_the_connection(ends):
    import threading

    here, there = ends
    values = np.random.default_rng(1).integers(0, 255, 1 << 18, np.uint8)
    sender = threading.Thread(target=here.send, args=((values, "end"),))
    sender.start()
    got, end = there.receive()
    sender.join()
    np.testing.assert_array_equal(got, values)
    assert end == "end"


def test_views_of_one_array_are_sent_once(ends):
    here, there = ends
    whole = np.random.default_rng(1).integers(0, 255, (4, 40, 40), np.uint8)
    here.send([whole[:, top : top + 20, 5:30] for top in range(0, 20, 2)])
    for number, part in enumerate(there.receive()):
        np.testing.assert_array_equal(part, whole[:, 2 * number : 2 * number + 20, 5:30])
        assert part.base is not None


def test_a_closed_connection_is_detected(ends):
    here, there = ends
    here.close()
    with pytest.raises(EOFError):
        there.receive()
