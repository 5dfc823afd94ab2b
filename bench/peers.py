"""What is measured: Exclave, and restic as Debian packages it. Both offer the same few verbs."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from measuring import cpu_seconds_of, measure, size_of

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from processes import free_port  # noqa: E402

OFFICIALS = ["alice", "bob", "carol"]
VAULTS = ["lux", "oslo", "rome"]
START_SECONDS = 60


def exclave_program():
    return pathlib.Path(os.environ.get("EXCLAVE_BUILD", "build/release")).resolve() / "bin" / "exclave"


class Exclave:
    """One realm per round. Its vault is a directory inside this process, or three daemons over mutual TLS."""

    name = "exclave"

    def __init__(self, directory, vaults="directory"):
        self.program, self.directory, self.vaults = exclave_program(), directory, vaults
        self.daemons = {}

    def run(self, *arguments):
        result = measure([self.program, *arguments, "--json"])
        if result.output:
            result.report = json.loads(result.output.splitlines()[-1])
        return result

    def prepare(self, round_number):
        self.root = self.directory / f"exclave-{round_number}"
        self.root.mkdir()
        self.realm = self.root / "realm"
        if self.vaults == "directory":
            addresses = {"local": f"dir:{self.realm / 'vaults' / 'local'}"}
        else:
            addresses = {name: f"127.0.0.1:{free_port()}" for name in VAULTS}
        command = ["realm", "create", self.realm, "--name", "Bench", "--registry", "docs"]
        for name, address in addresses.items():
            command += ["--vault", f"{name}={address}"]
        for official in OFFICIALS:
            command += ["--official", official]
        self.run(*command)
        self.release = None
        if self.vaults != "directory":
            for name in addresses:
                self.start_vault(name)

    def start_vault(self, name):
        log = self.root / f"vault-{name}.log"
        with open(log, "wb") as sink:
            process = subprocess.Popen([str(self.program), "vault", str(self.realm / "vaults" / name)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        self.daemons[name] = process
        deadline = time.monotonic() + START_SECONDS
        while b"listens on" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise SystemExit(f"bench: vault {name} did not start:\n{log.read_text()}")
            time.sleep(0.02)

    def vaults_cpu(self):
        return sum(cpu_seconds_of(process.pid) for process in self.daemons.values())

    def close(self):
        for process in self.daemons.values():
            process.send_signal(signal.SIGTERM)
        for process in self.daemons.values():
            try:
                process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.daemons = {}

    def backup(self, source, *options):
        return self.run("backup", "--home", self.realm / "home" / "docs", source, "--stages", *options)

    def stored(self):
        """Of one vault."""
        return size_of(next((self.realm / "vaults").iterdir()) / "objects")

    def approvals(self):
        """Once for each realm: a release serves any number of restores."""
        if self.release is None:
            request = self.root / "request"
            self.run("release", "request", "--site", self.realm / "sites" / "rebuild", "--reason", "benchmark", "--out", request)
            self.release = ["--release", request]
            for official in OFFICIALS[:2]:
                approval = self.root / f"approval-{official}"
                self.run("release", "approve", "--official", self.realm / "officials" / official, request, "--out", approval, "--yes")
                self.release += ["--approval", approval]
        return self.release

    def restore(self, target, snapshot="latest", *options):
        return self.run("restore", "--site", self.realm / "sites" / "rebuild", *self.approvals(), "--target", target, "--snapshot", snapshot, "--no-sync", "--stages", *options)

    def snapshot_of(self, backup):
        return backup.report["snapshot"]

    def discard(self):
        """The realm of this round, when nothing is measured any more that its removal could disturb."""
        self.close()
        shutil.rmtree(self.root, ignore_errors=True)


class Restic:
    """One repository in a local directory per round, with its cache."""

    name = "restic"

    def __init__(self, directory):
        self.directory = directory
        self.cache = directory / "restic-cache"
        self.environment = dict(os.environ, RESTIC_PASSWORD="benchmark", RESTIC_CACHE_DIR=str(self.cache), RESTIC_PROGRESS_FPS="0.01")

    def run(self, *arguments):
        return measure(["restic", "-r", self.repository, *arguments], self.environment)

    def prepare(self, round_number):
        self.repository = self.directory / f"restic-{round_number}"
        self.run("-q", "init")

    def backup(self, source):
        result = self.run("backup", "--json", source)
        result.report = json.loads(result.output.splitlines()[-1])
        return result

    def stored(self):
        return size_of(self.repository)

    def restore(self, target, snapshot="latest"):
        return self.run("-q", "restore", snapshot, "--target", target)

    def snapshot_of(self, backup):
        return backup.report["snapshot_id"]

    def close(self):
        pass

    def discard(self):
        shutil.rmtree(self.repository, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)


def peers(directory, vaults="directory"):
    """Ours first; restic if it is installed."""
    return [Exclave(directory, vaults)] + ([Restic(directory)] if shutil.which("restic") else [])


def in_turn(everyone, round_number):
    """Who is first changes: a machine that slows down or speeds up favours nobody."""
    return everyone if round_number % 2 == 0 else everyone[::-1]



