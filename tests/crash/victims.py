"""A vault daemon that is watched, beside two that are not."""
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402

VICTIM = "oslo"


class Victims:
    """Steps of scenarios with such a daemon: for a CrashTest."""

    def start_watched(self, world, fault=None):
        watcher = calls.Watcher({"vault": world.realm.vault(VICTIM)}, fault)

        def launcher(arguments, cwd, **options):
            return calls.popen(watcher, arguments, cwd, stdin=subprocess.DEVNULL, **options)

        world.realm.daemons[VICTIM] = harness.Daemon(world.realm.vault(VICTIM), world.scratch / f"realm-{VICTIM}.log",
                                                     world.scratch, launcher=launcher, wait=False)
        return watcher

    def comes_to_listen(self, world, fault):
        daemon = world.realm.daemons[VICTIM]
        deadline = time.monotonic() + harness.START_SECONDS
        while "listens on" not in daemon.log():
            self.assertLess(time.monotonic(), deadline, "the vault hangs when it starts")
            if daemon.process.poll() is not None:
                self.died_by(daemon, fault)
                return False
            time.sleep(0.01)
        return True

    def died_by(self, daemon, fault):
        """The victim has ended: by our hand, or with a message."""
        code = daemon.process.returncode
        if fault is not None and fault.kind == "kill":
            self.assertEqual(-signal.SIGKILL, code, daemon.log())
        else:
            self.assertIn(code, matrix.ERRORS, daemon.log())
            self.assertIn("exclave: ", daemon.log())
