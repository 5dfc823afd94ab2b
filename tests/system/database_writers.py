"""Writers that commit all the time, through agents and servers that come and go, and the ledger of what was acknowledged."""
import pathlib
import sys
import threading
import time
import typing

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "oracle"))
import client  # noqa: E402

PAUSE_SECONDS = 0.005
AGAIN_SECONDS = 0.05
END_SECONDS = 60


class Acknowledgement(typing.NamedTuple):
    """Of the row `number`, at `at` (monotonic), by the server of that name."""

    at: float
    server: str
    number: int


class Writers:
    """Each commits one row of `t` after the other, on whichever of `servers` takes it. `issued`: numbers, from before they were
    sent; `acknowledged`: in order."""

    def __init__(self, *servers, count=3):
        self.issued, self.acknowledged = set(), []
        self._servers, self._stopping, self._trouble = servers, threading.Event(), []
        self._threads = [threading.Thread(target=self._run, args=(n * 1_000_000,), daemon=True) for n in range(1, count + 1)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stopping.set()
        for thread in self._threads:
            thread.join(END_SECONDS if kind is None else 1)
        if kind is None and (self._trouble or any(thread.is_alive() for thread in self._threads)):
            raise AssertionError(f"a writer met {self._trouble or 'no answer'}")

    def acknowledged_by(self, *servers):
        names = [server.name for server in servers]
        return {each.number for each in self.acknowledged.copy() if each.server in names}

    def _run(self, number):
        try:
            while not self._stopping.is_set():
                for server in self._servers:
                    number = self._commit_until_it_fails(server, number)
                self._stopping.wait(AGAIN_SECONDS)
        except Exception as error:  # noqa: BLE001 (told by the test)
            self._trouble.append(repr(error))

    def _commit_until_it_fails(self, server, number):
        """The next number: nobody knows what became of the one that failed."""
        connection = None
        try:
            connection = client.Client(server.sockets, server.port)
            while not self._stopping.wait(PAUSE_SECONDS):
                number += 1
                self.issued.add(number)
                connection.query(f"insert into t values ({number}, 'under load')")
                self.acknowledged.append(Acknowledgement(time.monotonic(), server.name, number))
        except client.ServerError as error:
            if "duplicate" in str(error) or "does not exist" in str(error):
                raise
        except (OSError, client.NotAcknowledged):
            pass
        finally:
            if connection is not None:
                connection.close()
        return number
