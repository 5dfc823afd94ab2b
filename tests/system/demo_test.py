"""`./dev demo` runs and says what it promises: the story, the table, "ok", and one JSON object at the end."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402

DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo" / "run"
DEMO_SECONDS = 300
PROMISED = {"ok": True, "identical": True, "quorum": "3/5", "vaults_lost": 1}
FIGURES = ["files", "bytes", "first_seconds", "again_seconds", "stored_bytes", "restore_seconds"]


class Demo(harness.SystemTest):
    def run_demo(self, tree):
        environment = dict(os.environ, EXCLAVE_BUILD=str(pathlib.Path(harness.program()).parents[1]), TMPDIR=str(self.scratch))
        return subprocess.run([str(DEMO), str(tree), "--json"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEMO_SECONDS)

    def test_the_main_job_succeeds_on_a_tree_of_ones_own_and_only_reads_it(self):
        tree = self.scratch / "tree"
        (tree / "deep" / "er").mkdir(parents=True)
        for number in range(40):
            (tree / "deep" / f"record {number}").write_bytes(os.urandom(5000 + number))
        (tree / "deep" / "er" / "large").write_bytes(os.urandom(3_000_000))
        (tree / "link").symlink_to("deep/er")
        before = subprocess.run(["find", str(tree), "-printf", "%P %s %T@ %C@\n"], check=True, capture_output=True).stdout
        result = self.run_demo(tree)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        report = json.loads(result.stdout.splitlines()[-1])
        self.assertEqual({key: report[key] for key in PROMISED}, PROMISED)
        for figure in FIGURES:
            self.assertGreater(report[figure], 0, figure)
        databases = report["databases"]
        self.assertEqual((0, 0, 0, 0), tuple(databases[key] for key in ("lost", "dangling", "cut_lost", "cut_dangling")))
        self.assertGreater(databases["acknowledged"], 0)
        self.assertIn("\nok\n", result.stdout)
        self.assertEqual(before, subprocess.run(["find", str(tree), "-printf", "%P %s %T@ %C@\n"], check=True, capture_output=True).stdout)
        self.assertEqual([path.name for path in self.scratch.iterdir()], ["tree"], "the demo removes what it made")

    def test_a_path_that_is_not_a_directory_is_named(self):
        result = self.run_demo(self.scratch / "nowhere")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nowhere", result.stderr)
        self.assertIn("directory", result.stderr)


if __name__ == "__main__":
    harness.main()
