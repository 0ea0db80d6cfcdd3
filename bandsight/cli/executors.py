"""Options that say where scenes are read and embedded, and what runs them there."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from bandsight.model.clip import ClipEncoder
    from bandsight.model.light import LightEncoder
    from indexer.executor import Executor
    from indexer.progress import Progress


class ExecutorName(StrEnum):
    """Where scenes are read and embedded."""

    LOCAL = "local"
    RAY = "ray"


ExecutorOption = Annotated[
    ExecutorName,
    typer.Option("--executor", help="Where scenes are read and embedded.", envvar="BANDSIGHT_EXECUTOR"),
]
RayAddressOption = Annotated[
    str,
    typer.Option(
        "--ray-address",
        help="HOST:PORT of the cluster's head; auto: the cluster of this machine; local: a new one for this job.",
        envvar="BANDSIGHT_RAY_ADDRESS",
    ),
]
RayWorkersOption = Annotated[
    int | None,
    typer.Option(
        "--ray-workers",
        min=1,
        help="Workers; default: one on each GPU, else as the cores allow.",
        envvar="BANDSIGHT_RAY_WORKERS",
    ),
]
RayCpusOption = Annotated[
    float, typer.Option("--ray-cpus", min=0.1, help="Cores of each worker.", envvar="BANDSIGHT_RAY_CPUS")
]


def load_on_worker(source: str, device: str) -> "ClipEncoder | LightEncoder":
    """Load a model on a worker; sent there by its name."""
    from bandsight.model import load_model

    return load_model(source, device)


def ray_executor(
    address: str, workers: int | None, cpus: float, *, source: str, device: str, progress: "Progress", **setup: Any
) -> "Callable[[Sequence[str]], Executor]":
    """Return what connects to Ray, given the folders that may be read there.

    Args:
        address: As `--ray-address`.
        workers: As `--ray-workers`.
        cpus: As `--ray-cpus`.
        source: The model.
        device: As `--device`.
        progress: Is told what happens to workers.
        setup: Fields of `WorkerSetup`.

    Raises:
        SettingsError: Nothing answers at the address.
        MissingExtraError: Ray is not installed.
    """
    from indexer.ray_cluster import RayOptions, check_address
    from indexer.ray_executor import RayExecutor
    from indexer.ray_worker import WorkerSetup

    # Before anything is created.
    check_address(address)
    options = RayOptions(address=address, workers=workers, cpus=cpus, gpus=device != "cpu")
    load = partial(load_on_worker, source, device)

    def connected(roots: Sequence[str]) -> RayExecutor:
        return RayExecutor(WorkerSetup(load=load, workers=0, roots=tuple(roots), **setup), options, progress)

    return connected
