"""Runs the real program: a realm in a scratch directory, real vault daemons on loopback, commands with their exit codes.

    python3 tests/system/NAME.py path/to/exclave [test names]

Every process that a test starts ends with it, by its own id; if the test itself is killed, the kernel ends them. Nothing
outside the scratch directory is written. Standard library only.
"""
import contextlib
import fnmatch
import functools
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from processes import children_of, end_with_parent, free_port, reserve_port  # noqa: E402,F401 (for the tests)

VAULTS = ("lux", "oslo", "rome")
OFFICIALS = ("alice", "bob", "carla", "dan", "eve")
COMMAND_SECONDS = 120
START_SECONDS = 60
DRAIN_SECONDS = 60

# Exit codes (src/cli/context.h, docs/operations/messages.md).
OK, FAILED, USAGE, PARTIAL = 0, 1, 2, 3
NOT_FOUND, LOCKED, KEY_REFUSED, CORRUPTION, UNREACHABLE = 10, 11, 12, 13, 14

_program = None


def program():
    """The built binary that is under test."""
    return _program


def is_sanitized():
    """Whether the program was built with the address sanitizer."""
    return b"__asan_init" in pathlib.Path(program()).read_bytes()


class Ended:
    """What a command left: exit code, standard output and error."""

    def __init__(self, arguments, code, out, err):
        self.arguments, self.code, self.out, self.err = arguments, code, out, err

    def json(self):
        return json.loads(self.out.splitlines()[-1])

    def __str__(self):
        return f"$ {' '.join(map(str, self.arguments))}\n=> {self.code}\n{self.out}{self.err}"


def run_process(arguments, cwd, stdin=None, **options):
    """`stdin`: bytes to feed; otherwise there is none."""
    feed = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run([str(a) for a in arguments], cwd=cwd, capture_output=True, timeout=COMMAND_SECONDS, check=False,
                          preexec_fn=end_with_parent, **feed, **options)
    return Ended(arguments, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def launch(arguments, cwd, **options):
    """A process beside the test."""
    return subprocess.Popen([str(a) for a in arguments], cwd=cwd, stdin=subprocess.DEVNULL, preexec_fn=end_with_parent,
                            **options)


class Daemon:
    """A running `exclave vault`. `launcher` starts its process; unless told otherwise it listens when this returns. It
    repairs itself only where a test asks for it: most want to see what is broken."""

    def __init__(self, directory, log, cwd, options=("--repair-every", "never"), launcher=launch, wait=True):
        self.directory, self.log_path, self._is_asked = directory, log, False
        with open(log, "ab") as sink:
            self._log_begin = sink.tell()
            self.process = launcher([program(), "vault", directory, *options], cwd, stdout=sink, stderr=sink)
        if wait:
            self.wait_until_it_listens()

    def wait_until_it_listens(self):
        self.wait_until_it_says("listens on")

    def wait_until_it_says(self, words):
        deadline = time.monotonic() + START_SECONDS
        while words not in self.log():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"vault {self.directory} does not say '{words}':\n{self.log()}")
            time.sleep(0.02)

    def log(self):
        """What this process said."""
        return self.log_path.read_bytes()[self._log_begin:].decode(errors="replace")

    def ask_to_stop(self):
        """SIGTERM, once: a second one would end it without a drain."""
        if self.process.poll() is None and not self._is_asked:
            self.process.send_signal(signal.SIGTERM)
        self._is_asked = True

    def stop(self):
        """SIGTERM, and the exit code of the drain."""
        self.ask_to_stop()
        try:
            return self.process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"a vault did not drain within {DRAIN_SECONDS} s:\n{self.log()}") from None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class SilentVault:
    """Answers at a vault's address with that vault's own key, listens to what is asked, and says nothing."""

    def __init__(self, realm, vault):
        seed = re.search(r"^seed (\w+)$", (realm.vault(vault) / "identity.key").read_text(), flags=re.M)[1]
        key, certificate = realm.scratch / "silent-key.pem", realm.scratch / "silent-cert.pem"
        run = functools.partial(subprocess.run, check=True, capture_output=True)
        run(["openssl", "pkey", "-inform", "DER", "-out", key], input=bytes.fromhex("302e020100300506032b657004220420" + seed))
        run(["openssl", "req", "-new", "-x509", "-key", key, "-subj", "/CN=exclave", "-days", "36500", "-out", certificate])
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._asked = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", realm.ports[vault]))
        self._peers = []

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in (self._listener, *self._peers):
            each.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self._context.wrap_socket(self._listener.accept()[0], server_side=True)
                self._peers.append(peer)
                if peer.recv(1):
                    self._asked.set()

    def wait_for_a_request(self):
        if not self._asked.wait(START_SECONDS):
            raise AssertionError("nobody asked the silent vault anything")


class Realm:
    """A realm's folders side by side, its daemons, and the commands of each role."""

    def __init__(self, scratch, name="realm", ports=None, registry="docs", extra=(), create=True):
        self.scratch, self.name, self.registry = scratch, name, registry
        kept = {vault: reserve_port() for vault in VAULTS} if ports is None else {}
        self.ports = ports or {vault: port for vault, (port, _) in kept.items()}
        self._keepers = [keeper for _, keeper in kept.values()]  # as long as the realm is in use, and copies of it
        self.daemons = {}
        self.creation = ["realm", "create", name, "--name", "Testland", "--registry", registry, *extra]
        for official in OFFICIALS:
            self.creation += ["--official", official]
        for vault, port in self.ports.items():
            self.creation += ["--vault", f"{vault}=127.0.0.1:{port}"]
        if not create:
            return
        created = self.exclave(*self.creation)
        if created.code != OK:
            raise AssertionError(str(created))

    # --- places ---

    @property
    def root(self):
        return self.scratch / self.name

    @property
    def home(self):
        return self.root / "home" / self.registry

    @property
    def site(self):
        return self.root / "sites" / "rebuild"

    def official(self, name):
        return self.root / "officials" / name

    def vault(self, name):
        return self.root / "vaults" / name

    def objects(self, vault):
        """A vault's sealed objects, by name."""
        return sorted(p for p in (self.vault(vault) / "objects").rglob("*") if p.is_file())

    # --- daemons ---

    def start(self, *vaults, **options):
        for vault in vaults or self.ports:
            self.daemons[vault] = Daemon(self.vault(vault), self.scratch / f"{self.name}-{vault}.log", self.scratch,
                                         wait=False, **options)
        for vault in vaults or self.ports:
            self.daemons[vault].wait_until_it_listens()

    def stop(self, *vaults):
        """Drains; returns the exit codes."""
        stopping = [self.daemons.pop(vault) for vault in vaults or list(self.daemons)]
        for daemon in stopping:
            daemon.ask_to_stop()
        return [daemon.stop() for daemon in stopping]

    def kill_all(self):
        while self.daemons:
            self.daemons.popitem()[1].kill()

    # --- commands ---

    def exclave(self, *arguments, **options):
        return run_process([program(), *arguments], self.scratch, **options)

    def backup(self, source="source", *options):
        return self.exclave("backup", "--home", self.home, source, *options)

    def verify(self, *options):
        return self.exclave("verify", "--site", self.site, *options)

    def release(self, label="release", officials=OFFICIALS[:3], request_options=()):
        """Asks and lets the officials approve: the options with which a site opens what was released."""
        request = self.scratch / f"{label}.request"
        asked = self.exclave("release", "request", "--site", self.site, "--reason", "a test", "--out", request,
                             *request_options)
        if asked.code != OK:
            raise AssertionError(str(asked))
        options = ["--release", request]
        for official in officials:
            approval = self.scratch / f"{label}.{official}"
            given = self.exclave("release", "approve", "--official", self.official(official), request, "--out", approval,
                                 "--yes")
            if given.code != OK:
                raise AssertionError(str(given))
            options += ["--approval", approval]
        return options

    def restore(self, opening, target="restored", *options, **process):
        return self.exclave("restore", "--site", self.site, *opening, "--target", target, *options, **process)


def make_tree(directory, seed=1, files=12, size=40_000):
    """A small tree that compresses in parts, with a link, an empty file and folders."""
    generator = random.Random(seed)
    for i in range(files):
        folder = directory / f"folder-{i % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{i}").write_bytes(generator.randbytes(generator.randrange(size)) + b"plain text " * 200)
    (directory / "empty").write_bytes(b"")
    (directory / "link").symlink_to("folder-0/file-0")


def tree_contents(directory):
    """Relative path -> (kind, content): what must be equal after a restore."""
    directory = os.fsencode(directory)
    found = {}
    for folder, directories, files in os.walk(directory):
        for name in directories + files:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, directory)
            if os.path.islink(path):
                found[relative] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[relative] = ("directory", b"")
            else:
                with open(path, "rb") as file:
                    found[relative] = ("file", file.read())
    return found


LEAST_MEMORY_BYTES = 4 << 30


def make_scratch(prefix="exclave-"):
    """Below TMPDIR; without one, in memory where there is room: processes die in these tests, machines do not, and syncs would be most of the time."""
    memory = pathlib.Path("/dev/shm")
    is_better = "TMPDIR" not in os.environ and memory.is_dir() and shutil.disk_usage(memory).free > LEAST_MEMORY_BYTES
    return pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=memory if is_better else None)).resolve()


class SystemTest(unittest.TestCase):
    """One scratch directory per test class or test; asserts on commands."""

    maxDiff = 2000

    def setUp(self):
        self.scratch = self.make_scratch()
        self.realms = []
        self.addCleanup(lambda: [realm.kill_all() for realm in self.realms])

    def make_scratch(self):
        directory = make_scratch()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def make_realm(self, *arguments, start=True, **options):
        realm = Realm(self.scratch, *arguments, **options)
        self.realms.append(realm)
        if start:
            realm.start()
        return realm

    def make_source(self, name="source", **options):
        make_tree(self.scratch / name, **options)
        return self.scratch / name

    @staticmethod
    def mark_unfinished(snapshot, target):
        """As a run leaves it that was interrupted; nothing of what it finished is trusted."""
        there = target.stat()
        birth = subprocess.run(["stat", "--printf=%.9W", target], check=True, capture_output=True, text=True).stdout
        created = birth.replace(".", "").lstrip("0") or "-"
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        mark = target.with_name(target.name + ".exclave-restore")
        mark.write_text(f"{snapshot} - {there.st_ino} {there.st_dev} {created} {boot}\n")
        return mark

    def ok(self, ended, code=OK):
        self.assertEqual(ended.code, code, str(ended))
        return ended

    def refused(self, ended, code, *texts):
        """One clear message: the exit code, and each text on standard error; never a bug, never silence."""
        self.assertEqual(ended.code, code, str(ended))
        self.assertNotIn("bug", ended.err, str(ended))
        said = [line for line in ended.err.splitlines() if line.startswith("exclave: ")]
        self.assertEqual(len(said), 1, str(ended))
        for text in texts:
            self.assertIn(text, ended.err, str(ended))
        return ended

    def same_tree(self, restored, source="source"):
        self.assertEqual(tree_contents(self.scratch / restored), tree_contents(self.scratch / source))


class _Loader(unittest.TestLoader):
    """Tests are methods called test_..., or after a row of the threat model (H1_..., C1_..., O1_..., L1_...)."""

    def getTestCaseNames(self, testCaseClass):  # noqa: N802 (the base class's name)
        names = sorted(n for n in dir(testCaseClass) if re.match(r"test_|[HCOL]\d+_", n))
        asked = self.testNamePatterns  # of -k
        return [n for n in names if asked is None or
                any(fnmatch.fnmatchcase(f"{testCaseClass.__module__}.{testCaseClass.__qualname__}.{n}", each) for each in asked)]


def main():
    """Of every test script: `script.py EXCLAVE [unittest arguments]`."""
    global _program
    if len(sys.argv) < 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit(f"usage: {sys.argv[0]} path/to/exclave [test names]")
    _program = os.path.abspath(sys.argv.pop(1))
    unittest.main(module="__main__", testLoader=_Loader(), verbosity=2)
