"""Finding snapshots, and the chunks that they are made of. Pages: formats/README.md (the steps), pack.md (chunk ids)."""
import collections
import hmac
import os
import struct

from .faults import Damaged, Denied, Fault, say
from .listing import ListingReader
from .plaintext import (GROUP, LISTING, PACK, SNAPSHOT, index_sections, pack_directory, payload_of, read_footer,
                        read_record)
from .primitives import Zstd
from .vaults import HEADER_BYTES, Recent, Sealed, is_journal, open_object

JOURNAL = "journal"


def split_group(plain, noun):
    """pack.md: a group's members."""
    try:
        count = struct.unpack(">I", plain[-4:])[0]
        lengths = struct.unpack(f">{count}I", plain[-4 - 4 * count:-4]) if 4 + 4 * count <= len(plain) else ()
    except struct.error:
        lengths = ()
    if not lengths or sum(lengths) + 4 * len(lengths) + 4 != len(plain):
        raise Damaged(noun, "a group's trailer does not fit its members")
    members, start = [], 0
    for length in lengths:
        members.append(plain[start:start + length])
        start += length
    return members


def file_hash(dedup, data):
    return hmac.new(dedup, b"\x04" + data, "sha256").digest()


def chunk_id(dedup, kind, plain, noun):
    if kind == GROUP:
        plain = b"".join(file_hash(dedup, m) + struct.pack(">I", len(m)) for m in split_group(plain, noun))
    return hmac.new(dedup, bytes([kind]) + plain, "sha256").digest()


class Chunks:
    """The chunks of one snapshot: found through its index objects, or through the packs' own directories if one is lost."""

    def __init__(self, vaults, keys, record):
        self.vaults, self.keys, self.record = vaults, keys, record
        self.places, self.recent, self.searched = collections.defaultdict(list), Recent(64 << 20), False
        for name, object_class, period in record.indexes:
            try:
                sealed = self.sealed(name, period)
                if sealed.object_class != object_class:
                    raise Damaged(sealed.noun, "has another class than the snapshot says")
                for _, _, _, entries in index_sections(sealed):
                    self.add(entries)
            except Damaged as error:
                say(f"{error}; the packs' own directories are used instead")  # by `fetch`, once a chunk is not found

    def sealed(self, name, period):
        sealed = Sealed.of_bytes(self.vaults.read(name), f"object {name.hex()}")
        if sealed.period != period:
            raise Damaged(sealed.noun, f"is of period {sealed.period}, referred to as of {period}")
        return sealed.unlock(self.keys)

    def add(self, entries):
        for chunk, place in entries:
            if place not in self.places[chunk]:
                self.places[chunk].append(place)

    def search_packs(self):
        """pack.md: every pack says itself what it holds."""
        if self.searched:
            return
        self.searched = True
        for name, kind in scan(self.vaults, self.keys):
            if kind == PACK:
                try:
                    sealed = Sealed.of_bytes(self.vaults.read(name), f"object {name.hex()}").unlock(self.keys)
                    self.add(pack_directory(sealed, name))
                except Damaged as error:
                    self.vaults.incident(str(error))

    def get(self, chunk, *kinds):
        """The plain bytes of a chunk whose id was recomputed."""
        return self.recent.get((chunk, kinds), lambda: self.fetch(chunk, kinds))

    def fetch(self, chunk, kinds):
        if chunk not in self.places:
            self.search_packs()
        reason = Damaged(f"chunk {chunk.hex()[:16]}", "is in no index and no pack")
        for place in self.places.get(chunk, ()):
            try:
                return self.open(chunk, place, kinds)
            except (Damaged, Denied) as error:
                reason = error
        raise reason

    def open(self, chunk, place, kinds):
        noun = f"object {place.pack.hex()}: chunk {chunk.hex()[:16]}"
        if place.kind not in kinds:
            raise Damaged(noun, f"is of kind {place.kind}, which does not belong here")
        stored = self.sealed(place.pack, place.period).plain(place.offset, place.stored)
        try:
            plain = Zstd.frame(stored, place.plain) if place.codec else stored
        except ValueError as error:
            raise Damaged(noun, str(error)) from None
        if chunk_id(self.record.dedup, place.kind, plain, noun) != chunk:
            raise Damaged(noun, "its bytes have another id")
        return plain

    def entries(self):
        """The listing's entries, in walk order."""
        noun = f"listing of snapshot {self.record.name.hex()[:12]}"
        reader = ListingReader(self.record.kind)
        for chunk, plain_bytes in self.record.listing:
            plain = self.get(chunk, LISTING)
            if len(plain) != plain_bytes:
                raise Damaged(noun, f"chunk {chunk.hex()[:16]} has another size than the snapshot says")
            yield from reader.entries(plain, noun)
        reader.end(noun)


def kind_of(path, name, keys):
    """The footer's type, JOURNAL for a segment of one, or None if the object belongs to other keys."""
    descriptor, size = open_object(path)
    try:
        if is_journal(os.pread(descriptor, HEADER_BYTES, 0)):
            return JOURNAL
        sealed = Sealed(lambda offset, length: os.pread(descriptor, length, offset), size, f"object {name.hex()}")
        return read_footer(sealed.unlock(keys))[0] if sealed.is_for(keys) else None
    finally:
        os.close(descriptor)


def scan(vaults, keys):
    """(name, footer's type) of every object that the keys open. Only its ends are read; its name is checked when it is used. So a
    name has each type that one of its copies shows: whoever forges one hides no other."""
    foreign = 0
    for name, copies in vaults.names().items():
        kinds = set()
        for path in copies:
            try:
                kinds.add(kind_of(path, name, keys))
            except (OSError, ValueError, Fault) as error:
                vaults.incident(f"{path}: {error}")
        kinds.discard(None)
        foreign += not kinds
        yield from ((name, kind) for kind in sorted(kinds, key=str))  # a JOURNAL has no footer; journals.py finds it again
    if foreign:
        say(f"{foreign} objects are damaged, or of other registries, eras or periods; none of them was opened")


def snapshots(vaults, keys):
    """Every snapshot record that opens and is whole, oldest first."""
    found = []
    for name, kind in scan(vaults, keys):
        if kind == SNAPSHOT:
            try:
                found.append(open_record(vaults, keys, name))
            except Damaged as error:
                say(f"snapshot {error}")
    if vaults.listed is not None:
        opened = {record.name for record in found}
        for name, (stream, index, note) in vaults.listed.items():
            if note is not None and name not in opened:
                say(f"snapshot {name.hex()}: the signed stream {stream.hex()[:12]} has it (entry {index}), but it is not here,"
                    " damaged, or of a period that was not released")
    return sorted(found, key=lambda record: (record.started, record.name))


def open_record(vaults, keys, name):
    sealed = Sealed.of_bytes(vaults.read(name), f"object {name.hex()}").unlock(keys)
    data, entries = payload_of(sealed, SNAPSHOT)
    record = read_record(data, sealed.noun, name, sealed.period)
    if entries != 1 or (vaults.listed is not None and vaults.listed[name][2] != record.oldest):
        raise Damaged(sealed.noun, "its footer or its place in the stream contradicts the record")
    return record
