"""Life with the program: drains, restarts, kills, recovery of an agent, streams, a restore without root."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import policies  # noqa: E402
from harness import FAILED, KEY_REFUSED, NOT_FOUND, OK  # noqa: E402

NOBODY = 65534


class Policies(harness.SystemTest):
    """A realm that renews itself: another ceremony key and lower thresholds, and nothing old is lost by it."""

    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def adopt(self, policy):
        """Everybody's folder has the second version; vaults learn it from the agent."""
        for owner in (self.realm.home, self.realm.site, self.realm.root / "ceremony",
                      *map(self.realm.official, harness.OFFICIALS)):
            (owner / "acts/policy-2.exclave").write_bytes(policy)

    def open_era(self, number):
        self.ok(self.realm.exclave("ceremony", "era", "realm", "--registry", "docs"))
        return self.realm.root / f"operator/docs/era-{number}.keys"

    def test_a_new_ceremony_key_and_threshold_leave_earlier_eras_open_to_their_own_quorum(self):
        self.ok(self.realm.backup())
        self.realm.stop("oslo")
        self.open_era(3)  # under the first version; oslo does not see it
        other = harness.Realm(self.scratch, name="next")  # held a ceremony of its own: its key is the new one
        ceremony = re.search(r"^ceremony .*$", policies.first_policy(other), flags=re.M)[0]
        self.adopt(policies.signed(policies.successor(
            policies.first_policy(self.realm), (r"ceremony .*", ceremony), (r"threshold-release 3", "threshold-release 2"),
            (r"(registry docs .*) threshold=3 (.*) eras=0", r"\1 threshold=2 \2 eras=3")), self.realm))
        shutil.copy(other.root / "ceremony/ceremony.key", self.realm.root / "ceremony/ceremony.key")
        keys = self.open_era(4)
        self.realm.start("oslo")
        shutil.copytree(self.scratch / "source", self.scratch / "first", symlinks=True)
        (self.scratch / "source/later").write_bytes(b"in era 4\n" * 1000)
        self.ok(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys", keys))
        ended = self.ok(self.realm.backup("source", "--wait-all"))
        self.assertIn("received whole by lux, oslo, rome", ended.out)
        self.assertNotIn("did not adopt", ended.err)

        self.ok(self.realm.restore(self.realm.release("latest", harness.OFFICIALS[:2])))
        self.same_tree("restored")
        first = self.ok(self.realm.exclave("--json", "snapshots", "--site", self.realm.site)).json()["snapshots"][0]["snapshot"]
        opening = self.realm.release("first", harness.OFFICIALS[:3], ("--snapshot", first))
        two = opening[:-2]
        self.refused(self.realm.restore(two, "refused", "--snapshot", first), KEY_REFUSED, "2 of 3 needed")
        self.ok(self.realm.restore(opening, "restored-first", "--snapshot", first))
        self.same_tree("restored-first", "first")


    def test_a_release_that_too_few_holders_of_shares_could_approve_is_not_asked_for(self):
        self.ok(self.realm.backup())
        renewed = (("carla", "cara"), ("dan", "dana"), ("eve", "evan"))  # after the era's ceremony
        self.adopt(policies.signed(policies.successor(
            policies.first_policy(self.realm), ("threshold-policy 3", "threshold-policy 2"),
            *((f"official {old} (.*)", rf"official {new} \1") for old, new in renewed)), self.realm))
        asked = self.realm.exclave("release", "request", "--site", self.realm.site, "--reason", "a test", "--out", "asked")
        self.refused(asked, FAILED, "registry docs: 2 of the officials of policy version 2 hold shares of era 1, and 3 approvals",
                     "hint: older eras need officials who got shares")
        self.assertFalse((self.scratch / "asked").exists())
        self.assertEqual([], list((self.realm.site / "releases").iterdir()))


class Daemons(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def test_home_can_be_looked_at_while_a_capture_runs(self):
        looks = [(command, "--home", self.realm.home) for command in ("status", "snapshots", "ls")]
        self.assertIn("nothing is protected yet", self.ok(self.realm.exclave(*looks[0]), code=harness.PARTIAL).out)
        self.assertIn("no snapshots yet", self.ok(self.realm.exclave(*looks[1])).out)
        self.ok(self.realm.backup("source"))
        before = [self.ok(self.realm.exclave(*look)).out for look in looks]
        capture = subprocess.Popen([harness.program(), "ingest", "--home", self.realm.home, "slow"], cwd=self.scratch,
                                   stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   preexec_fn=harness.end_with_parent)
        try:
            capture.stdin.write(os.urandom(40_000_000))  # packs of it are on their way
            capture.stdin.flush()
            self.refused(self.realm.backup("source"), harness.LOCKED, "is in use by another exclave")
            during = [self.ok(self.realm.exclave(*look)).out for look in looks]
            self.assertEqual(during[1:], before[1:])
            self.assertIn("dataset files: last snapshot", during[0])
            capture.stdin.close()
            self.assertEqual(capture.wait(harness.COMMAND_SECONDS), OK)
        finally:
            capture.kill()
            capture.wait()
        self.assertIn("slow", self.ok(self.realm.exclave(*looks[1])).out)

    def test_status_does_not_end_with_0_while_somebody_has_to_look(self):
        for place in ("--home", self.realm.home), ("--site", self.realm.site):
            ended = self.ok(self.realm.exclave("--json", "status", *place), harness.PARTIAL)
            self.assertFalse(ended.json()["ok"])
            self.assertRegex(ended.json()["alarms"][0], "^nothing ")
        self.ok(self.realm.backup("source", "--wait-all"))
        for place in ("--home", self.realm.home), ("--site", self.realm.site):
            self.assertNotIn("alarm", self.ok(self.realm.exclave("status", *place)).out)
        self.realm.stop("oslo")
        for place in ("--home", self.realm.home), ("--site", self.realm.site):
            self.assertIn("alarm: vault oslo does not answer",
                          self.ok(self.realm.exclave("status", *place), harness.PARTIAL).out)

    def test_sigterm_drains_and_a_restart_keeps_everything(self):
        self.ok(self.realm.backup("source", "--wait-all"))
        before = {v: [p.name for p in self.realm.objects(v)] for v in harness.VAULTS}
        self.assertEqual([OK, OK, OK], self.realm.stop())
        for vault in harness.VAULTS:
            log = (self.scratch / f"realm-{vault}.log").read_text()
            self.assertIn(f"vault {vault} is draining", log)
            self.assertIn(f"vault {vault} has ended", log)
        self.realm.start()
        self.assertEqual(before, {v: [p.name for p in self.realm.objects(v)] for v in harness.VAULTS})
        self.ok(self.realm.verify("--read-all"))
        self.ok(self.realm.restore(self.realm.release()))
        self.same_tree("restored")

    def test_a_stray_file_among_the_acts_to_adopt_stops_nothing(self):
        folder = self.realm.vault("lux") / "acts-to-adopt"
        self.realm.stop("lux")
        (folder / ".era.swp").write_bytes(b"an editor's")
        (folder / "notes.txt").write_bytes(b"a person's")
        self.realm.start("lux")
        self.realm.stop("lux")
        for part in ("objects", "table", "acts"):
            shutil.rmtree(self.realm.vault("lux") / part)
        self.realm.start("lux")  # a first start again: it reads the folder
        self.realm.stop("lux")
        (folder / "era-9.exclave").write_bytes(b"looked at by nobody any more")
        self.realm.start("lux")

    def test_a_vault_drains_in_time_while_another_one_is_silent(self):
        self.realm.stop("lux", "rome")
        with harness.SilentVault(self.realm, "rome") as silent:
            self.realm.start("lux", options=("--repair-every", "1s"))
            silent.wait_for_a_request()
            begin = time.monotonic()
            self.assertEqual(self.realm.daemons["lux"].stop(), OK)
            self.assertLess(time.monotonic() - begin, 20)

    def test_a_vault_that_drains_while_a_backup_runs_costs_nothing(self):
        (self.scratch / "source/large").write_bytes(os.urandom(40_000_000))
        backup = self.start_backup()
        self.wait_for_objects("oslo")
        backup.send_signal(signal.SIGSTOP)  # it is not quicker than the drain
        oslo = self.realm.daemons["oslo"]
        oslo.ask_to_stop()
        oslo.wait_until_it_says("is draining")
        backup.send_signal(signal.SIGCONT)
        self.assertEqual([OK], self.realm.stop("oslo"))
        self.assertEqual(backup.wait(harness.COMMAND_SECONDS), OK)
        self.realm.start("oslo")
        (self.scratch / "source/after").write_bytes(b"after")
        # This capture reaches every vault, but what oslo missed stays visible until it is repaired from the others.
        ended = self.ok(self.realm.backup("source", "--wait-all"), harness.PARTIAL)
        self.assertIn("received whole by lux, oslo, rome", ended.out)
        self.assertIn("vault oslo lacks objects of earlier captures", ended.err)
        found = self.ok(self.realm.verify("--read-all"), harness.PARTIAL)
        self.assertIn("vault oslo is behind: stream", found.out)
        self.assertNotIn("vault lux:", found.out)
        self.ok(self.realm.restore(self.realm.release()))
        self.same_tree("restored")

    def test_kill_in_the_middle_of_a_backup_loses_nothing_and_the_next_one_finishes(self):
        (self.scratch / "source/large").write_bytes(os.urandom(40_000_000))
        for vaults_die_too in (False, True):
            with self.subTest(vaults_die_too=vaults_die_too):
                (self.scratch / "source/more").write_bytes(os.urandom(80_000_000))  # it does not end before it is killed
                held = len(self.realm.objects("lux"))
                backup = self.start_backup()
                self.wait_for_objects("lux", held)
                backup.kill()
                self.assertEqual(backup.wait(), -signal.SIGKILL)
                if vaults_die_too:
                    self.realm.kill_all()
                    self.realm.start()
                ended = self.realm.backup("source", "--wait-all")
                # The third vault may lack what the killed capture had made durable at the other two: then it is said.
                self.assertIn(ended.code, (OK, harness.PARTIAL), str(ended))
                if ended.code == harness.PARTIAL:
                    self.assertIn("lacks objects of earlier captures", ended.err)
                self.assertEqual(ended.code, self.realm.verify("--read-all").code)
        self.ok(self.realm.restore(self.realm.release()))
        self.same_tree("restored")

    def start_backup(self):
        backup = subprocess.Popen([harness.program(), "backup", "--home", self.realm.home, "source"], cwd=self.scratch,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  preexec_fn=harness.end_with_parent)
        self.addCleanup(lambda: backup.poll() is None and backup.kill())
        return backup

    def wait_for_objects(self, vault, more_than=0):
        deadline = time.monotonic() + 60
        while len(self.realm.objects(vault)) <= more_than:
            self.assertLess(time.monotonic(), deadline, "the backup sends nothing")
            time.sleep(0.01)


class Agent(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def test_an_agent_that_lost_its_disk_goes_on_in_the_next_era_and_both_eras_restore(self):
        self.ok(self.realm.backup())
        first = self.snapshots()[0]["snapshot"]
        shutil.copytree(self.scratch / "source", self.scratch / "source-1", symlinks=True)
        shutil.rmtree(self.realm.home / "state")
        (self.realm.home / "era-1.keys").unlink()
        self.refused(self.realm.backup(), NOT_FOUND, "holds no era keys", "exclave agent recover")

        keys = self.realm.root / "operator/docs/era-2.keys"
        self.ok(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys", keys))
        (self.scratch / "source/new").write_bytes(b"written in era 2")
        self.ok(self.realm.backup())
        self.ok(self.realm.verify("--read-all"))
        self.assertEqual([1, 2], [snapshot["era"] for snapshot in self.snapshots()])

        self.ok(self.realm.restore(self.realm.release("second"), "restored-2"))
        self.same_tree("restored-2")
        opening = self.realm.release("first", request_options=["--snapshot", first])
        self.ok(self.realm.restore(opening, "restored-1"))
        self.same_tree("restored-1", "source-1")
        self.says_that_later_ones_exist(opening)
        # a_snapshot_of_another_era_is_not_released_and_no_damage
        second = self.snapshots()[1]["snapshot"]
        self.refused(self.realm.restore(opening, "restored-3", "--snapshot", second), KEY_REFUSED,
                     f"snapshot {second[:12]} is of era 2, and the release is for era 1", "hint: ask the officials for it")

    def says_that_later_ones_exist(self, opening_of_era_1):
        """a_restore_with_an_older_release_says_that_later_snapshots_exist"""
        ended = self.ok(self.realm.restore(opening_of_era_1, "restored-older", "--json"))
        self.assertEqual(1, ended.json()["later_not_released"])
        self.assertRegex(ended.err, "this is not the latest: later than it, 1 snapshot, of 2.*Z, lies in periods, or in an era,")
        ended = self.ok(self.realm.restore(self.realm.release("newest"), "restored-newest", "--json"))
        self.assertEqual(0, ended.json()["later_not_released"])
        self.assertNotIn("not the latest", ended.err)

    def test_recover_takes_no_keys_from_under_an_agent_that_streams(self):
        keys = self.realm.root / "operator/docs/era-2.keys"
        recover = ("agent", "recover", "--home", self.realm.home, "--keys", keys)
        with open(self.realm.home / "journal.lock", "w", encoding="ascii") as lock:  # as `agent run` holds it
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(self.realm.exclave(*recover), harness.LOCKED, "an agent runs in", "hint: end it first")
            self.assertEqual(["era-1.keys"], [p.name for p in self.realm.home.glob("era-*")])
        self.ok(self.realm.exclave(*recover))
        self.assertEqual(["era-2.keys"], [p.name for p in self.realm.home.glob("era-*")])

    def snapshots(self):
        return self.ok(self.realm.exclave("snapshots", "--site", self.realm.site, "--json")).json()["snapshots"]

    def test_an_agent_refuses_the_next_eras_keys_of_another_registry_and_goes_on(self):
        realm = self.make_realm("twins", extra=("--registry", "laws"))
        self.ok(realm.backup())
        before = sorted(p.name for p in realm.home.iterdir() if p.suffix != ".lock")
        keys = realm.root / "operator/laws/era-2.keys"
        refused = self.refused(realm.exclave("agent", "recover", "--home", realm.home, "--keys", keys), KEY_REFUSED,
                               "are of registry laws", "writes registry docs", "hint: bring the keys")
        self.assertIn(str(keys), refused.err)
        self.assertEqual(before, sorted(p.name for p in realm.home.iterdir() if p.suffix != ".lock"))
        self.ok(realm.backup())

    def test_state_alone_lost_is_refused_or_repaired_but_never_forks(self):
        """The keys are there, the state is not: whatever the program does, the vaults stay clean and nothing is lost."""
        self.ok(self.realm.backup())
        shutil.rmtree(self.realm.home / "state")
        ended = self.realm.backup()
        self.assertNotIn("bug", ended.err, str(ended))
        self.ok(self.realm.verify("--read-all"))
        self.ok(self.realm.restore(self.realm.release()))
        self.same_tree("restored")


class Streams(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.realm = self.make_realm()
        self.dump = os.urandom(300_000) + b"insert into citizens;\n" * 5000

    def ingest(self, *arguments, **options):
        return self.realm.exclave("ingest", "--home", self.realm.home, *arguments, **options)

    def count(self):
        return len(self.ok(self.realm.exclave("snapshots", "--site", self.realm.site, "--json")).json()["snapshots"])

    def test_standard_input_becomes_a_snapshot_and_comes_back(self):
        self.ok(self.ingest("dump", stdin=self.dump))
        self.ok(self.realm.restore(self.realm.release()))
        self.assertEqual([self.dump], [p.read_bytes() for p in (self.scratch / "restored").rglob("*") if p.is_file()])

    def test_a_commands_output_becomes_a_snapshot(self):
        (self.scratch / "data").write_bytes(self.dump)
        self.ok(self.ingest("dump", "--", "cat", "data"))
        self.assertEqual(1, self.count())

    def test_a_commands_arguments_are_kept_nowhere(self):
        password = "correct-horse-battery"
        self.ok(self.ingest("dump", "--", "sh", "-c", f"PGPASSWORD={password} echo a dump"))
        listed = self.ok(self.realm.exclave("snapshots", "--home", self.realm.home, "--json"))
        self.assertEqual("sh", listed.json()["snapshots"][0]["source"])
        kept = [p for p in self.realm.root.rglob("*") if p.is_file() and password.encode() in p.read_bytes()]
        self.assertEqual([], kept)

    def test_a_producer_that_fails_leaves_no_snapshot(self):
        self.refused(self.ingest("dump", "--", "sh", "-c", "echo half a dump; exit 3"), FAILED, "stream dump", "status 3",
                     "hint:")
        self.refused(self.ingest("dump", "--", "sh", "-c", "echo half a dump; kill -9 $$"), FAILED, "stream dump", "hint:")
        self.refused(self.ingest("dump", "--", "/no/such/program"), NOT_FOUND, "/no/such/program")
        self.assertEqual(0, self.count())
        self.ok(self.ingest("dump", stdin=self.dump))
        self.assertEqual(1, self.count())
        self.ok(self.realm.verify("--read-all"))

    def test_an_empty_stream_is_a_snapshot_of_nothing(self):
        self.ok(self.ingest("dump", stdin=b""))
        self.ok(self.realm.restore(self.realm.release()))
        self.assertEqual([b""], [p.read_bytes() for p in (self.scratch / "restored").rglob("*") if p.is_file()])


@unittest.skipUnless(os.geteuid() == 0, "giving up root takes root")
class WithoutRoot(harness.SystemTest):
    def test_a_restore_without_root_says_what_it_left_off_and_restores_the_rest(self):
        self.make_source()
        owned = self.scratch / "source/of-another"
        owned.write_bytes(b"set-id program")
        os.chown(owned, 1234, 1234)
        owned.chmod(0o4755)
        labelled = self.scratch / "source/folder-0/labelled"
        labelled.write_bytes(b"for root only, in part")
        is_labelled = True
        try:
            os.setxattr(labelled, "trusted.of-root", b"yes")
            os.setxattr(labelled, "user.of-anybody", b"yes")
        except OSError:
            is_labelled = False  # a file system or a container without them
        labelled.chmod(0o640)
        os.utime(labelled, ns=(1, 1_000_000_001))
        realm = self.make_realm()
        self.ok(realm.backup())
        opening = realm.release()
        self.scratch.chmod(0o755)
        for path in [realm.root, realm.root / "sites"]:
            path.chmod(0o755)
        for path in [realm.site, *realm.site.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        (self.scratch / "target").mkdir()
        os.chown(self.scratch / "target", NOBODY, NOBODY)
        program = self.scratch / "exclave"  # the build directory may be closed to nobody
        shutil.copy(harness.program(), program)
        ended = harness.run_process([program, "--json", "restore", "--site", realm.site, *opening, "--target", "target/tree"],
                                    self.scratch, user=NOBODY, group=NOBODY, extra_groups=[])
        self.ok(ended, harness.PARTIAL if is_labelled else OK)
        self.assertIn("owners were not restored", ended.err)
        self.assertFalse(ended.json()["ownership_restored"])
        self.same_tree("target/tree")
        restored = (self.scratch / "target/tree/of-another").stat()
        self.assertEqual((restored.st_uid, restored.st_mode & 0o7777), (NOBODY, 0o755), "no set-id bit for the wrong owner")
        if is_labelled:
            self.assertRegex(ended.err, "folder-0/labelled: .*trusted.of-root")
            labelled = self.scratch / "target/tree/folder-0/labelled"
            self.assertEqual(os.listxattr(labelled), ["user.of-anybody"])
            self.assertEqual((labelled.stat().st_mode & 0o7777, labelled.stat().st_mtime_ns), (0o640, 1_000_000_001))

    def test_a_stranger_cannot_read_a_realms_keys(self):
        realm = self.make_realm(start=False)
        self.scratch.chmod(0o755)
        program = self.scratch / "exclave"
        shutil.copy(harness.program(), program)
        ended = harness.run_process([program, "backup", "--home", realm.home, "."], self.scratch, user=NOBODY, group=NOBODY,
                                    extra_groups=[])
        self.refused(ended, KEY_REFUSED, "realm", "Permission denied")


if __name__ == "__main__":
    harness.main()
