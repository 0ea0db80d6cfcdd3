"""A Ray cluster of several nodes on this machine, on loopback, stopped with all of its processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment of all that belongs to the cluster: Ray then listens on loopback alone. Read when Ray is imported."""
# A few MB are on their way at any time.
_STORE = 80 << 20
_NODE = {"node_ip_address": "127.0.0.1", "object_store_memory": _STORE, "include_log_monitor": False}


class RayNodes:
    """A head without cores, and nodes with some."""

    def __init__(self, cpus: int) -> None:
        from ray.cluster_utils import Cluster

        self._cpus = cpus
        self._cluster = Cluster(
            initialize_head=True, head_node_args={**_NODE, "num_cpus": 0, "include_dashboard": False}
        )
        self._nodes: list[Any] = []

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return str(self._cluster.address)

    def grow(self, nodes: int) -> None:
        """Add nodes until there are so many."""
        added = [
            self._cluster.add_node(num_cpus=self._cpus, wait=False, **_NODE) for _ in range(nodes - len(self._nodes))
        ]
        self._nodes += added
        self._cluster.wait_for_nodes(timeout=120)

    def kill_node(self) -> None:
        """Kill a node's raylet; what runs there ends with it."""
        node = self._nodes.pop()
        # As the cluster does it, but for the signal.
        node.kill_raylet()
        self._cluster.worker_nodes.discard(node)

    def stop(self) -> None:
        """End all processes."""
        self._cluster.shutdown()


@contextmanager
def ray_nodes(count: int = 2, cpus: int = 1) -> Iterator[RayNodes]:
    """Run a cluster; nothing of it is left afterwards."""
    nodes = RayNodes(cpus)
    try:
        nodes.grow(count)
        yield nodes
    finally:
        nodes.stop()
        assert wait_until(lambda: not ray_processes()), ray_processes()


def ray_processes() -> list[str]:
    """Return the processes of Ray, and readers of its workers, that this process has started."""
    found = []
    for one in psutil.Process().children(recursive=True):
        try:
            command = " ".join(one.cmdline())
        except psutil.Error:
            continue
        if "ray" in command.split(" ")[0] or "reader_process" in command:
            found.append(command[:100])
    return found


def wait_until(holds: Any, limit_s: float = 60) -> bool:
    """Wait until a function returns something true, and return whether it did."""
    until = time.monotonic() + limit_s
    while not (found := bool(holds())) and time.monotonic() < until:
        time.sleep(0.1)
    return found
