"""Disks that a test can fill up: a file system of its own for a directory, in memory.

No ballast: the file system is made as large as what lies in it, and large again. Mounts are this process's and its children's
only, so nothing of them stays, whatever ends the test.
"""
import ctypes
import errno
import functools
import os
import shutil
import subprocess

BYTES = 4 << 30  # at most; only what is written takes memory
FILL_TRIES = 100


@functools.cache
def can_be_made():
    """If so, from now on mounts are private to this thread, and to all that it starts. Takes root."""
    new_mounts = 0x00020000
    return (os.geteuid() == 0 and ctypes.CDLL(None).unshare(new_mounts) == 0 and
            subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True).returncode == 0)


class Disk:
    """A directory's, with what was in it."""

    def __init__(self, directory):
        self.directory, self.is_mounted = directory, False
        before = directory.with_name(directory.name + ".before")
        directory.rename(before)
        directory.mkdir()
        self._mount(f"mode=0700,size={BYTES}", "-t", "tmpfs", "exclave")
        self.is_mounted = True
        subprocess.run(["cp", "-a", f"{before}/.", directory], check=True)
        shutil.rmtree(before)

    def fill(self):
        """Until not a byte can be written, whatever is written meanwhile."""
        for _ in range(FILL_TRIES):
            now = os.statvfs(self.directory)
            used = (now.f_blocks - now.f_bfree) * now.f_frsize
            if self._mount(f"remount,size={used}", check=False) and self.is_full():
                return
        raise AssertionError(f"{self.directory} does not fill up")

    def is_full(self):
        probe = self.directory / ".probe"
        try:
            probe.write_bytes(b"x")
            return False
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            return True
        finally:
            probe.unlink(missing_ok=True)

    def empty(self):
        self._mount(f"remount,size={BYTES}")

    def keep(self):
        """What lies in it goes to where the directory was before."""
        if self.is_mounted:
            kept = self.directory.with_name(self.directory.name + ".kept")
            subprocess.run(["cp", "-a", self.directory, kept], check=True)
            self.lose()
            kept.rename(self.directory)

    def lose(self):
        """With all that lies in it."""
        if self.is_mounted:
            subprocess.run(["umount", self.directory], check=True, capture_output=True)
            self.is_mounted = False
            self.directory.rmdir()

    def _mount(self, options, *more, check=True):
        return subprocess.run(["mount", *more, "-o", options, self.directory], check=check, capture_output=True).returncode == 0
