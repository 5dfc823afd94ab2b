"""Processes and ports for demo, benchmarks and tests. Standard library only."""

import collections
import contextlib
import ctypes
import os
import pathlib
import random
import signal
import socket


def end_with_parent():
    """In a child: the kernel kills it when whoever started it dies, also by SIGKILL."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


_MOST_RESERVED = 128  # more than the servers of any test or benchmark
_reserved = collections.deque()  # the oldest first


class PortKeeper:
    """Of a port: until it is closed, or nobody has it any more."""

    def __init__(self, name):
        self._descriptor = name.detach()

    def close(self):
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    __del__ = close


def reserve_port():
    """A port below the kernel's own range, so that no outgoing connection takes it while its server is down, and what keeps it.

    It is no other caller's either, in this process or in another one of the network namespace, as long as that lives: a name
    which the kernel frees with its process.
    """
    while True:
        port = random.randrange(15000, 32000)
        name = socket.socket(socket.AF_UNIX)
        with contextlib.closing(socket.socket()) as probe:
            with contextlib.suppress(OSError):
                name.bind(f"\0exclave-port-{port}")
                probe.bind(("127.0.0.1", port))
                return port, PortKeeper(name)
        name.close()


def free_port():
    """One that is kept until many more were asked for."""
    port, keeper = reserve_port()
    _reserved.append(keeper)
    if len(_reserved) > _MOST_RESERVED:
        _reserved.popleft().close()
    return port


def children_of(process):
    children = []
    for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended since
            children += map(int, (thread / "children").read_text().split())
    return children
