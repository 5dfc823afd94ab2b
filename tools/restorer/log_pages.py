"""PostgreSQL's own log (WAL), as far as a restore must know it: pages, records, checksums, where the last one ends.

Not a format of Exclave: the server's headers access/xlog_internal.h, access/xlogrecord.h and catalog/pg_control.h say it. Its
integers are little-endian here.
"""
import collections
import struct

from .faults import Damaged
from .primitives import Crc32c

PAGE = 8192
SHORT, LONG = 24, 40
CONTINUED, LONG_HEADER, REMOVABLE, OVERWRITES = 1, 2, 4, 8  # a page's flags
MAGIC = {13: 0xD106, 14: 0xD10D, 15: 0xD110, 16: 0xD113, 17: 0xD116}
RECORD_HEADER = 24
XLOG, TRANSACTION = 0, 1  # resource managers
SWITCH, OVERWRITE = 0x40, 0xD0
COMMIT, COMMIT_PREPARED = 0x00, 0x30
MICROSECONDS_TO_2000 = 946_684_800_000_000

Record = collections.namedtuple("Record", "start end body")


def shown_position(position):
    return f"{position >> 32:X}/{position & 0xffffffff:X}"


class LogReader:
    """Checks each record from `start` to `reached`, and finds the end of the last one that is whole.

    `read(address, length)` gives the log's bytes along the chosen timelines, `timeline_at(address)` the timeline of a page that
    begins there. Nothing from `reached` on is looked at.
    """

    def __init__(self, read, timeline_at, base, reached):
        self.read, self.timeline_at, self.base, self.reached = read, timeline_at, base, reached
        self.pages = collections.OrderedDict()
        self.records = self.commits = 0
        self.last_commit = None  # microseconds since 1970
        self.last_record = None  # where it begins

    def damaged(self, position, why):
        return Damaged(f"log of dataset {self.base.dataset.decode()} at {shown_position(position)}", why)

    def page(self, address):
        """The page and its flags; None if not even its header was reached."""
        if address in self.pages:
            return self.pages[address]
        size = LONG if address % self.base.segment_bytes == 0 else SHORT
        if address + size > self.reached:
            return None
        data = self.read(address, PAGE)
        magic, flags, timeline, here, remaining = struct.unpack_from("<HHIQI", data)
        if magic != MAGIC[self.base.major] or here != address or flags > 15 or bool(flags & LONG_HEADER) != (size == LONG):
            raise self.damaged(address, "is no page of the log of this server's version")
        if timeline != self.timeline_at(address):
            raise self.damaged(address, f"is a page of timeline {timeline}")
        if size == LONG and struct.unpack_from("<QII", data, SHORT) != (self.base.system, self.base.segment_bytes, PAGE):
            raise self.damaged(address, "is of another server")
        self.pages[address] = (data, flags, remaining, size)
        if len(self.pages) > 4:
            self.pages.popitem(last=False)
        return self.pages[address]

    def check(self, start):
        """The end of the last whole record: where the server stops."""
        at, previous, abandoned, end = start, None, None, start
        while True:
            first = at
            if at % PAGE == 0:
                page = self.page(at)
                if page is None:
                    return end
                if page[1] & CONTINUED and at != start:
                    raise self.damaged(at, "continues a record that has ended")
                at += page[3]
            record = self.record(at, previous)
            if record is None:
                return end
            if record.body is None:  # given up by a server that crashed: the page behind it says so
                abandoned, at = record.start, record.end
                continue
            kind, info = record.body[17], record.body[16] & 0xf0
            if (abandoned is not None) != ((kind, info) == (XLOG, OVERWRITE)):
                raise self.damaged(first, "a record was given up, and nothing says so, or none was")
            if abandoned is not None and struct.unpack("<Q", main_data(record.body)[:8])[0] != abandoned:
                raise self.damaged(first, "says of another record that it was given up")
            abandoned, previous, at = None, record.start, record.end
            self.last_record = record.start
            if (kind, info) == (XLOG, SWITCH):
                at += -at % self.base.segment_bytes
            end = at
            self.count(record.body, kind, info & 0x70)

    def count(self, body, kind, info):
        self.records += 1
        if kind == TRANSACTION and info in (COMMIT, COMMIT_PREPARED):
            self.commits += 1
            self.last_commit = struct.unpack("<q", main_data(body)[:8])[0] + MICROSECONDS_TO_2000

    def record(self, start, previous):
        """The record at `start`, None if it was not reached whole; without a body if it was given up at its `end`."""
        body, at, total = b"", start, None
        while total is None or len(body) < total:
            if at % PAGE == 0:
                page = self.page(at)
                if page is None:
                    return None
                _, flags, remaining, size = page
                if flags & OVERWRITES:
                    return Record(start, at, None)
                if not flags & CONTINUED or remaining != total - len(body):
                    raise self.damaged(at, f"does not continue the record at {shown_position(start)}")
                at += size
            page = self.page(at - at % PAGE)
            if page is None:
                raise self.damaged(at - at % PAGE, "is missing")
            room = min(PAGE - at % PAGE, max(self.reached - at, 0))
            if total is None:
                if room < 4:
                    return None
                total = struct.unpack_from("<I", page[0], at % PAGE)[0]
                if not RECORD_HEADER <= total <= 1 << 30:
                    raise self.damaged(start, "no record begins where one should")
            taken = min(room, total - len(body))
            body += page[0][at % PAGE:at % PAGE + taken]
            at += taken
            if len(body) >= 16:
                self.check_link(start, body, previous)
            if len(body) < total and at % PAGE:
                return None  # its rest was not reached
        if Crc32c.of(body[RECORD_HEADER:], body[:20]) != struct.unpack_from("<I", body, 20)[0]:
            raise self.damaged(start, "the checksum of its record differs")
        return Record(start, at + -at % 8, body)

    def check_link(self, start, body, previous):
        link = struct.unpack_from("<Q", body, 8)[0]
        if link != previous if previous is not None else link >= start:
            raise self.damaged(start, "its record does not follow the one before")


def main_data(body):
    """A record's own data: behind the heads of its blocks; of records without blocks, and these are all that are asked for."""
    at = RECORD_HEADER
    while at < len(body):
        kind = body[at]
        if kind == 255:
            return body[at + 2:at + 2 + body[at + 1]]
        if kind == 254:
            return body[at + 5:at + 5 + struct.unpack_from("<I", body, at + 1)[0]]
        if kind not in (252, 253):
            break
        at += 5 if kind == 252 else 3
    return bytes(8)
