"""Real PostgreSQL servers for demo, benchmarks and tests: clusters in a scratch directory, run as an ordinary user, on a unix
socket and a loopback port, ended by their ids. Standard library only."""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import time

from processes import children_of, end_with_parent, free_port

COMMAND_SECONDS = 120
START_SECONDS = 60


def binaries():
    """The newest server's programs."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))
    if not found:
        raise AssertionError("no PostgreSQL server is installed: run ./dev setup")
    return pathlib.Path(found[-1]).parent


def as_server_user(arguments):
    """A server does not run as root."""
    if os.geteuid() != 0:
        return [str(a) for a in arguments]
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *map(str, arguments)]


def give_to_server(path):
    """What root restored or made, to the user that runs servers."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        for folder, directories, files in os.walk(path):
            for name in [*directories, *files]:
                os.lchown(os.path.join(folder, name), user.pw_uid, user.pw_gid)
        os.chown(path, user.pw_uid, user.pw_gid)


def let_pass(scratch):
    """Scratch directories are private; the server's user has to come through those of ours, not see into them."""
    for folder in (scratch, *pathlib.Path(scratch).parents):
        if folder.name.startswith("exclave-"):
            os.chmod(folder, folder.stat().st_mode | 0o011)


def number_of(position):
    """A position of the log, "16/B374D848", as bytes."""
    high, low = position.split("/")
    return int(high, 16) << 32 | int(low, 16)


class Cluster:
    """One server on a unix socket and a loopback port. `create`: by initdb; otherwise `directory` is a data directory."""

    def __init__(self, scratch, name, create=True, settings=(), initdb=()):
        self.scratch, self.name = scratch, name
        let_pass(scratch)
        self.data = scratch / name
        self.sockets = scratch / f"{name}.run"
        self.log_path = scratch / f"{name}.log"
        self.port = free_port()
        self.process = None
        self.sockets.mkdir(exist_ok=True)
        if create:
            self.data.mkdir()
            give_to_server(self.data)
            self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "-k", *initdb)
            with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
                conf.write("wal_level = replica\nmax_wal_senders = 10\nshared_buffers = 32MB\nfsync = on\n"
                           "wal_sender_timeout = 20s\nautovacuum = off\ndynamic_shared_memory_type = mmap\n")
                conf.writelines(f"{line}\n" for line in settings)
        give_to_server(self.sockets)

    def run(self, program, *arguments, check=True, **options):
        done = subprocess.run(as_server_user([binaries() / program, *arguments]), cwd="/", capture_output=True, text=True,
                              timeout=COMMAND_SECONDS, check=False, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{program} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}")
        return done

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def launch(self):
        with open(self.log_path, "ab") as sink:
            self.process = subprocess.Popen(
                as_server_user([binaries() / "postgres", "-D", self.data, "-p", self.port, "-k", self.sockets,
                                "-c", "listen_addresses=127.0.0.1"]),
                cwd="/", stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, preexec_fn=end_with_parent)

    def start(self):
        self.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"server {self.name} did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)
        return self

    def is_ready(self):
        return self.run("psql", *self.where(), "-Atc", "select 1", check=False).returncode == 0

    def where(self):
        return ["-h", str(self.sockets), "-p", str(self.port), "-U", "postgres", "-X", "-d", "postgres"]

    def conninfo(self, user="postgres"):
        return f"host={self.sockets} port={self.port} user={user} dbname=postgres"

    def sql(self, text, check=True):
        """Rows as text; the statement's own transaction."""
        return self.run("psql", *self.where(), "-v", "ON_ERROR_STOP=1", "-Atc", text, check=check).stdout.strip()

    def stop(self, how=signal.SIGINT, seconds=60):
        """Fast shutdown; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.kill()
            self.process = None

    def kill_at_once(self):
        """All of the server ends at once, as with the machine's power: its children first. Those that outlive their postmaster
        give up waiting for the vaults, and for a moment show commits that nobody acknowledged."""
        self.process.send_signal(signal.SIGSTOP)
        for child in children_of(self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.kill_at_once()
        self.process = None
        time.sleep(0.3)

    def destroy(self):
        self.kill()
        shutil.rmtree(self.data)
