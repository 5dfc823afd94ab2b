"""Writers over two databases, and the ledger of what they issued and what was acknowledged.

A deed is a chain of commits that go from one database to the other and back, each after the one before it was
acknowledged. A row names the row of the other database that its writer knew: its own last one, the newest that anybody
had acknowledged there, or the newest that it sees there: a commit that waits for the vaults is visible to nobody. Only after
its server was started anew it is, and then nobody looks until commits are acknowledged again (`may_look`).

    people: (17, -)      (19, 18)              what is acknowledged must be recovered;
                \\       /       \\              a row must not be recovered without the row that it names
    land:        (18, 17)        (20, 19)
"""
import random
import threading
import time

import client

SIDES = ("people", "land")


def other(side):
    return SIDES[1 - SIDES.index(side)]


class Ledger:
    """Thread-safe. `issued`: id -> the row it names (0: none), from before it was sent. `acknowledged`: ids, in order."""

    def __init__(self):
        self._lock = threading.Lock()
        self._next = 0
        self.issued = {side: {} for side in SIDES}
        self.acknowledged = {side: [] for side in SIDES}
        self.newest = {side: 0 for side in SIDES}
        self.may_look = dict.fromkeys(SIDES, True)
        self.looks = 0
        self.cancelled_waits = 0
        self.slowest = 0.0

    def issue(self, side, names):
        with self._lock:
            self._next += 1
            self.issued[side][self._next] = names
            return self._next

    def acknowledge(self, side, number, seconds):
        with self._lock:
            self.acknowledged[side].append(number)
            self.newest[side] = number
            self.slowest = max(self.slowest, seconds)

    def mark(self):
        """How much is acknowledged now, on each side: acknowledged[side][:mark[side]]."""
        with self._lock:
            return {side: len(self.acknowledged[side]) for side in SIDES}


class Writer(threading.Thread):
    """Commits until told to stop, through servers that come and go."""

    def __init__(self, ledger, doors, seed):
        super().__init__(daemon=True)
        self.ledger, self.doors, self.random = ledger, doors, random.Random(seed)
        self.clients = {}
        self.stopping = threading.Event()
        self.trouble = None  # what no fault explains

    def run(self):
        try:
            while not self.stopping.is_set():
                self._do_deed()
                time.sleep(self.random.uniform(0.001, 0.006))
        except Exception as error:  # noqa: BLE001 (told by the judge)
            self.trouble = repr(error)
        for each in self.clients.values():
            each.close()

    def _do_deed(self):
        side, names = self.random.choice(SIDES), 0
        for _ in range(self.random.randrange(2, 5)):
            if self.stopping.is_set():
                return
            draw = self.random.random()
            if draw < 0.2:
                names = self._look(other(side)) or names
            elif names == 0 or draw < 0.5:
                names = self.ledger.newest[other(side)]
            names = self._commit(side, names)
            if names is None:
                self.stopping.wait(0.05)
                return
            side = other(side)

    def _look(self, side):
        """The newest row that is visible; 0: none that may be named."""
        try:
            newest = int(self._client(side).query("select coalesce(max(id), 0) from t")[0][0])
            self.ledger.looks += 1
            return newest if self.ledger.may_look[side] else 0
        except (OSError, client.ServerError):
            self._drop(side)
            return 0

    def _client(self, side):
        if side not in self.clients:
            self.clients[side] = client.Client(*self.doors[side])
        return self.clients[side]

    def _drop(self, side):
        if side in self.clients:
            self.clients.pop(side).close()

    def _commit(self, side, names):
        """The new row's id once it is acknowledged; None: nobody knows what became of it."""
        if self.random.random() < 0.01:
            filling = "(select string_agg(md5(random()::text), '') from generate_series(1, 4000))"
        else:
            filling = f"repeat('x', {self.random.randrange(0, 600)})"
        try:
            connection = self._client(side)
            number = self.ledger.issue(side, names)
            begin = time.monotonic()
            connection.query(f"insert into t values ({number}, {names}, {filling})")
            self.ledger.acknowledge(side, number, time.monotonic() - begin)
            return number
        except client.NotAcknowledged:
            self.ledger.cancelled_waits += 1
            return None
        except (OSError, client.ServerError) as error:
            if "duplicate" in str(error) or "does not exist" in str(error):
                raise
            self._drop(side)
            return None
