"""Vaults' directories as one source of objects, and how an object is opened. Pages: vault-directory.md, object.md."""
import collections
import hashlib
import hmac
import os
import pathlib
import re
import stat
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .faults import Damaged, Denied, NotFound, say
from .primitives import agree_x25519, hkdf, hkdf_expand, tree_hash

HEADER_BYTES = 136
SEGMENT_BYTES = 16384
CLASSES = (18, 20, 22, 24)
OBJECT_SUITE, JOURNAL_SUITE = 1, 2


class Recent:
    """The last few results, bounded by their bytes."""

    def __init__(self, limit):
        self.limit, self.held, self.items = limit, 0, collections.OrderedDict()

    def get(self, key, make):
        if key in self.items:
            self.items.move_to_end(key)
            return self.items[key]
        value = make()
        self.items[key] = value
        self.held += len(value)
        while self.held > self.limit and len(self.items) > 1:
            self.held -= len(self.items.popitem(last=False)[1])
        return value


def open_object(path):
    """A descriptor of a regular file of an allowed size; neither a link nor a pipe may stand in for it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size not in [1 << c for c in CLASSES]:
        os.close(descriptor)
        raise ValueError(f"is no file of an object's size ({status.st_size} bytes)")
    return descriptor, status.st_size


class Vaults:
    """Directories of vaults, as one source of objects: a damaged or missing copy is named once, and the next one is tried."""

    def __init__(self, directories):
        self.directories, self.told = [pathlib.Path(d) for d in directories], set()
        self.listed = self.streams = None  # what the writers signed for, if that is known
        self.recent = Recent(128 << 20)
        for directory in self.directories:
            if not (directory / "objects").is_dir():
                raise NotFound(directory, "is no vault's directory: it has no 'objects'")

    def incident(self, text):
        if text not in self.told:
            self.told.add(text)
            say(f"going round: {text}")

    def names(self):
        """Every object's name, and where its copies are."""
        copies = collections.defaultdict(list)
        for directory in self.directories:
            for folder in sorted((directory / "objects").iterdir()):
                for entry in sorted(os.listdir(folder)) if re.fullmatch("[0-9a-f]{2}", folder.name) else []:
                    if re.fullmatch("[0-9a-f]{64}", entry) and entry.startswith(folder.name):
                        copies[bytes.fromhex(entry)].append(folder / entry)
                    elif not entry.startswith(".tmp-"):
                        self.incident(f"{folder / entry}: is no object")
        return dict(sorted(copies.items()))

    def open_segments(self):
        """vault-directory.md: (vault, stream, index, file) of every journal segment that is still open somewhere."""
        for directory in self.directories:
            journal = directory / "journal"
            for folder in sorted(journal.iterdir()) if journal.is_dir() else []:
                is_stream = re.fullmatch("[0-9a-f]{64}", folder.name) and folder.is_dir() and not folder.is_symlink()
                for path in sorted(folder.iterdir()) if is_stream else []:
                    if re.fullmatch("0|[1-9][0-9]{0,18}", path.name):
                        yield directory, bytes.fromhex(folder.name), int(path.name), path
                    elif not path.name.startswith("."):
                        self.incident(f"{path}: is no open segment of a journal")

    def read(self, name):
        """The object's bytes, whose tree hash is its name."""
        return self.recent.get(name, lambda: self.read_checked(name))

    def read_checked(self, name):
        if self.listed is not None and name not in self.listed:
            raise Damaged(f"object {name.hex()}", "stands in no signed stream of the registry's writers",
                          "if the streams are older than the objects, leave --streams out")
        reasons = []
        for directory in self.directories:
            path = directory / "objects" / name.hex()[:2] / name.hex()
            try:
                descriptor, size = open_object(path)
                with open(descriptor, "rb") as file:
                    data = file.read(size)
                if tree_hash(data) == name:
                    return data
                reasons.append(f"vault {directory}: object {name.hex()}: its bytes were altered")
            except FileNotFoundError:
                reasons.append(f"vault {directory}: object {name.hex()} is missing")
            except (OSError, ValueError) as error:
                reasons.append(f"vault {directory}: object {name.hex()}: {error}")
            self.incident(reasons[-1])
        raise Damaged(f"object {name.hex()}", "no vault given has a whole copy", "bring the directory of another vault")


def chunked_keys(kek, salt, context):
    """object.md, material: C2SP's chunked encryption. The segments' key, the base nonce, the commitment."""
    material = hkdf_expand("sha512", kek, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context, 76)
    return material[:32], material[32:44], material[44:]


def segment_nonce(base, index):
    return (int.from_bytes(base, "big") ^ index).to_bytes(12, "big")


def read_header(header, size, noun, wanted):
    """object.md: (class, registry, era, period) of the first 48 bytes of an object of the suite `wanted` and of `size` bytes."""
    magic, suite, version, object_class, zeros, registry, era, period, more = struct.unpack(">8sHHB3s16sII8s", header)
    if magic != b"EXCLAVE\0" or any(zeros) or any(more):
        raise Damaged(noun, "is no sealed object: its header is wrong")
    if (suite, version) != (wanted, 1) or object_class not in CLASSES:
        raise Damaged(noun, f"has suite {suite}, version {version}, class {object_class}: this program cannot read it")
    if size != 1 << object_class:
        raise Damaged(noun, "is longer or shorter than its class says")
    return object_class, registry, era, period


def is_journal(front):
    """Whether these first bytes are those of a journal segment (journal.md): an object of suite 2."""
    return front[:8] == b"EXCLAVE\0" and front[8:10] == struct.pack(">H", JOURNAL_SUITE)


def encapsulated(keys, period, ct, header, noun):
    """object.md, opening: what was agreed with the ephemeral key, the salt, and the KEK."""
    key = keys.periods[period]
    try:
        ss = agree_x25519(key.kem, ct)
    except ValueError:
        raise Damaged(noun, "its ephemeral key is of small order") from None
    salt = hashlib.sha512(ct + key.public + header).digest()
    return ss, salt, hkdf("sha512", key.sym + ss, salt, b"exclave/kek/v1", 32)


class Sealed:
    """One sealed object, opened with released keys: `plain` decrypts and authenticates just what is asked for."""

    def __init__(self, read_at, size, noun):
        self.noun, self.read_at, self.size = noun, read_at, size
        if size not in [1 << c for c in CLASSES]:
            raise Damaged(noun, f"has {size} bytes, which no object has")
        front = read_at(0, HEADER_BYTES)
        self.header, self.ct, self.salt, self.commitment = front[:48], front[48:80], front[80:104], front[104:]
        self.object_class, self.registry, self.era, self.period = read_header(self.header, size, noun, OBJECT_SUITE)
        payload = size - HEADER_BYTES
        self.segments = -(-payload // (SEGMENT_BYTES + 16))
        self.plain_size = payload - 16 * self.segments
        self.steps = {}

    @classmethod
    def of_bytes(cls, data, noun):
        return cls(lambda offset, length: data[offset:offset + length], len(data), noun)

    def is_for(self, keys):
        return (self.registry, self.era) == (keys.registry, keys.era) and self.period in keys.periods

    def unlock(self, keys):
        """object.md, opening: from the released keys to the segments' key, kept in `steps` for who wants to see them."""
        if not self.is_for(keys):
            raise Denied(self.noun, f"belongs to registry {self.registry.hex()[:8]}, era {self.era}, period {self.period};"
                                    f" released: {keys.registry.hex()[:8]}, era {keys.era}, periods {sorted(keys.periods)}")
        ss, kek_salt, kek = encapsulated(keys, self.period, self.ct, self.header, self.noun)
        segment_key, nonce, commitment = chunked_keys(kek, self.salt, self.header + keys.realm)
        self.steps = {"X_p": keys.periods[self.period].public, "realm": keys.realm, "ss": ss, "KEK salt": kek_salt,
                      "KEK": kek, "key": segment_key,
                      "base nonce": nonce, "commitment": commitment}
        if not hmac.compare_digest(commitment, self.commitment):
            raise Damaged(self.noun, "was not sealed to the released key, or its first bytes were altered")
        self.cipher, self.nonce = AESGCM(segment_key), nonce
        return self

    def plain(self, offset, length):
        if offset < 0 or length < 0 or offset + length > self.plain_size:
            raise Damaged(self.noun, "something in it is said to lie beyond its end")
        out = []
        for i in range(offset // SEGMENT_BYTES, -(-(offset + length) // SEGMENT_BYTES)):
            sealed = self.read_at(HEADER_BYTES + i * (SEGMENT_BYTES + 16), SEGMENT_BYTES + 16)
            try:
                out.append(self.cipher.decrypt(segment_nonce(self.nonce, i), sealed, None))
            except InvalidTag:
                raise Damaged(self.noun, f"the tag of segment {i} does not match") from None
        first = offset % SEGMENT_BYTES
        return b"".join(out)[first:first + length]
