"""Processes and ports for demo, benchmarks and tests. Standard library only."""

import contextlib
import ctypes
import pathlib
import random
import signal
import socket


def end_with_parent():
    """In a child: the kernel kills it when whoever started it dies, also by SIGKILL."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def free_port():
    """A port below the kernel's own range, so that no outgoing connection takes it while its server is down."""
    while True:
        port = random.randrange(15000, 32000)
        with contextlib.closing(socket.socket()) as probe:
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def children_of(process):
    children = []
    for thread in pathlib.Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it has ended since
            children += map(int, (thread / "children").read_text().split())
    return children
