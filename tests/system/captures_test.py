"""What a capture could not have and says so, where it stops, what it shows meanwhile, and what verify reads with keys."""
import contextlib
import os
import pathlib
import pty
import re
import shutil
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import database_case  # noqa: E402
import harness  # noqa: E402
from harness import CORRUPTION, PARTIAL  # noqa: E402

NOBODY = 65534
LARGE = 40_000_000


class Captures(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.source = self.make_source()
        self.realm = self.make_realm()

    def shown(self, *arguments):
        """What a command prints to a terminal as its errors and progress."""
        ours, theirs = pty.openpty()
        said = bytearray()

        def read():
            with contextlib.suppress(OSError):
                while piece := os.read(ours, 65536):
                    said.extend(piece)

        reader = threading.Thread(target=read)
        reader.start()
        process = harness.launch([harness.program(), *arguments], self.scratch, stderr=theirs)
        os.close(theirs)
        try:
            self.assertEqual(process.wait(harness.COMMAND_SECONDS), harness.OK, said.decode(errors="replace"))
        finally:
            process.kill()
            process.wait()
            reader.join()
            os.close(ours)
        return said.decode(errors="replace")

    @unittest.skipUnless(os.geteuid() == 0, "giving up root takes root")
    def test_what_cannot_be_read_is_named_ends_with_3_and_the_rest_comes_back(self):
        self.ok(self.realm.backup())
        for path in [self.scratch, self.realm.root, self.realm.root / "home"]:
            path.chmod(0o755)
        for path in [self.realm.home, *self.realm.home.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        (self.source / "secret").write_bytes(b"root's alone")
        (self.source / "secret").chmod(0o600)
        (self.source / "closed").mkdir(mode=0o700)
        (self.source / "closed/inside").write_bytes(b"root's as well")
        program = self.scratch / "exclave"  # the build directory may be closed to nobody
        shutil.copy(harness.program(), program)
        ended = harness.run_process([program, "backup", "--home", self.realm.home, "source"], self.scratch, user=NOBODY,
                                    group=NOBODY, extra_groups=[])
        self.ok(ended, PARTIAL)
        self.assertRegex(ended.err, "secret: .*Permission denied")
        self.assertRegex(ended.err, "closed: .*Permission denied")
        ended = self.ok(self.realm.restore(self.realm.release()), PARTIAL)
        self.assertIn("secret: could not be read when it was captured", ended.err)
        restored, wanted = (harness.tree_contents(self.scratch / tree) for tree in ("restored", "source"))
        self.assertEqual(set(wanted) - set(restored), {b"closed/inside"})
        self.assertEqual({name for name in restored if restored[name] != wanted[name]}, {b"secret"})

    def test_a_file_that_changes_while_it_is_read_is_named_and_ends_with_3(self):
        (self.source / "log").write_bytes(bytes(LARGE))
        ends = threading.Event()

        def append():
            with open(self.source / "log", "ab", buffering=0) as log:
                while not ends.wait(0.001):
                    log.write(b"a line\n")

        writer = threading.Thread(target=append)
        writer.start()
        try:
            ended = self.ok(self.realm.backup(), PARTIAL)
        finally:
            ends.set()
            writer.join()
        self.assertIn("log: changed while it was read", ended.err)
        self.assertNotIn("file-0", ended.err)
        self.ok(self.realm.backup())  # it stands still now

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "mounting a file system takes root")
    def test_one_file_system_keeps_the_mount_point_and_not_what_is_mounted(self):
        other = self.source / "other"
        other.mkdir()
        if harness.run_process(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", other], self.scratch).code != 0:
            self.skipTest("no mount here")
        self.addCleanup(harness.run_process, ["umount", "-l", other], "/")
        (other / "inside").write_bytes(b"on another file system")
        self.ok(self.realm.backup("source", "--one-file-system"))
        listed = self.ok(self.realm.exclave("ls", "--home", self.realm.home)).out
        self.assertRegex(listed, r"(?m)\bother/?$")
        self.assertNotIn("inside", listed)
        self.ok(self.realm.backup("source"))
        self.assertIn("other/inside", self.ok(self.realm.exclave("ls", "--home", self.realm.home)).out)

    def test_a_terminal_shows_how_far_a_capture_and_a_restore_are_within_one_large_file(self):
        large = self.source / "large"
        with open(large, "wb") as file:
            for _ in range(5):
                file.write(os.urandom(LARGE))
        shown = self.shown("backup", "--home", self.realm.home, "source")
        self.grows(shown, "backup")
        self.grows(self.shown("restore", "--site", self.realm.site, *self.realm.release(), "--target", "restored"), "restore")
        self.same_tree("restored")
        self.assertNotIn("%", self.shown("--quiet", "backup", "--home", self.realm.home, "source"))

    def grows(self, shown, label):
        steps = [int(percent) for percent in re.findall(rf"{label} \[[#.]+\] +(\d+) %  [\d.]+ [kMG]?B/s", shown)]
        self.assertEqual(steps, sorted(steps))
        self.assertGreater(len([percent for percent in steps if 0 < percent < 100]), 1, f"nothing between the ends: {steps}")

    def test_another_tree_under_the_name_of_a_dataset_is_refused_and_both_can_be_had(self):
        first = self.ok(self.realm.backup("source", "--json")).json()["snapshot"]
        other = self.scratch / "other"
        other.mkdir()
        (other / "file").write_bytes(b"of another tree")
        self.refused(self.realm.backup("other"), harness.FAILED, f"dataset 'files' holds '{self.source}'", "--dataset NAME", "--moved")
        self.ok(self.realm.backup("other", "--dataset", "other"))
        self.ok(self.realm.restore(self.realm.release(), "restored", "--snapshot", first))
        self.same_tree("restored")
        self.source.rename(self.scratch / "elsewhere")
        self.ok(self.realm.backup("elsewhere", "--moved"))
        self.ok(self.realm.backup("elsewhere"))

    def test_verify_with_released_keys_finds_a_chunk_that_no_vault_has_whole(self):
        self.ok(self.realm.backup("source", "--wait-all"))
        (self.source / "new").write_bytes(b"in another pack, as is the listing")
        self.ok(self.realm.backup("source", "--wait-all"))
        opening = self.realm.release()
        self.assertIn("0 findings", self.ok(self.realm.verify(*opening)).out)
        victim = max(self.realm.objects("lux"), key=lambda path: path.stat().st_size).name
        for copy in [path for vault in harness.VAULTS for path in self.realm.objects(vault) if path.name == victim]:
            content = bytearray(copy.read_bytes())
            for at in range(200, len(content), 1000):  # a pack ends in padding that nobody reads
                content[at] ^= 1
            copy.chmod(0o600)
            copy.write_bytes(content)
        self.assertIn("clean", self.ok(self.realm.verify()).out)  # names and receipts alone do not show it
        found = self.ok(self.realm.verify(*opening), CORRUPTION)
        self.assertRegex(found.out, r"checked, [1-9]\d* findings")
        self.assertIn(victim[:12], found.out)
        self.assertIn("NOT clean", found.out)


class BasesOfTheAgent(database_case.DatabaseTest):
    def test_what_a_base_backup_of_the_agent_lacks_is_in_its_log(self):
        self.realm = self.make_realm()
        cluster = self.make_cluster().start()
        self.realm.stop("rome")
        agent = self.make_agent(self.realm, cluster, **{"base-every": "1 h"})
        deadline = time.monotonic() + harness.COMMAND_SECONDS
        while not re.search("base backup [0-9a-f]+ of people: vault rome is behind", agent.log()):
            self.assertLess(time.monotonic(), deadline, agent.log())
            time.sleep(0.1)


if __name__ == "__main__":
    harness.main()
