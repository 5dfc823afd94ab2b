"""A database's log, from the records in its journals to one line of bytes. Pages: database-journal.md; formats/README.md (from a
vault directory to a database)."""
import bisect
import collections
import hashlib
import os
import re
import struct

from .faults import Damaged, Fault, say, shown
from .log_pages import LogReader, shown_position
from .plaintext import Reader
from .primitives import Zstd

OPENING, WAL, HISTORY, EXPOSURE, CUT = range(1, 6)
WAL_BYTES = 1_048_000
HISTORY_BYTES = 1 << 20
CUT_MEMBERS = 4096
FILES_OPEN = 8

Opening = collections.namedtuple("Opening", "log dataset system major segment_bytes timeline start opened")
Wal = collections.namedtuple("Wal", "log timeline start data")
History = collections.namedtuple("History", "log timeline text")
Exposure = collections.namedtuple("Exposure", "log begin end began ended reason")
Cut = collections.namedtuple("Cut", "id group taken members")
Part = collections.namedtuple("Part", "timeline begin end")  # of the log, as a plan names it


class Unusable(Fault):
    """The log does not make this base backup consistent; an older one may do."""

    exit_code = 14


def text(value):
    """A text as it is encoded."""
    length, out = len(value), b""
    while length > 0x7f:
        out, length = out + bytes([length & 0x7f | 0x80]), length >> 7
    return out + bytes([length]) + value


def log_id(dataset, system, major, segment_bytes):
    form = struct.pack(">QIQ", system, major, segment_bytes)
    return hashlib.sha256(text(b"exclave/log/v1") + text(dataset) + form).digest()[:8]


def read_journal_record(data, noun):
    """What one frame says."""
    r = Reader(data, noun)
    kind = r.number("B")
    if kind == OPENING:
        dataset = r.blob(4096)
        system, major, segment_bytes, timeline, start, opened = r.unpack("QIQIQq")
        if not 13 <= major <= 17 or not 1 << 20 <= segment_bytes <= 1 << 30 or segment_bytes & (segment_bytes - 1):
            r.refuse("its opening breaks a rule")
        record = Opening(log_id(dataset, system, major, segment_bytes), dataset, system, major, segment_bytes, timeline, start,
                         opened)
    elif kind == WAL:
        log, timeline, start, codec, size = r.unpack("8sIQBI")
        stored = r.raw(r.left())
        if codec > 1 or not 1 <= size <= WAL_BYTES or timeline == 0 or start + size >= 1 << 64:
            r.refuse("a record of log breaks a rule")
        try:
            stored = Zstd.frame(stored, size) if codec else stored
        except ValueError as error:
            r.refuse(str(error))
        if len(stored) != size:
            r.refuse("has another number of bytes of log than it says")
        record = Wal(log, timeline, start, stored)
    elif kind == HISTORY:
        record = History(*r.unpack("8sI"), r.raw(min(r.left(), HISTORY_BYTES)))
    elif kind == EXPOSURE:
        record = Exposure(*r.unpack("8sQQqq"), r.blob(4096))
    elif kind == CUT:
        cut, group, taken = r.raw(16), r.blob(4096), r.number("q")
        count = r.count(29)
        if count > CUT_MEMBERS:
            r.refuse("a cut has too many members")
        record = Cut(cut, group, taken, [(r.raw(16), r.blob(4096), *r.unpack("IQ")) for _ in range(count)])
    else:
        r.refuse(f"is a record of kind {kind}, which this program cannot read")
    r.end()
    return record


def ancestors(history, noun):
    """[(timeline, where it was left)] of the timelines before, oldest first, from a history file's text."""
    found = []
    for line in history.decode("utf-8", "replace").splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            match = re.fullmatch(r"(\d{1,10})\s+([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})(\s.*)?", line)
            if not match:
                raise Damaged(noun, f"has a line that is none of a history: {line[:80]}")
            found.append((int(match[1]), int(match[2], 16) << 32 | int(match[3], 16)))
    if found != sorted(found) or len({t for t, _ in found}) != len(found):
        raise Damaged(noun, "its timelines are out of order")
    return found


class LogFiles:
    """Bytes of the log at their positions, in files under the server's own names. What overlaps must be equal."""

    def __init__(self, directory, segment_bytes):
        self.directory, self.segment_bytes = directory, segment_bytes
        self.covered = collections.defaultdict(list)  # timeline: [[begin, end]], ascending, apart
        self.open_files, self.made = collections.OrderedDict(), set()

    def name(self, timeline, number):
        per_file = (1 << 32) // self.segment_bytes
        return f"{timeline:08X}{number // per_file:08X}{number % per_file:08X}"

    def file(self, name):
        if name not in self.open_files:
            while len(self.open_files) >= FILES_OPEN:
                os.close(self.open_files.popitem(last=False)[1])
            path = os.path.join(self.directory, name)
            new = name not in self.made
            self.open_files[name] = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT | os.O_EXCL if new else 0), 0o600)
            if new:
                self.made.add(name)
                os.ftruncate(self.open_files[name], self.segment_bytes)
        self.open_files.move_to_end(name)
        return self.open_files[name]

    def pieces(self, timeline, begin, length):
        """(file, offset in it, offset in the bytes, length) of a stretch."""
        at = begin
        while at < begin + length:
            number, offset = divmod(at, self.segment_bytes)
            size = min(self.segment_bytes - offset, begin + length - at)
            yield self.file(self.name(timeline, number)), offset, at - begin, size
            at += size

    def write(self, timeline, begin, data):
        for file, offset, at, size in self.pieces(timeline, begin, len(data)):
            view = memoryview(data)[at:at + size]
            while view:
                done = os.pwrite(file, view, offset)
                view, offset = view[done:], offset + done

    def read(self, timeline, begin, length):
        return b"".join(os.pread(file, size, offset) for file, offset, _, size in self.pieces(timeline, begin, length))

    def lay(self, timeline, begin, data, noun):
        """Bytes of a journal. Those that are there already are compared."""
        at, end = begin, begin + len(data)
        there = [span for span in self.covered[timeline] if span[0] < end and span[1] > begin]
        for low, high in there + [[end, end]]:
            low, high = max(low, begin), min(high, end)
            if at < low:
                self.write(timeline, at, memoryview(data)[at - begin:low - begin])
            if self.read(timeline, low, high - low) != bytes(data[low - begin:high - begin]):
                raise Fault(noun, f"timeline {timeline} from {shown_position(low)} on differs from what another journal has there: "
                                  "the server went two ways", "stop here: which of the two is home's is for people to decide")
            at = high
        self.cover(timeline, begin, end)

    def cover(self, timeline, begin, end):
        spans = self.covered[timeline]
        low = bisect.bisect_left(spans, [begin, 0])
        if low and spans[low - 1][1] >= begin:
            low -= 1
        high = low
        while high < len(spans) and spans[high][0] <= end:
            begin, end = min(begin, spans[high][0]), max(end, spans[high][1])
            high += 1
        spans[low:high] = [[begin, end]]

    def covered_from(self, timeline, position):
        """Up to where there is no gap from `position` on."""
        for begin, end in self.covered.get(timeline, ()):
            if begin <= position < end:
                return end
        return position

    def next_after(self, timeline, position):
        """Where bytes begin again behind a gap, or None."""
        return next((begin for begin, _ in self.covered.get(timeline, ()) if begin > position), None)

    def close(self):
        while self.open_files:
            os.close(self.open_files.popitem()[1])

    def remove_all(self):
        self.close()
        for name in self.made:
            os.unlink(os.path.join(self.directory, name))
        self.made.clear()


class StreamOfLog:
    """The records of one journal, in order: they follow each other, or the frames between are missing."""

    def __init__(self, stream, mine):
        self.noun, self.mine = f"stream {stream.hex()[:12]}", mine
        self.is_mine = None  # known from the first record that says it
        self.switches = {}
        self.last = self.timeline = self.position = None

    def record(self, index, frame):
        noun = f"{self.noun}, segment {index}, frame {frame.number}"
        record = read_journal_record(frame.content, noun)
        if (frame.number == 0) != isinstance(record, Opening):
            raise Damaged(noun, "is the opening of a stream, or is not, in the wrong place")
        if self.last is not None and frame.number != self.last + 1:
            if frame.number <= self.last:
                raise Damaged(noun, f"does not follow frame {self.last}")
            say(f"{self.noun}: frames {self.last + 1} to {frame.number - 1} are missing")
            self.position = None
        self.last = frame.number
        log = getattr(record, "log", None)
        if log is not None:
            if self.is_mine not in (None, log == self.mine):
                raise Damaged(noun, "is of another log than the records before")
            self.is_mine = log == self.mine
        if isinstance(record, Opening):
            self.timeline, self.position = record.timeline, record.start
        if isinstance(record, History) and ancestors(record.text, noun):
            self.switches[record.timeline] = ancestors(record.text, noun)[-1][1]
        if isinstance(record, Wal):
            begins = self.position
            if self.timeline is not None and record.timeline > self.timeline:
                begins = self.switches.get(record.timeline, self.position)
            if self.position is not None and (record.start != begins or record.timeline < self.timeline):
                raise Damaged(noun, f"begins at {shown_position(record.start)}, not at {shown_position(begins)}")
            self.timeline, self.position = record.timeline, record.start + len(record.data)
        return record


class DatabaseLog:
    """Everything that the vaults given have of one database's log, from a base backup on, in `directory`."""

    def __init__(self, journals, base, directory):
        self.journals, self.base = journals, base
        self.noun = f"log of dataset {shown(base.dataset)}"
        self.mine = log_id(base.dataset, base.system, base.major, base.segment_bytes)
        self.files = LogFiles(directory, base.segment_bytes)
        self.first = base.base_start - base.base_start % base.segment_bytes
        self.histories, self.switches, self.exposures = {}, {}, []
        self.whose, self.doubts, self.hole = {}, [], None
        self.stored = set()  # timelines of which anything was found behind the base's start
        self.parts, self.end, self.reader = [], None, None

    def gather(self):
        """Reads every journal, and lays what is of this log at its positions."""
        for stream in self.journals.all_streams():
            if self.journals.streams and stream not in self.journals.streams.journals:
                say(f"passed over: stream {stream.hex()[:12]}: no writer whom the policy pins signed it")
                continue
            reader = StreamOfLog(stream, self.mine)
            try:
                for index, frame in self.journals.frames(stream):
                    self.take(reader.record(index, frame), f"{reader.noun}, segment {index}, frame {frame.number}")
                    if reader.is_mine is False:
                        break  # another database's
            except Damaged as error:
                say(f"going round: {error}")
                if reader.is_mine is not False:
                    self.doubts.append(f"{reader.noun} breaks the rules of its format from there on")
            self.whose[stream] = reader.is_mine
            for index, noun in self.journals.missing(stream) if reader.is_mine is not False else ():
                say(f"{noun}: is in no vault given, or does not open")
                if index > max(self.journals.opened(stream), default=-1):  # otherwise it shows in the positions
                    self.doubts.append(f"{noun}, its writer signed for it, and no vault given has it whole")
        for timeline, history in self.histories.items():
            self.switches[timeline] = ancestors(history, f"history of timeline {timeline}")

    def take(self, record, noun):
        if getattr(record, "log", None) != self.mine:
            return
        if isinstance(record, Wal):
            skipped = max(self.first - record.start, 0)
            if skipped < len(record.data):
                self.files.lay(record.timeline, record.start + skipped, record.data[skipped:], noun)
                self.stored.add(record.timeline)
        elif isinstance(record, History):
            if self.histories.setdefault(record.timeline, record.text) != record.text:
                raise Fault(noun, f"timeline {record.timeline} has two histories: the server went two ways",
                            "stop here: which of the two is home's is for people to decide")
        elif isinstance(record, Exposure) and record not in self.exposures:
            self.exposures.append(record)

    def choose(self):
        """The timelines to follow: those of the newest one that anything is stored of and that the base leads to."""
        follow = [Part(self.base.timeline, self.base.base_start, None)]
        for timeline in sorted(self.stored - {self.base.timeline}):
            line = [(t, left) for t, left in self.switches.get(timeline, ()) if t >= self.base.timeline]
            if timeline < self.base.timeline:
                continue
            if not line or line[0][0] != self.base.timeline or line[0][1] < self.base.base_end:
                self.doubts.append(f"{self.noun}: timeline {timeline} is stored, and does not lead on from this base backup"
                                   + ("" if timeline in self.switches else ": its history is missing"))
                continue
            begins = [self.base.base_start] + [left for _, left in line]
            follow = [Part(t, begin, left) for (t, left), begin in zip(line, begins)] + [Part(timeline, begins[-1], None)]
        for timeline in sorted(self.stored):
            left = next((part.end for part in follow if part.timeline == timeline), 0)
            if left is not None and any(end > left for _, end in self.files.covered[timeline]):
                why = "behind the place where home left it" if left else "and does not lead to the newest"
                say(f"{self.noun}: timeline {timeline} goes on {why}: not followed")
        return follow

    def find_end(self):
        """Follows the timelines as far as there is no gap, checks every record, and finds where the last one ends."""
        at, follow = self.first, self.choose()
        for part, following in zip(follow, follow[1:] + [None]):
            begin = max(part.begin, self.first) if self.parts else self.first
            reached = self.files.covered_from(part.timeline, begin)
            at = min(reached, part.end) if part.end is not None else reached
            self.parts.append(Part(part.timeline, part.begin, at))
            if part.end is None or at < part.end:
                self.look_behind(part, at)
                break
            self.begin_timeline(following)
        self.reader = LogReader(self.read, self.timeline_at, self.base, at)
        if at <= self.base.base_start:
            raise Unusable(self.noun, f"nothing is there from {shown_position(at)} on, and the base backup "
                                      f"{self.base.name.hex()[:12]} begins at {shown_position(self.base.base_start)}",
                           "bring other vaults' directories, or the release of more periods")
        self.end = self.reader.check(self.base.base_start)
        if self.end < self.base.base_end:
            raise Unusable(self.noun, f"ends at {shown_position(self.end)}, and the base backup {self.base.name.hex()[:12]} is "
                                      f"consistent from {shown_position(self.base.base_end)} on",
                           "bring other vaults' directories, or name an older base backup with --snapshot")
        self.parts = [p for p in self.parts if p.begin < self.end]
        self.parts[-1] = self.parts[-1]._replace(end=self.end)

    def look_behind(self, part, at):
        """Whether there is more behind a gap, on this timeline or on one that follows."""
        begins = [b for b in [self.files.next_after(part.timeline, at)] if b is not None and (part.end is None or b < part.end)]
        if part.end is not None:
            begins.append(part.end)
        if begins:
            self.hole = f"is missing from {shown_position(at)} to {shown_position(begins[0])} on timeline {part.timeline}, and " \
                        "goes on behind"
            self.doubts.append(f"{self.noun} {self.hole}")

    def begin_timeline(self, part):
        """The segment in which a timeline begins has the bytes of the one before, up to the switch."""
        segment = part.begin - part.begin % self.base.segment_bytes
        before = self.files.read(self.parts[-1].timeline, segment, part.begin - segment)
        self.files.write(part.timeline, segment, before)

    def read(self, address, length):
        """Along the timelines. The last one that begins before the end of the stretch has the bytes of the one before, too."""
        return self.files.read([p for p in self.parts if p.begin < address + length][-1].timeline, address, length)

    def timeline_at(self, address):
        return [p for p in self.parts if p.begin <= max(address, self.base.base_start)][-1].timeline

    def proof(self):
        """What speaks against that the end is the last that was acknowledged; nothing, if it is proven."""
        policy = self.journals.keys.chain[-1]
        k, _, b = policy.quorum
        needed, reasons, shown_by = len(policy.vaults) - k + b + 1, list(self.doubts), set()
        for vault in self.journals.vaults.directories:
            unread = [what for stream, what in self.journals.unread[vault] if self.whose.get(stream) is not False]
            if not (vault / "journal").is_dir():
                reasons.append(f"vault {vault}: has no 'journal': what was open there is not shown")
            elif unread:
                reasons.append(f"vault {vault}: holds journal that does not open ({unread[0]})")
            else:
                status = os.stat(vault / "journal")
                shown_by.add((status.st_dev, status.st_ino))
        if len(shown_by) >= needed:
            reasons = list(self.doubts)
        else:
            reasons.append(f"{len(shown_by)} of {len(policy.vaults)} vaults show their journals whole, and {needed} are needed: what "
                           "was acknowledged may be in the others alone")
        newest = (self.journals.keys.era, max(self.journals.keys.periods))
        streams = self.journals.streams
        for stream, places in self.journals.unreleased.items():
            if streams and stream not in streams.journals:
                continue
            era, period = max(places.values())
            if self.whose.get(stream) is not False and (era, period) > newest:
                reasons.append(f"stream {stream.hex()[:12]} goes on in era {era}, period {period}, which was not released")
        reasons += [text for stream in sorted(streams.journals) if self.whose.get(stream) is not False
                    for text in self.journals.beyond(stream)] if streams else []
        reasons += [text for stream, text in streams.gaps if stream in streams.journals and self.whose.get(stream) is not False] \
            if streams else []
        return reasons

    def finish(self):
        """Cuts the files to the plan: zeros behind the end and behind each switch, and no other segments. Their names."""
        kept, size = {}, self.base.segment_bytes
        for part in self.parts:
            begin = self.first if part is self.parts[0] else part.begin
            for number in range(begin // size, -(-part.end // size)):
                kept[self.files.name(part.timeline, number)] = min(part.end - number * size, size)
        for name, used in kept.items():
            file = self.files.file(name)
            os.ftruncate(file, used)
            os.ftruncate(file, size)
            os.fsync(file)
        self.files.close()
        for name in self.files.made - set(kept):
            os.unlink(os.path.join(self.files.directory, name))
        self.files.made = set(kept)
        return sorted(kept)

    def history(self, timeline):
        """As the server gave it. If no journal has it, a later one that goes through it says the same."""
        if timeline in self.histories:
            return self.histories[timeline]
        for other in sorted(self.histories):
            if other > timeline and any(t == timeline for t, _ in self.switches[other]):
                say(f"history of timeline {timeline}: taken from that of timeline {other}")
                lines = self.histories[other].splitlines(keepends=True)
                return b"".join(ln for ln in lines if ln.split()[:1] and ln.split()[0].isdigit() and int(ln.split()[0]) < timeline)
        return None


