"""A restore of a database, alone, and of two with the documents beside them, killed and failed at each call on its target: no
server opens on a part of it, none before all are whole, and the same command goes on."""
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
TWIN = "twin"  # a second dataset: of the same server, which is as good as another one


class DatabaseRestoreCrash(protected.DatabaseCrashTest):
    """H7: whoever restores starts the server when the restore has ended well, or by mistake before."""

    def setUp(self):
        super().setUp()
        self.reached = {}  # by dataset: what the undisturbed run's server will recover to

    def test_H7_a_restore_of_a_database_that_fails_opens_no_sooner_and_is_gone_on_with(self):
        self.run_matrix("restore of a database", self.protected_world(), self.attempt_database, 500, self.concerns_database, MOST_EQUAL)

    def test_H7_a_restore_of_all_datasets_that_fails_opens_no_sooner_and_is_gone_on_with(self):
        self.run_matrix("restore of all datasets", self.world_of_three(), self.attempt_all, 350, self.concerns_all, MOST_EQUAL)

    # --- attempts ---

    def attempt_database(self, world, fault):
        return self.attempt(world, fault, {protected.DATASET: "place/back"}, "--dataset", protected.DATASET)

    def attempt_all(self, world, fault):
        watcher = self.attempt(world, fault, {dataset: f"place/back/{dataset}" for dataset in (protected.DATASET, TWIN)}, "--all")
        self.assertEqual(harness.tree_contents(world.scratch / "source"), harness.tree_contents(world.scratch / f"place/back/{PAPERS}"))
        return watcher

    def attempt(self, world, fault, databases, *options):
        """`databases`: where the data directory of each dataset comes to be, in the world's scratch."""
        world.realm.start()
        target = world.scratch / "place/back"
        target.mkdir(parents=True)
        postgres.give_to_server(target)
        command = [harness.program(), "--json", "restore", "--site", world.realm.site, *world.opening, "--target", target, *options]
        watcher = calls.Watcher({"place": target.parent, "site": world.realm.site}, fault)
        ended = calls.run(watcher, command, world.scratch)
        self.ended_by(ended, fault)
        if ended.code not in (OK, PARTIAL):
            self.opens_no_sooner(world, databases.values())
            ended = self.goes_on(world, command, list(databases.values()), fault)
        elif fault is None:
            self.opens_no_sooner(world, databases.values())  # the control: what is whole does open there
        for dataset, database in databases.items():
            self.is_restored(world, dataset, database, self.of_database(ended, dataset), fault)
        return watcher

    def is_restored(self, world, dataset, database, report, fault):
        self.assertTrue(report["proven"], report)
        if fault is None:
            self.reached[dataset] = report["recovers_to"]
        self.assertEqual(self.reached[dataset], report["recovers_to"], report)
        if dataset == protected.DATASET:
            committed = world.committed(report["wal"], report["recovers_to"]["position"])
            self.assertEqual({}, {t: row for t, row in world.acknowledged.items() if t not in committed}, "acknowledged, and lost")
        # Beside the target one may be left of its marker: a few bytes in a folder of which nobody knows who else writes there.
        places = [world.scratch / database, pathlib.Path(report["wal"])]
        self.assertEqual([], [path for place in places for path in place.rglob(".tmp-*")], "drafts are left")
        if fault is None or self.runs % protected.OPENED_EVERY == 0:
            self.opens(world, database, report)

    # --- steps ---

    def world_of_three(self):
        """The same realm, with a second database and a tree of documents, and a release of all datasets."""
        world = self.protected_world().copied_to(self.scratch / "of-three")
        self.realms.append(world.realm)
        world.realm.start()
        world.start_server()
        # The twin commits beside the one that is waited for, so that what is acknowledged is safe there all the same.
        databases = {protected.DATASET: {"connection": world.server.conninfo()},
                     TWIN: {"connection": world.server.conninfo(), "policy": "async"}}
        world.agent = postgres.Agent(world.realm, databases)
        for dataset in databases:
            world.agent.wait_streaming(dataset)
        self.ok(world.realm.exclave("backup", "--home", world.realm.home, "--database", TWIN, "--json", "--wait-all"))
        world.server.ask("insert into t values (999999, 'behind the base')")
        self.assertEqual(OK, world.agent.stop(), world.agent.log())
        world.server.stop()
        harness.make_tree(world.scratch / "source", files=4)
        self.ok(world.backup())
        opening = world.realm.release("all", request_options=("--all",))
        world.opening = [os.path.relpath(o, world.scratch) if isinstance(o, pathlib.Path) else o for o in opening]
        world.end()
        return protected.ProtectedWorld(world.scratch, world.realm, world.opening, world.base, world.acknowledged)

    @staticmethod
    def concerns_database(call):
        """Relations are files like others: a tree's restore has its own scenario. Those of `global` are as good as all."""
        return not call.where.startswith("place/back/base/")

    @staticmethod
    def concerns_all(call):
        """What a data directory and its log are made of has its own scenario; here, what joins them."""
        inside = any(call.where.startswith(f"place/back/{dataset}/") for dataset in (protected.DATASET, TWIN))
        return not inside or os.path.basename(call.where) == "recovery.signal"

    @staticmethod
    def of_database(ended, dataset):
        report = ended.json()
        return next(d for d in report["datasets"] if d["dataset"] == dataset) if "datasets" in report else report

    def goes_on(self, world, command, databases, fault):
        """The same command. In a restore's last steps it may find what a server could use, and leaves that alone."""
        again = harness.run_process(command, world.scratch)
        if again.code == OK:
            return again
        self.assertIn("is not empty", again.err, str(again))
        is_finished = all((world.scratch / f"{database}/recovery.signal").exists() for database in databases)
        self.assertTrue(is_finished or self.is_of_handing_over(fault.call, databases), f"{fault.call}\n{again}")
        logs = [world.scratch / f"{database}.wal" for database in databases]
        self.assertTrue(any((log / "wal.plan").exists() for log in logs), str(again))
        if "target '" in again.err:
            self.empty(world.scratch / "place/back")
        for log in logs:
            shutil.rmtree(log, ignore_errors=True)
        return self.ok(harness.run_process(command, world.scratch))

    @staticmethod
    def is_of_handing_over(call, databases):
        """The logs' plans, the markers, recovery.signal, and their folders."""
        folder = os.path.dirname(databases[0])
        steps = {folder, f"{folder}/{PAPERS}.exclave-restore"}
        for database in databases:
            steps |= {f"{database}.wal", f"{database}.wal/wal.plan", f"{database}.wal/restore.unfinished", f"{database}.exclave-restore",
                      database, f"{database}/recovery.signal", f"{database}/.tmp"}
        return call.where in steps

    @staticmethod
    def empty(directory):
        for entry in directory.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def opens_no_sooner(self, world, databases):
        """A server that is started on what is there, by mistake, does not open; unless all of it is there."""
        signals = [(world.scratch / database / "recovery.signal").exists() for database in databases]
        for database in databases if any(signals) else ():  # one may be started: all are whole
            self.assertFalse((world.scratch / f"{database}.exclave-restore").exists(), database)
            self.assertTrue((world.scratch / f"{database}.wal/wal.plan").exists(), database)
        for database, is_whole in zip(databases, signals):
            if (world.scratch / database / "PG_VERSION").exists():
                self.opens_if(is_whole, world, world.scratch / database)

    def opens_if(self, is_whole, world, data):
        started = world.scratch / "started"
        subprocess.run(["cp", "-a", data, started], check=True)
        server = Server(world.scratch, "started", create=False)
        try:
            server.launch("-c", "fsync=off")
            self.until(world, lambda: server.process.poll() is not None or server.is_ready(), "ended or opened")
            if server.process.poll() is None:
                self.assertTrue(is_whole, f"a server opened on a part: {server.log()[-3000:]}")
            else:
                self.assertFalse(is_whole, f"a server does not open on what is whole: {server.log()[-3000:]}")
        finally:
            server.bury()
            shutil.rmtree(started)


if __name__ == "__main__":
    harness.main()
