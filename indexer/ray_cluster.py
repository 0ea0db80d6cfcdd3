"""Connects to a Ray cluster, and determines how many workers fit."""

import logging
import os
import socket
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bandsight.errors import SettingsError, needs_extra

LOCAL = "local"
"""Address for starting Ray on this machine, for one job."""
_CONNECT_S = 5.0
# Ray's object store only has data in transit, a few MB per worker.
_STORE_BYTES = 256 << 20
# With a cluster of one machine, Ray listens on loopback only. This is read when Ray is imported.
_LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """Options of a job on Ray."""

    address: str = "auto"
    """HOST:PORT of the cluster's head; `auto` for the cluster that this machine belongs to, `local` for a new one."""
    workers: int | None = None
    """Number of workers; None for one per GPU, or else as many as the cluster's cores allow."""
    cpus: float = 2.0
    """Number of cores of each worker."""
    gpus: bool = True
    """Whether each worker gets a GPU, if the cluster has any."""


def connect(address: str) -> tuple[ModuleType, bool]:
    """Connect this process to a cluster; return Ray, and whether the connection is new.

    Raises:
        SettingsError: No cluster answers there, or it has another version of Ray or Python.
        MissingExtraError: Ray is not installed.
    """
    ray = check_address(address)
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise SettingsError(f"--ray-address {address}: {_sentence(error)}") from error
    return ray, True


def check_address(address: str) -> ModuleType:
    """Check that an address answers, because Ray itself would retry for minutes; return Ray.

    Raises:
        SettingsError: It is not an address, or does not answer.
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address == LOCAL and "ray" not in sys.modules:
        os.environ.setdefault(_LOOPBACK, "0")
    with needs_extra("cluster", "--executor ray"):
        import ray
    if address == LOCAL:
        return ray
    if "://" in address:
        raise SettingsError(
            f"--ray-address {address}: found a URL; need HOST:PORT of the head, auto or local, and a machine "
            "of the cluster to run this on"
        )
    from ray._private.services import canonicalize_bootstrap_address

    try:
        found = canonicalize_bootstrap_address(address)
    except (ConnectionError, ValueError) as error:
        if address != "auto":
            raise SettingsError(f"--ray-address {address}: need HOST:PORT, auto or local") from error
        found = None
    if found is None:
        raise SettingsError(
            f"--ray-address {address}: no Ray cluster runs on this machine; start one (ray start --head), name the "
            "head of one that this machine belongs to (HOST:PORT), or pass local"
        )
    try:
        host, _, port = found.rpartition(":")
        number = int(port)
    except ValueError as error:
        raise SettingsError(f"--ray-address {address}: need HOST:PORT, auto or local") from error
    try:
        socket.create_connection((host.strip("[]"), number), _CONNECT_S).close()
    except OSError as error:
        raise SettingsError(
            f"--ray-address {address}: nothing answers at {found} ({error.strerror or error}); is the cluster running, "
            "and is that its head's port (6379 by default)?"
        ) from error
    return ray


def _sentence(error: Exception) -> str:
    """Return an error of Ray as one line, with advice if the version differs."""
    text = " ".join(str(error).split())
    if text.startswith("Version mismatch"):
        return f"{text}; run this command with the versions of Ray and Python that the cluster has"
    return text[:300] or type(error).__name__


def room_for(ray: ModuleType, options: RayOptions) -> tuple[int, dict[str, float]]:
    """Return the number of workers to start, and the resources of each.

    Raises:
        SettingsError: No machine of the cluster has enough resources.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = options.gpus and any(node.get("GPU", 0) >= 1 for node in nodes)
    needs = {"num_cpus": options.cpus, "num_gpus": 1.0} if gpus else {"num_cpus": options.cpus, "num_gpus": 0.0}
    room = 0
    for node in nodes:
        by_cpus = int(node.get("CPU", 0) // options.cpus)
        room += min(by_cpus, int(node.get("GPU", 0))) if gpus else by_cpus
    if not room:
        most = max((node.get("CPU", 0) for node in nodes), default=0)
        with_gpu = " beside a GPU" if gpus else ""
        raise SettingsError(
            f"--ray-cpus {options.cpus:g}: no machine of the Ray cluster has so many cores for a worker{with_gpu}, the "
            f"largest has {most:g}; pass fewer, or add machines"
        )
    return options.workers or room, needs
