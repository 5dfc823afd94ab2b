"""Links that a test can cut and silence: TCP forwarders on loopback, all on one thread.

    who connects -> door -> where it leads        a link: (near end, far end), such as ("people", "lux")

    cut       connections are reset, and new ones as soon as they are made
    silent    no byte passes, nor the end of a connection, and nothing is refused; when it is mended what was on its way
              arrives, also from who has given up meanwhile

Bounds: three pieces for each direction of a connection; how many connections there are, their two ends decide.
"""
import asyncio
import collections
import contextlib
import os
import pathlib
import socket
import struct
import threading

from processes import children_of

PIECE_BYTES = 64 * 1024
CALL_SECONDS = 60
_RESET = struct.pack("ii", 1, 0)  # of SO_LINGER: nothing is sent any more when it is closed


class Links:
    """`whose`: port -> the near end of who connects from it. Counts: what was met by whom, for each kind of fault."""

    def __init__(self, whose):
        self._whose, self.counts = whose, collections.Counter()
        self._cut, self._silent = set(), {}  # links; link -> the event of its mending
        self._ends, self._doors = collections.defaultdict(set), []  # link -> open ends of connections
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    # From other threads.

    def open_door(self, door, far, port, near=None):
        """At port `door`, to `far` at `port`."""
        async def serve(reader, writer):
            link = near or self._whose(writer.get_extra_info("peername")[1]), far
            await self._carry(link, port, reader, writer)

        async def listen():
            self._doors.append(await asyncio.start_server(serve, "127.0.0.1", door, limit=PIECE_BYTES))
        self._do(listen())

    def cut(self, links):
        async def act():
            self._cut.update(links)
            for link in links:
                for end in list(self._ends[link]):
                    self.counts["ends of connections cut"] += 1
                    _reset(end)
        self._do(act())

    def silence(self, links):
        async def act():
            self._silent.update({link: asyncio.Event() for link in links})
        self._do(act())

    def mend(self):
        """All of them."""
        async def act():
            self._cut.clear()
            while self._silent:
                self._silent.popitem()[1].set()
        self._do(act())

    def end(self):
        self.mend()

        async def act():
            for door in self._doors:
                door.close()
            carried = asyncio.all_tasks() - {asyncio.current_task()}
            for each in carried:
                each.cancel()
            await asyncio.gather(*carried, return_exceptions=True)
        self._do(act())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, act):
        return asyncio.run_coroutine_threadsafe(act, self._loop).result(CALL_SECONDS)

    # On its own.

    async def _carry(self, link, port, reader, writer):
        ends = [writer]
        self._ends[link].add(writer)
        try:
            if link in self._cut:
                self.counts["connections refused"] += 1
                raise ConnectionResetError
            await self._wait(link, "connections held")
            there, to_there = await asyncio.open_connection("127.0.0.1", port, limit=PIECE_BYTES)
            ends.append(to_there)
            self._ends[link].add(to_there)
            await asyncio.gather(self._pump(link, reader, to_there), self._pump(link, there, writer))
            for end in ends:
                end.close()
        except (OSError, asyncio.CancelledError):  # what became of one end is told to the other
            for end in ends:
                _reset(end)
        finally:
            self._ends[link].difference_update(ends)

    async def _pump(self, link, reader, writer):
        try:
            while piece := await reader.read(PIECE_BYTES):
                await self._wait(link, "pieces held")
                writer.write(piece)
                await writer.drain()
        finally:
            await self._wait(link, "ends held")
        writer.write_eof()

    async def _wait(self, link, what):
        while link in self._silent:
            self.counts[what] += 1
            await self._silent[link].wait()


def _reset(end):
    with contextlib.suppress(OSError):
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.transport.abort()


def home_of(port, homes):
    """Which of these homes a child of this process runs for that connects from `port` of loopback; None: none of them.
    `homes`: name -> directory. To look into a program that holds keys takes root."""
    lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()]
    sockets = {f"socket:[{words[9]}]" for words in lines if words[1] == f"0100007F:{port:04X}"}
    for process in children_of(os.getpid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            arguments = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
            for name, home in homes.items():
                if os.fsencode(home) in arguments and sockets & _open_files(process):
                    return name
    return None


def _open_files(process):
    found = set()
    for each in pathlib.Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            found.add(os.readlink(each))
    return found
