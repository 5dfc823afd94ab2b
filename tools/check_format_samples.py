#!/usr/bin/env python3
"""A second reader of the storage formats, written from docs/formats alone: opens testdata/format and prints ok.

    tools/check_format_samples.py [--root FOLDER]

Standard library and python3-cryptography. zstd chunks are read with the `zstd` program; without it they are skipped,
and the output says so. Exit 1 and one line if something is not as the pages say.
"""
import argparse
import base64
import hashlib
import hmac
import pathlib
import re
import shutil
import struct
import subprocess
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

FRONT, SEGMENT, TAG = 136, 16384, 16


class Wrong(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Wrong(why)


# --- object.md ---
def tree_hash(data):
    leaves = [hashlib.sha256(b"\0" + data[i:i + 65536]).digest() for i in range(0, len(data), 65536)]

    def root(nodes):
        if len(nodes) == 1:
            return nodes[0]
        k = 1 << ((len(nodes) - 1).bit_length() - 1)
        return hashlib.sha256(b"\1" + root(nodes[:k]) + root(nodes[k:])).digest()

    return root(leaves) if leaves else hashlib.sha256(b"").digest()


def period_keys(secret):
    def derive(label):
        return HKDF(hashes.SHA512(), 32, b"", label).derive(secret)

    return derive(b"exclave/period/v1 sym"), X25519PrivateKey.from_private_bytes(derive(b"exclave/period/v1 kem"))


def kek_of(header, ct, secret):
    symmetric, private = period_keys(secret)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = private.exchange(X25519PublicKey.from_public_bytes(ct))
    return HKDF(hashes.SHA512(), 32, hashlib.sha512(ct + public + header).digest(),
                b"exclave/kek/v1").derive(symmetric + shared)


def open_object(data, realm, secret):
    header, ct, salt, commitment = data[:48], data[48:80], data[80:104], data[104:136]
    magic, suite, version, size_class, zeros = struct.unpack(">8sHHB3s", header[:16])
    need((magic, suite, version, zeros) == (b"EXCLAVE\0", 1, 1, bytes(3)) and header[40:] == bytes(8), "object: header")
    need(size_class in (18, 20, 22, 24) and len(data) == 1 << size_class, "object: size is not that of its class")
    kek = kek_of(header, ct, secret)
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + header + realm
    material = HKDFExpand(hashes.SHA512(), 76, info).derive(kek)
    need(hmac.compare_digest(material[44:], commitment), "object: commitment")
    cipher, base = AESGCM(material[:32]), int.from_bytes(material[32:44], "big")
    plain = b""
    for index, at in enumerate(range(FRONT, len(data), SEGMENT + TAG)):
        try:
            plain += cipher.decrypt((base ^ index).to_bytes(12, "big"), data[at:at + SEGMENT + TAG], None)
        except InvalidTag as error:
            raise Wrong(f"object: segment {index}") from error
    return plain


# --- journal.md ---
def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def open_segment(data, realm, secret, place):
    """The frames' contents, of the stream's first segment."""
    header, ct, here, commitment = data[:48], data[48:80], data[80:120], data[120:152]
    need(header[:12] == b"EXCLAVE\0\0\2\0\1" and len(data) == 1 << header[12], "segment: header")
    need(here == place and not any(data[152:4096]), "segment: place")
    kek = kek_of(header, ct, secret)
    info = b"exclave/journal-commitment/v1" + place
    need(HKDFExpand(hashes.SHA512(), 32, info).derive(kek) == commitment, "segment: commitment")
    frames, at = [], 4096
    while at < len(data) and (size := struct.unpack_from(">I", data, at)[0]):
        crc, number = struct.unpack_from(">IQ", data, at + 4)
        end, where = at + size, struct.pack(">QQ", at, number)
        need(size % 4096 == 0 and end <= len(data), f"frame {len(frames)}: size")
        need(number == len(frames) and crc == crc32c(data[at + 8:end]), f"frame {len(frames)}")
        key = HKDFExpand(hashes.SHA512(), 32, b"exclave/frame/v1" + where + data[at + 16:at + 40]).derive(kek)
        plain = AESGCM(key).decrypt(bytes(12), data[at + 40:end], header + realm + where)
        count = struct.unpack(">I", plain[-4:])[0]
        need(0 < count and size - 4096 < count + 60 <= size and not any(plain[count:-4]), f"frame {len(frames)}: content")
        frames.append(plain[:count])
        at = end
    need(not any(data[at:]), "segment: something follows its frames")
    return frames


# --- pack.md ---
def footer(plain):
    kind, version, zero, payload, entries, zeros = struct.unpack(">BBHIII", plain[-16:])
    need(version == 1 and zero == 0 and zeros == 0 and payload <= len(plain) - 16, "footer")
    return kind, payload, entries


def directory(data):
    entries, end = [], 0
    for at in range(0, len(data), 48):
        chunk, offset, stored, size, kind, codec, zero = struct.unpack(">32sIIIBBH", data[at:at + 48])
        need(offset == end and kind in (1, 2, 3) and codec in (0, 1) and zero == 0, "directory entry")
        need(stored == size if codec == 0 else 0 < stored < size, "directory entry: sizes")
        end += stored
        entries.append((chunk, offset, stored, size, kind, codec))
    return entries, end


def pack_entries(plain):
    kind, payload, count = footer(plain)
    need(kind == 1 and payload == 48 * count, "not a pack")
    entries, end = directory(plain[len(plain) - 16 - payload:-16])
    need(not any(plain[end:len(plain) - 16 - payload]), "pack: padding")
    return entries


def payload_of(plain, wanted):
    kind, payload, count = footer(plain)
    need(kind == wanted and not any(plain[payload:-16]), f"not a plaintext of type {wanted}")
    return plain[:payload], count


def index_sections(plain):
    data, count = payload_of(plain, 2)
    sections, at = [], 0
    while at < len(data):
        pack, size_class, period, entries = struct.unpack(">32sBII", data[at:at + 41])
        sections.append((pack, size_class, period, directory(data[at + 41:at + 41 + 48 * entries])[0]))
        at += 41 + 48 * entries
    need(at == len(data) and len(sections) == count, "index: sections")
    return sections


def chunk_id(key, kind, plain):
    def mac(message):
        return hmac.new(key, message, hashlib.sha256).digest()

    if kind != 2:
        return mac(bytes([kind]) + plain)
    count, = struct.unpack(">I", plain[-4:])
    lengths = struct.unpack(f">{count}I", plain[-4 - 4 * count:-4])
    need(count > 0 and sum(lengths) == len(plain) - 4 - 4 * count, "group: trailer")
    message, at = b"\2", 0
    for length in lengths:
        message += mac(b"\4" + plain[at:at + length]) + struct.pack(">I", length)
        at += length
    return mac(message)


def unpack_chunk(stored, size, codec):
    if codec == 0:
        return stored
    if not shutil.which("zstd"):
        return None
    plain = subprocess.run(["zstd", "-d", "-q", "-c"], input=stored, capture_output=True, check=True).stdout
    need(len(plain) == size, "zstd chunk: size")
    return plain


# --- snapshot.md, listing.md ---
class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        need(self.at + size <= len(self.data), "record ends too early")
        self.at += size
        return self.data[self.at - size:self.at]

    def number(self, layout):
        return struct.unpack(">" + layout, self.take(struct.calcsize(">" + layout)))[0]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                need(value < 1 << 64 and (byte or not shift), "varint")
                return value
            shift += 7

    def string(self):
        return self.take(self.varint())

    def left(self):
        return len(self.data) - self.at


def snapshot_record(data):
    r = Reader(data)
    need(r.number("H") == 1 and r.number("B") in (1, 2), "snapshot: version or kind")
    s = {"dataset": r.string(), "number": r.number("Q"), "started": r.number("q"), "finished": r.number("q"),
         "host": r.string(), "source": r.string(), "program": r.string()}
    s["totals"] = [r.number("Q") for _ in range(5)]
    s["oldest"] = r.number("I")
    s["previous"] = r.take(32) if r.number("B") else None
    s["key"] = r.take(32)
    s["listing"] = [(r.take(32), r.number("I")) for _ in range(r.varint())]
    s["indexes"] = [(r.take(32), r.number("B"), r.number("I")) for _ in range(r.varint())]
    need(r.left() == 0, "snapshot: bytes after its end")
    return s


def listing_entries(chunks):
    entries = []
    for chunk in chunks:
        records, path, owner, last = Reader(chunk), b"", None, None
        while records.left():
            r = Reader(records.string())
            flags, shared = r.number("H"), r.varint()
            path = path[:shared] + r.string()
            need(flags < 256 and not flags & 0xC0, "listing: flags that the sample does not have")
            e = {"path": path, "type": r.number("B"), "mode": r.varint()}
            owner = owner if flags & 1 else (r.varint(), r.varint(), r.string(), r.string())
            e.update(owner=owner, mtime=r.number("q"), size=r.varint(), extents=None, slices=[])
            e["problem"] = r.number("B") if flags & 32 else 0
            e["target"] = r.string() if e["type"] == 3 else None
            e["device"] = (r.varint(), r.varint()) if e["type"] in (6, 7) else None
            e["link"] = (r.varint(), r.varint()) if flags & 2 else None
            e["xattrs"] = [(r.string(), r.string()) for _ in range(r.varint())] if flags & 4 else []
            e["content"] = r.take(16) if flags & 8 else None
            if flags & 16:
                e["extents"] = [(r.varint(), r.varint()) for _ in range(r.varint())]
            if e["type"] == 1:
                for _ in range(r.varint()):
                    last = last if r.number("B") else r.take(32)
                    e["slices"].append((last, r.varint(), r.varint()))
            need(r.left() == 0, "listing: record has bytes left")
            entries.append(e)
    return entries


def file_bytes(entry, chunks):
    if any(chunks[chunk] is None for chunk, _, _ in entry["slices"]):
        return None
    data = b"".join(chunks[chunk][offset:offset + length] for chunk, offset, length in entry["slices"])
    if entry["extents"] is not None:
        whole, at = bytearray(entry["size"]), 0
        for offset, length in entry["extents"]:
            whole[offset:offset + length] = data[at:at + length]
            at += length
        need(at == len(data), "sparse file: extents")
        data = bytes(whole)
    need(len(data) == entry["size"] or entry["problem"], "file: slices do not add up")
    return data


# --- signed-text.md, stream.md ---
def document(path):
    text, signatures = path.read_bytes().split(b"\n\n")
    lines = text.decode().split("\n")
    _, _, signature = signatures.decode().rstrip("\n").split(" ")
    return dict(line.split(" ", 1) for line in lines[1:]), text + b"\n", base64.b64decode(signature, validate=True)


def check_signature(key, text, signature):
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(signature, text)
    except InvalidSignature as error:
        raise Wrong("signature") from error


def check_stream(folder, names):
    stream, text, signature = document(folder / "stream.txt")
    check_signature(stream["writer"], text, signature)
    chain = hashlib.sha256(text).digest()
    for index, name in enumerate(names):
        entry, text, signature = document(folder / f"entry-{index}.txt")
        check_signature(stream["writer"], text, signature)
        note = int(entry.get("snapshot", 0xFFFFFFFF))
        chain = hashlib.sha256(chain + name + struct.pack(">I", note)).digest()
        need((entry["object"], entry["index"], entry["chain"]) == (name.hex(), str(index), chain.hex()), "entry")
    receipt, text, signature = document(folder / "receipt.txt")
    check_signature(receipt["vault"], text, signature)
    need(receipt["chain"] == chain.hex() and receipt["index"] == str(len(names) - 1), "receipt")


def check(folder):
    readme = (folder / "README.md").read_text()
    values = {m[1]: bytes.fromhex(m[2]) for m in re.finditer(r"^\| (.+?) \| `([0-9a-f]+)` \|$", readme, flags=re.M)}
    folder = folder / "v1"
    plain = {}
    for path in sorted(folder.glob("objects/??/*")):
        data = path.read_bytes()
        need(tree_hash(data).hex() == path.name and path.name[:2] == path.parent.name, f"{path.name}: name")
        plain[tree_hash(data)] = open_object(data, values["realm"], values["period secret A"])
    snapshot = snapshot_record(payload_of(plain[values["snapshot"]], 3)[0])
    need(snapshot["key"] == values["dedup key D"] and snapshot["dataset"] == b"documents", "snapshot: fields")
    chunks, skipped = {}, 0
    for name, _, _ in snapshot["indexes"]:
        for pack, _, _, entries in index_sections(plain[name]):
            need(entries == pack_entries(plain[pack]), "index differs from its pack's directory")
            for chunk, offset, stored, size, kind, codec in entries:
                chunks[chunk] = unpack_chunk(plain[pack][offset:offset + stored], size, codec)
                skipped += chunks[chunk] is None
                need(chunks[chunk] is None or chunk_id(snapshot["key"], kind, chunks[chunk]) == chunk, "chunk id")
    need(all(len(chunks[chunk]) == size for chunk, size in snapshot["listing"]), "listing: sizes")
    entries = listing_entries([chunks[chunk] for chunk, _ in snapshot["listing"]])
    tree = "".join(f"{'?fdlpscb'[e['type']]} {e['mode']:04o} {e['owner'][2].decode()} {e['owner'][3].decode()} "
                   f"{e['size']} {e['path'].decode()}".rstrip() + "\n" for e in entries)
    need("```text tree\n" + tree + "```" in readme, "listing: not the tree of the README")
    files = {e["path"].decode(): file_bytes(e, chunks) for e in entries if e["type"] == 1}
    need(files["docs/hello.txt"] == b"Hello, Exclave.\n", "hello.txt")
    if files["long.txt"] is not None:
        long = "".join(f"{i:03} restores are rehearsed, not promised\n" for i in range(1, 101)).encode()
        need(files["long.txt"] == long, "long.txt")
        need(files["sparse.img"][4096:4137] == long[:41] and files["sparse.img"][65536:65618] == long[41:123]
             and files["sparse.img"].count(0) == 1048576 - 123, "sparse.img")
    check_stream(folder, [values["pack"], values["index"], values["snapshot"]])
    journal = folder.parent / "journal"
    stream, text, signature = document(journal / "stream.txt")
    check_signature(stream["writer"], text, signature)
    need(stream["kind"] == "journal", "journal: kind")
    segment, place = (journal / "segment-0").read_bytes(), hashlib.sha256(text).digest() + bytes(8)
    need(document(journal / "entry-0.txt")[0]["object"] == tree_hash(segment).hex(), "journal: entry")
    frames = open_segment(segment, values["realm"], values["period secret A"], place)
    need([len(f) for f in frames] == [27, 5000] and frames[0] == b"first frame of the journal\n", "journal: frames")
    return len(plain), len(entries), skipped


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=root)
    folder = parser.parse_args().root / "testdata" / "format"
    try:
        objects, entries, skipped = check(folder)
    except (Wrong, KeyError, OSError, struct.error, subprocess.CalledProcessError) as error:
        print(f"format samples: {type(error).__name__}: {error}")
        return 1
    note = f", {skipped} zstd chunk skipped (no zstd program)" if skipped else ""
    print(f"format samples: ok, {objects} objects and {entries} entries{note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
