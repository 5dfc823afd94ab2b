"""Hashes, keys, shares, wraps, compression. Pages: README.md (HKDF), wrap.md, shares.md, object.md (name), pack.md (zstd),
journal.md (CRC-32C).

Why libzstd by ctypes: chunks are zstd frames and Python's library has no zstd before 3.14; libzstd is on every Debian machine
(dpkg needs it); one call for each chunk into a buffer of exactly the promised size bounds the output, where the `zstd` tool
would be a process for each of a million chunks.
"""
import ctypes
import ctypes.util
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .faults import Denied


def hkdf(name, ikm, salt, info, length):
    return hkdf_expand(name, hmac.new(salt, ikm, name).digest(), info, length)  # HMAC pads an empty salt with zeros


def hkdf_expand(name, key, info, length):
    out, block = b"", b""
    for counter in range(1, 256):
        if len(out) >= length:
            break
        block = hmac.new(key, block + info + bytes([counter]), name).digest()
        out += block
    return out[:length]


def raw_public(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def x25519_public(secret):
    return raw_public(x25519.X25519PrivateKey.from_private_bytes(secret).public_key())


def agree_x25519(secret, public):
    """The shared secret; ValueError if it would be all zero."""
    shared = x25519.X25519PrivateKey.from_private_bytes(secret).exchange(x25519.X25519PublicKey.from_public_bytes(public))
    if not any(shared):
        raise ValueError("all zero")
    return shared


def p384_public(point):
    if len(point) != 97 or point[0] != 4:
        raise ValueError("not an uncompressed point")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)


# Every y of a point of order 1, 2, 4 or 8, in each encoding; the highest bit of a key is the sign of x.
ED25519_SMALL_ORDER = {bytes.fromhex(y) for y in (
    "00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f", "ee" + "ff" * 30 + "7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")}


def ed25519_small_order(public):
    return public[:31] + bytes([public[31] & 0x7f]) in ED25519_SMALL_ORDER


def ed25519_signed(public, signature, text):
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return len(signature) == 64


def p384_signed(point, signature, text):
    if len(signature) != 96:
        return False
    r, s = (int.from_bytes(part, "big") for part in (signature[:48], signature[48:]))
    try:
        p384_public(point).verify(utils.encode_dss_signature(r, s), text, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError):
        return False
    return True


def unwrap(secret, wrapped, context, noun):
    """wrap.md. `secret`: 32 bytes for scheme 2, the P-384 scalar as 48 bytes for scheme 1."""
    scheme, size = (2, 32) if len(secret) == 32 else (1, 97)
    ephemeral, sealed = wrapped[1:1 + size], wrapped[1 + size:]
    try:
        if wrapped[:1] != bytes([scheme]) or len(sealed) < 16:
            raise ValueError("scheme or size")
        if scheme == 1:
            private = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP384R1())
            mine = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            shared = private.exchange(ec.ECDH(), p384_public(ephemeral))
        else:
            mine, shared = x25519_public(secret), agree_x25519(secret, ephemeral)
        material = hkdf("sha384", shared, ephemeral + mine, b"exclave/wrap/v1\0" + context, 44)
        return AESGCM(material[:32]).decrypt(material[32:], sealed, context)
    except (ValueError, InvalidTag):
        raise Denied(noun, "was not sealed to this key, or was altered") from None


def gf_multiply(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = (a << 1) ^ (0x11b if a & 0x80 else 0)
        b >>= 1
    return product


def gf_inverse(a):
    power = 1  # a^254 = a^2 a^4 ... a^128
    for _ in range(7):
        a = gf_multiply(a, a)
        power = gf_multiply(power, a)
    return power


def combine(shares):
    """shares.md: {x: y} to the secret."""
    if not shares or 0 in shares or len({len(y) for y in shares.values()}) != 1 or b"" in shares.values():
        raise ValueError("shares do not fit together")
    secret = bytes(len(next(iter(shares.values()))))
    for x, y in shares.items():
        weight = 1
        for other in shares:
            if other != x:
                weight = gf_multiply(weight, gf_multiply(other, gf_inverse(other ^ x)))
        secret = bytes(s ^ gf_multiply(weight, b) for s, b in zip(secret, y))
    return secret


def tree_hash(data):
    """object.md, name: RFC 6962 over blocks of 64 KiB. Equal neighbours merge from the right, which gives the same tree."""
    roots = []  # (height, hash)
    for start in range(0, len(data), 65536):
        node = (0, hashlib.sha256(b"\0" + data[start:start + 65536]).digest())
        while roots and roots[-1][0] == node[0]:
            node = (node[0] + 1, hashlib.sha256(b"\1" + roots.pop()[1] + node[1]).digest())
        roots.append(node)
    if not roots:
        return hashlib.sha256(b"").digest()
    top = roots.pop()[1]
    while roots:
        top = hashlib.sha256(b"\1" + roots.pop()[1] + top).digest()
    return top


class Crc32c:
    """CRC-32C (Castagnoli), which Python's library does not have. Eight bytes at a time, some 10 MB a second."""

    tables = None

    @classmethod
    def make(cls):
        def shifted(value, bits):
            for _ in range(bits):
                value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
            return value

        cls.tables = [[shifted(i, 8 * places) for i in range(256)] for places in range(1, 9)]

    @classmethod
    def of(cls, *parts):
        """Of the parts, end to end."""
        if cls.tables is None:
            cls.make()
        t0, t1, t2, t3, t4, t5, t6, t7 = cls.tables
        crc = 0xffffffff
        for part in parts:
            whole = len(part) & ~7
            for a, b in struct.iter_unpack("<II", memoryview(part)[:whole]):
                a ^= crc
                crc = t7[a & 255] ^ t6[a >> 8 & 255] ^ t5[a >> 16 & 255] ^ t4[a >> 24] ^ \
                    t3[b & 255] ^ t2[b >> 8 & 255] ^ t1[b >> 16 & 255] ^ t0[b >> 24]
            for byte in part[whole:]:
                crc = crc >> 8 ^ t0[(crc ^ byte) & 255]
        return crc ^ 0xffffffff


class Zstd:
    """pack.md: exactly one frame of exactly `plain` bytes, without dictionary; the output buffer is `plain` bytes long."""

    library = None

    @classmethod
    def load(cls):
        if cls.library is None:
            try:
                cls.library = ctypes.CDLL("libzstd.so.1")
            except OSError:
                cls.library = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so")
            size, bytes_in = ctypes.c_size_t, ctypes.c_char_p
            cls.library.ZSTD_decompress.argtypes = (ctypes.c_void_p, size, bytes_in, size)
            cls.library.ZSTD_findFrameCompressedSize.argtypes = (bytes_in, size)
            cls.library.ZSTD_decompress.restype = cls.library.ZSTD_findFrameCompressedSize.restype = size
        return cls.library

    @classmethod
    def frame(cls, stored, plain):
        library = cls.load()
        if stored[:4] != b"\x28\xb5\x2f\xfd" or library.ZSTD_findFrameCompressedSize(stored, len(stored)) != len(stored):
            raise ValueError("is not exactly one zstd frame")
        out = ctypes.create_string_buffer(plain)
        if library.ZSTD_decompress(out, plain, stored, len(stored)) != plain:
            raise ValueError("does not decompress to the size that was promised")
        return out.raw
