"""Runs calls on a Ray cluster: workers with one encoder each, lanes that steal from each other, retries."""

import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bandsight.errors import SceneError
from bandsight.geo.grid import TileWindow
from indexer.dispatch import LaneQueues, PendingCall
from indexer.events import Note
from indexer.executor import ExecutorError
from indexer.progress import NullProgress, Progress
from indexer.ray_cluster import RayOptions, connect, room_for
from indexer.ray_worker import Answer, Call, Worker, WorkerSetup
from indexer.reader import ReadTile, read_tiles
from indexer.scene import RasterScene

T = TypeVar("T")
# Bundles of calls per lane: it runs one while the next one is transferred.
_BUNDLES = 2
# Submitted calls per lane; results are vectors, a few kB per tile.
_AHEAD = 24
# Maximum time that a job waits without any worker, and maximum number of failed starts of a worker.
_NO_WORKER_S, _STARTS = 180.0, 3
_LOOK_S = 1.0


@dataclass(slots=True, eq=False)
class _Member:
    """One worker of the pool."""

    number: int
    actor: Any
    under_way: list[int]
    """Bundles of each lane."""
    live: bool = False
    lost: bool = False
    bundles: set[int] = field(default_factory=set)


class RayExecutor:
    """An `Executor` on a Ray cluster; it returns embedded tiles."""

    def __init__(self, setup: WorkerSetup, options: RayOptions, progress: Progress | None = None) -> None:
        """Connect, and start workers.

        Args:
            setup: Setup of the workers; `workers` is set here.
            options: Address of the cluster, and the resources to use.
            progress: Receives events about lost workers, in another thread than that of the calls.

        Raises:
            SettingsError: There is no such cluster, or it lacks resources for a worker.
            MissingExtraError: Ray is not installed.
        """
        self._ray, self._connected = connect(options.address)
        try:
            count, self._needs = room_for(self._ray, options)
        except BaseException:
            self._disconnect()
            raise
        self._setup = replace(setup, workers=count)
        self._progress: Progress = progress or NullProgress()
        self._lock = threading.Lock()
        self._queues = LaneQueues(self.lanes)
        self._sent: dict[int, list[PendingCall]] = {}
        self._numbers = iter(range(1 << 62))
        self._failure: ExecutorError | None = None
        self._closed = False
        self._failed_starts = 0
        self._happened: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle_since = time.monotonic()
        self._members = [self._begin(number) for number in range(count)]
        self._thread = threading.Thread(target=self._follow, name="bandsight-ray", daemon=True)
        self._thread.start()

    @property
    def lanes(self) -> int:
        """Readers of all workers."""
        return self._setup.workers * self._setup.readers

    @property
    def ahead(self) -> int:
        """Enough for lanes to steal from each other."""
        return _AHEAD * self.lanes

    def submit(self, lane: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
        """Run a call on any worker."""
        return self._add(PendingCall(call=Call(function=function, args=args, kwargs=kwargs), lane=lane % self.lanes))

    def read_tiles(
        self, lane: int, scene: RasterScene, windows: Sequence[TileWindow], **options: Any
    ) -> Future[list[ReadTile]]:
        """Read and embed tiles on a lane's worker, or on an idle one."""
        call = Call(function=read_tiles, args=(scene, windows), kwargs=options)
        return self._add(PendingCall(call=call, lane=lane % self.lanes, tiles=len(windows)))

    def close(self) -> None:
        """Drop all calls, stop the workers and disconnect from the cluster."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            left = self._queues.drain() + [one for bundle in self._sent.values() for one in bundle]
            self._sent.clear()
        for pending in left:
            pending.future.cancel()
        self._happened.put(None)
        self._thread.join()
        for member in self._members:
            self._end(member)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connected:
            self._ray.shutdown()

    # The pool

    def _begin(self, number: int) -> _Member:
        """Request a worker from Ray; it starts when a machine has the resources."""
        actor = (
            self._ray.remote(Worker)
            # Two bundles per lane, and one more call that starts the worker.
            .options(**self._needs, max_concurrency=_BUNDLES * self._setup.readers + 1, max_restarts=0)
            .remote()
        )
        member = _Member(number, actor, [0] * self._setup.readers)
        self._await(actor.start.remote(self._setup), lambda future: self._started(member, future))
        return member

    def _await(self, ref: Any, then: Callable[["Future[bytes]"], None]) -> None:
        """Let the executor's thread handle a result from Ray."""
        ref.future().add_done_callback(lambda future: self._happened.put(lambda: then(future)))

    def _started(self, member: _Member, future: "Future[bytes]") -> None:
        try:
            answer: Answer = pickle.loads(future.result())  # noqa: S301  (our own worker's)
        except self._ray.exceptions.RayError as error:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS * len(self._members):
                self._fail(ExecutorError(f"Ray workers do not start: {_line(error)}"))
                return
            self._replace(member)
            return
        if answer.error is not None:
            self._fail(answer.error)
            return
        self._progress.on(Note(text=f"Ray worker on {answer.value}"))
        with self._lock:
            member.live, self._failed_starts = True, 0
            self._fill()

    def _replace(self, member: _Member) -> None:
        with self._lock:
            member.live, member.lost = False, True
            self._idle_since = time.monotonic()
        self._end(member)
        self._members[member.number] = self._begin(member.number)

    def _end(self, member: _Member) -> None:
        # It may have ended, and the whole cluster with it.
        with suppress(Exception):
            self._ray.kill(member.actor, no_restart=True)

    # Calls

    def _add(self, pending: PendingCall) -> "Future[Any]":
        with self._lock:
            if self._failure is not None:
                pending.future.set_exception(self._failure)
            elif self._closed:
                pending.future.cancel()
            else:
                self._queues.add(pending)
                self._fill()
        return pending.future

    def _fill(self) -> None:
        """Send waiting calls to lanes with free capacity; needs the lock."""
        lanes = [(member, lane) for member in self._members if member.live for lane in range(self._setup.readers)]
        for bundles in range(_BUNDLES):
            for member, lane in lanes:
                if member.under_way[lane] > bundles:
                    continue
                calls = self._queues.take_own(member.number * self._setup.readers + lane)
                if not calls and not member.under_way[lane]:
                    calls = self._queues.steal()
                if calls:
                    self._send(member, lane, calls)

    def _send(self, member: _Member, lane: int, calls: list[PendingCall]) -> None:
        number = next(self._numbers)
        self._sent[number] = calls
        member.under_way[lane] += 1
        try:
            ref = member.actor.run.remote(lane, pickle.dumps([one.call for one in calls], protocol=5))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            del self._sent[number]
            member.under_way[lane] -= 1
            for one in calls:
                one.future.set_exception(error)
            return
        self._await(ref, lambda future: self._returned(member, lane, number, future))

    def _returned(self, member: _Member, lane: int, number: int, future: "Future[bytes]") -> None:
        with self._lock:
            calls = self._sent.pop(number, None)
            member.under_way[lane] -= 1
        if calls is None:
            return
        try:
            answer = pickle.loads(future.result())  # noqa: S301  (our own worker's)
        except self._ray.exceptions.RayTaskError as error:
            self._fail(ExecutorError(f"Ray worker: {_line(error.cause or error)}"), calls)
            return
        except self._ray.exceptions.RayError as error:
            self._lost(member, calls, error)
            return
        if isinstance(answer, Answer):
            self._fail(answer.error or ExecutorError("Ray worker: no answer"), calls)
            return
        with self._lock:
            self._fill()
        answers, notes = answer
        for text in notes:
            self._progress.on(Note(text=text))
        for one, found in zip(calls, answers, strict=True):
            _settle(one, found)

    def _lost(self, member: _Member, calls: list[PendingCall], error: Exception) -> None:
        """Retry the calls of a dead worker elsewhere, unless they may have caused its death."""
        for one in calls:
            one.attempts += 1
        given_up = [one for one in calls if one.exhausted]
        with self._lock:
            self._queues.put_back(one for one in calls if not one.exhausted)
        if not member.lost:
            self._progress.on(Note(text=f"a Ray worker was lost, its tiles are read again ({_line(error)})"))
            self._replace(member)
        with self._lock:
            self._fill()
        for one in given_up:
            one.future.set_exception(SceneError(f"{one.attempts} Ray workers died while they read it"))

    def _fail(self, error: Exception, calls: Sequence[PendingCall] = ()) -> None:
        """Fail all calls, because the executor cannot continue."""
        failure = error if isinstance(error, ExecutorError) else ExecutorError(str(error))
        with self._lock:
            if self._failure is None:
                self._failure = failure
            left = [*calls, *self._queues.drain(), *(one for bundle in self._sent.values() for one in bundle)]
            self._sent.clear()
        for one in left:
            one.future.set_exception(self._failure)

    def _follow(self) -> None:
        """Handle events of the cluster, one after another."""
        while True:
            with suppress(Empty):
                handle = self._happened.get(timeout=_LOOK_S)
                if handle is None:
                    return
                self._handle(handle)
            self._check_workers()

    def _handle(self, handle: Callable[[], None]) -> None:
        if self._closed:
            return
        try:
            handle()
        except Exception as error:  # noqa: BLE001  (runs in a callback, so nothing else would report it)
            self._fail(ExecutorError(f"Ray: {type(error).__name__}: {_line(error)}"))

    def _check_workers(self) -> None:
        if self._failure is not None or any(member.live for member in self._members):
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _NO_WORKER_S:
            needs = ", ".join(f"{name[4:].upper()} {count:g}" for name, count in self._needs.items() if count)
            self._fail(
                ExecutorError(
                    f"no Ray worker for {_NO_WORKER_S:g} s: each needs {needs}, and the cluster's machines are gone or "
                    "busy with other jobs; add machines or pass a smaller --ray-cpus, then run the same command again"
                )
            )


def _settle(pending: PendingCall, answer: Answer) -> None:
    if answer.error is None:
        pending.future.set_result(answer.value)
    else:
        pending.future.set_exception(answer.error)


def _line(error: BaseException) -> str:
    """Return the start of an error's message as one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
