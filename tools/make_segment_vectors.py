#!/usr/bin/env python3
"""Writes testdata/vectors/segments.txt and hkdf_sha2.txt with a second implementation: python3-cryptography only.

  make_segment_vectors.py OUT

The files are frozen: this script is kept to show where they came from, and to write the next version beside them.
"""
import hashlib
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM"
SEGMENT = 16384


def pattern(length):
    """The message of a case: byte i is (7 i + i / 256) mod 256, so that neighbouring segments differ."""
    return bytes((7 * i + i // 256) % 256 for i in range(length))


def seal(key, salt, context, message):
    material = HKDFExpand(hashes.SHA512(), 76, LABEL + b"\0" + salt + context).derive(key)
    aead, base, commitment = AESGCM(material[:32]), material[32:44], material[44:]
    out = salt + commitment
    for index in range(len(message) // SEGMENT + 1):
        nonce = (int.from_bytes(base, "big") ^ index).to_bytes(12, "big")
        out += aead.encrypt(nonce, message[index * SEGMENT:(index + 1) * SEGMENT], b"")
    return out


def seeded(name, length):
    return hashlib.shake_256(b"exclave segment vectors/" + name.encode()).digest(length)


def segment_cases():
    small = [0, 1, 2, 15, 16, 17, 31, 64, 255, 1000]
    edges = [16383, 16384, 16385, 32767, 32768, 32769, 49152, 100000, 16384 * 255, 16384 * 256, 16384 * 257 + 5]
    for length in small + edges:
        for variant, context in (("plain", b""), ("context", seeded(f"context-{length}", length % 53 + 1))):
            name = f"{variant}-{length}"
            key, salt = seeded("key-" + name, 32), seeded("salt-" + name, 24)
            sealed = seal(key, salt, context, pattern(length))
            shown = sealed.hex() if length <= 1000 else "-"
            yield (name, "valid", key.hex(), context.hex() or "-", salt.hex(), str(length),
                   hashlib.sha256(sealed).hexdigest(), shown)


def hkdf_cases():
    for name, algorithm in (("sha256", hashes.SHA256()), ("sha384", hashes.SHA384()), ("sha512", hashes.SHA512())):
        digest = algorithm.digest_size
        for key, salt, info, size in ((0, 0, 0, 1), (1, 0, 0, 32), (22, 13, 10, 42), (80, 80, 80, 82), (32, 64, 0, 76),
                                      (48, 129, 300, digest), (200, 200, 2000, 2 * digest), (64, 1, 1, 2 * digest + 1),
                                      (32, 24, 7, 255 * digest)):
            case = f"{name}-{key}-{salt}-{info}-{size}"
            ikm, s, i = seeded("ikm-" + case, key), seeded("salt-" + case, salt), seeded("info-" + case, info)
            out = HKDF(algorithm, size, s, i).derive(ikm)
            yield case, "valid", name, ikm.hex() or "-", s.hex() or "-", i.hex() or "-", out.hex()


def write(path, columns, rows):
    head = f"# Source: tools/make_segment_vectors.py (python3-cryptography)\n# Columns: case result {columns}\n"
    text = head + "".join(" ".join(row) + "\n" for row in rows)
    assert len(text) < 300_000
    path.write_text(text)


def main():
    out = pathlib.Path(sys.argv[1])
    write(out / "segments.txt", "key context salt message_bytes sealed_sha256 sealed (up to 1000 bytes of message)",
          segment_cases())
    write(out / "hkdf_sha2.txt", "hash input_key salt info output", hkdf_cases())


if __name__ == "__main__":
    main()
