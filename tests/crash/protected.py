"""A realm that protects a real PostgreSQL server: the agent, a client whose commits wait for it, and what journals prove.

    acknowledged (the client's transactions)  is a subset of  committed in the log that a restore brings (pg_waldump)

Servers and daemons die with the thread that started them: they are started by the test's own."""
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parent.parent / "oracle")]
import calls  # noqa: E402
import client  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
import postgres  # noqa: E402
from harness import OK  # noqa: E402
from world import Server  # noqa: E402

DATASET, WAITED_FOR = "people", "exclave_people"
# Segments of 1 MiB: small to copy, and positions are kept whenever one is left.
SETTINGS = (f"synchronous_standby_names = '{WAITED_FOR}'", "min_wal_size = 2MB", "checkpoint_timeout = 1h")
LARGE_EVERY, SWITCH_AT = 4, 9
HANG_SECONDS = 60
OPENED_EVERY = 16  # so many runs a restored server is started, too
PAUSE_SECONDS = 0.02


class Writer(threading.Thread):
    """Commits one after the other, through servers and agents that come and go. `acknowledged`: transaction -> row."""

    def __init__(self, server, first):
        super().__init__(daemon=True)
        self.acknowledged, self.stopping, self.trouble = {}, threading.Event(), None
        self._door, self._next, self._first = (server.sockets, server.port), first, first
        self._client = None

    def run(self):
        try:
            while not self.stopping.wait(PAUSE_SECONDS):
                self._commit()
        except Exception as error:  # noqa: BLE001 (told by the test)
            self.trouble = repr(error)
        self._drop()

    def _drop(self):
        if self._client is not None:
            self._client.close()
            self._client = None

    def _commit(self):
        number, self._next = self._next, self._next + 1
        # Every fourth is of 64 KiB that nobody can compress: segments fill up, and are closed.
        size = 1000 if number % LARGE_EVERY == LARGE_EVERY - 1 else 1
        try:
            if self._client is None:
                self._client = client.Client(*self._door)
            rows = self._client.query(
                f"insert into t select {number}, string_agg(sha512(random()::text::bytea), '') from generate_series(1, {size}); "
                "select pg_current_xact_id()")
            self.acknowledged[int(rows[0][0])] = number
            if number - self._first == SWITCH_AT:
                self._client.query("select pg_switch_wal()")
        except client.NotAcknowledged:
            pass
        except (OSError, client.ServerError):
            self._drop()
            self.stopping.wait(0.05)

    def end(self):
        """After its server has ended, or while commits go on."""
        self.stopping.set()
        self.join(client.ANSWER_SECONDS)
        if self.trouble is not None or self.is_alive():
            raise AssertionError(f"the writer met {self.trouble or 'no answer'}")


class ProtectedWorld(matrix.World):
    """At rest: a base backup everywhere, acknowledged commits behind it at two vaults, and whoever wrote them was killed."""

    def __init__(self, scratch, realm, opening=(), base=None, acknowledged=()):
        super().__init__(scratch, realm, opening)
        self.base, self.acknowledged = base, dict(acknowledged)
        self.server, self.agent, self.writers = None, None, []

    def copied_to(self, scratch):
        plain = super().copied_to(scratch)
        return ProtectedWorld(scratch, plain.realm, self.opening, self.base, self.acknowledged)

    def end(self):
        for writer in self.writers:
            writer.stopping.set()
        if self.agent is not None:
            self.agent.kill()
        if self.server is not None:
            self.server.bury()
        super().end()
        for writer in self.writers:
            writer.join(client.ANSWER_SECONDS)

    # --- home ---

    def start_server(self, **create):
        if self.server is None:
            self.server = Server(self.scratch, "pg", create=bool(create), **create)
        self.server.start()

    def start_agent(self, launcher=None, **options):
        """Anew, by whoever keeps it running; the first time by `launcher`, with `options` of its database."""
        if self.agent is None:
            databases = {DATASET: {"connection": self.server.conninfo(), **options}}
            self.agent = postgres.Agent(self.realm, databases, launcher=launcher)
        else:
            self.agent.start()

    def start_watched_agent(self, fault, **options):
        watcher = calls.Watcher({"home": self.realm.home}, fault)

        def launcher(arguments, cwd, **sinks):
            return calls.popen(watcher, arguments, cwd, stdin=subprocess.DEVNULL, **sinks)

        self.start_agent(launcher, **options)
        return watcher

    def start_writer(self):
        self.writers.append(Writer(self.server, (len(self.writers) + 1) * 1_000_000))
        self.writers[-1].start()
        return self.writers[-1]

    def all_acknowledged(self):
        every = dict(self.acknowledged)
        for writer in self.writers:
            every.update(writer.acknowledged.copy())
        return every

    def spools(self):
        """Of journals that not every vault has. Folders go while one looks."""
        found = []
        for start in (self.realm.home / "databases" / DATASET / "spool").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += start.iterdir()
        return found

    # --- what the vaults prove ---

    def committed(self, log, end):
        """Transactions that the log in `log` commits before `end`, by the server's own reader of logs."""
        first = self.base["start"]
        done = subprocess.run([postgres.binaries() / "pg_waldump", "-p", log, "-s", first, "-r", "Transaction"], check=False,
                              capture_output=True, text=True, timeout=harness.COMMAND_SECONDS)
        if not done.stdout:
            raise AssertionError(f"pg_waldump shows nothing: {done.stderr}")
        found = re.findall(r"tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), prev \S+, desc: COMMIT ", done.stdout)
        return {int(transaction) for transaction, at in found if postgres.number_of(at) < postgres.number_of(end)}


def make_protected_world(base):
    """Rome is away for the last commits: oslo holds them for lux, and lux for oslo."""
    base.mkdir()
    world = ProtectedWorld(base, harness.Realm(base, registry=DATASET))
    try:
        world.start_server(settings=SETTINGS, initdb=("--wal-segsize=1",))
        world.server.ask("set synchronous_commit = local; create table t (id bigint primary key, what bytea); "
                         "alter table t alter what set storage external")
        world.realm.start()
        world.start_agent()
        world.agent.wait_streaming(DATASET)
        taken = world.realm.exclave("backup", "--home", world.realm.home, "--database", DATASET, "--json", "--wait-all")
        if taken.code != OK:
            raise AssertionError(str(taken))
        world.base = taken.json()
        world.realm.daemons.pop("rome").kill()
        writer = world.start_writer()
        while len(writer.acknowledged) < 10:
            if writer.trouble is not None or world.agent.process.poll() is not None:
                raise AssertionError(f"{writer.trouble}\n{world.agent.log()}")
            time.sleep(0.01)
        world.agent.kill()
        world.server.stop()
        writer.end()
        world.opening = [o.name if isinstance(o, pathlib.Path) else o for o in world.realm.release()]
        world.acknowledged = world.all_acknowledged()
    finally:
        world.end()
    for folder in ("state", f"databases/{DATASET}"):  # as an agent leaves one that is killed while it writes
        (world.realm.home / folder / ".tmp-0123456789abcdef").write_bytes(b"half")
    return ProtectedWorld(base, world.realm, world.opening, world.base, world.acknowledged)


class DatabaseCrashTest(matrix.CrashTest):
    """Base of the scenarios with a database: those of a class share one world, of which each run has a copy."""

    shared = None

    def protected_world(self):
        """Made when it is first wanted: not every machine lets calls be watched."""
        kind = type(self)
        if kind.shared is None:
            scratch = harness.make_scratch()
            self.addClassCleanup(shutil.rmtree, scratch, ignore_errors=True)
            kind.shared = make_protected_world(scratch / "base")
        return kind.shared

    # --- waiting, as whoever keeps things running ---

    def until(self, world, is_done, what, tend=lambda: None, seconds=HANG_SECONDS):
        deadline = time.monotonic() + seconds
        while not is_done():
            tend()
            for writer in world.writers:
                self.assertIsNone(writer.trouble)
            if time.monotonic() > deadline:
                self.fail(f"not {what} in {seconds} s: {world.agent.status(DATASET)}\n{world.agent.log()[-3000:]}")
            time.sleep(0.02)

    # --- what must hold ---

    def proves_without(self, world, lost, label):
        """Home and one vault are lost: what the others prove holds every commit that was acknowledged."""
        if lost in world.realm.daemons:
            world.realm.daemons.pop(lost).kill()
        acknowledged = world.all_acknowledged()
        report = self.restores_database(world, label, "--snapshot", world.base["snapshot"])
        committed = world.committed(report["wal"], report["recovers_to"]["position"])
        self.assertEqual({}, {t: row for t, row in acknowledged.items() if t not in committed}, f"acknowledged, and lost: {report}")
        self.assertEqual(report["recovers_to"]["commits"], len(committed), report)
        return report

    def restores_database(self, world, label, *options):
        """Its proven end, into a directory of this name."""
        target = world.scratch / label
        target.mkdir()
        postgres.give_to_server(target)
        ended = self.ok(world.realm.restore(world.opening, target, "--dataset", DATASET, "--no-sync", "--json", *options))
        self.assertTrue(ended.json()["proven"], str(ended))
        return ended.json()

    def opens(self, world, label, report):
        """The restored server recovers to exactly that end, and has the rows."""
        back = Server(world.scratch, label, create=False)
        try:
            back.launch("-c", "fsync=off")
            deadline = time.monotonic() + HANG_SECONDS
            while not (back.is_ready() and back.ask("select pg_is_in_recovery()") == [["f"]]):
                self.assertTrue(back.process.poll() is None and time.monotonic() < deadline, back.log()[-3000:])
                time.sleep(0.05)
            history = sorted((back.data / "pg_wal").glob("*.history"))[-1].read_text()
            self.assertEqual(report["recovers_to"]["position"], history.rstrip().splitlines()[-1].split("\t")[1])
            rows = set(world.all_acknowledged().values())
            self.assertEqual(set(), rows - {int(row[0]) for row in back.ask("select id from t")})
        finally:
            back.bury()

    def gets_well(self, world):
        """Whoever was killed is started again: commits go on, earlier journals come to every vault, all ends well."""
        for vault in harness.VAULTS:
            if vault not in world.realm.daemons:
                world.realm.start(vault)
        if world.server is None or world.server.process is None:
            world.start_server()
        if world.agent is not None:
            world.agent.kill()
        world.start_agent()
        writer = world.start_writer()

        def lives():
            self.assertIsNone(world.agent.process.poll(), world.agent.log()[-3000:])

        self.until(world, lambda: len(writer.acknowledged) >= 3, "acknowledged again", lives)
        writer.end()
        for left in range(2, -1, -1):
            self.until(world, lambda: world.agent.status(DATASET) and len(world.spools()) == 1,
                       "earlier journals with every vault", lives)
            self.assertEqual(OK, world.agent.stop(), world.agent.log()[-3000:])
            if not world.spools():
                break
            self.assertGreater(left, 0, f"a journal stays in the spool: {world.agent.log()[-3000:]}")
            world.agent.start()  # a stop waits for a vault that is late for a second only
        self.assertEqual([], list(world.realm.home.rglob(".tmp-*")), "drafts are left at home")
        for text in ("bug", "home dropped", "no longer has its log", "damaged log", "had confirmed"):
            self.assertNotIn(text, world.agent.log())
        world.server.bury()
        self.holds(world)
        logs = "".join(daemon.log() for daemon in world.realm.daemons.values())
        self.assertEqual([OK] * 3, world.realm.stop(), logs)
