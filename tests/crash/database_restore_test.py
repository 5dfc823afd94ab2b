"""A restore of a database, alone and with the documents beside it, killed and failed at each call on its target: no server
opens on a part of it, and the same command goes on."""
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import protected  # noqa: E402  (knows where the next ones are)
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
import postgres  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402
from world import Server  # noqa: E402

MOST_EQUAL = 8
PAPERS = "files"  # the dataset that `exclave backup` names by itself


class DatabaseRestoreCrash(protected.DatabaseCrashTest):
    """H7: whoever restores starts the server when the restore has ended well, or by mistake before."""

    def setUp(self):
        super().setUp()
        self.reached = None  # what the undisturbed run's server will recover to

    def test_H7_a_restore_of_a_database_that_fails_opens_no_sooner_and_is_gone_on_with(self):
        self.run_matrix("restore of a database", self.protected_world(), self.attempt_database, self.concerns_database, MOST_EQUAL)

    def test_H7_a_restore_of_all_datasets_that_fails_opens_no_sooner_and_is_gone_on_with(self):
        self.run_matrix("restore of all datasets", self.world_with_papers(), self.attempt_all, self.concerns_all, MOST_EQUAL)

    # --- attempts ---

    def attempt_database(self, world, fault):
        return self.attempt(world, fault, "place/back", "--dataset", protected.DATASET)

    def attempt_all(self, world, fault):
        watcher = self.attempt(world, fault, f"place/back/{protected.DATASET}", "--all")
        self.assertEqual(harness.tree_contents(world.scratch / "source"), harness.tree_contents(world.scratch / f"place/back/{PAPERS}"))
        return watcher

    def attempt(self, world, fault, database, *options):
        """`database`: where its data directory comes to be, in the world's scratch."""
        world.realm.start()
        target = world.scratch / "place/back"
        target.mkdir(parents=True)
        postgres.give_to_server(target)
        command = [harness.program(), "--json", "restore", "--site", world.realm.site, *world.opening, "--target", target, *options]
        watcher = calls.Watcher({"place": target.parent, "site": world.realm.site}, fault)
        ended = calls.run(watcher, command, world.scratch)
        self.ended_by(ended, fault)
        if ended.code not in (OK, PARTIAL):
            self.opens_no_sooner(world, database)
            ended = self.goes_on(world, command, database, fault)
        report = self.of_database(ended)
        self.assertTrue(report["proven"], str(ended))
        if fault is None:
            self.reached = report["recovers_to"]
        self.assertEqual(self.reached, report["recovers_to"], str(ended))
        committed = world.committed(report["wal"], report["recovers_to"]["position"])
        self.assertEqual({}, {t: row for t, row in world.acknowledged.items() if t not in committed}, "acknowledged, and lost")
        # Beside the target one may be left of its marker: a few bytes in a folder of which nobody knows who else writes there.
        places = [world.scratch / database, pathlib.Path(report["wal"])]
        self.assertEqual([], [path for place in places for path in place.rglob(".tmp-*")], "drafts are left")
        if fault is None or self.runs % protected.OPENED_EVERY == 0:
            self.opens(world, database, report)
        return watcher

    # --- steps ---

    def world_with_papers(self):
        """The same realm, with a tree of documents, and a release of all datasets."""
        world = self.protected_world().copied_to(self.scratch / "with-papers")
        self.realms.append(world.realm)
        harness.make_tree(world.scratch / "source", files=4)
        world.realm.start()
        self.ok(world.backup())
        opening = world.realm.release("all", request_options=("--all",))
        world.opening = [os.path.relpath(o, world.scratch) if isinstance(o, pathlib.Path) else o for o in opening]
        world.realm.kill_all()
        return world

    @staticmethod
    def concerns_database(call):
        """Relations are files like others: a tree's restore has its own scenario. Those of `global` are as good as all."""
        return not call.where.startswith("place/back/base/")

    @staticmethod
    def concerns_all(call):
        """What a data directory and its log are made of has its own scenario; here, what joins them."""
        return not call.where.startswith(f"place/back/{protected.DATASET}/")

    @staticmethod
    def of_database(ended):
        report = ended.json()
        return next(d for d in report["datasets"] if d["dataset"] == protected.DATASET) if "datasets" in report else report

    def goes_on(self, world, command, database, fault):
        """The same command. In a restore's last steps it may find what a server could use, and leaves that alone."""
        again = harness.run_process(command, world.scratch)
        if again.code == OK:
            return again
        self.assertIn("is not empty", again.err, str(again))
        is_finished = (world.scratch / f"{database}/recovery.signal").exists()
        self.assertTrue(is_finished or self.is_of_handing_over(fault.call, database), f"{fault.call}\n{again}")
        log = world.scratch / f"{database}.wal"
        self.assertTrue((log / "wal.plan").exists(), str(again))
        if "target '" in again.err:
            self.empty(world.scratch / "place/back")
        shutil.rmtree(log, ignore_errors=True)
        return self.ok(harness.run_process(command, world.scratch))

    @staticmethod
    def is_of_handing_over(call, database):
        """The log's plan, the marker, recovery.signal, and their folders."""
        folder = os.path.dirname(database)
        steps = {f"{database}.wal", f"{database}.wal/wal.plan", f"{database}.wal/restore.unfinished", f"{database}.exclave-restore", folder,
                 database, f"{database}/recovery.signal", f"{database}/.tmp", f"{folder}/{PAPERS}.exclave-restore"}
        return call.where in steps

    @staticmethod
    def empty(directory):
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def opens_no_sooner(self, world, database):
        """A server that is started on what is there, by mistake, does not open; unless all of it is there."""
        data = world.scratch / database
        if not (data / "PG_VERSION").exists():
            return
        started = world.scratch / "started"
        subprocess.run(["cp", "-a", data, started], check=True)
        server = Server(world.scratch, "started", create=False)
        is_whole = (data / "recovery.signal").exists()
        try:
            server.launch("-c", "fsync=off")
            self.until(world, lambda: server.process.poll() is not None or server.is_ready(), "ended or opened")
            if server.process.poll() is None:
                self.assertTrue(is_whole, f"a server opened on a part: {server.log()[-3000:]}")
        finally:
            server.bury()
            shutil.rmtree(started)


if __name__ == "__main__":
    harness.main()
