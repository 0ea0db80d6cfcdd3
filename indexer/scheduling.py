"""Scheduling: lookahead and interleaving of lanes."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby, islice, zip_longest
from typing import TypeVar

from indexer.tile_plan import Read

T = TypeVar("T")


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield items in order while keeping `count` more of them started."""
    begun: deque[T] = deque()
    for item in items:
        begun.append(item)
        if len(begun) > count:
            yield begun.popleft()
    yield from begun


def interleaved(reads: Iterable[Read], lanes: int) -> Iterator[Read]:
    """Interleave reads of different lanes, so that every reader always has work."""
    by_lane = (list(group) for _, group in groupby(reads, key=lambda read: read.lane))
    while together := list(islice(by_lane, lanes)):
        for step in zip_longest(*together):
            yield from (read for read in step if read is not None)
