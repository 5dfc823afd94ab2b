"""The entries of a captured tree. Page: listing.md."""
import dataclasses

from .faults import Damaged, shown
from .plaintext import STREAM, Reader

REGULAR, DIRECTORY, SYMLINK, PIPE, SOCKET, CHARACTER, BLOCK = range(1, 8)
UNREADABLE, CHANGED = 1, 2  # problems
SAME_OWNER, LINKED, EXTENDED, CONTENT_ID, SPARSE, PROBLEM, MORE, LATER = (1 << bit for bit in range(8))
PART = 4096


@dataclasses.dataclass
class Entry:
    path: bytes
    type: int
    mode: int
    owner: tuple  # user, group, user name, group name
    mtime: int
    size: int
    problem: int = 0
    target: bytes = b""
    device: tuple = (0, 0)
    link: tuple = None
    attributes: list = dataclasses.field(default_factory=list)
    content_id: bytes = None
    sparse: bool = False
    extents: list = dataclasses.field(default_factory=list)
    slices: list = dataclasses.field(default_factory=list)  # (chunk id, offset, length)

    @property
    def parts(self):
        return self.path.split(b"/") if self.path else []


class ListingReader:
    """Chunks in, checked entries out, in walk order."""

    def __init__(self, kind):
        self.stream = kind == STREAM
        self.open, self.last = None, None  # the entry whose later parts are due; the last path's parts
        self.folder = []                   # the parts of the directory that the last entry is, or lies in

    def entries(self, data, noun):
        """The whole entries that end in this chunk."""
        reader = Reader(data, noun)
        self.path, self.owner, self.chunk = b"", None, None
        while reader.left():
            entry, more = self.record(Reader(reader.raw(reader.varint()), noun))
            if more:
                self.open = entry
            else:
                self.open = None
                self.check_content(entry, reader)
                yield entry

    def end(self, noun):
        if self.open is not None:
            raise Damaged(noun, "the listing ends inside an entry")

    def record(self, r):
        flags, shared = r.number("H"), r.varint()
        if flags > 0xff or shared > len(self.path):
            r.refuse("a record has unknown flags, or shares more than there is")
        path = self.path[:shared] + r.blob(1 << 20)
        if flags & LATER:
            entry = self.open
            if entry is None or entry.path != path or flags & ~(LATER | MORE | SPARSE) or bool(flags & SPARSE) != entry.sparse:
                r.refuse(f"{shown(path)}: a part is out of order")
        elif self.open is not None:
            r.refuse(f"{shown(path)}: a part of {shown(self.open.path)} is missing")
        else:
            entry = self.attributes(r, flags, path)
            self.check_path(path, entry.type, r)
        self.path = path
        if flags & (SPARSE | MORE | CONTENT_ID) and entry.type != REGULAR:
            r.refuse(f"{shown(path)}: data in something that is no regular file")
        if flags & SPARSE:
            entry.extents += [(r.varint(), r.varint()) for _ in range(self.part_count(r, 2))]
        if entry.type == REGULAR:
            entry.slices += [self.slice(r) for _ in range(self.part_count(r, 3))]
        r.end()
        return entry, bool(flags & MORE)

    def part_count(self, r, each):
        count = r.count(each)
        if count > PART:
            r.refuse("a part has too many slices or extents")
        return count

    def slice(self, r):
        same = r.number("B")
        if same > 1 or (same and self.chunk is None):
            r.refuse("a slice refers to a chunk that was not named before")
        if not same:
            self.chunk = r.raw(32)
        return self.chunk, r.small(), r.small()

    def attributes(self, r, flags, path):
        kind, mode = r.number("B"), r.varint()
        if not REGULAR <= kind <= BLOCK or mode > 0o7777:
            r.refuse(f"{shown(path)}: unknown type {kind} or mode {mode:o}")
        if flags & SAME_OWNER:
            if self.owner is None:
                r.refuse("an owner refers to one that was not named before")
        else:
            self.owner = (r.small(), r.small(), r.blob(256), r.blob(256))
        entry = Entry(path, kind, mode, self.owner, r.number("q"), r.varint(), sparse=bool(flags & SPARSE))
        if flags & PROBLEM:
            entry.problem = r.number("B")
            if entry.problem not in (UNREADABLE, CHANGED):
                r.refuse(f"{shown(path)}: unknown problem")
        if kind == SYMLINK:
            entry.target = r.blob(1 << 20)
            if not entry.target or b"\0" in entry.target:
                r.refuse(f"{shown(path)}: a link without a target")
        if kind in (CHARACTER, BLOCK):
            entry.device = (r.small(), r.small())
        if flags & LINKED:
            entry.link = (r.varint(), r.varint())
        if flags & EXTENDED:
            entry.attributes = [(r.blob(255), r.blob(1 << 20)) for _ in range(self.part_count(r, 2))]
            if any(not n or b"\0" in n for n, _ in entry.attributes) or sum(len(n + v) for n, v in entry.attributes) > 1 << 20:
                r.refuse(f"{shown(path)}: extended attributes with a bad name, or too large")
        if flags & CONTENT_ID:
            entry.content_id = r.raw(16)
        return entry

    def check_path(self, path, kind, r):
        """A usable path below the root, after the one before in walk order, in a directory that was listed."""
        parts = path.split(b"/") if path else []
        if len(path) > 1 << 20 or b"\0" in path or any(p in (b"", b".", b"..") or len(p) > 255 for p in parts):
            r.refuse(f"{shown(path)[:200]}: the path would leave the tree, or has too long a part")
        if self.last is not None and not self.last < parts:
            r.refuse(f"{shown(path)}: out of walk order, or there twice")
        if parts[:-1] != self.folder[:max(len(parts) - 1, 0)] or (not parts and kind != DIRECTORY):
            r.refuse(f"{shown(path)}: does not lie in a directory of the listing")
        if self.stream and (kind != REGULAR or len(parts) != 1 or self.last is not None):
            r.refuse(f"{shown(path)}: a byte stream has one entry, a regular file")
        self.last, self.folder = parts, parts if kind == DIRECTORY else parts[:-1]

    def check_content(self, entry, r):
        end = 0
        for offset, length in entry.extents:
            if offset < end or length == 0:
                r.refuse(f"{shown(entry.path)}: extents overlap, are empty or out of order")
            end = offset + length
        have, data = sum(s[2] for s in entry.slices), sum(e[1] for e in entry.extents) if entry.sparse else entry.size
        if end > entry.size or any(s[2] == 0 for s in entry.slices):
            r.refuse(f"{shown(entry.path)}: an extent beyond the size, or an empty slice")
        if entry.type == REGULAR and have != data and not (entry.problem and have == 0):
            r.refuse(f"{shown(entry.path)}: its slices do not add up to its size")
