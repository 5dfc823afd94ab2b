"""The writers' signed word on which objects exist. Pages: stream.md, journal.md (marks), vault-directory.md (table),
protocols/vault-http.md."""
import base64
import hashlib
import re
import struct

from .faults import Denied
from .primitives import ed25519_signed
from .signed_text import NUMBER, Document

NO_NOTE = b"\xff" * 4


class Receipt:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/receipt/v1")
        self.vault, self.realm = d.hex("vault", 32), d.hex("realm", 16)
        d.number("policy", 1)
        self.stream, self.index, self.chain = d.hex("stream", 32), d.number("index"), d.hex("chain", 32)
        d.number("term", 1)
        self.durable_at = int(d.take("durable-at", "-?(?:" + NUMBER + ")"))
        d.end()


class Mark:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/mark/v1")
        self.stream, self.index = d.hex("stream", 32), d.number("index")
        self.end, self.frames = d.number("end", 4097, 1 << 24), d.number("frames", 1)
        self.hash, self.at = d.hex("hash", 32), int(d.take("at", "-?(?:" + NUMBER + ")"))
        d.end()
        if self.end % 4096:
            raise Denied(noun, "no frame ends where this mark stands")


class Streams:
    """The writers' signed word on which objects exist: entries of checked streams of one registry and era."""

    def __init__(self, keys):
        self.keys, self.descriptors, self.rows, self.receipts = keys, {}, {}, []
        self.entries, self.chains, self.gaps = {}, {}, []  # gaps: (stream, what is missing)
        self.journals, self.segments = set(), {}  # journals' ids; (stream, index) to a closed segment's name
        self.told_marks, self.marks = [], {}  # marks: (stream, index) to frames that the writer has signed for

    def load(self, path):
        """A descriptor, an entry, a page of heads or entries as a vault answers it, or an `ldb ... dump --hex` of its table."""
        with open(path, "rb") as file:
            data = file.read()
        if data.startswith((b"exclave/stream/", b"exclave/entry/", b"exclave/receipt/", b"exclave/mark/")):
            self.add(data, path)
        elif data.startswith((b"exclave/heads/v1\n", b"exclave/entries/v1\n", b"exclave/segments/v1\n")):
            for value in re.findall(rb"^(?:stream|entry|receipt|mark) ([A-Za-z0-9+/]{80,}={0,2})$", data, re.M):
                self.add(base64.b64decode(value), path)
        else:
            self.load_dump(data, path)

    def add(self, data, path):
        if data.startswith(b"exclave/entry/"):
            self.add_entry(data, path)
        elif data.startswith(b"exclave/receipt/"):
            self.receipts.append(Receipt(data, path))
        elif data.startswith(b"exclave/mark/"):
            self.told_marks.append(Mark(data, path))
        else:
            self.descriptors[hashlib.sha256(Document(data, path, "exclave/stream/v1").text).digest()] = data

    def load_dump(self, data, path):
        found = 0
        for key, value in re.findall(rb"^0x([0-9A-F]{2,}) ==> 0x([0-9A-F]*)$", data, re.M):
            key, value = bytes.fromhex(key.decode()), bytes.fromhex(value.decode())
            if key[:1] == b"s" and len(key) == 33:
                self.descriptors[key[1:]], found = value, found + 1
            elif key[:1] == b"e" and len(key) == 41 and len(value) == 132:
                self.row(key[1:33], int.from_bytes(key[33:], "big"), (value[:32], value[32:64], value[64:68], value[68:]))
                found += 1
            elif key[:1] == b"m" and len(key) == 41:
                self.add(value, path)
        if not found:
            raise Denied(path, "holds no streams: neither a vault's answer nor a dump of its table")

    def add_entry(self, data, path):
        d = Document(data, path, "exclave/entry/v1")
        stream, index, name, chain = d.hex("stream", 32), d.number("index"), d.hex("object", 32), d.hex("chain", 32)
        note = struct.pack(">I", d.number("snapshot", 0, 2**32 - 2)) if d.next_is("snapshot") else NO_NOTE
        d.end()
        if [s for s, _ in d.signatures] != ["writer"]:
            raise Denied(path, "an entry without its writer's signature")
        self.row(stream, index, (name, chain, note, d.signatures[0][1]))

    def row(self, stream, index, row):
        """An entry as some vault tells it. Several vaults tell the same, unless one lies or the writer forked its stream."""
        told = self.rows.setdefault((stream, index), [])
        if row not in told:
            told.append(row)

    def check(self):
        """Of streams by writers whom the policy chain pins, fills `entries`: object name to (stream, index, note), and
        `segments`."""
        keys = self.keys
        writers = {r.writer for p in keys.chain for r in p.registries.values() if r.id == keys.registry}
        for stream, data in sorted(self.descriptors.items()):
            d = Document(data, f"stream {stream.hex()[:12]}", "exclave/stream/v1")
            realm, writer, registry = d.hex("realm", 16), d.hex("writer", 32), d.hex("registry", 16)
            era = d.number("era", 1, 2**32 - 1)
            kind = d.take("kind", "objects|journal")
            d.hex("start", 16), d.end()
            if (realm, registry, era) != (keys.realm, keys.registry, keys.era):
                continue
            if hashlib.sha256(d.text).digest() != stream or writer not in writers:
                raise Denied(d.noun, "its writer is not pinned by the policy, or it stands under another name")
            d.one_signature("writer", writer)
            self.journals |= {stream} if kind == "journal" else set()
            self.check_chain(stream, writer)
            self.check_marks(stream, writer)
        for receipt in self.receipts:
            self.check_receipt(receipt)

    def check_marks(self, stream, writer):
        for mark in self.told_marks:
            if mark.stream != stream:
                continue
            mark.document.one_signature("writer", writer)
            place = (stream, mark.index)
            self.marks[place] = max(mark.frames, self.marks.get(place, 0))

    def check_receipt(self, receipt):
        """A vault signed for more entries than are here, or for others: either is said."""
        if receipt.stream not in self.descriptors or receipt.realm != self.keys.realm:
            return
        vault = next((v for p in self.keys.chain for v in p.vaults.values() if v.receipt == receipt.vault), None)
        if vault is None:
            raise Denied(receipt.document.noun, "is by no vault that the policy pins")
        receipt.document.one_signature("vault", receipt.vault)
        chain = self.chains.get((receipt.stream, receipt.index))
        noun = f"stream {receipt.stream.hex()[:12]}"
        if chain is None:
            self.gaps.append((receipt.stream, f"{noun}: vault {vault.name} signed for entries 0 to {receipt.index}; some of them "
                                              "are not here"))
        elif chain != receipt.chain:
            raise Denied(noun, f"vault {vault.name} signed for another history up to entry {receipt.index}")

    def check_chain(self, stream, writer):
        mine = sorted(index for s, index in self.rows if s == stream)
        chain = stream
        for expected, index in enumerate(mine):
            noun = f"stream {stream.hex()[:12]}, entry {index}"
            if index != expected:
                self.gaps.append((stream, f"{noun}: {expected} is missing before it"))
                return
            told = self.rows[stream, index]
            good = [row for row in told if self.follows(stream, index, chain, row, writer)]
            if not good:
                raise Denied(noun, "does not follow from the entry before it, or is not signed by its writer")
            if len({row[:3] for row in good}) > 1:
                raise Denied(noun, "its writer signed two different ones: it forked the stream", "stop, and ask its people")
            name, chain, note, _ = good[0]
            snapshot = None if note == NO_NOTE else int.from_bytes(note, "big")
            if stream in self.journals and snapshot is not None:
                raise Denied(noun, "a journal's entry with a snapshot")
            self.chains[stream, index] = chain
            if stream in self.journals:
                self.segments[stream, index] = name
            else:
                self.entries[name] = (stream, index, snapshot)

    @staticmethod
    def follows(stream, index, chain, row, writer):
        name, claimed, note, signature = row
        snapshot = b"" if note == NO_NOTE else b"snapshot %d\n" % int.from_bytes(note, "big")
        text = (f"exclave/entry/v1\nstream {stream.hex()}\nindex {index}\nobject {name.hex()}\n"
                f"chain {claimed.hex()}\n").encode() + snapshot
        return claimed == hashlib.sha256(chain + name + note).digest() and ed25519_signed(writer, signature, text)
