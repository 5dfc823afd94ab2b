"""The file-system calls of a running process: seen in the order the kernel sees them, and any one of them failed.

The kernel hands every call to this process before it happens (seccomp user notification, seccomp_unotify(2)): calls of
all threads and of every library, in one order, whoever makes them and however. It is then let pass, refused with an
error, carried out in part, or never answered because the caller is killed. The program itself is what a user installs.

    process --call--> kernel --notification--> Watcher: path, class, number --> let pass | EIO | short | full | kill

A call is named by what survives the next run: (system call, class of path, occurrence). The class is the path with its
changing parts replaced ("vault/objects/XX/HASH"), so a thread that is scheduled otherwise does not renumber the rest.

Only calls on paths below the given roots count; others pass. Takes root (a program that holds keys lets nobody but root
look at its memory) and Linux 5.6.
"""
import array
import collections
import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import pathlib
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import harness  # noqa: E402

# --- which calls, and where their paths are ---

# name -> arguments that say where: ("fd", n) a descriptor, ("path", n) a path, ("at", n, m) path m from directory n.
# Of calls with two paths the one that comes to be, or ceases.
CHANGING = {
    "open": ("path", 0), "creat": ("path", 0), "openat": ("at", 0, 1), "openat2": ("at", 0, 1),
    "write": ("fd", 0), "pwrite64": ("fd", 0), "writev": ("fd", 0), "pwritev": ("fd", 0), "pwritev2": ("fd", 0),
    "sendfile": ("fd", 0), "copy_file_range": ("fd", 2), "splice": ("fd", 2),
    "truncate": ("path", 0), "ftruncate": ("fd", 0), "fallocate": ("fd", 0),
    "fsync": ("fd", 0), "fdatasync": ("fd", 0), "sync_file_range": ("fd", 0), "syncfs": ("fd", 0),
    "rename": ("path", 1), "renameat": ("at", 2, 3), "renameat2": ("at", 2, 3),
    "link": ("path", 1), "linkat": ("at", 2, 3), "symlink": ("path", 1), "symlinkat": ("at", 1, 2),
    "unlink": ("path", 0), "unlinkat": ("at", 0, 1), "rmdir": ("path", 0),
    "mkdir": ("path", 0), "mkdirat": ("at", 0, 1), "mknod": ("path", 0), "mknodat": ("at", 0, 1),
    "chmod": ("path", 0), "fchmod": ("fd", 0), "fchmodat": ("at", 0, 1), "fchmodat2": ("at", 0, 1),
    "chown": ("path", 0), "lchown": ("path", 0), "fchown": ("fd", 0), "fchownat": ("at", 0, 1),
    "utime": ("path", 0), "utimes": ("path", 0), "futimesat": ("at", 0, 1), "utimensat": ("at", 0, 1),
    "setxattr": ("path", 0), "lsetxattr": ("path", 0), "fsetxattr": ("fd", 0),
    "removexattr": ("path", 0), "lremovexattr": ("path", 0), "fremovexattr": ("fd", 0),
}  # fmt: skip
READING = {
    "read": ("fd", 0), "pread64": ("fd", 0), "getdents64": ("fd", 0), "newfstatat": ("at", 0, 1), "statx": ("at", 0, 1),
    "access": ("path", 0), "faccessat": ("at", 0, 1), "faccessat2": ("at", 0, 1),
}  # fmt: skip
OPENING = {"open": 1, "openat": 2}  # where the flags are; opening to read alone is a reading call
DATA = {"write", "pwrite64"}  # what can be carried out in part
UNTAUGHT = {"writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice", "openat2"}  # by nobody so far
# Calls that may need room on the disk.
NEED_ROOM = DATA | {"open", "creat", "openat", "fallocate", "link", "linkat", "symlink", "symlinkat", "mkdir",
                    "mkdirat", "mknod", "mknodat", "setxattr", "lsetxattr", "fsetxattr"}  # fmt: skip
SYNCS = {"fsync", "fdatasync", "syncfs"}  # what promises rest on; sync_file_range is a hint to the kernel
PROBE = "sync_file_range-probe"  # without flags it does nothing, and cannot fail on a file
MAKES_FILE = os.O_CREAT | os.O_TRUNC | (os.O_TMPFILE & ~os.O_DIRECTORY)

AT_FDCWD = 0xFFFFFF9C  # as the low half of an argument


@functools.cache
def call_numbers():
    """Names to numbers of this machine, from the compiler's headers: they differ between architectures."""
    headers = subprocess.run(["g++", "-dM", "-E", "-x", "c", "-"], input=b"#include <sys/syscall.h>\n", check=True,
                             capture_output=True).stdout.decode()
    return {name: int(number) for name, number in re.findall(r"^#define __NR_(\w+) (\d+)$", headers, flags=re.M)}


# --- the filter ---

SYS_SECCOMP_SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3
PR_SET_NO_NEW_PRIVS = 38
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101
CONTINUE = 1
NOTIFICATION = struct.Struct("QIIiIQ6Q")
ANSWER = struct.Struct("QqiI")
RET_NOTIFY, RET_ALLOW = 0x7FC00000, 0x7FFF0000
LOAD, JUMP_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x45, 0x06


def make_filter(numbers):
    """BPF: notify of CHANGING and READING calls, let the rest pass."""

    def instruction(code, value, if_true=0, if_false=0):
        return struct.pack("HBBI", code, if_true, if_false, value)

    program = [instruction(LOAD, 0)]
    for name in {**CHANGING, **READING}:
        if name in numbers:
            program += [instruction(JUMP_EQUAL, numbers[name], 0, 1), instruction(RETURN, RET_NOTIFY)]
    program.append(instruction(RETURN, RET_ALLOW))
    return b"".join(program)


class Launch:
    """Installs the filter in the process to be, and hands its listener to the watcher. Made before the fork."""

    def __init__(self, numbers):
        code = make_filter(numbers)
        self._instructions = ctypes.create_string_buffer(code)
        self._program = ctypes.create_string_buffer(
            struct.pack("H6xP", len(code) // 8, ctypes.addressof(self._instructions)))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._seccomp = numbers["seccomp"]

    def enter(self, channel):
        """In the child, as its last act before exec."""
        self._libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        listener = self._libc.syscall(self._seccomp, SYS_SECCOMP_SET_MODE_FILTER, NEW_LISTENER, self._program)
        if listener < 0:
            raise OSError(ctypes.get_errno(), "seccomp with a listener was refused")
        channel.sendmsg([struct.pack("I", os.getpid())],
                        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])


def is_allowed():
    """Whether this machine lets one process watch another's calls: some containers do not."""
    child = os.fork()
    if child == 0:
        allowed = False
        with contextlib.suppress(OSError):
            ours, _theirs = socket.socketpair()
            Launch({"seccomp": call_numbers()["seccomp"]}).enter(ours)
            allowed = True
        os._exit(0 if allowed else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- names of calls ---

Call = collections.namedtuple("Call", "name where number")  # number: 1 = the first of this name and class
Fault = collections.namedtuple("Fault", "call kind")  # kind: kill, eio, short, full
Seen = collections.namedtuple("Seen", "call size changes")  # size: of data; changes: False for reading calls


def label_of(name, changes, is_probe):
    if is_probe:
        return PROBE
    return name if changes or name in READING else name + "-to-read"


def class_of(path, roots):
    """"vault/table/N.log" for a path below a root, else None. `roots`: (label, absolute path), see sorted_roots."""
    for label, root in roots:
        if path == root:
            return label
        if path.startswith(root + "/"):
            parts = path[len(root) + 1:].split("/")
            return "/".join([label, *map(class_of_name, parts)])
    return None


def sorted_roots(roots):
    """Longest first: a root may lie in another. Several paths may have one label."""
    pairs = roots.items() if isinstance(roots, dict) else roots
    return sorted(((label, os.path.realpath(path)) for label, path in pairs), key=lambda pair: -len(pair[1]))


def class_of_name(name):
    if name.startswith(".tmp-"):
        return ".tmp"
    if re.fullmatch(r"[0-9a-f]{2}", name):
        return "XX"
    return re.sub(r"\d+", "N", re.sub(r"[0-9a-f]{32,}", "HASH", name))


# --- the watcher ---


class Watcher(threading.Thread):
    """Follows one process to its end. `calls`: what was seen since start or the last arm(); `hit`: the fault happened."""

    def __init__(self, roots, fault=None):
        super().__init__(daemon=True)
        self._roots = sorted_roots(roots)
        self._fault = fault
        self._lock = threading.Lock()
        self._counts, self._counted = collections.Counter(), None  # the identity of the call that was counted last
        self.calls, self.hit, self.is_full, self.failure = [], False, False, None
        self._is_watching = True
        self.pid = None  # of the watched process, once it is there
        self._names = {number: name for name, number in call_numbers().items() if name in CHANGING or name in READING}
        self._ours, self.channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pidfd_getfd = call_numbers()["pidfd_getfd"]
        self._processes, self._memory = {}, None

    def arm(self, fault=None):
        """Counts from here on."""
        with self._lock:
            self.calls, self._fault = [], fault
            self._counts.clear()
            self._counted = None

    def rest(self):
        """From here on every call passes, none is counted; there is room on the disk again."""
        with self._lock:
            self._is_watching = self.is_full = False

    def run(self):
        try:
            with self._ours:
                self._follow()
        except Exception as failure:  # reported by whoever joins
            self.failure = failure

    def end(self):
        """After the process has ended: waits for the thread, and passes its failure on."""
        self.channel.close()
        self.join(30)
        if self.failure is not None:
            raise self.failure
        if self.is_alive():
            raise AssertionError("the watcher did not end with its process")

    def _follow(self):
        message, rights, _, _ = self._ours.recvmsg(4, socket.CMSG_LEN(4))
        if not rights:
            return  # the child never came to it
        self.pid = struct.unpack("I", message)[0]
        listener = array.array("i", rights[0][2])[0]
        try:
            self._process = os.pidfd_open(self.pid)
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            while True:
                events = poll.poll()[0][1]
                if not events & select.POLLIN:
                    return  # nobody is left
                notification = bytearray(NOTIFICATION.size)
                try:
                    fcntl.ioctl(listener, NOTIF_RECV, notification)
                except OSError as error:
                    if error.errno in (errno.ENOENT, errno.EINTR):
                        continue  # killed meanwhile
                    raise
                answer = self._decide(NOTIFICATION.unpack(notification))
                if answer is None:
                    continue
                try:
                    fcntl.ioctl(listener, NOTIF_SEND, ANSWER.pack(*answer))
                except FileNotFoundError:  # killed meanwhile, or interrupted by a signal: then the call comes again
                    self._take_back(answer)
        finally:
            os.close(listener)
            if self._memory is not None:
                os.close(self._memory)

    # Answers: (id, value, error, flags), or None for a caller that is dead.
    def _decide(self, notification):
        identity, thread, _, number, _, _, *arguments = notification
        passes = (identity, 0, 0, CONTINUE)
        name = self._names[number]
        try:
            if self._process_of(thread) != self.pid:
                return passes  # a command that the program started
            where = class_of(self._path(thread, name, arguments), self._roots)
        except (FileNotFoundError, ProcessLookupError):
            return passes  # ended meanwhile
        if where is None:
            return passes
        if name in UNTAUGHT:
            raise AssertionError(f"{name} on {where}: calls.py must be taught to cut this call short")
        changes = name in CHANGING and not (name in OPENING and not arguments[OPENING[name]] & MAKES_FILE)
        label = label_of(name, changes, name == "sync_file_range" and arguments[3] & 0xFFFFFFFF == 0)
        with self._lock:
            if not self._is_watching:
                return passes
            self._counts[label, where] += 1
            call = Call(label, where, self._counts[label, where])
            self._counted = identity
            self.calls.append(Seen(call, arguments[2] if name in DATA else 0, changes))
            if self.is_full and changes and name in NEED_ROOM:
                return (identity, 0, -errno.ENOSPC, 0)
            if self._fault is None or self._fault.call != call or self.hit:
                return passes
            self.hit = True
            return self._fail(identity, thread, name, arguments)

    def _take_back(self, answer):
        """The call that was counted last did not happen, if it was one that counts."""
        with self._lock:
            if answer[0] == self._counted and answer[3] == CONTINUE:
                self._counts[self.calls.pop().call[:2]] -= 1

    def _fail(self, identity, thread, name, arguments):
        kind = self._fault.kind
        if kind == "kill":
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
            return None
        if kind == "eio":
            return (identity, 0, -errno.EIO, 0)
        self.is_full = kind == "full"
        if name not in DATA or arguments[2] < 2:
            return (identity, 0, -errno.ENOSPC, 0)
        return (identity, self._write_half(thread, name, arguments), 0, 0)

    def _write_half(self, thread, name, arguments):
        descriptor, address, size, offset = arguments[:4]
        data = os.pread(self._memory_of(thread), size // 2, address)
        if name == "pwrite64":  # not their descriptor, which may want whole blocks
            file = os.open(f"/proc/{thread}/fd/{descriptor & 0xFFFFFFFF}", os.O_WRONLY)
            try:
                return os.pwrite(file, data, offset)
            finally:
                os.close(file)
        # Their own descriptor: write() goes on where its position is, and moves it.
        borrowed = ctypes.CDLL(None, use_errno=True).syscall(self._pidfd_getfd, self._process, descriptor, 0)
        if borrowed < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd was refused")
        try:
            return os.write(borrowed, data)
        finally:
            os.close(borrowed)

    # --- looking into the process ---

    def _process_of(self, thread):
        if thread not in self._processes:
            status = pathlib.Path(f"/proc/{thread}/status").read_text()
            self._processes[thread] = int(re.search(r"^Tgid:\s*(\d+)", status, flags=re.M).group(1))
        return self._processes[thread]

    def _memory_of(self, thread):
        if self._memory is None:
            self._memory = os.open(f"/proc/{thread}/mem", os.O_RDONLY)
        return self._memory

    def _text_at(self, thread, address):
        if address == 0:
            return ""  # futimens: utimensat of the descriptor itself
        text = b""
        while b"\0" not in text and len(text) < 2 * 4096:
            # To the page's end, since the next one may not be there.
            piece = os.pread(self._memory_of(thread), 4096 - (address + len(text)) % 4096, address + len(text))
            text += piece
        return os.fsdecode(text.split(b"\0", 1)[0])

    def _path(self, thread, name, arguments):
        kind, *at = CHANGING.get(name) or READING[name]
        if kind == "fd":
            return self._path_of_descriptor(thread, arguments[at[0]])
        path = self._text_at(thread, arguments[at[-1]])
        own = re.fullmatch(r"/proc/(?:self|thread-self)/fd/(\d+)", path)
        if own:
            return self._path_of_descriptor(thread, int(own.group(1)))
        if path.startswith("/"):
            return os.path.normpath(path)
        directory = arguments[at[0]] & 0xFFFFFFFF if kind == "at" else AT_FDCWD
        start = os.readlink(f"/proc/{thread}/cwd") if directory == AT_FDCWD else \
            self._path_of_descriptor(thread, directory)
        return os.path.normpath(os.path.join(start, path)) if path else start

    @staticmethod
    def _path_of_descriptor(thread, descriptor):
        return os.readlink(f"/proc/{thread}/fd/{descriptor & 0xFFFFFFFF}").removesuffix(" (deleted)")


# --- starting a watched process ---

_launch = None


def _entry(channel):
    """What a child does before exec."""
    global _launch
    if _launch is None:
        _launch = Launch(call_numbers())

    def enter():
        harness.end_with_parent()
        _launch.enter(channel)

    return enter


def popen(watcher, arguments, cwd, **options):
    """subprocess.Popen of a process that `watcher` follows."""
    watcher.start()  # before the child: whatever it does then is answered
    return subprocess.Popen([str(a) for a in arguments], cwd=cwd, preexec_fn=_entry(watcher.channel), **options)


def run(watcher, arguments, cwd, stdin=None):
    """A watched command to its end."""
    process = popen(watcher, arguments, cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
    try:
        out, err = process.communicate(stdin, timeout=harness.COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    finally:
        watcher.end()
    return harness.Ended(arguments, process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))


def main():
    """calls.py CHANNEL COMMAND...: for a tracer that wants to be the parent of the watched process."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _entry(channel)()
    channel.close()
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
