"""What `exclave restore` says, and makes of its target, when things are not as they should be."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from harness import FAILED, OK, PARTIAL  # noqa: E402


class Restore(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()
        self.ok(self.realm.backup("source", "--wait-all"))

    def test_latest_from_too_few_vaults_says_that_a_later_one_may_exist(self):
        """Two of three hold whatever is durable: one alone may be behind, and nobody could tell."""
        opening = self.realm.release()
        whole = self.ok(self.realm.restore(opening, "whole", "--json"))
        self.assertFalse(whole.json()["later_may_exist"])
        self.realm.stop("lux")
        self.ok(self.realm.restore(opening, "from-two"))
        self.realm.stop("oslo")
        alone = self.ok(self.realm.restore(opening, "from-one", "--json"), PARTIAL)
        self.assertTrue(alone.json()["later_may_exist"])
        self.assertIn("a later snapshot may exist: 2 of 3 vaults do not answer", alone.err)
        self.same_tree("from-one")
        named = self.ok(self.realm.restore(opening, "named", "--snapshot", alone.json()["snapshot"]))
        self.assertNotIn("a later snapshot may exist", named.err, "one was asked for by name")

    def test_a_target_without_a_name_of_its_own_is_refused_at_once(self):
        """The mark of what is unfinished, and a database's log, lie beside a target under its name."""
        (self.scratch / "target").mkdir()
        for target in ("target/.", "target/..", ".", "..", "/"):
            self.refused(self.realm.restore(["--release", "none"], target), FAILED, "does not say the directory's name",
                         "name the directory itself")
        self.assertEqual([], list((self.scratch / "target").iterdir()))
        self.assertEqual(OK, self.realm.restore(self.realm.release(), "target/").code)
        self.same_tree("target")
        self.assertEqual([], list(self.scratch.glob("*.exclave-restore")))

    def test_an_interrupted_restore_is_finished_though_a_later_snapshot_was_taken(self):
        target = self.scratch / "target"
        target.mkdir()
        first = self.ok(self.realm.restore(self.realm.release(), "whole", "--json")).json()["snapshot"]
        (target / "empty").write_bytes(b"of the interrupted run")
        mark = self.mark_unfinished(first, target)
        (self.scratch / "source/later").write_bytes(b"added")
        self.ok(self.realm.backup("source", "--wait-all"))
        opening = self.realm.release("later")
        finished = self.ok(self.realm.restore(opening, "target", "--json"))
        self.assertEqual(first, finished.json()["snapshot"])
        self.assertIn(f"target 'target' holds an unfinished restore of snapshot {first[:12]}, which is finished; a later one",
                      finished.err)
        self.assertFalse(mark.exists())
        self.assertEqual(harness.tree_contents(self.scratch / "whole"), harness.tree_contents(target))
        # Whoever names another one is told which it is.
        mark = self.mark_unfinished(first, target)
        later = self.ok(self.realm.restore(opening, "all", "--json")).json()["snapshot"]
        self.refused(self.realm.restore(opening, "target", "--snapshot", later), FAILED,
                     f"holds an unfinished restore of another snapshot: {first[:12]}", f"--snapshot {first[:12]}")

    def test_a_mark_that_anybody_could_have_made_is_not_gone_on_with(self):
        opening = self.realm.release()
        target = self.scratch / "target"
        target.mkdir()
        (target / "theirs").write_bytes(b"theirs")
        snapshot = self.ok(self.realm.restore(opening, "whole", "--json")).json()["snapshot"]
        mark = self.mark_unfinished(snapshot, target)
        mark.chmod(0o666)
        self.refused(self.realm.restore(opening, "target"), FAILED, "target 'target' is not empty",
                     "may be written by others")
        self.assertEqual(["theirs"], [path.name for path in target.iterdir()])
        mark.chmod(0o600)
        self.ok(self.realm.restore(opening, "target"))
        (target / "theirs").unlink()
        self.same_tree("target")


if __name__ == "__main__":
    harness.main()
