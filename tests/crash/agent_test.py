"""The agent, killed and failed at each call on its own directory, while it sends a tree and a stream to three vaults."""
import itertools
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402

SLACK_BYTES = 2 * 262_144  # the listing's pack, and what is left over is padded otherwise when it is less


class AgentCrash(matrix.CrashTest):
    """H7: table, catalogue, acts and keys of the agent. A plain second run succeeds and sends nothing twice."""

    def test_H7_a_backup_that_fails_is_followed_by_one_that_succeeds(self):
        world = self.grown_world()
        self.run_matrix("backup", world, self.attempt_backup, 180)

    def test_H7_packs_that_k_vaults_hold_are_not_sent_again_when_it_dies_before_their_index(self):
        """Few points of the matrix lie between the receipts of a large pack and the index that names it: here is one."""
        world = self.grown_world()
        seen = [seen.call for seen in self.one(world, self.attempt_backup, None).calls if seen.call.where.endswith("table/N.log")]
        rows = [*itertools.takewhile(lambda call: call.name != "fdatasync", seen)]  # nothing is synced before the index is
        for call in [call for call in reversed(rows) if call.name == "write"]:
            self.one(world, self.attempt_backup, calls.Fault(call, "kill"))
            if self.known > SLACK_BYTES:
                return
        self.fail("no pack had its receipts at any of these points")

    def test_H7_a_stream_that_fails_is_followed_by_one_that_succeeds(self):
        world = self.grow(self.make_world())
        (world.scratch / "dump").write_bytes((world.scratch / "source/later-0").read_bytes() * 2 + b"insert\n" * 20_000)
        self.run_matrix("ingest", world, self.attempt_ingest, 160)

    def test_H7_keys_of_ended_periods_are_gone_whenever_their_erasure_fails(self):
        world = self.grow(self.make_world(backup=False, extra=["--period", "1s", "--periods", "4"]))
        time.sleep(4)  # all but the last have ended; the first backup gets the receipts that say so
        # Its own directory; what lies below has been seen to above.
        self.run_matrix("erasure of keys", world, self.attempt_erasure, 25, lambda call: call.where.count("/") < 2)

    # --- attempts ---

    def attempt_backup(self, world, fault):
        world.realm.start()
        watcher = calls.Watcher({"home": world.realm.home}, fault)
        first = calls.run(watcher, world.backup_command(), world.scratch)
        self.ended_by(first, fault)
        self.known = self.packs_known(world) if first.code not in (OK, PARTIAL) else 0
        second = world.backup()
        self.reaches_all(second)
        if self.known:
            self.assertLessEqual(second.json()["stored_bytes"], self.clean_bytes - self.known + SLACK_BYTES,
                                 f"{self.known} bytes were receipted, and sent again: {second}")
        self.is_whole(world)
        self.restores(world)
        return watcher

    def attempt_ingest(self, world, fault):
        world.realm.start()
        dump = (world.scratch / "dump").read_bytes()
        command = [harness.program(), "--json", "ingest", "--home", world.realm.home, "--wait-all", "dump"]
        watcher = calls.Watcher({"home": world.realm.home}, fault)
        self.ended_by(calls.run(watcher, command, world.scratch, stdin=dump), fault)
        self.reaches_all(harness.run_process(command, world.scratch, stdin=dump))
        self.is_whole(world)
        self.ok(world.realm.restore([*world.opening, "--dataset", "dump"], world.scratch / "restored"))
        self.assertEqual([dump], [p.read_bytes() for p in (world.scratch / "restored").rglob("*") if p.is_file()])
        return watcher

    def attempt_erasure(self, world, fault):
        world.realm.start()
        watcher = calls.Watcher({"home": world.realm.home}, fault)
        self.ended_by(calls.run(watcher, world.backup_command(), world.scratch), fault)
        self.reaches_all(world.backup())
        self.is_whole(world)
        files = [p for p in world.realm.home.iterdir() if p.is_file()]
        held = {found for p in files for found in re.findall(rb"^period (\d+) ", p.read_bytes(), flags=re.M)}
        self.assertEqual({b"3"}, held, "keys of ended periods are still on the agent's disk")
        return watcher

    # --- steps ---

    def grown_world(self):
        """With much that is new, and what a backup of it stores when nothing fails."""
        world = self.grow(self.make_world())
        clean = world.copied_to(self.scratch / "clean")
        clean.realm.start()
        self.clean_bytes = self.ok(clean.backup()).json()["stored_bytes"]
        clean.realm.kill_all()
        return world

    def packs_known(self, world):
        """Bytes of packs for which the agent holds k receipts and which no index names yet; looked up in a copy."""
        copy = world.scratch / "table-copy"
        shutil.copytree(next((world.realm.home / "state").glob("era-*/table")), copy)
        found = self.ok(self.kept_promises(world, copy))
        return sum(int(size) for size in re.findall(r"^pack \w+ (\d+)$", found.out, flags=re.M))

    def is_whole(self, world):
        # A capture that was cut off may have reached two vaults of three: durable, and not everywhere.
        self.holds(world, harness.VAULTS)
        self.assertEqual([], [p for p in world.realm.home.rglob(".tmp-*")], "drafts are left at home")



if __name__ == "__main__":
    harness.main()
