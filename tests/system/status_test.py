"""`status` at home: every dataset by itself, and what makes its exit code."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402


class Status(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def status(self, *options, code=harness.OK):
        return self.ok(self.realm.exclave("status", "--home", self.realm.home, *options), code)

    def test_a_dataset_whose_captures_stopped_does_not_hide_behind_another(self):
        self.ok(self.realm.backup())
        time.sleep(3)
        self.ok(self.realm.exclave("ingest", "--home", self.realm.home, "dump", stdin=b"a dump"))
        shown = self.status()
        for dataset in ("files", "dump"):
            self.assertRegex(shown.out, rf"(?m)^dataset {dataset}: last snapshot [0-9a-f]+ from .* ago\), durable$")
        self.status("--max-age", "1h")
        late = self.status("--max-age", "2s", code=harness.PARTIAL)
        self.assertRegex(late.out, r"alarm: dataset files: its last snapshot is [\d.]+ s old")
        by_name = {each["dataset"]: each for each in self.status("--json").json()["datasets"]}
        self.assertEqual({"files", "dump"}, set(by_name))
        self.assertGreater(by_name["files"]["age_seconds"], by_name["dump"]["age_seconds"])

    def test_an_age_that_is_none_is_refused(self):
        self.ok(self.realm.backup())
        self.refused(self.realm.exclave("status", "--home", self.realm.home, "--max-age", "soon"), harness.FAILED, "--max-age")
        self.refused(self.realm.exclave("status", "--site", self.realm.site, "--max-age", "1h"), harness.FAILED, "belongs to --home")


if __name__ == "__main__":
    harness.main()
