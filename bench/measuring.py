"""Measuring: one command at a time, in a directory that does not outlive the benchmark. Standard library only."""

import contextlib
import json
import multiprocessing
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

COMMAND_SECONDS = 900  # no single command takes longer, or the benchmark gives up


class Measured:
    """Of one command that ended well. Memory is that of the largest process; CPU includes its children's."""

    def __init__(self, wall, cpu, memory_kib, output):
        self.wall, self.cpu, self.memory_kib, self.output = wall, cpu, memory_kib, output
        self.report = None  # the command's own --json answer, if it gives one


def measure(command, environment=None):
    """Runs a command to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        clock = threading.Timer(COMMAND_SECONDS, process.kill)
        clock.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            clock.cancel()
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            err.seek(0)
            say(err.read().decode(errors="replace")[-2000:])
            sys.exit(f"bench: {' '.join(map(str, command))} ended with {process.returncode}")
        out.seek(0)
        return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, out.read().decode())


def in_own_process(function, *arguments):
    """Runs `function` beside this process. What a command is said to have used includes what its starter held: whoever
    starts commands must stay small, so what makes the data does not run here."""
    maker = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    maker.start()
    try:
        maker.join()
    except BaseException:
        maker.kill()
        raise
    if maker.exitcode != 0:
        sys.exit(f"bench: {function.__name__} failed")


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_seconds_of(pid):
    """Of a process that still runs, all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def size_of(directory):
    total = 0
    for path, _, names in os.walk(directory):
        for name in names:
            total += os.lstat(os.path.join(path, name)).st_size
    return total


def available_memory():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def workspace(needed_bytes, where=None):
    """A directory of this run's own, removed at the end: in memory (tmpfs) if that has room for `needed_bytes`, so that
    neither the disk nor the kernel's slow reuse of deleted inodes is measured; else on disk. Yields it and which."""
    shared = pathlib.Path("/dev/shm")
    spare = 2 << 30
    fits = shared.is_dir() and min(shutil.disk_usage(shared).free, available_memory()) > needed_bytes + spare
    parent = where or (shared if fits else None)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="exclave-bench-", dir=parent))
    kind = "memory (tmpfs)" if parent == shared else f"the file system of {directory.parent}"
    try:
        yield directory, kind
    finally:
        remove(directory)


def require_room(directory, needed_bytes, advice):
    """Before anything is measured: a disk that fills up in the middle looks like a fault of whoever writes then."""
    free = shutil.disk_usage(directory).free
    if free < needed_bytes:
        sys.exit(f"bench: {directory.parent} has {free / 1e9:.0f} GB free, and this takes up to {needed_bytes / 1e9:.0f}; {advice}")


def touch_memory(directory, count):
    """Before a restore into memory is measured: in a virtual machine, memory that was given back costs whoever touches it
    first more than the write itself (here 1.3 GB: up to two core-seconds), and who that is would be chance."""
    path = directory / "touched"
    with open(path, "wb") as out:
        block = bytes(4 << 20)
        for _ in range(0, count, len(block)):
            out.write(block)
    path.unlink()


def remove(directory):
    """Also where directories were made read-only."""
    subprocess.run(["chmod", "-R", "u+rwx", str(directory)], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(directory, ignore_errors=True)


class Deadline:
    """Bounds a benchmark: no round is begun when the next one would probably not end in time."""

    def __init__(self, minutes):
        self.end = time.monotonic() + minutes * 60
        self.longest = 0.0

    def rounds(self, count):
        for number in range(count):
            start = time.monotonic()
            if number > 0 and start + self.longest > self.end:
                say(f"stopped after {number} of {count} rounds: the next would pass the time limit")
                return
            yield number
            self.longest = max(self.longest, time.monotonic() - start)


class Series:
    """Figures by name, each a list over the rounds."""

    def __init__(self):
        self.values = {}

    def add(self, **figures):
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)

    def __getitem__(self, name):
        return statistics.median(self.values[name])

    def largest(self, name):
        return max(self.values[name])

    def count(self):
        return max((len(v) for v in self.values.values()), default=0)


def ratio(ours, theirs, name):
    return round(ours[name] / theirs[name], 3)


def megabytes(kib):
    return round(kib * 1024 / 1e6)


def stage_table(report, stages, gigabytes):
    lines = []
    for stage in stages:
        seconds = report["stages"][stage]
        lines.append(f"  {stage:22}{seconds:9.3f}{seconds / max(gigabytes, 1e-9):10.3f}")
    return "\n".join(lines)


CAPTURE_STAGES = ["walk", "read", "cut", "hash", "compress", "pack", "seal", "code"]
CAPTURE_WAITS = ["send", "wait"]
RESTORE_STAGES = ["open", "decompress", "write"]


def show_stages(captured, restored, gigabytes):
    print(f"\n{'stage (last first capture)':24}{'core-s':>9}{'per GB':>10}")
    print(stage_table(captured, CAPTURE_STAGES, gigabytes))
    print("  waiting, wall seconds")
    print(stage_table(captured, CAPTURE_WAITS, gigabytes))
    if restored is not None:
        print("stage (last restore)")
        print(stage_table(restored, RESTORE_STAGES, gigabytes))


def finish(arguments, result):
    """The machine-readable end."""
    if arguments.json:
        print(json.dumps(result))


def common_options(parser, rounds, minutes):
    parser.add_argument("--rounds", type=int, default=rounds, help=f"medians of so many (default {rounds})")
    parser.add_argument("--minutes", type=float, default=minutes, help=f"begin no round that would end later (default {minutes})")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
