"""A slow link that loses packets, between this network namespace and another one, to servers on loopback.

Kernels without `netem` have no such link. Here, two TUN devices are the ends of a wire that this process carries each
packet over: it waits, and drops some. TCP does the rest, as on a real line. Needs root and /dev/net/tun.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

FAR = "10.201.77.2"
"""Address of the servers beyond the link."""
_NEAR, _NAME = "10.201.77.1", "bandsight-far"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
_PACKET = 65_536


class Wire:
    """Carries packets between two devices, in both directions."""

    def __init__(self, ends: tuple[int, int], one_way_s: float, loss: float) -> None:
        self._other, self._one_way_s, self._loss = dict(zip(ends, reversed(ends), strict=True)), one_way_s, loss
        self._chance, self._over = random.Random(0), threading.Event()  # noqa: S311  (the same every time)
        self.carried = self.lost = 0

    def run(self) -> None:
        """Carry until `stop`."""
        waiting: list[tuple[float, int, int, bytes]] = []
        while not self._over.is_set():
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else 0.1
            for end in select.select(list(self._other), [], [], min(0.1, pause))[0]:
                self.carried += 1
                packet = os.read(end, _PACKET)
                if self._chance.random() < self._loss:
                    self.lost += 1
                else:
                    heapq.heappush(
                        waiting, (time.monotonic() + self._one_way_s, self.carried, self._other[end], packet)
                    )
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                with suppress(OSError):
                    os.write(end, packet)

    def stop(self) -> None:
        """End `run`."""
        self._over.set()


@contextmanager
def slow_link(ports: Sequence[int], round_trip_s: float = 0.2, loss: float = 0.01) -> Iterator[Wire]:
    """Make servers that listen on loopback available at `FAR` too, on the same ports, over a slow link.

    Raises:
        OSError: This user may not make network devices.
    """
    _ip("netns", "add", _NAME)
    ends: list[int] = []
    try:
        near, far = (_device(name) for name in ("bandsight0", "bandsight1"))
        ends += [near, far]
        _ip("link", "set", "bandsight1", "netns", _NAME)
        _ip("addr", "add", f"{_NEAR}/30", "dev", "bandsight0")
        _ip("link", "set", "bandsight0", "up")
        _ip("-n", _NAME, "addr", "add", f"{FAR}/30", "dev", "bandsight1")
        _ip("-n", _NAME, "link", "set", "bandsight1", "up")
        wire = Wire((near, far), round_trip_s / 2, loss)
        listening = _listen_there(ports)
        threads = [threading.Thread(target=wire.run)]
        threads += [threading.Thread(target=_accept, args=(one,), daemon=True) for one in listening]
        for thread in threads:
            thread.start()
        try:
            yield wire
        finally:
            wire.stop()
            for one in listening:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            for thread in threads:
                thread.join(10)
    finally:
        for end in ends:
            os.close(end)
        _ip("netns", "del", _NAME)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _device(name: str) -> int:
    """Make a TUN device, and return what its packets are read from and written to."""
    end = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return end


def _listen_there(ports: Sequence[int]) -> list[socket.socket]:
    """Return sockets that listen in the other namespace: a thread can be in one of its own."""

    def listen() -> list[socket.socket]:
        with open(f"/run/netns/{_NAME}") as namespace:  # noqa: PTH123  (its number is needed)
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return [socket.create_server((FAR, port)) for port in ports]

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(listen).result()


def _accept(listening: socket.socket) -> None:
    """Connect whoever comes with the server on loopback."""
    while True:
        try:
            outside, _ = listening.accept()
            inside = socket.create_connection(("127.0.0.1", listening.getsockname()[1]))
        except OSError:
            return
        for source, target in ((outside, inside), (inside, outside)):
            threading.Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_PACKET):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
    source.close()
