"""Databases in tests: real servers (tools/clusters.py) and the agent that protects them."""
import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
from clusters import Cluster, as_server_user, binaries, give_to_server, let_pass, number_of  # noqa: E402,F401 (for the tests)


class Agent:
    """A running `exclave agent run`. Its first process is started by `launcher`; those after it as a supervisor starts them."""

    def __init__(self, realm, databases, registry=None, more="", launcher=None):
        self.realm, self._launcher = realm, launcher
        self.home = realm.root / "home" / (registry or realm.registry)
        self.log_path = realm.scratch / f"{realm.name}-{self.home.name}-agent.log"
        config = ""
        for dataset, options in databases.items():
            config += f'[[database]]\ndataset = "{dataset}"\n' + "".join(f'{k} = "{v}"\n' for k, v in options.items())
        (self.home / "agent.toml").write_text(config + more)
        self.process, self.began_ns = None, 0
        self.start()

    def start(self):
        self.began_ns = time.time_ns()
        launcher, self._launcher = self._launcher or harness.launch, None
        with open(self.log_path, "ab") as sink:
            self.process = launcher([harness.program(), "agent", "run", "--home", self.home], self.realm.scratch,
                                    stdout=sink, stderr=sink)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def statuses(self):
        """What this process wrote last: the one before it left its own. None if it has not written one yet."""
        path = self.home / "state/agent.json"
        if not path.exists():
            return None
        told = json.loads(path.read_text())
        return told if told["at_ns"] > self.began_ns else None

    def status(self, dataset):
        told = self.statuses()
        return next((each for each in told["databases"] if each["dataset"] == dataset), None) if told else None

    def wait(self, dataset, is_it, what, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            status = self.status(dataset)
            if status is not None and is_it(status):
                return status
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"agent: not {what}: {status}\n{self.log()[-4000:]}")
            time.sleep(0.1)

    def wait_streaming(self, dataset):
        return self.wait(dataset, lambda s: s["state"] == "streaming", "streaming")

    def stop(self, seconds=40):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the agent did not end:\n{self.log()[-4000:]}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
