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
_reserved = collections.deque()  # descriptors of sockets, the oldest first


def free_port():
    """A port below the kernel's own range, so that no outgoing connection takes it while its server is down.

    It is no other caller's either, in this process or in another one of the network namespace: a name that the kernel frees with
    its process stands for each of the last ports given.
    """
    while True:
        port = random.randrange(15000, 32000)
        name = socket.socket(socket.AF_UNIX)
        with contextlib.closing(socket.socket()) as probe:
            with contextlib.suppress(OSError):
                name.bind(f"\0exclave-port-{port}")
                probe.bind(("127.0.0.1", port))
                _reserved.append(name.detach())
                if len(_reserved) > _MOST_RESERVED:
                    os.close(_reserved.popleft())
                return port
        name.close()


def children_of(process):
    children = []
    for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended since
            children += map(int, (thread / "children").read_text().split())
    return children
