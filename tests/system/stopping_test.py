"""Ctrl-C and SIGTERM while the program waits for somebody else: it ends at once, writes nothing, and leaves no process behind."""
import fcntl
import os
import pathlib
import pty
import signal
import subprocess
import sys
import termios
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import children_of  # noqa: E402

INTERRUPTED = 130
SOON = 20


class Stopping(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def launched(self, *arguments, **options):
        process = subprocess.Popen([harness.program(), *map(str, arguments)], cwd=self.scratch, stdout=subprocess.PIPE,
                                   **{"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "preexec_fn": harness.end_with_parent,
                                      **options})
        self.addCleanup(lambda: (process.kill(), process.wait(),
                                 [s.close() for s in (process.stdin, process.stdout, process.stderr) if s]))
        return process

    def wait_until(self, condition):
        deadline = time.monotonic() + SOON
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it took too long")
            time.sleep(0.05)

    def test_ingest_ends_its_command_when_told_to_stop(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                process = self.launched("ingest", "--home", self.realm.home, "dump", "--", "sleep", "600")
                self.wait_until(lambda: children_of(process.pid))
                (child,) = children_of(process.pid)
                time.sleep(0.5)  # until it waits for output
                process.send_signal(number)
                self.assertEqual(INTERRUPTED, process.wait(SOON))
                self.assertFalse(pathlib.Path(f"/proc/{child}").exists())

    def test_ingest_of_an_idle_pipe_ends_when_told_to_stop(self):
        process = self.launched("ingest", "--home", self.realm.home, "dump")
        process.stdin.write(b"half a dump")
        process.stdin.flush()
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(INTERRUPTED, process.wait(SOON))
        listed = self.ok(self.realm.exclave("snapshots", "--home", self.realm.home, "--json"))
        self.assertEqual([], listed.json()["snapshots"])

    def test_a_restore_from_vaults_that_hang_ends_when_told_to_stop(self):
        self.ok(self.realm.backup())
        opening = self.realm.release("asked")
        for moment in (1, 12):  # at the first call, and when the acts were asked for in vain
            with self.subTest(moment):
                self.interrupt_while_vaults_hang(moment, "restore", "--site", self.realm.site, *opening, "--target",
                                                 self.scratch / "restored")
        self.ok(self.realm.restore(opening))
        self.same_tree("restored")

    def test_what_home_asks_of_vaults_that_hang_ends_when_told_to_stop(self):
        self.interrupt_while_vaults_hang(1, "backup", "--home", self.realm.home, self.scratch / "source")
        self.interrupt_while_vaults_hang(1, "status", "--home", self.realm.home)
        self.ok(self.realm.backup())

    def test_a_backup_whose_vaults_hang_in_its_midst_ends_when_told_to_stop(self):
        large = self.scratch / "large"
        large.mkdir()
        with open(large / "noise", "wb") as file:
            for _ in range(40):
                file.write(os.urandom(10_000_000))
        held = self.realm.vault("lux") / "objects"
        self.interrupt_while_vaults_hang(3, "backup", "--home", self.realm.home, large,
                                         begun=lambda: held.exists() and sum(1 for p in held.rglob("*") if p.is_file()) > 1)
        self.ok(self.realm.backup(large))

    def interrupt_while_vaults_hang(self, moment, *arguments, begun=None):
        """`begun`: when they begin to hang; else before the command."""
        if begun:
            process = self.launched(*arguments)
            self.wait_until(begun)
        for daemon in self.realm.daemons.values():
            daemon.process.send_signal(signal.SIGSTOP)
        if not begun:
            process = self.launched(*arguments)
        try:
            time.sleep(moment)
            self.assertIsNone(process.poll(), "it waits for the vaults")
            process.send_signal(signal.SIGINT)
            self.assertEqual(INTERRUPTED, process.wait(12))  # a connection that is just being made takes its 10 seconds
        finally:
            for daemon in self.realm.daemons.values():
                daemon.process.send_signal(signal.SIGCONT)
        self.assertIn("interrupted", process.stderr.read().decode())

    def test_approve_ends_at_ctrl_c_and_writes_nothing(self):
        """At a real terminal: the keys that an official presses, and what she types on after Ctrl-C."""
        self.ok(self.realm.backup())
        self.realm.release("asked", officials=())
        approval = self.scratch / "asked.alice"
        ours, theirs = pty.openpty()

        def take_terminal():
            harness.end_with_parent()
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        process = self.launched("release", "approve", "--official", self.realm.official("alice"), self.scratch / "asked.request",
                                "--out", approval, stdin=theirs, stderr=theirs, preexec_fn=take_terminal)
        shown = b""
        while b"hand out your share: " not in shown:
            shown += os.read(ours, 65536)
        os.write(ours, b"\x03")
        time.sleep(0.5)
        os.write(ours, b"release\n")
        self.assertEqual(INTERRUPTED, process.wait(SOON))
        self.assertFalse(approval.exists())
        os.close(ours)
        os.close(theirs)


if __name__ == "__main__":
    harness.main()
