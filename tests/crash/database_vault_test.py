"""A vault that takes in the journal of a database whose commits wait for it, killed and failed at each of its calls."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import protected  # noqa: E402  (knows where the next ones are)
import harness  # noqa: E402
import victims  # noqa: E402
from victims import VICTIM  # noqa: E402

FRAME_STEP = 4096
COMMITS = 24  # of which a quarter is large: one segment fills up, and is closed
STALLED_SECONDS = 3
DYING_SECONDS = 0.3  # until a daemon has ended that ends of a fault
RECOVERY_SECONDS = 1.5  # in which a vault gets what earlier journals left in the spool
EXTRA_SECONDS = 6  # that work goes on to meet a fault which the first run met


class DatabaseVaultCrash(victims.Victims, protected.DatabaseCrashTest):
    """H7: the victim is one of the two that commits wait for, as long as it works. Then home is lost, and the other one."""

    def test_H7_a_vault_that_fails_while_it_takes_in_a_journal_keeps_what_was_acknowledged(self):
        self.run_matrix("vault takes in a journal", self.protected_world(), self.attempt_appends, 180)

    def test_H7_a_vault_with_open_segments_that_fails_when_it_starts_can_be_started(self):
        world = self.torn_world()
        self.run_matrix("vault start with a journal", world, self.attempt_start, 15, self.concerns_journals)

    def attempt_appends(self, world, fault):
        watcher = self.start_watched(world)
        world.realm.start("lux")
        world.realm.daemons[VICTIM].wait_until_it_listens()
        world.start_server()
        watcher.arm(fault)
        world.start_agent()
        has_survived = self.commit_while_the_victim_lives(world, watcher, fault)
        world.agent.kill()
        world.server.crash()
        watcher.rest()
        self.is_whole(world, fault, has_survived)
        watcher.end()
        return watcher

    def attempt_start(self, world, fault):
        watcher = self.start_watched(world, fault)
        has_survived = self.comes_to_listen(world, fault)
        watcher.rest()
        if has_survived:
            self.assertIn("is no whole frame and was cleared", world.realm.daemons[VICTIM].log())
        self.is_whole(world, fault, has_survived)
        watcher.end()
        return watcher

    # --- steps ---

    @staticmethod
    def concerns_journals(call):
        """What else a start touches is in another scenario."""
        return call.where.startswith("vault/journal")

    def torn_world(self):
        """Half a frame stands behind the last whole one, as a machine leaves it that loses its power."""
        world, made = self.protected_world(), 0
        while (place := self.place_for_a_frame(world)) is None:  # every open segment is full, and about to be closed
            made += 1
            self.assertLess(made, 4, "no segment with room for a frame")
            world = protected.make_protected_world(self.scratch / f"made-{made}")
        world = world.copied_to(self.scratch / "torn")
        path, end = place
        with open(world.realm.vault(VICTIM) / path, "r+b") as file:
            file.seek(end)
            file.write(os.urandom(2000))
        return world

    @staticmethod
    def place_for_a_frame(world):
        """Of the victim's open segment that holds most and has room: its path at the vault, its end."""
        root, places = world.realm.vault(VICTIM), []
        for path in (p for p in (root / "journal").rglob("*") if p.is_file()):
            content = path.read_bytes()
            end = -(-len(content.rstrip(b"\0")) // FRAME_STEP) * FRAME_STEP
            if end < len(content):
                places.append((end, path.relative_to(root)))
        return max(places)[::-1] if places else None

    def commit_while_the_victim_lives(self, world, watcher, fault):
        """Rome is away, until commits hang: a disk that failed under a segment takes no more of its frames."""
        writer = world.start_writer()
        daemon = world.realm.daemons[VICTIM]
        progress, done_at, hit_at = (0, time.monotonic()), None, None
        while daemon.process.poll() is None:
            now, done = time.monotonic(), len(writer.acknowledged)
            hit_at = hit_at or (now if watcher.hit else None)
            done_at = done_at or (now if done >= COMMITS else None)
            is_over = now > hit_at + DYING_SECONDS if hit_at else done_at and \
                now > done_at + (RECOVERY_SECONDS if fault is None else EXTRA_SECONDS)
            if done_at and is_over:
                return True
            progress = progress if progress[0] == done else (done, now)
            is_stalled = now > progress[1] + STALLED_SECONDS and (fault is None or watcher.hit)
            if is_stalled and "rome" not in world.realm.daemons:
                world.realm.start("rome")
            self.assertLess(now, progress[1] + protected.HANG_SECONDS,
                            f"commits hang: {world.agent.status(protected.DATASET)}\n{world.agent.log()[-3000:]}")
            self.assertIsNone(world.agent.process.poll(), world.agent.log()[-3000:])
            time.sleep(0.01)
        self.died_by(daemon, fault)
        return False

    def is_whole(self, world, fault, has_survived):
        if not has_survived or world.realm.daemons[VICTIM].process.poll() is not None:  # it may have been late to end
            world.realm.start(VICTIM)
        if "rome" not in world.realm.daemons:
            world.realm.start("rome")
        report = self.proves_without(world, "lux", "back")
        if fault is None or self.runs % protected.OPENED_EVERY == 0:
            self.opens(world, "back", report)
        self.gets_well(world)


if __name__ == "__main__":
    harness.main()
