"""Bad input: each case gives one clear message with object and remedy and the documented exit code, and loses nothing.

A row of CASES is: name, what is spoilt first (a method of Spoil, or None), the command, its exit code, and what standard
error must contain: the object, then the remedy. After each row a backup and a verify must be clean again.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import CORRUPTION, FAILED, KEY_REFUSED, LOCKED, NOT_FOUND, OK, UNREACHABLE, USAGE  # noqa: E402

HOME, SITE, ALICE = "realm/home/docs", "realm/sites/rebuild", "realm/officials/alice"
BACKUP = f"backup --home {HOME} source"
CREATE = "realm create new --name X --official a --official b --official c"
VAULT = "--vault lux=127.0.0.1:1"
OPEN = "--release good.request --approval good.alice --approval good.bob --approval good.carla"
TWO = "--release good.request --approval good.alice --approval good.bob"


class Spoil:
    """What is wrong with the world in a case. Each is a context: it mends what it spoilt."""

    def __init__(self, test):
        self.test, self.realm, self.scratch = test, test.realm, test.scratch

    @contextlib.contextmanager
    def replaced(self, name, content=None, mode=None):
        path = self.scratch / name
        aside = self.scratch / "aside"
        shutil.copy2(path, aside)
        if mode is not None:
            path.chmod(mode)
        elif content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        try:
            yield
        finally:
            if path.exists():
                path.unlink()
            shutil.copy2(aside, path)

    def no_writer_key(self):
        return self.replaced(f"{HOME}/writer.key")

    def site_key_as_writer_key(self):
        return self.replaced(f"{HOME}/writer.key", (self.scratch / SITE / "identity.key").read_bytes())

    def garbage_as_writer_key(self):
        return self.replaced(f"{HOME}/writer.key", b"\xff\x00 not a key")

    def empty_writer_key(self):
        return self.replaced(f"{HOME}/writer.key", b"")

    def other_realms_writer_key(self):
        return self.replaced(f"{HOME}/writer.key", (self.scratch / "other/home/docs/writer.key").read_bytes())

    def writer_key_for_all_to_read(self):
        return self.replaced(f"{HOME}/writer.key", mode=0o644)

    def no_era_keys(self):
        return self.replaced(f"{HOME}/era-1.keys")

    def era_keys_for_the_group(self):
        return self.replaced(f"{HOME}/era-1.keys", mode=0o640)

    def other_realms_era_keys(self):
        return self.replaced(f"{HOME}/era-1.keys", (self.scratch / "other/home/docs/era-1.keys").read_bytes())

    def other_realms_policy_at_home(self):
        return self.replaced(f"{HOME}/acts/policy-1.exclave",
                             (self.scratch / "other/home/docs/acts/policy-1.exclave").read_bytes())

    def edited_policy_at_home(self):
        text = (self.scratch / HOME / "acts/policy-1.exclave").read_bytes()
        return self.replaced(f"{HOME}/acts/policy-1.exclave", text.replace(b"Testland", b"Testlund"))

    def no_share_leaf(self):
        leaf = next((self.scratch / ALICE / "share-book").glob("*-era-1.leaf"))
        return self.replaced(str(leaf.relative_to(self.scratch)))

    @contextlib.contextmanager
    def two_vaults_down(self):
        self.realm.stop("lux", "oslo")
        try:
            yield
        finally:
            self.realm.start("lux", "oslo")

    @contextlib.contextmanager
    def all_vaults_down(self):
        self.realm.stop()
        try:
            yield
        finally:
            self.realm.start()

    @contextlib.contextmanager
    def impostors(self):
        """Two of three ports are answered by vaults of another realm, with that realm's identities."""
        self.realm.stop("lux", "oslo")
        false = [harness.Daemon(self.scratch / "other/vaults" / v, self.scratch / f"false-{v}.log", self.scratch,
                                ["--listen", f"127.0.0.1:{self.realm.ports[v]}"]) for v in ("lux", "oslo")]
        try:
            yield
        finally:
            for daemon in false:
                daemon.stop()
            self.realm.start("lux", "oslo")

    @contextlib.contextmanager
    def another_backup_running(self):
        other = subprocess.Popen([harness.program(), "ingest", "--home", HOME, "slow"], cwd=self.scratch,
                                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 preexec_fn=harness.end_with_parent)
        other.stdin.write(bytes(1 << 20))  # more than a pipe holds: it reads, so it has taken the lock
        other.stdin.flush()
        try:
            yield
        finally:
            other.kill()
            other.stdin.close()
            other.wait()

    @contextlib.contextmanager
    def a_corrupt_object_everywhere(self):
        """What cannot be gone round: every copy of the pack with the content is spoilt."""
        victim = max(self.realm.objects("lux"), key=lambda p: p.stat().st_size).name
        copies = [p for v in harness.VAULTS for p in self.realm.objects(v) if p.name == victim]
        with contextlib.ExitStack() as stack:
            for copy in copies:
                content = bytearray(copy.read_bytes())
                for at in range(200, len(content), 1000):
                    content[at] ^= 1
                mode = copy.stat().st_mode & 0o777
                copy.chmod(0o600)
                stack.callback(copy.chmod, mode)
                stack.callback(copy.write_bytes, bytes(copy.read_bytes()))
                copy.write_bytes(content)
            yield


CASES = [
    ("source does not exist", None, f"backup --home {HOME} nowhere", NOT_FOUND, "source: cannot look at 'nowhere'",
     "hint: name the directory"),
    ("source is a file", None, f"backup --home {HOME} source/empty", FAILED, "source/empty", "hint: name its directory"),
    ("home does not exist", None, "backup --home nowhere source", NOT_FOUND, "'nowhere'", "hint: give the directory"),
    ("site does not exist", None, "snapshots --site nowhere", NOT_FOUND, "'nowhere'", "hint: give the directory"),
    ("vault does not exist", None, "vault nowhere", NOT_FOUND, "nowhere/identity.key", "hint: give the directory"),
    ("neither home nor site", None, "snapshots", USAGE, "--home DIRECTORY or --site DIRECTORY is required", "--help"),
    ("restored path is not in the snapshot", None, f"restore --site {SITE} {OPEN} --target t1 nothing", NOT_FOUND,
     "'nothing'", "hint: look first"),
    ("snapshot does not exist", None, f"restore --site {SITE} {OPEN} --target t2 --snapshot 00000000", NOT_FOUND,
     "'00000000'", "hint: list them: exclave snapshots"),
    ("release file does not exist", None, f"restore --site {SITE} --release nowhere --target t3", NOT_FOUND, "'nowhere'",
     "hint: give the file that `exclave release request` wrote"),
    ("approval file does not exist", None, f"restore --site {SITE} --release good.request --approval nowhere --target t3", NOT_FOUND,
     "'nowhere'", "hint: give the files that `exclave release approve` wrote"),
    ("target is not empty", None, f"restore --site {SITE} {OPEN} --target source", FAILED, "'source'",
     "hint: restore into a fresh"),
    ("restore at home", None, f"restore --home {HOME} --target t4", KEY_REFUSED, "the agent cannot read back",
     "exclave release request"),
    ("verify at home", None, f"verify --home {HOME}", KEY_REFUSED, "an agent", "exclave verify --site"),

    ("key file is missing", "no_writer_key", BACKUP, NOT_FOUND, f"{HOME}/writer.key", "hint: give the directory"),
    ("key file of another role", "site_key_as_writer_key", BACKUP, KEY_REFUSED, f"{HOME}/writer.key", "hint: give the"),
    ("key file is garbage", "garbage_as_writer_key", BACKUP, KEY_REFUSED, f"{HOME}/writer.key", "hint: give the"),
    ("key file is empty", "empty_writer_key", BACKUP, KEY_REFUSED, f"{HOME}/writer.key", "hint: give the"),
    ("key file of another realm", "other_realms_writer_key", BACKUP, KEY_REFUSED, "not pinned", "hint: ask the registry's"),
    ("key file others may read", "writer_key_for_all_to_read", BACKUP, KEY_REFUSED, "others may read it (mode 0644)",
     f"chmod 600 '{HOME}/writer.key'"),
    ("era keys are missing", "no_era_keys", BACKUP, NOT_FOUND, "holds no era keys", "exclave agent recover"),
    ("era keys the group may read", "era_keys_for_the_group", BACKUP, KEY_REFUSED, "era-1.keys", "chmod 600"),
    ("era keys of another realm", "other_realms_era_keys", BACKUP, KEY_REFUSED, "belong to another realm",
     "hint: put back the era-N.keys"),

    ("policy of another realm", "other_realms_policy_at_home", BACKUP, KEY_REFUSED, "another realm than the policy",
     "hint: bring the file from the acts/"),
    ("policy with a changed word", "edited_policy_at_home", BACKUP, KEY_REFUSED, "signature under the name of",
     "hint: bring the file from the acts/"),
    ("official of another realm", None, "release approve --official other/officials/alice good.request --out x1 --yes",
     KEY_REFUSED, "release request: belongs to another realm", "hint: approve nothing"),
    ("recover with another realm's keys", None, f"agent recover --home {HOME} --keys other/operator/docs/era-2.keys",
     KEY_REFUSED, "other/operator/docs/era-2.keys", "hint: give the era-N.keys"),
    ("recover with something else", None, f"agent recover --home {HOME} --keys {HOME}/writer.key", FAILED, f"{HOME}/writer.key",
     "hint: give the era-N.keys"),
    ("recover into the running era", None, f"agent recover --home {HOME} --keys {HOME}/era-1.keys", FAILED, "era 1 already",
     "hint: bring the keys of a later era"),

    ("certificates not pinned", "impostors", BACKUP, KEY_REFUSED, "the policy pins", "hint: look at the vaults"),
    ("two of three vaults down", "two_vaults_down", BACKUP, UNREACHABLE, "only 1 of 3 vaults", "exclave status"),
    ("all vaults down, restoring", "all_vaults_down", f"snapshots --site {SITE}", UNREACHABLE, "no vault answers (lux: ",
     "hint: look at the line, the clock and the vaults: exclave status"),
    ("status with two vaults down", "two_vaults_down", f"status --home {HOME}", UNREACHABLE, "only 1 of 3 vaults", "hint:"),
    ("a second daemon on a vault", None, "vault realm/vaults/lux", LOCKED, "realm/vaults/lux", "hint: one process"),
    ("a second command at home", "another_backup_running", BACKUP, LOCKED, f"'{HOME}'", "hint: wait until it ends"),

    ("too few shares", None, f"restore --site {SITE} {TWO} --target t5", KEY_REFUSED, "2 of 3 needed approvals are valid",
     "hint: let another official run: exclave release approve"),
    ("one approval three times", None, f"restore --site {SITE} --release good.request" + " --approval good.alice" * 3 +
     " --target t6", KEY_REFUSED, "1 of 3 needed approvals are valid: alice", "exclave release approve"),
    ("approvals of another release", None, f"restore --site {SITE} {OPEN.replace('good.request', 'late.request')} --target t7",
     KEY_REFUSED, "good.alice: is for another release", "exclave release approve"),
    ("release has expired", None, f"release approve --official {ALICE} late.request --out x2 --yes", KEY_REFUSED, "expired",
     "hint: check this machine's clock"),
    ("no release given", None, f"restore --site {SITE} --target t8", USAGE, "--site requires --release", "--help"),
    ("no release to look with", None, f"ls --site {SITE}", USAGE, "--site requires --release", "--help"),
    ("request is another kind of file", None, f"release show --official {ALICE} source/empty", FAILED, "source/empty",
     "hint: give the file that `exclave release request` wrote"),
    ("share leaf is missing", "no_share_leaf", f"release approve --official {ALICE} good.request --out x3 --yes", NOT_FOUND,
     "share book", "hint: the ceremony"),
    ("approving without a terminal", None, f"release approve --official {ALICE} good.request --out x4", FAILED,
     "there is no terminal", "say --yes"),
    ("approval's file exists", None, f"release approve --official {ALICE} good.request --out good.alice --yes", FAILED,
     "'good.alice' exists", "hint: name a new file"),

    ("every copy of an object is corrupt", "a_corrupt_object_everywhere", f"restore --site {SITE} {OPEN} --target t9",
     CORRUPTION, "no vault gave a good copy (", "hint: bring back a vault that has one"),

    ("dataset with odd characters", None, f"{BACKUP} --dataset ../x", FAILED, "'../x'", "hint: use 1 to 63 characters"),
    ("registry with odd characters", None, f"{CREATE} {VAULT} --registry ../Do%cs", FAILED, "'../Do%cs'", "hint: use 1 to 63"),
    ("registry in capitals", None, f"{CREATE} {VAULT} --registry DOCS", FAILED, "'DOCS'", "hint: use 1 to 63"),
    ("registry the realm lacks", None, "ceremony era realm --registry nothing", NOT_FOUND, "'nothing'", "hint: it has: docs"),
    ("official named twice", None, f"{CREATE} --official a {VAULT} --registry r", FAILED, "official 'a' is named twice",
     "hint: give each official a name of its own"),
    ("vault named twice", None, f"{CREATE} {VAULT} {VAULT} --registry r", FAILED, "vault 'lux' is named twice",
     "hint: give each vault a name of its own"),
    ("vault without an address", None, f"{CREATE} --vault lux --registry r", FAILED, "vault 'lux'", "hint: write --vault"),
    ("vault with half an address", None, f"{CREATE} --vault lux=nowhere --registry r", FAILED, "'nowhere'", "host:port"),
    ("two vaults", None, f"{CREATE} {VAULT} --vault oslo=127.0.0.1:2 --registry r", FAILED, "not 2",
     "one vault (for trials) or 3 to 64"),
    ("threshold above the officials", None, f"{CREATE} {VAULT} --registry r --threshold 4", FAILED, "threshold", "4 is not in 1..3, the number of officials"),
    ("a size that is none", None, f"{CREATE} {VAULT} --registry r --quota lots", FAILED, "--quota: 'lots'", "such as \"20 GB\""),
    ("realm exists already", None, f"{CREATE.replace('new', 'realm')} {VAULT} --registry r", FAILED, "'realm' exists",
     "nothing was changed"),

    ("unknown option", None, f"{BACKUP} --frobnicate", USAGE, "--frobnicate", "--help"),
    ("unknown command", None, "frobnicate", USAGE, "'frobnicate'", "--help"),
    ("missing option", None, "backup source", USAGE, "--home", "--help"),
    ("both home and site", None, f"status --home {HOME} --site {SITE}", USAGE, "--site", "--help"),
]


class BadInput(harness.SystemTest):
    """One realm for all rows: whatever a row does, the next one finds everything whole."""

    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()
        self.make_realm("other", start=False)
        self.ok(self.realm.backup())
        self.late = time.monotonic()
        self.ok(self.realm.exclave("release", "request", "--site", SITE, "--reason", "r", "--valid", "1s", "--out",
                                   "late.request"))
        self.realm.release("good")
        self.assertEqual({"good.alice", "good.bob", "good.carla"}, {p.name for p in self.scratch.glob("good.[abc]*")})

    def test_each_gives_one_clear_message_and_loses_nothing(self):
        self.assertEqual(len(CASES), len({case[0] for case in CASES}))
        time.sleep(max(0, self.late + 2.5 - time.monotonic()))
        for name, spoil, command, code, obj, remedy in CASES:
            with self.subTest(name):
                with getattr(Spoil(self), spoil)() if spoil else contextlib.nullcontext():
                    self.refused(self.realm.exclave(*command.split(" ")), code, obj, remedy)
                self.assertFalse((self.scratch / "new").exists(), "a refused realm left files behind")
                self.assertEqual([], sorted(p.name for p in self.scratch.glob("t[0-9]/*")), "a refused restore wrote")
                self.assertEqual([], sorted(p.name for p in self.scratch.glob("x[0-9]")), "a refused approval wrote")
                if spoil:
                    self.nothing_is_lost()
        self.nothing_is_lost()

    def nothing_is_lost(self):
        self.ok(self.realm.backup())
        self.ok(self.realm.verify("--read-all"))

    def test_with_one_vault_down_the_backup_succeeds_and_names_it(self):
        self.realm.stop("oslo")
        (self.scratch / "source/new").write_bytes(os.urandom(5000))
        ended = self.ok(self.realm.backup())
        self.assertIn("vault oslo is behind", ended.err)
        self.assertIn("received whole by lux, rome", ended.out)
        self.ok(self.realm.backup("source", "--wait-all"), harness.PARTIAL)
        self.realm.start("oslo")
        (self.scratch / "source/newer").write_bytes(b"newer")
        # This capture reaches every vault, but what oslo missed stays visible until it is repaired from the others.
        ended = self.ok(self.realm.backup("source", "--wait-all"), harness.PARTIAL)
        self.assertIn("received whole by lux, oslo, rome", ended.out)
        self.assertIn("vault oslo lacks objects of earlier captures", ended.err)
        found = self.ok(self.realm.verify("--read-all"), harness.PARTIAL)
        self.assertIn("vault oslo is behind: stream", found.out)
        self.assertNotIn("vault lux:", found.out)
        self.ok(self.realm.restore(self.realm.release("after"), "after"))
        self.same_tree("after")

    def test_a_corrupt_pack_is_found_by_verify_and_restore_goes_round_it(self):
        pack = max(self.realm.objects("oslo"), key=lambda p: p.stat().st_size)
        content = bytearray(pack.read_bytes())
        content[len(content) // 3] ^= 0x40
        pack.chmod(0o600)
        pack.write_bytes(content)
        found = self.ok(self.realm.verify("--read-all"), CORRUPTION)
        self.assertIn(pack.name[:12], found.out)
        self.assertIn("vault oslo", found.out)
        self.realm.stop("lux")  # two vaults are left, and one of them lies about this pack
        self.ok(self.realm.restore(self.realm.release("again"), "round"))
        self.same_tree("round")

    def test_a_pack_corrupt_everywhere_costs_the_files_that_need_it_and_the_rest_is_restored(self):
        (self.scratch / "source/new").write_bytes(b"in a pack of its own")
        self.ok(self.realm.backup("source", "--wait-all"))
        opening = self.realm.release("part")
        with Spoil(self).a_corrupt_object_everywhere():
            self.refused(self.realm.restore(opening, "part"), CORRUPTION, "target 'part': all is restored but 12 files",
                         "\n  folder-0/file-0: object", "hint: run it again with this target")
            self.assertEqual({"empty", "new", "link", "folder-0", "folder-1", "folder-2"},
                             {os.path.relpath(p, self.scratch / "part") for p in (self.scratch / "part").rglob("*")})
        self.ok(self.realm.restore(opening, "part"))
        self.same_tree("part")

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "mounting a small file system takes root")
    def test_a_full_disk_at_a_vault_refuses_and_the_others_carry_on(self):
        self.realm.stop("rome")
        place, copy = self.realm.vault("rome"), self.scratch / "rome-copy"
        place.rename(copy)
        place.mkdir()
        mounted = harness.run_process(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], self.scratch)
        if mounted.code != 0:
            self.skipTest(f"no mount here: {mounted.err.strip()}")
        self.addCleanup(harness.run_process, ["umount", "-l", place], "/")
        shutil.copytree(copy, place, dirs_exist_ok=True)
        self.realm.start("rome")
        (self.scratch / "source/large").write_bytes(os.urandom(6_000_000))
        ended = self.ok(self.realm.backup())
        self.assertIn("vault rome is behind", ended.err)
        self.assertIn("received whole by lux, oslo", ended.out)
        self.ok(self.realm.exclave("status", "--home", HOME))
        self.ok(self.realm.restore(self.realm.release("full"), "full"))
        self.same_tree("full")
        self.realm.stop("rome")

    def test_a_full_disk_at_the_site_fails_and_a_second_run_with_room_finishes(self):
        if os.geteuid() != 0 or not shutil.which("mount"):
            self.skipTest("mounting a small file system takes root")
        (self.scratch / "source/large").write_bytes(os.urandom(3_000_000))
        self.ok(self.realm.backup())
        opening = self.realm.release("small")
        small = self.scratch / "small"
        small.mkdir()
        if harness.run_process(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], self.scratch).code != 0:
            self.skipTest("no mount here")
        self.addCleanup(harness.run_process, ["umount", "-l", small], "/")
        ended = self.realm.restore(opening, "small/target")
        self.refused(ended, FAILED, "file 'large': cannot write", "hint: make room, and run it again with this target")
        self.ok(harness.run_process(["mount", "-o", "remount,size=64m", small], "/"))
        self.ok(self.realm.restore(opening, "small/target"))
        self.same_tree("small/target")


if __name__ == "__main__":
    harness.main()
