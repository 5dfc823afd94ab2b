"""A vault daemon, killed and failed at each of its calls: its first start, later ones, its work, its drain."""
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
import victims  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402
from victims import VICTIM  # noqa: E402


class VaultCrash(victims.Victims, matrix.CrashTest):
    """H7: two other vaults carry on meanwhile, so that no backup fails for it; none is told more than is held."""

    def test_H7_a_vault_that_fails_at_work_promises_nothing_that_it_does_not_hold(self):
        world = self.grow(self.make_world())
        # Its work: a new act, a stream, packs, an index, a snapshot.
        self.ok(world.realm.exclave("ceremony", "era", world.realm.name, "--registry", "docs"))
        self.run_matrix("vault at work", world, self.attempt_work, 120)

    def test_H7_a_vault_that_fails_when_it_starts_can_be_started(self):
        self.run_matrix("vault start", self.grow(self.make_world()), self.attempt_start, 120)

    def test_H7_a_vault_that_fails_when_it_is_made_can_be_made(self):
        self.run_matrix("vault first start", self.grow(self.make_world(backup=False)), self.attempt_start, 300)

    def test_H7_a_vault_that_fails_when_it_drains_has_everything_afterwards(self):
        self.run_matrix("vault drain", self.grow(self.make_world()), self.attempt_drain, 25)

    def test_H7_a_repair_that_fails_is_repeated(self):
        world = self.make_world()
        self.make_victim_poorer(world)
        self.run_matrix("vault repair", world, self.attempt_repair, 200)

    # --- attempts ---

    def attempt_work(self, world, fault):
        watcher = self.start_all(world)
        watcher.arm(fault)
        complete = self.backup_while_the_victim_may_die(world, fault)
        watcher.rest()
        if fault is None or fault.kind == "short":
            self.assertTrue(complete, "a call that was cut short is only to be gone on with")
        self.is_whole(world, () if complete else (VICTIM,))
        watcher.end()
        return watcher

    def attempt_start(self, world, fault):
        world.realm.start(*(v for v in harness.VAULTS if v != VICTIM))
        watcher = self.start_watched(world, fault)
        if not self.comes_to_listen(world, fault):
            world.realm.start(VICTIM)
        watcher.rest()
        self.is_whole(world)
        watcher.end()
        return watcher

    def attempt_drain(self, world, fault):
        watcher = self.start_all(world)
        self.reaches_all(world.backup())
        watcher.arm(fault)
        daemon = world.realm.daemons.pop(VICTIM)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(harness.DRAIN_SECONDS)
        if daemon.process.returncode != OK:
            self.died_by(daemon, fault)
        world.realm.start(VICTIM)
        self.is_whole(world)
        watcher.end()
        return watcher

    def attempt_repair(self, world, fault):
        """The victim is stopped, lacks a stream and has a damaged object; the others give it what it lacks."""
        world.realm.start(*(v for v in harness.VAULTS if v != VICTIM))
        command = [harness.program(), "repair", world.realm.vault(VICTIM), "--scrub"]
        watcher = calls.Watcher({"vault": world.realm.vault(VICTIM)}, fault)
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        if first.code != OK:
            self.ok(harness.run_process(command, world.scratch))
        world.realm.start(VICTIM)
        self.is_whole(world)
        return watcher

    # --- steps ---

    def make_victim_poorer(self, world):
        """It has missed a backup, and a byte of what it had is another one."""
        realm = world.realm
        realm.start(*(v for v in harness.VAULTS if v != VICTIM))
        (world.scratch / "source/missed").write_bytes(os.urandom(600_000))
        self.ok(realm.backup())
        realm.kill_all()
        damaged = realm.objects(VICTIM)[0]
        with open(damaged, "r+b") as file:
            file.seek(100_000)
            byte = file.read(1)
            file.seek(100_000)
            file.write(bytes([byte[0] ^ 1]))

    def start_all(self, world):
        watcher = self.start_watched(world)
        world.realm.start(*(v for v in harness.VAULTS if v != VICTIM))
        world.realm.daemons[VICTIM].wait_until_it_listens()
        return watcher

    def backup_while_the_victim_may_die(self, world, fault):
        """A backup beside it; a victim that dies is started again at once, as systemd does. Returns whether it has
        signed for everything."""
        daemon = world.realm.daemons[VICTIM]
        backup = harness.launch(world.backup_command(), world.scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            deadline = time.monotonic() + harness.COMMAND_SECONDS
            while backup.poll() is None:
                self.assertLess(time.monotonic(), deadline, "the backup hangs")
                if daemon.process.poll() is not None:
                    self.died_by(daemon, fault)
                    world.realm.start(VICTIM)
                    daemon = world.realm.daemons[VICTIM]
                time.sleep(0.01)
        finally:
            backup.kill()
            out, err = backup.communicate()
        ended = harness.Ended(world.backup_command(), backup.returncode, out.decode(), err.decode(errors="replace"))
        self.assertIn(ended.code, (OK, PARTIAL), str(ended))
        incomplete = [v["vault"] for v in ended.json()["vaults"] if not v["complete"]]
        self.assertIn(incomplete, ([], [VICTIM]), str(ended))
        if incomplete:
            self.assertEqual(PARTIAL, ended.code, str(ended))
            self.assertIn(f"vault {VICTIM} is behind", ended.err, str(ended))
            # The peer is told what to make of it; how the host's files lie stays in the host's own log.
            self.assertNotIn(os.fspath(world.scratch), ended.err.replace(os.fspath(world.realm.home), ""), str(ended))
        return not incomplete

    def is_whole(self, world, may_be_behind=()):
        """The victim takes in the next backup without having been touched, and everything promised is there."""
        (world.scratch / "source/after").write_bytes(b"after")
        self.reaches_all(world.backup())
        self.holds(world, may_be_behind)
        self.restores(world)
        logs = "".join(daemon.log() for daemon in world.realm.daemons.values())
        self.assertEqual([OK] * 3, world.realm.stop(), logs)
        self.keeps_its_promises(world)


if __name__ == "__main__":
    harness.main()
