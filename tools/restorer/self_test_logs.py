"""The self-test's part about journals and databases' logs: journal.md, database-journal.md, wal-plan.md, and forged ones."""
import contextlib
import hashlib
import io
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import tempfile
import types

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .database_log import (WAL_BYTES, Cut, DatabaseLog, Exposure, History, LogFiles, Part, StreamOfLog, ancestors,
                           log_id, read_journal_record, text)
from .journals import FRONT_BYTES, Frame, Front, Journals, frame_bytes, open_frame
from .log_pages import CONTINUED, LONG, LONG_HEADER, MAGIC, OVERWRITES, PAGE, SHORT, LogReader, shown_position
from .primitives import Crc32c, hkdf_expand, tree_hash
from .recovery import Place
from .signed_text import Document, text_of
from .streams import Mark
from .vaults import Vaults


def quietly(act):
    with contextlib.redirect_stderr(io.StringIO()) as said:
        return act(), said.getvalue()


class ForgedLog:
    """A log as a server would write it, record by record, on pages of one timeline."""

    def __init__(self, base, start, timeline=1):
        self.base, self.data, self.at, self.previous, self.timeline = base, bytearray(), start - start % PAGE, 0, timeline
        self.begin = self.at
        self.page(0, 0)
        self.data += bytes(start - self.at)
        self.at = start

    def page(self, flags, remaining):
        long = self.at % self.base.segment_bytes == 0
        self.data += struct.pack("<HHIQI4x", MAGIC[self.base.major], flags | LONG_HEADER * long, self.timeline, self.at, remaining)
        if long:
            self.data += struct.pack("<QII", self.base.system, self.base.segment_bytes, PAGE)
        self.at = self.begin + len(self.data)

    def record(self, payload, kind=10, info=0, link=None, give_up=False):
        """Its start. `give_up`: the server crashed before the rest; the next page says so."""
        if self.at % PAGE == 0:
            self.page(0, 0)
        start = self.at
        main = b"\xfe" + struct.pack("<I", len(payload)) + payload
        head = struct.pack("<IIQBB2x", 24 + len(main), 0, self.previous if link is None else link, info, kind)
        body = head + struct.pack("<I", Crc32c.of(main, head)) + main
        while body:
            if self.at % PAGE == 0:
                if give_up:
                    self.page(OVERWRITES, 0)
                    return start
                self.page(CONTINUED, len(body))
            taken = body[:PAGE - self.at % PAGE]
            self.data += taken
            self.at, body = self.at + len(taken), body[len(taken):]
        self.data += bytes(-self.at % 8)
        self.at += -self.at % 8
        self.previous = start
        return start

    def switch(self):
        self.record(b"", kind=0, info=0x40)
        self.data += bytes(-self.at % self.base.segment_bytes)
        self.at = self.begin + len(self.data)


def sealed_frame(front, plain):
    """Frame 0 of a segment, whatever its plaintext says."""
    salt, where = bytes(24), struct.pack(">QQ", FRONT_BYTES, 0)
    key = hkdf_expand("sha512", front.kek, b"exclave/frame/v1" + where + salt, 32)
    covered = bytes(8) + salt + AESGCM(key).encrypt(bytes(12), plain, front.header + front.realm + where)
    return struct.pack(">II", len(covered) + 8, Crc32c.of(covered)) + covered


class LogTests:
    """Mixed into the self-test."""

    def journal(self):
        """journal.md: the sample opens, and whatever is altered in it does not."""
        page, readme = self.page("journal"), self.page("../../testdata/format/README")
        self.sample("pack")
        folder = self.data / "format/journal"
        data = (folder / "segment-0").read_bytes()
        stream = hashlib.sha256(text_of((folder / "stream.txt").read_bytes())).digest()
        self.equal("journal.md, stream id", stream.hex(), page.value("stream id"))
        self.equal("journal.md, name", tree_hash(data).hex(), page.value("name"))
        self.equal("journal.md, front", data[:152].hex(), page.hex_block("front").hex())
        frame = page.hex_block("frame")
        self.equal("journal.md, frame", data[FRONT_BYTES:FRONT_BYTES + len(frame)].hex(), frame.hex())
        frames = self.frames_of(data, stream)
        self.equal("journal.md, frames", [(f.number, len(f.content), f.end) for f in frames], [(0, 27, 8192), (1, 5000, 16384)])
        self.equal("journal.md, content", frames[0].content.hex(), page.value("content of frame 0"))
        self.equal("the sample's keys", readme.value("realm"), self.keys.realm.hex())
        for i in [*range(153), 4000, FRONT_BYTES - 1]:
            altered = data[:i] + bytes([data[i] ^ 0x40]) + data[i + 1:]
            self.refused(f"a segment with byte {i} altered", lambda a=altered: self.frames_of(a, stream))
        for i in [*range(FRONT_BYTES, FRONT_BYTES + len(frame) + 1), FRONT_BYTES + 4095]:
            altered = data[:i] + bytes([data[i] ^ 0x40]) + data[i + 1:]
            self.refused(f"a frame with byte {i} altered", lambda a=altered: self.first_frame(a, stream))
        front = Front(data[:FRONT_BYTES], len(data), "sample").unlock(self.keys, stream, 0)
        first = frames[0].content
        self.equal("a frame sealed here", open_frame(front, sealed_frame(front, first + bytes(4036 - 27) + b"\0\0\0\x1b"), FRONT_BYTES).content, first)
        for what, plain in (("no content", bytes(4040)), ("more content than there is", first + bytes(4036 - 27) + b"\0\0\x0f\xc5"),
                            ("something behind its content", first + b"x" + bytes(4035 - 27) + b"\0\0\0\x1b"),
                            ("a step too much", first + bytes(8132 - 27) + b"\0\0\0\x1b")):
            self.refused(f"a frame with {what}", lambda p=plain: open_frame(front, sealed_frame(front, p), FRONT_BYTES))
        self.refused("another place", lambda: Front(data[:4096], len(data), "sample").unlock(self.keys, stream, 1))
        self.refused("a segment that was cut", lambda: self.frames_of(data[:-1], stream))
        self.several_vaults(data, stream)
        self.marks(page, data, stream, len(frames))

    def marks(self, page, data, stream, frames):
        """journal.md: the mark is of the sample, its signature counts, and what it says is missed where it is not shown."""
        folder = self.data / "format/journal"
        for name, kind in (("mark.txt", "mark"), ("mark-receipt.txt", "mark-receipt")):
            self.equal(f"journal.md is {name}", page.only_text(f"exclave/{kind}/v1"), (folder / name).read_bytes())
        text = (folder / "mark.txt").read_bytes()
        mark = Mark(text, "mark")
        self.equal("mark.txt", (mark.stream, mark.index, mark.frames), (stream, 0, frames))
        self.equal("mark.txt, hash", mark.hash, hashlib.sha256(data[:mark.end]).digest())
        writer = bytes.fromhex(re.search(rb"^writer (.*)$", (folder / "stream.txt").read_bytes(), re.M)[1].decode())
        mark.document.one_signature("writer", writer)
        receipt = Document((folder / "mark-receipt.txt").read_bytes(), "mark receipt", "exclave/mark-receipt/v1")
        receipt.one_signature("vault", receipt.hex("vault", 32))
        for what, old, new in (("frames", b"frames 2", b"frames 3"), ("end", b"end 16384", b"end 12288"),
                               ("hash", b"hash 7", b"hash 6"), ("time", b"at 18", b"at 17")):
            self.refused(f"a mark with another {what}",
                         lambda t=text.replace(old, new): Mark(t, "mark").document.one_signature("writer", writer))
        behind = data[:8192] + bytes(len(data) - 8192)
        keys = self.pinning(writer)
        for what, files, shown, missed in (("all of it", (), data, 0), ("less than was marked", (), behind, 1),
                                           ("less, but closed", ("entry-0.txt",), behind, 0)):
            streams = self.read_streams(keys, [(folder / f).read_bytes() for f in ("stream.txt", "mark.txt", *files)])
            with tempfile.TemporaryDirectory() as scratch:
                place = pathlib.Path(scratch) / "journal" / stream.hex()
                place.mkdir(parents=True)
                (pathlib.Path(scratch) / "objects").mkdir()
                (place / "0").write_bytes(shown)
                journals = Journals(Vaults([pathlib.Path(scratch)]), self.keys, streams)
                list(journals.frames(stream))
                self.equal(f"a vault that shows {what}", len(list(journals.beyond(stream))), missed)

    def first_frame(self, data, stream):
        front = Front(data[:FRONT_BYTES], len(data), "sample").unlock(self.keys, stream, 0)
        return open_frame(front, frame_bytes(data, FRONT_BYTES), FRONT_BYTES)

    def frames_of(self, data, stream):
        front, at, frames = Front(data[:FRONT_BYTES], len(data), "sample").unlock(self.keys, stream, 0), FRONT_BYTES, []
        while raw := frame_bytes(data, at):
            frames.append(open_frame(front, raw, at))
            at = frames[-1].end
        return frames

    def several_vaults(self, data, stream):
        """Of each segment the furthest that any vault has; a vault whose bytes do not open counts no more."""
        behind = data[:8192] + bytes(len(data) - 8192)
        first_bad, last_bad = (data[:i] + b"\x55" + data[i + 1:] for i in (4200, 8300))
        front_bad = data[:60] + b"\x55" + data[61:]
        for what, (copies, frames, unread) in {
                "one": ([data], 2, 0), "one that is behind": ([behind], 1, 0), "two": ([behind, data], 2, 0),
                "a damaged last frame": ([last_bad], 1, 1), "a damaged first frame": ([first_bad], 0, 1),
                "a damaged frame and one that is behind": ([first_bad, behind], 2, 0),
                "damage in different places": ([first_bad, last_bad], 2, 0),
                "a damaged last frame and one that is behind": ([behind, last_bad], 1, 1),
                "a damaged front": ([front_bad], 0, 1), "a damaged front and one that is behind": ([front_bad, behind], 2, 0),
                "something behind the frames": ([data[:-1] + b"x"], 2, 1), "a file that was cut": ([data[:-5]], 0, 1)}.items():
            found, blamed = self.read_vaults(copies, stream)
            self.equal(f"vaults: {what}", (found, blamed), (frames, unread))
        closed = self.read_vaults([behind], stream, closed=data)
        self.equal("a closed segment and an open one", closed, (2, 0))
        self.equal("a closed segment that was altered", self.read_vaults([behind], stream, closed=last_bad, name=tree_hash(data)),
                   (1, 0))

    def read_vaults(self, opened, stream, closed=None, name=None):
        with tempfile.TemporaryDirectory() as scratch:
            folders = [pathlib.Path(scratch) / str(i) for i in range(len(opened))]
            for folder, data in zip(folders, opened):
                (folder / "objects").mkdir(parents=True)
                (folder / "journal" / stream.hex()).mkdir(parents=True)
                (folder / "journal" / stream.hex() / "0").write_bytes(data)
            if closed:
                name = (name or tree_hash(closed)).hex()
                (folders[0] / "objects" / name[:2]).mkdir()
                (folders[0] / "objects" / name[:2] / name).write_bytes(closed)
            journals, _ = quietly(lambda: Journals(Vaults(folders), self.keys))
            frames, _ = quietly(lambda: list(journals.frames(stream)))
            return len(frames), sum(map(bool, journals.unread.values()))

    def database_journal(self):
        page = self.page("database-journal")
        opening, wal = (page.hex_block(block) for block in ("opening", "wal"))
        first, second = (read_journal_record(record, "example") for record in (opening, wal))
        self.equal("database-journal.md, opening", first[1:], (b"people", 0x68f1c2a3b4c5d6e7, 15, 1 << 24, 1, 0x3000148,
                                                              0x18fae28ddc2ae800))
        self.equal("database-journal.md, wal", second[1:], (1, 0x3000148, bytes.fromhex("deadbeef")))
        self.equal("database-journal.md, log", (first.log, second.log), (log_id(b"people", first.system, 15, 1 << 24),) * 2)
        others = {"history": b"\3" + first.log + bytes(3) + b"\2" + b"1\t0/5002A10\tno reason\n",
                  "exposure": b"\4" + first.log + struct.pack(">QQqq", 1, 2, 3, 4) + text(b"vaults were away"),
                  "cut": b"\5" + bytes(16) + text(b"realm") + bytes(8) + b"\1" + bytes(16) + text(b"people") + bytes(12)}
        read = {name: read_journal_record(record, name) for name, record in others.items()}
        self.equal("the other records", [type(r) for r in read.values()], [History, Exposure, Cut])
        self.equal("a history's ancestors", ancestors(read["history"].text, "history"), [(1, 0x5002A10)])
        for record in (opening, wal, *others.values()):
            for i in range(len(record)) if record is not others["history"] else range(13):
                self.refused(f"a record of {i} bytes", lambda r=record[:i]: read_journal_record(r, "record"))
            if record is not others["history"]:
                self.refused("a longer record", lambda r=record: read_journal_record(r + b"\0", "record"))
            self.mutated("a journal's record", record, lambda r: read_journal_record(r, "record"))
        for what, record in {"kind 6": b"\6" + wal[1:], "codec 2": wal[:21] + b"\2" + wal[22:], "no log": wal[:22] + bytes(4),
                             "too much log": wal[:22] + struct.pack(">I", WAL_BYTES + 1) + bytes(WAL_BYTES + 1),
                             "no zstd": wal[:21] + b"\1" + wal[22:], "major 12": opening.replace(b"\0\0\0\x0f", b"\0\0\0\x0c"),
                             "odd segments": opening.replace(b"\1\0\0\0\0\0\0\1", b"\1\0\0\1\0\0\0\1")}.items():
            self.equal(f"{what} is another record", record not in (opening, wal), True)
            self.refused(f"a record with {what}", lambda r=record: read_journal_record(r, "record"))
        for history in (b"x\n", b"1\n", b"2 0/1\n1 0/2\n", b"1 0/5\n1 0/6\n", b"1 zero/0\n"):
            self.refused(f"the history {history}", lambda h=history: ancestors(h, "history"))
        self.equal("a history with a comment", ancestors(b"# none\n\n1\t0/5\n2 1/A  reason\n", "h"), [(1, 5), (2, (1 << 32) + 10)])
        self.streams_of_log(first, opening)

    def streams_of_log(self, first, opening):
        """What follows what within one stream."""
        def wal(start, timeline=1, log=first.log):
            return b"\2" + struct.pack(">8sIQBI", log, timeline, start, 0, 4) + b"data"

        history = b"\3" + first.log + struct.pack(">I", 2) + b"1\t0/3000150\tno reason\n"
        begin = first.start

        def read(*plains, numbers=None):
            reader = StreamOfLog(bytes(32), first.log)
            for number, plain in zip(numbers or range(len(plains)), plains):
                reader.record(0, Frame(number, plain, 0))
            return reader.is_mine

        self.equal("a stream", read(opening, wal(begin), wal(begin + 4)), True)
        self.equal("a stream of another log", read(wal(5, log=bytes(8)), numbers=[7]), False)
        self.equal("a switch", read(opening, wal(begin), wal(begin + 4), history, wal(begin + 8, 2)), True)
        self.equal("a switch back to its point", read(opening, *(wal(begin + 4 * i) for i in range(4)), history, wal(begin + 8, 2)), True)
        self.equal("frames that are missing", quietly(lambda: read(opening, wal(begin + 8), numbers=[0, 5]))[0], True)
        for what, plains, numbers in (("no opening", [wal(begin)], None), ("two openings", [opening, opening], None),
                                      ("a gap", [opening, wal(begin + 4)], None), ("an overlap", [opening, wal(begin - 4)], None),
                                      ("two logs", [opening, wal(begin, log=bytes(8))], None),
                                      ("a timeline from nowhere", [opening, wal(begin), history, wal(begin + 4, 2)], None),
                                      ("a timeline that falls", [opening, history, wal(begin + 8, 2), wal(begin + 12, 1)], None),
                                      ("a frame twice", [opening, wal(begin), wal(begin + 4)], [0, 1, 1])):
            self.refused(f"a stream with {what}", lambda p=plains, n=numbers: read(*p, numbers=n))

    def log_files(self):
        """Overlapping bytes in any order give one log; what differs is refused."""
        chance, size = random.Random(3), 1 << 20
        whole = chance.randbytes(3 * size)
        for _ in range(20):
            with tempfile.TemporaryDirectory() as folder:
                files, spans = LogFiles(folder, size), []
                for _ in range(12):
                    begin = chance.randrange(len(whole) - 1)
                    spans.append((begin, min(begin + chance.randrange(1, size), len(whole))))
                    files.lay(1, begin, whole[begin:spans[-1][1]], "journal")
                have = sorted(set().union(*(range(b // 64, -(-e // 64)) for b, e in spans)))
                mine = sorted(set().union(*(range(b // 64, -(-e // 64)) for b, e in files.covered[1])))
                self.equal("what is covered", mine, have)
                self.equal("the bytes", all(files.read(1, b, e - b) == whole[b:e] for b, e in files.covered[1]), True)
                begin, end = files.covered[1][-1]
                other = bytes([whole[end - 1] ^ 1])
                self.refused("another byte", lambda f=files, e=end, o=other: f.lay(1, e - 1, o + b"more", "journal"))
                files.remove_all()
                self.equal("nothing stays", os.listdir(folder), [])

    # --- the server's own log ---

    def pages_of_log(self):
        """A log with long records, a switch and a record that was given up; then damage in every part of it."""
        base = types.SimpleNamespace(dataset=b"people", system=7, major=15, segment_bytes=1 << 20, base_start=0x300028, base_end=0x300100)
        log, chance = ForgedLog(base, base.base_start), random.Random(11)
        ends = []
        for i in range(60):
            log.record(chance.randbytes(chance.choice((1, 7, 100, 9000, 30000))))
            ends.append(log.at)
        log.switch()
        log.record(struct.pack("<q", 0), kind=1)
        given_up = log.record(chance.randbytes(20000), give_up=True)
        log.record(struct.pack("<QQ", given_up, 0), kind=0, info=0xD0)
        log.record(b"last")
        data = bytes(log.data)

        def check(data, reached=log.at):
            reader = LogReader(lambda at, n: data[at - log.begin:at - log.begin + n].ljust(n, b"\0"), lambda at: 1, base, reached)
            return reader.check(base.base_start), reader.records, reader.commits

        self.equal("a log", check(data), (log.at, 64, 1))
        for i in (3, 20, 40, 59):
            for reached in (ends[i], ends[i] + 1, ends[i] + 23, ends[i] + 25):
                self.equal(f"a log that ends behind record {i}", check(data, reached)[0] in ends[i:i + 2], True)
            self.equal(f"a log that ends before the end of record {i}", check(data, ends[i] - 8)[0], ends[i - 1])
        used = ends[-1] - log.begin
        for at in [base.base_start - log.begin + i for i in range(40)] + [chance.randrange(PAGE, used - 8) for _ in range(300)]:
            if self.is_checked(data, at, log, ends):
                altered = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]
                self.refused(f"a log with byte {at} altered", lambda a=altered: check(a))
        gone = data[:PAGE * 5] + bytes(PAGE) + data[PAGE * 6:]
        self.refused("a page of zeros", lambda: check(gone))
        self.refused("a page in another's place", lambda: check(data[:PAGE * 5] + data[PAGE * 6:PAGE * 7] + data[PAGE * 6:]))
        wrong = ForgedLog(base, base.base_start)
        wrong.record(b"one"), wrong.record(b"two", link=5)
        self.refused("a record that does not follow", lambda: check(bytes(wrong.data), wrong.at))
        wrong = ForgedLog(base, base.base_start)
        wrong.record(b"one"), wrong.record(bytes(20000), give_up=True), wrong.record(b"says nothing")
        self.refused("a record given up, and nothing says so", lambda: check(bytes(wrong.data), wrong.at))
        wrong = ForgedLog(base, base.base_start, timeline=2)
        wrong.record(b"one")
        self.refused("another timeline", lambda: check(bytes(wrong.data), wrong.at))

    @staticmethod
    def is_checked(data, at, log, ends):
        """Neither padding behind a record or in a page's header, nor one of the flags that have no meaning here."""
        place = at % PAGE
        header = LONG if (log.begin + at) % log.base.segment_bytes < PAGE else SHORT
        if place < header:
            return place not in (2, 3) and not 20 <= place < 24 and not (16 <= place < 20 and data[at - place + 2] & 1 == 0)
        return not any(end - 8 <= log.begin + at < end for end in ends)

    def wal_plan(self):
        """wal-plan.md: the example's plan, and what the command behind it hands out."""
        page = self.page("wal-plan")
        plan = page.text.split("## Worked example")[1].split("```\n")[1]
        base = types.SimpleNamespace(system=7713145049789639178, segment_bytes=1 << 20, timeline=1, dataset=b"people")
        parts = [Part(1, 0x3000028, 0x5002A10), Part(2, 0x5002A10, 0x70000F8)]
        with tempfile.TemporaryDirectory() as scratch:
            place = Place.__new__(Place)
            place.target, place.log, place.owner = scratch, os.path.join(scratch, "it's a log"), None
            os.mkdir(place.log)
            log = DatabaseLog.__new__(DatabaseLog)
            log.base, log.parts, log.histories, log.switches, log.noun = base, parts, {2: b"1\t0/5002A10\t\n"}, {}, "log"
            segments = ["000000010000000000000030", "000000020000000000000051"]
            for name in segments:
                pathlib.Path(place.log, name).write_bytes(bytes(1 << 20))
            place.write_plan(log, segments)
            mine = pathlib.Path(place.log, "wal.plan").read_text().replace("1048576", "16777216")
            self.equal("wal-plan.md", mine, plan)

            def fetch(*arguments):
                return subprocess.run(["sh", os.path.join(place.log, "fetch"), *arguments], cwd=scratch, capture_output=True,
                                      check=False).returncode

            for name, code in {segments[0]: 0, segments[1]: 0, "00000002.history": 0, "00000003.history": 1,
                               "000000020000000000000052": 1, "000000010000000000000051": 1, "00000002000000000000002F": 126,
                               "00000001000000000000003": 126, "../wal.plan": 126, "wal.plan": 126, "": 126, "fetch": 126,
                               "000000010000000000000030.partial": 126}.items():
                self.equal(f"fetch {name}", fetch(name, "got"), code)
            self.equal("fetch without a target", fetch(segments[0]), 126)
            self.equal("fetch to nowhere", fetch(segments[0], "no/where"), 126)
            pathlib.Path(place.log, segments[0]).write_bytes(b"short")
            self.equal("fetch of a short segment", fetch(segments[0], "got"), 126)
            os.unlink(os.path.join(place.log, segments[1]))
            self.equal("fetch of one that is missing", fetch(segments[1], "got"), 126)
            os.unlink(os.path.join(place.log, "wal.plan"))
            self.equal("fetch without a plan", fetch("000000020000000000000052", "got"), 126)
            self.tablespaces(place)

    def tablespaces(self, place):
        for name in ("exclave_tablespaces/16385", "exclave_tablespaces/16390"):
            os.makedirs(os.path.join(place.target, name))
        path = pathlib.Path(place.target, "tablespace_map")
        path.write_bytes(b"16385 /srv/a b\\\nc\\\\\n16390 /srv/two\n")
        quietly(place.lead_tablespaces)
        self.equal("tablespace_map", path.read_text(),
                   "".join(f"{oid} {place.target}/exclave_tablespaces/{oid}\n" for oid in (16385, 16390)))
        shutil.rmtree(os.path.join(place.target, "exclave_tablespaces/16390"))
        self.refused("a tablespace that is missing", place.lead_tablespaces)
        self.equal("positions", shown_position(0x16B374D848), "16/B374D848")
