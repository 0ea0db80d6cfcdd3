"""Requests take turns: slots for kinds of work, shares between clients, one memory budget."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from search_api.admission import Admission, OverloadedError, Ticket
from search_api.policies import Work

SEARCH = Work("search", 2, 10, 2)
MAP = Work("map", 2, 60, 10)


def admission(**options: Any) -> Admission:
    limits = {"memory_bytes": 100, "max_waiting": 4, "max_waiting_per_client": 2, "max_wait_s": 60.0}
    return Admission((SEARCH, MAP), **(limits | options))


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


async def waiting(admission: Admission, work: Work, client: str) -> "asyncio.Task[Ticket]":
    task = asyncio.create_task(admission.enter(work, client))
    await asyncio.sleep(0)
    assert not task.done()
    return task


@on_loop
async def test_a_client_alone_may_use_every_slot_and_others_then_take_turns() -> None:
    turns = admission()
    first, second = [await turns.enter(SEARCH, "a") for _ in range(2)]
    third = await waiting(turns, SEARCH, "a")
    other = await waiting(turns, SEARCH, "b")
    assert turns.waiting()["search"] == 2
    turns.leave(first)
    await asyncio.sleep(0)
    assert other.done(), "b has nothing that runs, and a has"
    assert not third.done()
    turns.leave(second)
    await asyncio.sleep(0)
    assert third.done()
    turns.leave(other.result())
    turns.leave(third.result())
    assert turns.running() == {"search": 0, "map": 0}
    assert turns.memory_used == 0


@on_loop
async def test_while_others_are_active_a_client_has_only_its_share() -> None:
    turns = admission()
    kept = await turns.enter(SEARCH, "a")
    turns.leave(await turns.enter(SEARCH, "b"))
    second = await waiting(turns, SEARCH, "a")
    assert turns.running()["search"] == 1, "a slot stays free for b"
    turns.leave(await turns.enter(SEARCH, "b"))
    turns.leave(kept)
    await asyncio.sleep(0)
    turns.leave(second.result())


@on_loop
async def test_the_share_grows_again_when_others_are_idle() -> None:
    now = 0.0
    turns = admission(clock=lambda: now)
    turns.leave(await turns.enter(SEARCH, "b"))
    now = 6.0
    assert [turns.enter_now(SEARCH, "a") is None for _ in range(3)] == [False, False, True]


@on_loop
async def test_memory_is_shared_by_all_kinds_of_work() -> None:
    turns = admission()
    large = await turns.enter(MAP, "a")
    second = await waiting(turns, MAP, "b")
    small = await turns.enter(SEARCH, "c")
    assert turns.memory_used == 70
    turns.end_work(large)
    await asyncio.sleep(0)
    assert not second.done(), "the response still takes its memory while it is sent"
    turns.leave(large)
    await asyncio.sleep(0)
    assert second.done()
    turns.leave(small)
    turns.leave(second.result())
    assert turns.memory_used == 0


@on_loop
async def test_a_client_with_many_waiting_requests_gets_a_429_and_a_full_queue_is_a_503() -> None:
    turns = admission()
    held = [await turns.enter(SEARCH, "a") for _ in range(2)]
    tasks = [await waiting(turns, SEARCH, "a") for _ in range(2)]
    with pytest.raises(OverloadedError, match="2 of your requests are already waiting") as own:
        await turns.enter(SEARCH, "a")
    assert own.value.by_client
    tasks += [await waiting(turns, SEARCH, name) for name in "bc"]
    with pytest.raises(OverloadedError, match="4 requests are already waiting") as full:
        await turns.enter(SEARCH, "d")
    assert not full.value.by_client
    assert full.value.retry_after_s == 60
    for ticket in held:
        turns.leave(ticket)
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        for task in tasks:
            if task.done():
                turns.leave(task.result())
    assert turns.waiting()["search"] == 0
    assert turns.running()["search"] == 0


@on_loop
async def test_a_request_that_waits_too_long_is_refused_and_leaves_nothing_behind() -> None:
    turns = admission(max_wait_s=0.01)
    held = [await turns.enter(SEARCH, "a") for _ in range(2)]
    with pytest.raises(OverloadedError, match=r"no free slot within 0\.01 s"):
        await turns.enter(SEARCH, "b")
    assert turns.waiting()["search"] == 0
    for ticket in held:
        turns.leave(ticket)
    assert turns.running()["search"] == 0


@on_loop
async def test_a_disconnected_client_loses_its_turn() -> None:
    turns = admission()
    held = [await turns.enter(SEARCH, "a") for _ in range(2)]
    gone, other = await waiting(turns, SEARCH, "b"), await waiting(turns, SEARCH, "c")
    gone.cancel()
    turns.leave(held[0])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert other.done()
    turns.leave(held[1])
    turns.leave(other.result())
    assert (turns.running()["search"], turns.waiting()["search"], turns.memory_used) == (0, 0, 0)


@on_loop
async def test_a_turn_granted_while_the_client_disconnects_is_not_lost() -> None:
    turns = admission()
    held = [await turns.enter(SEARCH, "a") for _ in range(2)]
    gone = await waiting(turns, SEARCH, "b")
    turns.leave(held[0])
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    turns.leave(held[1])
    assert turns.running()["search"] == 0
    assert turns.memory_used == 0
