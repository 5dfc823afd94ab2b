#!/usr/bin/env python3
"""Writes testdata/vectors/wrap.txt and shares.txt with a second implementation: python3-cryptography and integers.

  make_custody_vectors.py OUT            writes the files
  make_custody_vectors.py --examples     prints the worked examples of docs/formats/wrap.md and shares.md

The files are frozen: this script is kept to show where they came from, and to write the next version beside them.
"""
import hashlib
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
RAW = (Encoding.Raw, PublicFormat.Raw)
POINT = (Encoding.X962, PublicFormat.UncompressedPoint)


def seeded(name, length):
    return hashlib.shake_256(b"exclave custody vectors/" + name.encode()).digest(length)


def seal(scheme, shared, ephemeral, recipient, context, secret):
    info = b"exclave/wrap/v1\0" + context
    material = HKDF(hashes.SHA384(), 44, ephemeral + recipient, info).derive(shared)
    return bytes([scheme]) + ephemeral + AESGCM(material[:32]).encrypt(material[32:], secret, context)


def p384_key(randomness):
    return ec.derive_private_key(int.from_bytes(randomness, "big") % (ORDER - 1) + 1, ec.SECP384R1())


def wrap_p384(recipient, randomness, context, secret):
    ephemeral = p384_key(randomness)
    shared = ephemeral.exchange(ec.ECDH(), recipient.public_key())
    return seal(1, shared, ephemeral.public_key().public_bytes(*POINT), recipient.public_key().public_bytes(*POINT),
                context, secret)


def wrap_x25519(recipient, randomness, context, secret):
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(randomness)
    shared = ephemeral.exchange(recipient.public_key())
    return seal(2, shared, ephemeral.public_key().public_bytes(*RAW), recipient.public_key().public_bytes(*RAW),
                context, secret)


def wrap_case(scheme, name, context_bytes, secret_bytes):
    context, secret = seeded("context-" + name, context_bytes), seeded("secret-" + name, secret_bytes)
    if scheme == "p384":
        recipient, randomness = p384_key(seeded("recipient-" + name, 64)), seeded("ephemeral-" + name, 64)
        private = recipient.private_numbers().private_value.to_bytes(48, "big")
        wrapped = wrap_p384(recipient, randomness, context, secret)
    else:
        private, randomness = seeded("recipient-" + name, 32), seeded("ephemeral-" + name, 32)
        recipient = x25519.X25519PrivateKey.from_private_bytes(private)
        wrapped = wrap_x25519(recipient, randomness, context, secret)
    return name, "valid", scheme, private.hex(), randomness.hex(), context.hex(), secret.hex(), wrapped.hex()


def times(a, b):
    """Product in GF(256): carry-less product of the polynomials, then long division by x^8 + x^4 + x^3 + x + 1."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(15, 7, -1):
        if product >> bit & 1:
            product ^= 0x11B << (bit - 8)
    return product


def share(secret, threshold, randomness, x):
    y = bytearray()
    for at, byte in enumerate(secret):
        value, power = byte, 1
        for k in range(1, threshold):
            power = times(power, x)
            value ^= times(randomness[(k - 1) * len(secret) + at], power)
        y.append(value)
    return bytes(y)


def share_case(name, secret_bytes, threshold, count):
    secret = seeded("shared-" + name, secret_bytes)
    randomness = seeded("coefficients-" + name, secret_bytes * (threshold - 1))
    shares = [share(secret, threshold, randomness, x) for x in range(1, count + 1)]
    return (name, "valid", str(threshold), str(count), secret.hex(), randomness.hex(), ",".join(s.hex() for s in shares))


def write(path, columns, rows):
    head = f"# Source: tools/make_custody_vectors.py (python3-cryptography)\n# Columns: case result {columns}\n"
    text = head + "".join(" ".join(field or "-" for field in row) + "\n" for row in rows)
    assert len(text) < 300_000
    path.write_text(text)


def main():
    if sys.argv[1] == "--examples":
        for scheme in ("p384", "x25519"):
            print("\n".join(wrap_case(scheme, f"example-{scheme}", 8, 16)))
        print("\n".join(share_case("example", 4, 2, 3)))
        return
    out = pathlib.Path(sys.argv[1])
    shapes = [(0, 0), (0, 32), (1, 1), (17, 32), (64, 48), (200, 97), (300, 1000)]
    write(out / "wrap.txt", "scheme private randomness context secret wrapped",
          [wrap_case(s, f"{s}-{c}-{n}", c, n) for s in ("p384", "x25519") for c, n in shapes])
    write(out / "shares.txt", "threshold count secret randomness y1,y2,..",
          [share_case(f"{t}of{n}-{b}", b, t, n) for t, n, b in
           [(1, 1, 1), (1, 3, 5), (2, 2, 16), (2, 3, 32), (3, 5, 32), (4, 7, 33), (5, 9, 64), (7, 7, 32), (10, 20, 8),
            (128, 255, 2), (255, 255, 1)]])


if __name__ == "__main__":
    main()
