"""`exclave agent run`, killed and failed at each call on its own directory, while it streams from a real PostgreSQL server
and while it takes a base backup."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import protected  # noqa: E402  (knows where the next ones are)
import harness  # noqa: E402
import matrix  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402

COMMITS = 24  # of which a quarter is large: segments fill up, and are closed
STALLED_SECONDS = 3
EXTRA_SECONDS = 6  # that work goes on to meet a fault which the first run met


class DatabaseAgentCrash(protected.DatabaseCrashTest):
    """H7: `exclave agent run`, which a supervisor starts again when it ends, and an operator when it says `stopped`."""

    def setUp(self):
        super().setUp()
        self.at_the_end = set()  # calls that the first run made after it was asked to stop

    def test_H7_an_agent_that_fails_while_it_streams_loses_nothing_that_was_acknowledged(self):
        self.run_matrix("agent streams", self.protected_world(), self.attempt_stream, 200)

    def test_H7_an_agent_that_fails_while_it_takes_a_base_backup_takes_it_when_it_is_back(self):
        self.run_matrix("agent takes a base backup", self.protected_world(), self.attempt_base, 180, self.concerns_captures)

    # --- attempts ---

    def attempt_stream(self, world, fault):
        """Rome is away for a while: what it lacks waits in the spool."""
        world.realm.start()
        world.start_server()
        watcher = world.start_watched_agent(fault)
        self.is_watched = True
        writer = world.start_writer()
        self.follow(world, watcher, fault, lambda: len(writer.acknowledged) >= COMMITS // 4 and
                    (not self.is_watched or self.is_met(world, watcher, fault)))
        world.realm.daemons.pop("rome").kill()
        self.follow(world, watcher, fault, lambda: len(writer.acknowledged) >= COMMITS)
        world.realm.start("rome")
        begun = len(writer.acknowledged)
        self.follow(world, watcher, fault, lambda: len(writer.acknowledged) >= begun + COMMITS // 4)
        seen = len(watcher.calls)
        if self.is_watched:
            self.stops(world, fault)
        if fault is None:
            self.at_the_end = {each.call for each in watcher.calls[seen:]}
        world.server.crash()
        watcher.rest()
        report = self.proves_without(world, "lux", "back")
        if fault is None or self.runs % protected.OPENED_EVERY == 0:
            self.opens(world, "back", report)
        self.gets_well(world)
        watcher.end()
        return watcher

    def attempt_base(self, world, fault):
        world.realm.start()
        world.start_server()
        watcher = world.start_watched_agent(fault, **{"base-every": "1 h"})
        self.is_watched = True
        writer = world.start_writer()
        self.follow(world, watcher, fault, lambda: "is durable" in world.agent.log() or "base backup failed" in world.agent.log())
        if "is durable" not in world.agent.log():
            self.assertIsNotNone(fault)
            self.assertNotEqual("short", fault.kind, world.agent.log())
            watcher.rest()
            self.comes_again(world, fault)
            self.follow(world, watcher, fault, lambda: "is durable" in world.agent.log())
        begun = len(writer.acknowledged)
        self.follow(world, watcher, fault, lambda: len(writer.acknowledged) >= begun + 3)  # the log up to its end, too
        world.agent.kill()
        world.server.crash()
        watcher.rest()
        self.proves_without(world, "lux", "back")
        self.opens(world, "newest", self.restores_database(world, "newest"))
        self.gets_well(world)
        watcher.end()
        return watcher

    # --- steps ---

    @staticmethod
    def concerns_captures(call):
        """What streams has its own scenario."""
        return not call.where.startswith(("home/databases", "home/state/agent.json")) and call.where != "home/journal.lock"

    def is_met(self, world, watcher, fault):
        """Whether what the first run did is done: earlier journals are everywhere."""
        if fault is None or (fault.call in self.at_the_end and not watcher.hit):
            return len(world.spools()) <= 1 and world.agent.status(protected.DATASET) is not None
        return watcher.hit or time.time_ns() > world.agent.began_ns + EXTRA_SECONDS * 10**9

    def follow(self, world, watcher, fault, is_done):
        """Until it is done; what ended is started again."""
        progress = (0, time.monotonic())
        while not is_done():
            now, done = time.monotonic(), sum(len(w.acknowledged) for w in world.writers)
            progress = progress if progress[0] == done else (done, now)
            if world.agent.process.poll() is not None:
                self.died_by(world, fault)
                self.home_is_lost_for_a_moment(world)
                self.comes_again(world, fault)
            elif self.is_stopped(world):
                self.assertTrue(watcher.hit and fault.kind != "short", world.agent.log()[-3000:])
                told = world.realm.exclave("status", "--home", world.realm.home)
                self.assertEqual(PARTIAL, told.code, str(told))
                self.assertIn(f"database {protected.DATASET} is not streamed", told.out)
                self.assertIn(f"database {protected.DATASET}: ", told.out, "why is not said")
                self.home_is_lost_for_a_moment(world)
                watcher.rest()  # somebody has made room
                self.stops(world, fault)
                self.comes_again(world, fault)
            elif now > progress[1] + STALLED_SECONDS and watcher.is_full:
                watcher.rest()
            self.assertLess(now, progress[1] + protected.HANG_SECONDS,
                            f"commits hang: {world.agent.status(protected.DATASET)}\n{world.agent.log()[-3000:]}")
            time.sleep(0.01)

    @staticmethod
    def is_stopped(world):
        status = world.agent.status(protected.DATASET)
        return status is not None and status["state"] == "stopped"

    def died_by(self, world, fault):
        code, log = world.agent.process.returncode, world.agent.log()
        self.assertIsNotNone(fault, log)
        self.assertTrue(self.is_watched, f"an agent that nobody failed ended with {code}\n{log}")
        if fault.kind == "kill":
            self.assertEqual(-signal.SIGKILL, code, log)
        else:
            self.assertNotEqual("short", fault.kind, log)
            self.assertIn(code, matrix.ERRORS, log)
            self.assertIn("exclave: ", log)

    def stops(self, world, fault):
        """SIGTERM; it may be killed on the way, or fail."""
        code = world.agent.stop()
        if code != OK:
            self.died_by(world, fault)

    def comes_again(self, world, fault):
        if world.agent.process.poll() is None:
            self.stops(world, fault)
        self.is_watched = False
        world.agent.start()

    def home_is_lost_for_a_moment(self, world):
        """What if it were not started again: the vaults have it all."""
        has_rome = "rome" in world.realm.daemons
        if not has_rome:
            world.realm.start("rome")
        self.proves_without(world, "lux", f"lost-{time.monotonic_ns()}")
        world.realm.start("lux")
        if not has_rome:
            world.realm.daemons.pop("rome").kill()


if __name__ == "__main__":
    harness.main()
