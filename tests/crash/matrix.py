"""The crash matrix: a scenario is run once for every call it makes and every way that call can go wrong.

A scenario is a function attempt(world, fault) -> Watcher. The first run, without a fault, discovers the calls; each
further one fails one of them, lets the programs recover as an operator would, and checks what was promised. Every run
begins with a copy of the same realm, so that any point can be tried alone:

    EXCLAVE_CRASH_POINTS   all: every point. Otherwise as many as EXCLAVE_CRASH_SECONDS (3) allow for each scenario, drawn
                           by EXCLAVE_CRASH_SEED (1)
    EXCLAVE_CRASH_POINT    "kill write vault/table/N.log 3": this one only
    EXCLAVE_CRASH_KEEP     a directory: what is left of runs that failed is copied there

Of equal calls (same system call, same class of path) beyond MOST_EQUAL some are tried: the first, the last, and some drawn
from those between.
"""
import collections
import copy
import errno
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402  (calls knows where it is)
from calls import Call, Fault  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402

MOST_EQUAL, MOST_EQUAL_READS = 16, 4
MOST_FAILURES = 25
# Of the points, or so many: RocksDB's own threads do not run the same way twice.
UNREACHED_SHARE, MOST_UNREACHED = 0.05, 2
LOG_DATA = {"write", "fdatasync", "fallocate", "ftruncate"}  # calls on a table's log that is written
ERRORS = (1, 10, 11, 12, 13, 14)  # exit codes with a message (docs/operations/messages.md)


def kinds_for(seen):
    """Which faults a call can have. Reading cannot leave anything half done, so it only fails."""
    if not seen.changes:
        return ["eio"]
    if seen.call.name == calls.PROBE:
        return ["kill"]
    kinds = ["kill", "eio"]
    if seen.call.name in calls.NEED_ROOM:
        kinds.append("full")
    if seen.size > 1:
        kinds.append("short")
    return kinds


def points_of(seen_calls, most_equal):
    """Every fault to try, in the order of the calls."""
    equal = collections.defaultdict(list)
    for seen in seen_calls:
        for kind in kinds_for(seen):
            equal[seen.call.name, seen.call.where, kind].append(Fault(seen.call, kind))
    changes = {seen.call: seen.changes for seen in seen_calls}
    points = []
    for faults in equal.values():
        most = most_equal if changes[faults[0].call] else MOST_EQUAL_READS
        if len(faults) > most:
            edge = most // 4
            between = random.Random(len(faults)).sample(faults[edge:-edge], most - 2 * edge)
            faults = faults[:edge] + between + faults[-edge:]
        points += faults
    order = {seen.call: i for i, seen in enumerate(seen_calls)}
    return sorted(points, key=lambda fault: (order[fault.call], fault.kind))


def is_spared(sync, seen_calls):
    """Whether nobody need say that this sync failed. No promise needs how fast a site's restores were; nor a table's copy
    of the options, which nobody reads, nor the file that it makes of its log, when it is closed above all: the log stays,
    and is replayed (rocksdb_table.cc)."""
    earlier = [seen.call for seen in itertools.takewhile(lambda seen: seen.call != sync, seen_calls) if seen.changes]
    if sync.where.startswith("site/speeds") or (earlier and earlier[-1].where == "site/speeds"):
        return True
    if "/table" not in sync.where:
        return False
    before = [(call.name, os.path.basename(call.where)) for call in earlier if "/table" in call.where]
    if "/OPTIONS-" in sync.where or before[-1:] == [("rename", "OPTIONS-N")]:
        return True
    since = [*itertools.takewhile(lambda call: call[1] != "N.log" or call[0] not in LOG_DATA, reversed(before))]
    has_next_log = any(file == "N.log" for _, file in since)
    return has_next_log and ("openat", "MANIFEST-N") not in since  # which a table gets when it is opened


def words(fault):
    return f"{fault.kind} {fault.call.name} {fault.call.where} {fault.call.number}"


def fault_of(text):
    kind, name, where, number = text.split()
    return Fault(Call(name, where, int(number)), kind)


class World:
    """A realm with what belongs to it, in a directory of its own."""

    def __init__(self, scratch, realm, opening=()):
        self.scratch, self.realm, self.opening = scratch, realm, list(opening)

    def copied_to(self, scratch):
        subprocess.run(["cp", "-a", self.scratch, scratch], check=True)
        realm = copy.copy(self.realm)
        realm.scratch, realm.daemons = scratch, {}
        return World(scratch, realm, self.opening)

    def end(self):
        """Of everything that runs in it."""
        self.realm.kill_all()

    # --- commands whose outcome is looked at ---

    def backup_command(self, source="source"):
        return [harness.program(), "--json", "backup", "--home", self.realm.home, "--wait-all", "--moved", source]

    def backup(self):
        return harness.run_process(self.backup_command(), self.scratch)


class CrashTest(harness.SystemTest):
    """Base of the scenarios."""

    has_asked_call = None  # whether a scenario makes the call of EXCLAVE_CRASH_POINT; None: none has looked

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        if cls.has_asked_call is False:
            raise AssertionError(f"no scenario that ran makes this call: {os.environ['EXCLAVE_CRASH_POINT']}")

    def setUp(self):
        why = None
        if os.geteuid() != 0:
            why = "only root may look into a process that holds keys: run it as root"
        elif not calls.is_allowed():
            why = "this machine refuses seccomp's user notification: run it where a container does not filter it"
        if why is not None:
            self.fail(why) if self.wants_all() else self.skipTest(why)
        super().setUp()
        self.runs = 0
        self.watched_end = None  # of the run's watched command; None: its daemon is watched

    # --- worlds ---

    def make_world(self, make_source=harness.make_tree, backup=True, **options):
        """A realm at rest, with one backup of `source` and a release of its period."""
        base = self.scratch / "base"
        base.mkdir()
        realm = harness.Realm(base, **options)
        self.realms.append(realm)
        make_source(base / "source")
        opening = []
        if backup:
            realm.start()
            self.ok(realm.backup("source", "--wait-all"))
            opening = [os.path.relpath(o, base) if isinstance(o, pathlib.Path) else o for o in realm.release()]
            realm.kill_all()  # what the last run left in the tables' logs is there to be recovered
        return World(base, realm, opening)

    @staticmethod
    def grow(world):
        """The source has changed since its backup: several packs' worth is new."""
        generator = random.Random(7)
        for i in range(5):
            (world.scratch / f"source/later-{i}").write_bytes(generator.randbytes(700_000))
        (world.scratch / "source/folder-1/file-1").write_bytes(b"changed")
        return world

    # --- the matrix ---

    def run_matrix(self, name, world, attempt, least, concerns=lambda call: True, most_equal=MOST_EQUAL):
        """Discovers the calls of attempt(world, None), then tries the points of those that concern it. `least`: about half
        of the points that there were when that was written."""
        began = time.monotonic()
        seen = [seen for seen in self.one(world, attempt, None).calls if concerns(seen.call)]
        points = points_of(seen, most_equal)
        self.assertGreaterEqual(len(points), least, "the scenario has lost points")
        chosen = self.choose(points, seen)
        deadline = None
        if len(chosen) > 1 and not self.wants_all():
            deadline = time.monotonic() + float(os.environ.get("EXCLAVE_CRASH_SECONDS", "3"))
        tried, unreached, failures = 0, [], []
        for fault in chosen:
            # What was not reached shows nothing: goes on until one was, or it is plain that no fault happens.
            is_enough = len(unreached) < tried or tried > MOST_UNREACHED
            if deadline is not None and time.monotonic() > deadline and is_enough:
                break
            tried += 1
            try:
                if not self.one(world, attempt, fault).hit:
                    unreached.append(words(fault))
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(words(fault))
                print(f"FAILED {name}: {words(fault)}\n{''.join(traceback.format_exception(failure))}", flush=True)
                if len(failures) == MOST_FAILURES:
                    break
        print(f"crash {name}: {len(seen)} calls, {len(points)} points, {tried} tried, {len(unreached)} not reached, "
              f"{len(failures)} failed, {time.monotonic() - began:.0f} s", flush=True)
        for text in unreached:
            print(f"  not reached: {text}")
        self.assertEqual([], failures)
        most_unreached = 0 if len(chosen) == 1 else max(MOST_UNREACHED, UNREACHED_SHARE * tried)
        self.assertLessEqual(len(unreached), most_unreached, "the faults do not happen")
        self.assertLess(len(unreached), tried, "no fault happened")

    @staticmethod
    def wants_all():
        return os.environ.get("EXCLAVE_CRASH_POINTS") == "all"

    def choose(self, points, seen_calls):
        only = os.environ.get("EXCLAVE_CRASH_POINT")
        if only:
            fault = fault_of(only)
            has_call = any(seen.call == fault.call for seen in seen_calls)
            type(self).has_asked_call = has_call or bool(self.has_asked_call)
            if not has_call:
                self.skipTest("another scenario makes this call")
            return [fault]
        if self.wants_all():
            return points
        seed = int(os.environ.get("EXCLAVE_CRASH_SEED", "1"))
        return random.Random(seed).sample(points, len(points))

    def one(self, base, attempt, fault):
        """One run in a copy of the world, gone afterwards."""
        self.runs += 1
        world = base.copied_to(self.scratch / f"run-{self.runs}")  # never where a straggler could still write
        try:
            self.watched_end = None
            watcher = attempt(world, fault)
            is_sync = fault is not None and fault.kind == "eio" and fault.call.name in calls.SYNCS
            if is_sync and watcher.hit and not is_spared(fault.call, watcher.calls):
                self.tells_of_the_sync(world)
        except BaseException:
            if "EXCLAVE_CRASH_KEEP" in os.environ:
                subprocess.run(["cp", "-a", world.scratch, os.environ["EXCLAVE_CRASH_KEEP"]], check=True)
            raise
        finally:
            world.end()
            shutil.rmtree(world.scratch)
        return watcher

    # --- what must hold ---

    def is_clear(self, ended):
        """A failure says what failed, with a known exit code; it is not a crash."""
        self.assertIn(ended.code, ERRORS, str(ended))
        self.assertIn("exclave: ", ended.err, str(ended))
        self.assertNotIn("bug", ended.err, str(ended))

    def tells_of_the_sync(self, world):
        """What a failed sync left unsafe is still in memory, and no later look finds it: whoever synced says so."""
        if self.watched_end is not None:
            self.assertNotEqual(OK, self.watched_end.code, f"a failed sync was ignored: {self.watched_end}")
            return
        logs = [log.read_text(errors="replace") for log in world.scratch.glob("*.log")]
        self.assertIn(os.strerror(errno.EIO), "".join(logs), "a failed sync was ignored")

    def ended_by(self, ended, fault):
        """The watched command's end fits what was done to it."""
        self.watched_end = ended
        if fault is not None and fault.kind == "kill":
            self.assertEqual(-9, ended.code, str(ended))
        elif fault is None or fault.kind == "short":
            self.assertIn(ended.code, (OK, PARTIAL), str(ended))
        elif ended.code not in (OK, PARTIAL):
            self.is_clear(ended)

    def reaches_all(self, ended):
        """A backup that reached every vault; earlier ones may not have."""
        if ended.code != OK:
            self.assertEqual(PARTIAL, ended.code, str(ended))
            self.assertIn("lacks objects of earlier captures", ended.err, str(ended))
        self.assertEqual([], [v for v in ended.json()["vaults"] if not v["complete"]], str(ended))

    def holds(self, world, may_be_behind=()):
        """The vaults prove themselves whole; what they lack, they were allowed to."""
        ended = world.realm.exclave("--json", "verify", "--site", world.realm.site, "--read-all")
        self.assertIn(ended.code, (OK, PARTIAL), str(ended))
        for vault in ended.json()["vaults"]:
            self.assertEqual([], vault["findings"], str(ended))
            if vault["vault"] not in may_be_behind:
                self.assertEqual([], vault["behind"], str(ended))

    def restores(self, world, source="source"):
        """The newest snapshot holds exactly the source."""
        self.ok(world.realm.restore(world.opening or world.realm.release(), world.scratch / "restored"))
        self.assertEqual(harness.tree_contents(world.scratch / source), harness.tree_contents(world.scratch / "restored"))

    def keeps_its_promises(self, world):
        """Daemons are down: what the agent has receipts for is on the vaults' disks, and no draft is left there."""
        table = next((world.realm.home / "state").glob("era-*/table"))
        self.ok(self.kept_promises(world, table, *(f"{v}={world.realm.vault(v)}" for v in harness.VAULTS)))

    def kept_promises(self, world, *arguments):
        tool = pathlib.Path(harness.program()).with_name("kept_promises")
        return harness.run_process([tool, *arguments], world.scratch)
