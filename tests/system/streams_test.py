"""Standard streams that are full, closed, or hostile; and arguments that look like others."""
import os
import subprocess
import sys
import pathlib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


class Streams(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.realm = self.make_realm()
        self.make_source()
        self.ok(self.realm.backup("source"))

    def run_with(self, arguments, **streams):
        command = [str(a) for a in [harness.program(), *arguments]]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.run(command, cwd=self.scratch, timeout=harness.COMMAND_SECONDS, check=False, preexec_fn=harness.end_with_parent, **options)

    def test_each_command_fails_on_a_full_standard_output(self):
        home = ["--home", self.realm.home]
        some_object = self.realm.objects("lux")[0]
        commands = [["status", *home], ["snapshots", *home], ["ls", *home], ["ls", *home, "--json"], ["status", *home, "--json"],
                    ["name", some_object], ["verify", "--site", self.realm.site], ["--version"], ["backup", *home, "source"]]
        for arguments in commands:
            with open("/dev/full", "wb") as full:
                ended = self.run_with(arguments, stdout=full)
            self.assertEqual(ended.returncode, harness.FAILED, (arguments, ended.stderr))
            self.assertIn(b"standard output: No space left on device", ended.stderr, arguments)

    def test_a_reader_that_leaves_is_no_accident(self):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as gone:
            ended = self.run_with(["ls", "--home", self.realm.home], stdout=gone)
        self.assertEqual((ended.returncode, ended.stderr), (harness.FAILED, b""))

    def test_closed_standard_streams_are_not_reused(self):
        command = f"exec {harness.program()} backup --home {self.realm.home} source <&- >&- 2>&-"
        ended = subprocess.run(["sh", "-c", command], cwd=self.scratch, timeout=harness.COMMAND_SECONDS, check=False)
        self.assertEqual(ended.returncode, harness.OK)
        for path in pathlib.Path(self.realm.home).rglob("*"):
            if path.is_file():
                self.assertNotIn(b"snapshot ", path.read_bytes()[:64], path)

    def test_quiet_keeps_warnings(self):
        self.realm.stop("rome")
        ended = self.realm.backup("source", "--quiet")
        self.assertIn("rome", ended.err)

    def test_a_path_after_an_approval_is_a_path(self):
        opening = self.realm.release()
        one = "folder-0"
        self.ok(self.realm.exclave("restore", "--site", self.realm.site, "--target", "less", *opening, one))
        self.assertEqual([p.name for p in (self.scratch / "less").iterdir()], [one])


if __name__ == "__main__":
    harness.main()
