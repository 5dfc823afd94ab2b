"""Journals: segments that grow frame by frame, and what several vaults have of one. Page: journal.md."""
import collections
import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .faults import Damaged, Denied, Fault, say
from .primitives import Crc32c, hkdf_expand, tree_hash
from .vaults import JOURNAL_SUITE, encapsulated, is_journal, open_object, read_header

FRONT_BYTES = STEP = 4096
HEAD_BYTES = 40
TAG_BYTES, MOST_CONTENT = 16, 1 << 20

Copy = collections.namedtuple("Copy", "vault path name")  # name: of a closed segment; None of an open one
Frame = collections.namedtuple("Frame", "number content end")


class Front:
    """The first 4,096 bytes of a segment, and the KEK that they lead to."""

    def __init__(self, data, size, noun):
        self.noun, self.header, self.ct, self.commitment = noun, data[:48], data[48:80], data[120:152]
        self.object_class, self.registry, self.era, self.period = read_header(self.header, size, noun, JOURNAL_SUITE)
        self.stream, self.index = data[80:112], int.from_bytes(data[112:120], "big")
        self.zeros = not any(data[152:FRONT_BYTES])

    def unlock(self, keys, stream, index):
        if (self.registry, self.era) != (keys.registry, keys.era) or self.period not in keys.periods:
            raise Denied(self.noun, f"belongs to registry {self.registry.hex()[:8]}, era {self.era}, period {self.period}, which "
                                    "was not released")
        if (self.stream, self.index) != (stream, index) or not self.zeros:
            raise Damaged(self.noun, "its front is of another place, or not zero where zeros stand")
        self.realm = keys.realm
        _, _, self.kek = encapsulated(keys, self.period, self.ct, self.header, self.noun)
        place = stream + struct.pack(">Q", index)
        commitment = hkdf_expand("sha512", self.kek, b"exclave/journal-commitment/v1" + place, 32)
        if not hmac.compare_digest(commitment, self.commitment):
            raise Damaged(self.noun, "was not sealed to the released key, or its first bytes were altered")
        return self


def frame_bytes(data, at):
    """The frame at this offset, as long as it says; None where the frames end."""
    size = struct.unpack_from(">I", data, at)[0] if at + HEAD_BYTES <= len(data) else 0
    return data[at:at + size] if size else None


def open_frame(front, raw, at):
    """A frame as `frame_bytes` gave it; its number is still to be compared."""
    if len(raw) < STEP:
        raise Damaged(f"{front.noun}, frame at {at}", "is cut off")
    size, crc, number = struct.unpack_from(">IIQ", raw)
    noun = f"{front.noun}, frame {number} at {at}"
    if size % STEP or size > steps_of(MOST_CONTENT) or size != len(raw):
        raise Damaged(noun, f"cannot have {size} bytes there")
    if Crc32c.of(raw[8:]) != crc:
        raise Damaged(noun, "its checksum differs")
    where = struct.pack(">QQ", at, number)
    key = hkdf_expand("sha512", front.kek, b"exclave/frame/v1" + where + raw[16:HEAD_BYTES], 32)
    try:
        plain = AESGCM(key).decrypt(bytes(12), raw[HEAD_BYTES:], front.header + front.realm + where)
    except InvalidTag:
        raise Damaged(noun, "its tag does not match") from None
    count = int.from_bytes(plain[-4:], "big")
    if not 0 < count <= min(len(plain) - 4, MOST_CONTENT) or steps_of(count) != size or any(plain[count:-4]):
        raise Damaged(noun, "it does not say where its content ends")
    return Frame(number, plain[:count], at + size)


def steps_of(content_bytes):
    """What a frame of so many content bytes takes."""
    return -(-(HEAD_BYTES + content_bytes + 4 + TAG_BYTES) // STEP) * STEP


MOST_UNRELEASED = 1 << 16  # segments behind those that open of which a front alone is believed: they only make an end doubtful


class Journals:
    """Every journal segment in the vaults given, closed ones and those that are still open."""

    def __init__(self, vaults, keys, streams=None):
        self.vaults, self.keys, self.streams = vaults, keys, streams
        self.segments = collections.defaultdict(lambda: collections.defaultdict(list))  # stream: index: copies
        self.unreleased = collections.defaultdict(dict)                                 # stream: index: (era, period)
        self.unread = collections.defaultdict(list)   # vault: (stream, what of it did not open)
        self.frames_read = {}                         # (stream, index): one more than the last frame's number
        for name, copies in vaults.names().items():
            for path in copies:
                self.add(path.parents[2], path, name)
        for vault, stream, index, path in vaults.open_segments():
            self.add(vault, path, None, (stream, index))

    def add(self, vault, path, name, place=None):
        try:
            descriptor, size = open_object(path)
            try:
                data = os.pread(descriptor, FRONT_BYTES, 0)
            finally:
                os.close(descriptor)
            if place is None and not is_journal(data):
                return
            front = Front(data, size, str(path))
        except (OSError, ValueError, Damaged) as error:
            if place is not None:
                self.vaults.incident(f"vault {vault}: open segment {place[1]} of stream {place[0].hex()[:12]}: {error}")
                self.unread[vault].append((place[0], f"segment {place[1]}"))
            return  # what is damaged under an object's name was said by whoever looked for snapshots
        stream, index = place or (front.stream, front.index)
        if front.registry != self.keys.registry:
            return
        if front.era != self.keys.era or front.period not in self.keys.periods:
            self.unreleased[stream][index] = (front.era, front.period)
            return
        self.segments[stream][index].append(Copy(vault, path, name))

    def all_streams(self):
        """Every stream that has a segment here, or a signed entry of one."""
        return sorted(self.segments.keys() | ({s for s, _ in self.streams.segments} if self.streams else set()))

    def frames(self, stream):
        """(index, frame) of everything in a stream that opens, in order. What is missing shows in the frames' numbers."""
        for index in sorted(self.segments.get(stream, {})):
            try:
                for frame in self.segment(stream, index):
                    yield index, frame
            except (Damaged, Denied) as error:
                say(f"going round: {error}")
                for copy in self.segments[stream][index]:
                    self.unread[copy.vault].append((stream, f"segment {index}"))

    def missing(self, stream):
        """What is known to be in a stream and does not open here: segments before others, or with a signed entry. After frames().

        What names itself a segment and does not open says nothing: anybody can write a front."""
        opened = self.opened(stream)
        listed = {index: name for (s, index), name in self.streams.segments.items() if s == stream} if self.streams else {}
        unreleased = self.unreleased.get(stream, {}).keys()
        known = max(opened | listed.keys(), default=0)
        top = max([known, *(index for index in unreleased if index <= known + MOST_UNRELEASED)])
        for index in sorted({*range(top), *listed} - opened - unreleased):
            name = f"object {listed[index].hex()}, " if index in listed else ""
            yield index, f"{name}segment {index} of stream {stream.hex()[:12]}"

    def opened(self, stream):
        """The segments of which frames() gave something."""
        return {index for s, index in self.frames_read if s == stream}

    def beyond(self, stream):
        """What its writer had signed for and nobody shows, of segments that no entry has closed."""
        for (marked, index), frames in sorted(self.streams.marks.items()) if self.streams else ():
            if marked != stream or (stream, index) in self.streams.segments or index in self.unreleased.get(stream, {}):
                continue
            shown = self.frames_read.get((stream, index), 0)
            if frames > shown:
                yield f"stream {stream.hex()[:12]}, segment {index}: its writer had signed for frames up to number " \
                      f"{frames - 1}, and here " + (f"they end before {shown}" if shown else "are none")

    def believed(self, stream, index, noun):
        """The bytes of the copies that count; an object's is read once, wherever it lies, and has its name."""
        copies, datas, seen = self.segments[stream][index], [], set()
        listed = self.streams.segments.get((stream, index)) if self.streams else None
        for copy in copies:
            if copy.name in seen or (listed and copy.name != listed):
                continue  # journal.md: what any vault holds open of a segment in a signed entry counts no more
            if self.streams and copy.name and not listed:
                self.vaults.incident(f"vault {copy.vault}: object {copy.name.hex()} ({noun}): stands in no signed stream")
                continue
            try:
                descriptor, size = open_object(copy.path)
                with open(descriptor, "rb") as file:
                    data = file.read(size)
            except (OSError, ValueError) as error:
                self.vaults.incident(f"vault {copy.vault}: {noun}: {error}")
                continue
            if copy.name and tree_hash(data) != copy.name:
                self.vaults.incident(f"vault {copy.vault}: object {copy.name.hex()} ({noun}): its bytes were altered")
                continue
            seen |= {copy.name} - {None}
            datas.append((copy, data))
        if not datas:
            names = sorted({f"object {c.name.hex()}" for c in copies if c.name}) or [noun]
            raise Damaged(f"object {listed.hex()}" if listed else ", ".join(names), f"no vault given has a whole copy of {noun}",
                          "bring the directory of another vault")
        return datas

    def front(self, datas, stream, index):
        """The front that opens; copies with another one are damaged, unless it opens too: then two writers were one."""
        good = reason = None
        for copy, data in datas:
            try:
                front = Front(data[:FRONT_BYTES], len(data), f"segment {index} of stream {stream.hex()[:12]}")
                front.unlock(self.keys, stream, index)
            except (Damaged, Denied) as error:
                self.vaults.incident(f"vault {copy.vault}: {error}")
                reason = error
                continue
            if good and (front.header, front.ct) != (good.header, good.ct):
                raise forked(front.noun)
            good = good or front
        if good is None:
            raise reason
        return good

    def segment(self, stream, index):
        """The frames of one segment, each from whichever vault has it whole: the furthest that is authentic."""
        noun = f"segment {index} of stream {stream.hex()[:12]}"
        datas = self.believed(stream, index, noun)
        front = self.front(datas, stream, index)
        datas = [(copy, data) for copy, data in datas if len(data) == 1 << front.object_class]
        at, last = FRONT_BYTES, None
        while True:
            found, failures = None, []
            for raw in {frame_bytes(data, at): None for _, data in datas}:
                try:
                    frame = open_frame(front, raw, at) if raw else None
                    if frame and last is not None and frame.number != last + 1:
                        raise Damaged(f"{noun}, frame {frame.number} at {at}", f"does not follow frame {last}")
                except Damaged as error:
                    failures.append((raw, error))
                    continue
                if frame and found:
                    raise forked(f"{noun}, frame {frame.number}")
                found = found or frame
            for raw, error in failures:
                for copy, data in datas:
                    if frame_bytes(data, at) == raw:
                        self.vaults.incident(f"vault {copy.vault}: {error}")
            if found is None:
                break
            yield found
            at, last = found.end, found.number
            self.frames_read[stream, index] = last + 1
        for copy, data in datas:
            if data.count(0, at) != len(data) - at:
                self.vaults.incident(f"vault {copy.vault}: {noun}: what it has from {at} on does not open")
                self.unread[copy.vault].append((stream, f"segment {index} from {at} on"))


def forked(noun):
    return Fault(noun, "two vaults hold different authentic bytes of it: somebody cloned the writer",
                 "stop here, and find out which of them is home's")
