"""A worker on a Ray cluster: one process with one encoder, and reader processes that decode for it."""

import os
import pickle
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bandsight import __version__
from bandsight.errors import BandsightError, ModelMismatchError, SceneError
from bandsight.model.protocol import BatchEncoder
from indexer.batches import Batches
from indexer.events import Event, Note, TilesEncoded
from indexer.executor import ExecutorError, LocalExecutor
from indexer.reader import NOTHING, ReadTile, read_tiles
from indexer.reader_pool import InlineReader, ProcessReader, RetryingReader
from indexer.scene import RasterScene
from indexer.scene_task import PendingTile, Wavelengths


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """Setup of the workers, the same for all of them."""

    load: Callable[[], BatchEncoder]
    """Loads the model; a module-level function, with arguments that can be pickled."""
    digest: str
    """Required digest of the model."""
    workers: int
    """Number of workers."""
    readers: int
    """Number of readers of each worker."""
    batch_size: int = 64
    """Tiles per forward pass."""
    isolate: bool = True
    """Whether to decode in separate processes."""
    roots: tuple[str, ...] = ()
    """With `isolate`: the only folders and files that readers may read."""
    time_limit_s: float = 120.0
    """With `isolate`: time limit to open a scene, or to read a batch of tiles, seconds."""
    version: str = __version__
    """Version of Bandsight of the job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a module-level function."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def embeds(self) -> bool:
        """Whether the worker embeds the returned tiles."""
        return self.function is read_tiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a call, or its error."""

    value: Any = None
    error: Exception | None = None


class Worker:
    """Reads tiles and embeds them; called by several threads at once.

    Arguments and results are pickled here, because an array unpickled by Ray occupies its object store while it lives.
    """

    def start(self, setup: WorkerSetup) -> bytes:
        """Load the model. Returns a message about its device, or an `ExecutorError`."""
        try:
            return _pickled(Answer(value=self._start(setup)))
        except BandsightError as error:
            return _pickled(Answer(error=ExecutorError(f"Ray worker on {socket.gethostname()}: {error}")))

    def _start(self, setup: WorkerSetup) -> str:
        if setup.version != __version__:
            raise ExecutorError(
                f"it has Bandsight {__version__}, this job {setup.version}; install the same version on all machines"
            )
        model = setup.load()
        if model.digest != setup.digest:
            raise ModelMismatchError(
                f"its model {model.name} has other weights ({model.digest[:12]}) than this job's "
                f"({setup.digest[:12]}); install the same files on all machines"
            )
        reader = ProcessReader(setup.roots, time_limit_s=setup.time_limit_s) if setup.isolate else InlineReader()
        self._local = LocalExecutor(setup.readers, RetryingReader(reader))
        self._embedder = Embedder(model, setup.batch_size, setup.workers)
        return f"{socket.gethostname()} (process {os.getpid()}, {getattr(model, 'device', 'cpu')})"

    def run(self, lane: int, pickled: bytes) -> bytes:
        """Run calls of one lane, one after another.

        Args:
            lane: Number of a reader.
            pickled: A list of `Call`.

        Returns:
            A list of `Answer` and messages for the log; or an answer with an `ExecutorError`.
        """
        calls: list[Call] = pickle.loads(pickled)  # noqa: S301  (the job's own)
        begun = [self._begin(lane, call) for call in calls]
        try:
            return _pickled(([_answer(future) for future in begun], self._embedder.notes()))
        except ExecutorError as error:
            return _pickled(Answer(error=error))

    def _begin(self, lane: int, call: Call) -> "Future[Any]":
        if not call.embeds:
            return self._local.submit(lane, call.function, *call.args, **call.kwargs)
        self._embedder.expect()
        scene: RasterScene = call.args[0]
        done: Future[list[ReadTile]] = Future()
        read = self._local.submit(lane, call.function, *call.args, **call.kwargs)
        read.add_done_callback(lambda read: self._embedder.take(scene, read, done))
        return done

    def close(self) -> None:
        """Stop the readers and the encoder's thread."""
        self._local.close()
        self._embedder.close()


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, protocol=5)


def _answer(future: "Future[Any]") -> Answer:
    try:
        return Answer(value=future.result())
    except ExecutorError:
        raise
    except Exception as error:  # noqa: BLE001  (it is the call's, and is raised where that was made)
        return Answer(error=_portable(error))


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled, because errors of libraries may contain anything."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  (our own)
    except Exception:  # noqa: BLE001  (as above)
        return SceneError(f"{type(error).__name__}: {error}")
    return error


class _Read:
    """Tiles of one read that are being embedded."""

    failed = False

    def __init__(self, tiles: list[ReadTile], done: "Future[list[ReadTile]]") -> None:
        self.tiles, self._done = tiles, done
        self.pending = [
            PendingTile(task=self, read=0, number=number, tile=tile) for number, tile in enumerate(tiles) if tile.kept
        ]
        self._left = len(self.pending)

    def embedded(
        self, pending: PendingTile, vector: NDArray[np.float32], cells: NDArray[np.uint8] | None = None
    ) -> None:
        """Replace a tile's pixels by its vector and the records of its cells."""
        kept = replace(pending.tile, pixels=NOTHING, vector=np.array(vector))
        self.tiles[pending.number] = kept if cells is None else replace(kept, cells=np.array(cells))
        self._left -= 1

    def finish(self, encode_s: float) -> bool:
        """Return the tiles if all have vectors, and whether they have."""
        if self._left:
            return False
        # The time is recorded with the first tile.
        if self.pending and encode_s:
            first = self.pending[0].number
            self.tiles[first] = replace(self.tiles[first], encode_s=encode_s)
        self._done.set_result(self.tiles)
        return True

    def fail(self, error: Exception) -> None:
        """Return an error instead."""
        self._done.set_exception(error)


class Embedder:
    """A thread that passes the tiles of several readers to a model in full batches.

    A partial batch waits only as long as tiles are being read.
    """

    def __init__(self, model: BatchEncoder, size: int, workers: int) -> None:
        """Start the thread.

        Args:
            model: Embeds the tiles.
            size: Tiles per forward pass.
            workers: Number of workers; each reports its time divided by this, so that the sum is the mean.
        """
        self._model, self._size, self._workers = model, size, workers
        self._batches = Batches(model, size, self)
        self._changed = threading.Condition()
        self._expected = 0
        self._arrived: list[tuple[Wavelengths, int, _Read]] = []
        self._held: list[_Read] = []
        self._encode_s = 0.0
        self._notes: list[str] = []
        self._closed = False
        threading.Thread(target=self._work, name="bandsight-embed", daemon=True).start()

    def on(self, event: Event) -> None:
        """Follow the batches."""
        match event:
            case TilesEncoded():
                self._encode_s += event.seconds
            case Note():
                with self._changed:
                    self._notes.append(event.text)
            case _:
                pass

    def notes(self) -> Sequence[str]:
        """Return new messages for the log."""
        with self._changed:
            notes, self._notes = self._notes, []
        return notes

    def expect(self) -> None:
        """Count a read that has started."""
        with self._changed:
            self._expected += 1

    def take(self, scene: RasterScene, read: "Future[list[ReadTile]]", done: "Future[list[ReadTile]]") -> None:
        """Add the tiles of a read, or its error."""
        error = read.exception() if not read.cancelled() else ExecutorError("the worker has ended")
        wavelengths = tuple(band.wavelength_um for band in scene.raster.bands)
        cells = int(scene.record.tiling.get("cells", 0))
        with self._changed:
            self._expected -= 1
            if error is None:
                self._arrived.append((wavelengths, cells, _Read(list(read.result()), done)))
            self._changed.notify()
        if error is not None:
            done.set_exception(error)

    def close(self) -> None:
        """Stop the thread when it has nothing to do."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._arrived and (self._expected or not self._held):
                    self._changed.wait()
                if self._closed:
                    return
                arrived, self._arrived = self._arrived, []
            try:
                self._embed(arrived)
            except Exception as error:  # noqa: BLE001  (each of the calls reports it)
                self._fail(error)

    def _embed(self, arrived: list[tuple[Wavelengths, int, _Read]]) -> None:
        self._held += [read for _, _, read in arrived]
        for wavelengths, cells, read in arrived:
            self._batches.add(wavelengths, read.pending, cells)
        if not arrived:
            self._batches.flush()
        left = []
        for read in self._held:
            if read.finish(self._encode_s / self._workers):
                self._encode_s = 0.0
            else:
                left.append(read)
        self._held = left

    def _fail(self, error: Exception) -> None:
        said = str(error) if isinstance(error, BandsightError) else f"{type(error).__name__}: {error}"
        failure = ExecutorError(f"Ray worker on {socket.gethostname()}: the model failed ({said})")
        for read in self._held:
            read.fail(failure)
        self._held, self._batches = [], Batches(self._model, self._size, self)
