"""A restore, killed and failed at each call on its target: it is gone on with, or says what is wrong; nothing half
written is ever taken for a restored file."""
import os
import pathlib
import random
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
from harness import OK, PARTIAL  # noqa: E402


def make_varied_tree(directory):
    """One of each kind that a restore treats in its own way."""
    generator = random.Random(3)
    for name in ("closed", "open/below"):
        (directory / name).mkdir(parents=True)
    for i in range(3):
        (directory / f"open/small-{i}").write_bytes(generator.randbytes(900) * (i + 1))
    (directory / "open/below/large").write_bytes(generator.randbytes(3_000_000))
    (directory / "open/twin").write_bytes(b"one file of two names")
    os.link(directory / "open/twin", directory / "open/below/twin")
    (directory / "empty").write_bytes(b"")
    with open(directory / "sparse", "wb") as sparse:
        sparse.write(b"begin")
        sparse.seek(5_000_000)
        sparse.write(b"end")
    (directory / "link").symlink_to("open/small-0")
    os.mkfifo(directory / "fifo")
    (directory / "closed/program").write_bytes(b"#!/bin/sh\n")
    os.chown(directory / "closed/program", 1234, 1234)
    (directory / "closed/program").chmod(0o4755)
    try:
        os.setxattr(directory / "open/small-1", "user.origin", b"registry")
    except OSError:
        pass  # the file system keeps none
    (directory / "closed").chmod(0o500)
    for path in sorted(directory.rglob("*"), reverse=True):
        os.utime(path, ns=(0, generator.randrange(10**18)), follow_symlinks=False)


def facts_of(path):
    """All that a restore gives back of one entry."""
    info = os.lstat(path)
    kind = stat.S_IFMT(info.st_mode)
    content = None
    if kind == stat.S_IFREG:
        content = path.read_bytes()
    elif kind == stat.S_IFLNK:
        content = os.readlink(path)
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}
    links = info.st_nlink if kind == stat.S_IFREG else None
    return (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, links, xattrs, content)


def facts_below(directory):
    """By path; the directory itself is ""."""
    return {os.path.relpath(p, directory).removeprefix("."): facts_of(p) for p in [directory, *directory.rglob("*")]}


class RestoreCrash(matrix.CrashTest):
    def test_H7_a_restore_that_fails_can_be_gone_on_with(self):
        self.run_matrix("restore", self.make_world(make_varied_tree), self.attempt_restore, 150)

    def attempt_restore(self, world, fault):
        world.realm.start()
        source = facts_below(world.scratch / "source")
        place = world.scratch / "place"
        place.mkdir()
        target = place / "tree"
        command = [harness.program(), "--json", "restore", "--site", world.realm.site, *world.opening, "--target", target]
        watcher = calls.Watcher({"place": place, "site": world.realm.site}, fault)
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        if first.code not in (OK, PARTIAL):
            self.nothing_looks_finished_that_is_not(world.scratch / "source", target)
            # Killed when the mark had gone: all is there, and the same command finds a target that is in use.
            has_ended = target.exists() and any(target.iterdir()) and not (place / "tree.exclave-restore").exists()
            if not has_ended:
                self.ok(harness.run_process(command, world.scratch))
        restored = facts_below(target)
        if first.code == PARTIAL:
            problems = first.json()["problems"]
            self.assertTrue(problems, str(first))
            for problem in problems:
                restored.pop(problem["path"], None)
                del source[problem["path"]]
        self.assertEqual(source, restored, str(first))
        return watcher

    def nothing_looks_finished_that_is_not(self, source, target):
        """Size and time are what a second run goes by, and a person too."""
        for path in target.rglob("*"):
            original = source / path.relative_to(target)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                continue
            info, original_info = path.stat(), original.stat()
            if (info.st_size, info.st_mtime_ns) == (original_info.st_size, original_info.st_mtime_ns):
                mode, user, group, time, _, xattrs, content = facts_of(path)
                self.assertEqual(facts_of(original), (mode, user, group, time, original_info.st_nlink, xattrs, content), path)


if __name__ == "__main__":
    harness.main()
