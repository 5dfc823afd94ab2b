"""Entries become files. Pages: formats/README.md (step 7), listing.md (meaning)."""
import hmac
import os
import stat

from .faults import Damaged, Denied, Fault, say, shown
from .listing import BLOCK, CHARACTER, DIRECTORY, PIPE, REGULAR, SOCKET, SYMLINK, UNREADABLE
from .plaintext import CONTENT, GROUP

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
KINDS = {PIPE: stat.S_IFIFO, SOCKET: stat.S_IFSOCK, CHARACTER: stat.S_IFCHR, BLOCK: stat.S_IFBLK}
KEPT_OPEN = 200
UNREADABLE = 1


class Target:
    """A fresh directory. Everything below it is reached through directories that were opened here, never through a link."""

    def __init__(self, path):
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
        self.root = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        if os.listdir(self.root):
            raise Fault(f"target '{path}'", "is not empty", "name a fresh directory")
        self.names, self.opened = [], []

    def directory(self, names):
        """A descriptor of a directory below the target. At most KEPT_OPEN are open; beyond, paths are walked anew."""
        same = 0
        while same < min(len(names), len(self.names)) and names[same] == self.names[same]:
            same += 1
        for descriptor in self.opened[same:]:
            if descriptor is not None:
                os.close(descriptor)
        del self.names[same:], self.opened[same:]
        current = self.opened[-1] if self.opened else self.root
        if current is None:
            current = self.opened[-1] = self.walk(self.names)
        for name in names[same:]:
            current = os.open(name, FOLDER_FLAGS, dir_fd=current)
            self.names.append(name)
            self.opened.append(current)
            if len(self.opened) > KEPT_OPEN and self.opened[-KEPT_OPEN - 1] is not None:
                os.close(self.opened[-KEPT_OPEN - 1])
                self.opened[-KEPT_OPEN - 1] = None
        return current

    def walk(self, names):
        current = os.dup(self.root)
        for name in names:
            following = os.open(name, FOLDER_FLAGS, dir_fd=current)
            os.close(current)
            current = following
        return current


class Restorer:
    """Writes a snapshot's entries below a target, and keeps account of what could not be."""

    def __init__(self, chunks, target, owner=None):
        self.chunks, self.target, self.root, self.owner = chunks, target, os.geteuid() == 0, owner
        self.folders, self.links, self.problems, self.damaged, self.written = [], {}, [], [], 0

    def problem(self, entry, why):
        self.problems.append(f"{shown(entry.path) or '.'}: {why}")
        say(self.problems[-1])

    def entry(self, entry):
        *above, name = entry.parts or [None]
        try:
            first = self.first_name(entry)
            if entry.problem:
                self.problem(entry, ("could not be read", "changed")[entry.problem - 1] + " while it was captured")
            if first:
                return self.link(first, above, name)
            if entry.problem == UNREADABLE and entry.type not in (DIRECTORY, REGULAR):
                return None  # better absent than made up
            if entry.type == DIRECTORY:
                if name is not None:
                    os.mkdir(name, 0o700, dir_fd=self.target.directory(above))
                self.folders.append(entry)
            else:
                self.leaf(entry, self.target.directory(above), name)
                if entry.link and entry.problem != UNREADABLE:
                    self.links.setdefault(entry.link, []).append(entry)
            self.written += 1
        except (Damaged, Denied) as error:
            self.damaged.append(entry)
            say(f"not restored: {shown(entry.path)}: {error}")
        except (OSError, OverflowError) as error:
            self.problem(entry, f"could not be created: {getattr(error, 'strerror', None) or error}")

    def first_name(self, entry):
        """The earlier name that this one is a link to. A number of an inode alone does not make two names one file."""
        firsts = self.links.get(entry.link, []) if entry.link else []
        for first in firsts:
            if self.like(first) == self.like(entry) and (entry.problem == UNREADABLE or self.data(first) == self.data(entry)):
                return first
        if firsts:
            self.problem(entry, f"shared an inode with '{shown(firsts[0].path)}' when it was captured, but not its content and time")
        return None

    @staticmethod
    def like(entry):
        return entry.type, entry.size, entry.mtime

    @staticmethod
    def data(entry):
        return entry.content_id or (entry.slices, entry.sparse, entry.extents), entry.target, entry.device

    def link(self, entry, above, name):
        first = entry.parts
        source = os.dup(self.target.directory(first[:-1]))
        try:
            os.link(first[-1], name, src_dir_fd=source, dst_dir_fd=self.target.directory(above), follow_symlinks=False)
            self.written += 1
        finally:
            os.close(source)

    def leaf(self, entry, folder, name):
        if entry.type == REGULAR:
            draft = b".restoring-" + os.urandom(8).hex().encode()
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                self.content(entry, descriptor)
                self.dress(entry, descriptor)
                os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(draft, dir_fd=folder)
                raise
            finally:
                os.close(descriptor)
            return
        if entry.type == SYMLINK:
            os.symlink(entry.target, name, dir_fd=folder)
        else:
            os.mknod(name, KINDS[entry.type] | 0o600, os.makedev(*entry.device), dir_fd=folder)
        self.dress(entry, folder, name)

    def content(self, entry, descriptor):
        """Slices end to end, at the extents if the file is sparse; the content id last."""
        digest = hmac.new(self.chunks.record.dedup, b"\x04", "sha256") if entry.content_id else None
        places = iter(entry.extents if entry.sparse else [(0, entry.size)])
        at = left = 0
        for chunk, offset, length in entry.slices:
            data = self.chunks.get(chunk, CONTENT, GROUP)
            if offset + length > len(data):
                raise Damaged(f"listing of snapshot {self.chunks.record.name.hex()[:12]}", "a slice reaches beyond its chunk")
            data = memoryview(data)[offset:offset + length]
            if digest:
                digest.update(data)
            while data:
                if not left:
                    at, left = next(places)
                done = os.pwrite(descriptor, data[:left], at)
                data, at, left = data[done:], at + done, left - done
        os.ftruncate(descriptor, entry.size if entry.slices or not entry.problem else 0)  # what was not captured stays empty
        if digest and digest.digest()[:16] != entry.content_id:
            raise Damaged(f"listing of snapshot {self.chunks.record.name.hex()[:12]}", "the file has another content id")

    def dress(self, entry, descriptor, name=None):
        """Owner, extended attributes, mode, time. By descriptor, or by `name` in the directory `descriptor`."""
        place = descriptor if name is None else f"/proc/self/fd/{descriptor}/".encode() + name
        follow = {} if name is None else {"follow_symlinks": False}
        mode = entry.mode
        if self.root:
            self.attempt(entry, "owner", lambda: os.chown(place, *(self.owner or entry.owner[:2]), **follow))
        else:
            mode &= 0o1777  # set-user-id for whoever restores would be a hole
        for key, value in entry.attributes:
            self.attempt(entry, f"attribute {shown(key)}", lambda k=key, v=value: os.setxattr(place, k, v, **follow))
        if entry.type != SYMLINK:
            self.attempt(entry, "mode", lambda: os.chmod(place, mode))
        self.attempt(entry, "time", lambda: os.utime(place, ns=(entry.mtime, entry.mtime), **follow))

    def attempt(self, entry, what, act):
        try:
            act()
        except (OSError, OverflowError, ValueError) as error:
            self.problem(entry, f"{what} could not be set: {getattr(error, 'strerror', None) or error}")

    def finish(self):
        """Directories last and deepest first, because filling one changes its time."""
        for entry in reversed(self.folders):
            self.dress(entry, self.target.directory(entry.parts))
