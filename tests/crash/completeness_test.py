"""The matrix knows every call: strace looks at the same processes, and whatever it sees on their files, calls.py saw too.

A system call that neither knows fails the test by its name, so that a new library or a new kernel interface (io_uring,
a writable mapping) cannot take a way round the faults."""
import collections
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
import protected  # noqa: E402
from harness import OK  # noqa: E402

# What touches a file and neither changes it nor can fail in a way that matters here.
HARMLESS = {"close", "lseek", "fcntl", "flock", "fadvise64", "mmap", "statfs", "fstatfs", "getxattr", "lgetxattr", "fgetxattr",
            "listxattr", "llistxattr", "flistxattr", "readlink", "readlinkat", "fstat", "stat", "lstat", "getcwd", "execve",
            "dup", "poll", "ioctl", "readahead"}  # fmt: skip
PATH_IN_DESCRIPTOR = re.compile(r"<(/[^>]*)>")


def arguments_of(text):
    """"5</a/b>, \\"c\\", O_RDWR|O_CREAT, 0600) = 7" as a list of texts; nested brackets and strings stay whole."""
    arguments, depth, quoted, current = [], 0, False, ""
    position = 0
    while position < len(text):
        character = text[position]
        if quoted:
            if character == "\\":
                current += character
                position += 1
                character = text[position]
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character in "<[{(":
            depth += 1
        elif character in ">]}" or (character == ")" and depth > 0):
            depth -= 1
        elif depth == 0 and character in ",)":
            arguments.append(current.strip())
            current = ""
            if character == ")":
                return arguments
            position += 1
            continue
        current += character
        position += 1
    return [*arguments, current.strip()]  # unfinished


def unquoted(text):
    if text == "NULL":
        return ""
    return text.strip('"').encode().decode("unicode_escape").encode("latin-1").decode(errors="surrogateescape")


def path_in(argument):
    found = PATH_IN_DESCRIPTOR.search(argument)
    return found.group(1).removesuffix(" (deleted)") if found else None


class Strace:
    """What strace saw of the files below `roots`."""

    def __init__(self, log, roots):
        self.seen, self.unknown = collections.Counter(), collections.Counter()
        self._descriptors = {}
        roots = calls.sorted_roots(roots)
        begun = {}  # thread -> name and arguments of the call that it is in
        for line in log.read_text(errors="surrogateescape").splitlines():
            self._descriptors.update(re.findall(r"\b(\d+)<(/[^>]*)>", line))
            thread, text = line.split(maxsplit=1)
            call = re.match(r"(\w+)\((.*)$", text.removesuffix(" <unfinished ...>"))
            if call:
                begun[thread] = call.group(1), arguments_of(call.group(2))
            # A tracer's signal interrupts a call before anybody answered it, and the kernel enters it again: one call.
            if thread in begun and not text.endswith("<unfinished ...>"):
                name, arguments = begun.pop(thread)
                if not re.search(r"= \? ERESTART\w+ ", text):
                    self._take(name, arguments, roots)
        for name, arguments in begun.values():
            self._take(name, arguments, roots)

    def _take(self, name, arguments, roots):
        known = calls.CHANGING.get(name) or calls.READING.get(name)
        if known is None:
            for argument in arguments:
                path = path_in(argument) or (unquoted(argument) if argument.startswith('"/') else None)
                if path is not None and calls.class_of(path, roots) is not None:
                    is_written_by_mapping = name == "mmap" and "MAP_SHARED" in arguments[3] and "PROT_WRITE" in arguments[2]
                    if name not in HARMLESS or is_written_by_mapping:
                        self.unknown[name] += 1
            return
        where = calls.class_of(self._path(known, arguments), roots)
        if where is None:
            return
        changes = name in calls.CHANGING
        if name in calls.OPENING:
            changes = bool(re.search(r"O_CREAT|O_TRUNC|O_TMPFILE", arguments[calls.OPENING[name]]))
        self.seen[calls.label_of(name, changes, name == "sync_file_range" and arguments[3] == "0"), where] += 1

    def _path(self, known, arguments):
        kind, *at = known
        if kind == "fd":
            return path_in(arguments[at[0]]) or ""
        path = unquoted(arguments[at[-1]])
        own = re.fullmatch(r"/proc/self/fd/(\d+)", path)
        if own:
            return self._descriptors[own.group(1)]  # as it was mentioned last
        directory = path_in(arguments[at[0]]) if kind == "at" else None
        return os.path.normpath(os.path.join(directory or "/", path)) if path else directory or ""


class Completeness(matrix.CrashTest):
    def setUp(self):
        if harness.is_sanitized():
            self.skipTest("LeakSanitizer cannot look at a process that is looked at already")
        super().setUp()

    def traced(self, world, roots):
        """A watcher, and a command's prefix under which strace and the watcher both see it."""
        watcher = calls.Watcher(roots)
        watcher.start()
        log = world.scratch / f"strace-{len(list(world.scratch.glob('strace-*')))}"
        prefix = ["strace", "-f", "-y", "-s", "0", "-e", "signal=none", "-o", log, sys.executable, calls.__file__,
                  str(watcher.channel.fileno())]
        return watcher, log, prefix

    def agree(self, watcher, log, roots, least):
        watcher.end()
        traced = Strace(log, roots)
        self.assertEqual({}, dict(traced.unknown), "calls that calls.py does not know")
        watched = collections.Counter((seen.call.name, seen.call.where) for seen in watcher.calls)
        self.assertEqual({}, dict(traced.seen - watched), "calls that escaped the watcher")
        self.assertEqual({}, dict(watched - traced.seen), "calls that strace did not see")
        self.assertGreater(sum(watched.values()), least)

    def command(self, world, roots, least, *arguments):
        watcher, log, prefix = self.traced(world, roots)
        done = subprocess.run([*map(str, prefix), harness.program(), *map(str, arguments)], cwd=world.scratch, check=False,
                              capture_output=True, pass_fds=[watcher.channel.fileno()], timeout=harness.COMMAND_SECONDS,
                              preexec_fn=harness.end_with_parent)
        self.assertEqual(OK, done.returncode, done.stderr.decode())
        self.agree(watcher, log, roots, least)

    def by_launcher(self, world, roots):
        """A watcher, strace's log, and how to start a daemon that both see."""
        watcher, log, prefix = self.traced(world, roots)

        def launcher(arguments, cwd, **options):
            return harness.launch([*prefix, *arguments], cwd, pass_fds=[watcher.channel.fileno()], **options)

        return watcher, log, launcher

    def drain(self, watcher, process, log):
        os.kill(watcher.pid, harness.signal.SIGTERM)  # strace would not pass it on
        self.assertEqual(OK, process.wait(harness.DRAIN_SECONDS), log())

    def test_no_call_of_a_vault_escapes(self):
        world = self.grow(self.make_world())
        world.realm.start("lux", "rome")
        roots = {"vault": world.realm.vault("oslo")}
        watcher, log, launcher = self.by_launcher(world, roots)
        daemon = harness.Daemon(world.realm.vault("oslo"), world.scratch / "oslo.log", world.scratch, launcher=launcher)
        self.reaches_all(world.backup())
        self.holds(world)
        self.drain(watcher, daemon.process, daemon.log)
        self.agree(watcher, log, roots, 600)

    def test_no_call_of_a_databases_agent_and_of_its_vault_escapes(self):
        world = protected.make_protected_world(self.scratch / "base")
        self.addCleanup(world.end)
        vault, home = {"vault": world.realm.vault("oslo")}, {"home": world.realm.home}
        vault_watcher, vault_log, vault_launcher = self.by_launcher(world, vault)
        daemon = harness.Daemon(world.realm.vault("oslo"), world.scratch / "oslo.log", world.scratch, launcher=vault_launcher)
        world.realm.start("lux", "rome")
        world.start_server()
        home_watcher, home_log, home_launcher = self.by_launcher(world, home)
        world.start_agent(home_launcher, **{"base-every": "1 h"})
        writer = world.start_writer()
        deadline = time.monotonic() + harness.COMMAND_SECONDS
        while len(writer.acknowledged) < 24 or "is durable" not in world.agent.log() or len(world.spools()) > 1:
            self.assertLess(time.monotonic(), deadline, world.agent.log())
            self.assertIsNone(world.agent.process.poll(), world.agent.log())
            time.sleep(0.05)
        self.drain(home_watcher, world.agent.process, world.agent.log)
        self.drain(vault_watcher, daemon.process, daemon.log)
        self.agree(home_watcher, home_log, home, 250)
        self.agree(vault_watcher, vault_log, vault, 300)

    def test_no_call_of_an_agent_escapes(self):
        world = self.grow(self.make_world())
        world.realm.start()
        self.command(world, {"home": world.realm.home}, 150, "backup", "--home", world.realm.home, "source")
        (world.scratch / "dump").write_bytes(b"dump" * 100_000)
        self.command(world, {"home": world.realm.home}, 100, "ingest", "--home", world.realm.home, "dump", "--", "cat", "dump")

    def test_a_call_that_a_signal_restarts_is_one_call(self):
        place = self.scratch / "place"
        place.mkdir()
        world = matrix.World(self.scratch, None)
        watcher, log, prefix = self.traced(world, {"place": place})
        program = ("import os, signal\n"
                   "child = os.fork()\n"
                   "if child == 0:\n"
                   "    for _ in range(300): os.kill(os.getppid(), signal.SIGCHLD)\n"
                   "    os._exit(0)\n"
                   "file = os.open('place/file', os.O_WRONLY | os.O_CREAT)\n"
                   "for _ in range(2000): os.write(file, b'x')\n"
                   "os.waitpid(child, 0)\n")  # fmt: skip
        subprocess.run([*map(str, prefix), sys.executable, "-c", program], cwd=self.scratch, check=True,
                       pass_fds=[watcher.channel.fileno()], timeout=harness.COMMAND_SECONDS, preexec_fn=harness.end_with_parent)
        self.assertIn("ERESTARTSYS", log.read_text(errors="surrogateescape"), "no call was interrupted: the test shows nothing")
        self.agree(watcher, log, {"place": place}, 2000)
        self.assertEqual(2000, (place / "file").stat().st_size)

    def test_no_call_of_a_restore_escapes(self):
        world = self.make_world()
        world.realm.start()
        place = world.scratch / "place"
        place.mkdir()
        self.command(world, {"place": place, "site": world.realm.site}, 100, "restore", "--site", world.realm.site,
                     *world.opening, "--target", place / "tree")

    def test_no_call_of_the_keepers_of_keys_escapes(self):
        base = self.scratch / "base"
        base.mkdir()
        world = matrix.World(base, harness.Realm(base, create=False))
        roots = {"realm": world.realm.root}
        self.command(world, roots, 500, *world.realm.creation)
        self.command(world, roots, 100, "ceremony", "era", world.realm.name, "--registry", "docs")


if __name__ == "__main__":
    harness.main()
