"""What stands inside an opened object. Pages: pack.md, snapshot.md; the encodings of formats/README.md."""
import collections
import dataclasses
import struct

from .faults import Damaged
from .vaults import CLASSES, HEADER_BYTES, SEGMENT_BYTES

FOOTER_BYTES = 16
PLAIN_CHUNK_BYTES = 4_259_840
PACK, INDEX, SNAPSHOT = 1, 2, 3
CONTENT, GROUP, LISTING = 1, 2, 3
TREE, STREAM, DATABASE = 1, 2, 3


class Reader:
    """Bytes from outside, read front to back; whatever does not fit is refused under `noun`."""

    def __init__(self, data, noun):
        self.data, self.noun, self.position = data, noun, 0

    def refuse(self, why):
        raise Damaged(self.noun, why)

    def left(self):
        return len(self.data) - self.position

    def raw(self, length):
        if length > self.left():
            self.refuse("ends early")
        self.position += length
        return self.data[self.position - length:self.position]

    def unpack(self, form):
        return struct.unpack(">" + form, self.raw(struct.calcsize(">" + form)))

    def number(self, form):
        return self.unpack(form)[0]

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.number("B")
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 64:
                    self.refuse("a varint is not in its shortest form, or too large")
                return value
        return self.refuse("a varint is too long")

    def small(self):
        """A varint below 2^32."""
        value = self.varint()
        if value >= 1 << 32:
            self.refuse("a number is too large")
        return value

    def blob(self, limit):
        length = self.varint()
        if length > limit:
            self.refuse("a text is longer than allowed")
        return self.raw(length)

    def count(self, each):
        value = self.varint()
        if value * each > self.left():
            self.refuse("a count cannot fit in what is left")
        return value

    def end(self):
        if self.left():
            self.refuse("has bytes left over")


def read_footer(sealed):
    kind, version, zeros, payload, entries, more = \
        struct.unpack(">BBHIII", sealed.plain(sealed.plain_size - FOOTER_BYTES, FOOTER_BYTES))
    if kind not in (PACK, INDEX, SNAPSHOT) or version != 1 or zeros or more or payload > sealed.plain_size - FOOTER_BYTES:
        raise Damaged(sealed.noun, f"has a footer of type {kind}, version {version} that this program cannot read")
    return kind, payload, entries


def payload_of(sealed, wanted):
    """What stands at offset 0 of an index or snapshot object, and the footer's number of entries; the rest is zero."""
    kind, payload, entries = read_footer(sealed)
    if kind != wanted:
        raise Damaged(sealed.noun, f"is of type {kind}, not {wanted}")
    if any(sealed.plain(payload, sealed.plain_size - FOOTER_BYTES - payload)):
        raise Damaged(sealed.noun, "its padding is not zero")
    return sealed.plain(0, payload), entries


Place = collections.namedtuple("Place", "pack period offset stored plain kind codec")


def plain_size_of_class(object_class):
    payload = (1 << object_class) - HEADER_BYTES
    return payload - 16 * -(-payload // (SEGMENT_BYTES + 16))


def read_directory(reader, entries, pack, period, limit):
    """`entries` directory entries: yields (chunk id, place); `limit`: where the chunks of the pack must end."""
    end = 0
    for _ in range(entries):
        chunk, offset, stored, plain, kind, codec, zeros = reader.unpack("32sIIIBBH")
        if offset != end or kind not in (CONTENT, GROUP, LISTING) or codec not in (0, 1) or zeros or stored == 0 \
                or not 1 <= plain <= PLAIN_CHUNK_BYTES or (stored != plain if codec == 0 else stored >= plain):
            reader.refuse("an entry of a pack's directory breaks a rule")
        end = offset + stored
        if end > limit:
            reader.refuse("a chunk reaches beyond its pack")
        yield chunk, Place(pack, period, offset, stored, plain, kind, codec)


def pack_directory(sealed, name):
    kind, payload, entries = read_footer(sealed)
    if kind != PACK or payload != 48 * entries:
        raise Damaged(sealed.noun, "is no pack, or its directory has another size than its footer says")
    start = sealed.plain_size - FOOTER_BYTES - payload
    places = list(read_directory(Reader(sealed.plain(start, payload), sealed.noun), entries, name, sealed.period, start))
    used = places[-1][1].offset + places[-1][1].stored if places else 0
    if any(sealed.plain(used, start - used)):
        raise Damaged(sealed.noun, "its padding is not zero")
    return places


def index_sections(sealed):
    data, sections = payload_of(sealed, INDEX)
    reader, found = Reader(data, sealed.noun), []
    while reader.left():
        pack, object_class, period, entries = reader.unpack("32sBII")
        if object_class not in CLASSES or entries * 48 > reader.left():
            reader.refuse("a section breaks a rule")
        limit = plain_size_of_class(object_class) - FOOTER_BYTES - 48 * entries
        found.append((pack, object_class, period, list(read_directory(reader, entries, pack, period, limit))))
    if len(found) != sections:
        reader.refuse("has another number of sections than its footer says")
    return found


@dataclasses.dataclass
class Record:
    """A snapshot record."""

    name: bytes
    period: int
    fields: dict
    listing: list  # (chunk id, plain bytes)
    indexes: list  # (name, class, period)

    def __getattr__(self, key):
        try:
            return self.fields[key]
        except KeyError:
            raise AttributeError(key) from None


def read_record(data, noun, name=b"", period=0):
    r, f = Reader(data, noun), {}
    version, f["kind"] = r.unpack("HB")
    if version != 1 or f["kind"] not in (TREE, STREAM, DATABASE):
        r.refuse(f"record version {version}, kind {f['kind']}: this program cannot read it")
    f["dataset"] = r.blob(4096)
    f["number"], f["started"], f["finished"] = r.unpack("Qqq")
    f["host"], f["source"], f["program"] = r.blob(4096), r.blob(4096), r.blob(4096)
    f["files"], f["directories"], f["others"], f["bytes"], f["unreadable"], f["oldest"], previous = r.unpack("QQQQQIB")
    if previous > 1:
        r.refuse("a flag is neither 0 nor 1")
    f["previous"] = r.raw(32) if previous else None
    f["dedup"] = r.raw(32)
    listing = [r.unpack("32sI") for _ in range(r.count(36))]
    indexes = [r.unpack("32sBI") for _ in range(r.count(37))]
    if f["kind"] == DATABASE:
        f["system"], f["major"], f["segment_bytes"], f["timeline"], f["base_start"], f["base_end"] = r.unpack("QIQIQQ")
        size = f["segment_bytes"]
        if not 13 <= f["major"] <= 17 or not 1 << 20 <= size <= 1 << 30 or size & (size - 1) or f["base_end"] < f["base_start"]:
            r.refuse("its base backup breaks a rule")
    r.end()
    if any(not 1 <= plain <= PLAIN_CHUNK_BYTES for _, plain in listing) or any(c not in CLASSES for _, c, _ in indexes):
        r.refuse("a reference in it breaks a rule")
    return Record(name, period, f, listing, indexes)
