"""The grammar of every signed document. Page: signed-text.md."""
import base64
import hashlib
import re

from .faults import Denied, NotFound
from .primitives import ed25519_signed

DOCUMENT_BYTES = 4 << 20
NUMBER = "0|[1-9][0-9]{0,19}"
SECONDS = 9_000_000_000  # the last instant that a document may name, in the year 2255
FORBIDDEN = re.compile("[\0-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u1680"
                       "\u17b4-\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff"
                       "\uffa0\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
                       "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]")
NAME = "[a-z0-9][a-z0-9-]{0,62}"


class Document:
    """A signed text, taken apart: read its fields in order with `take`, then call `end`."""

    def __init__(self, data, noun, domain):
        self.noun, self.data, self.fields, self.position, self.signatures = noun, data, [], 0, []
        if len(data) > DOCUMENT_BYTES or not data.endswith(b"\n"):
            self.refuse(0, "is too large, or its last line has no line feed")
        try:
            lines = data.decode("utf-8")[:-1].split("\n")
        except UnicodeDecodeError:
            self.refuse(0, "is not UTF-8")
        if lines[0] != domain:
            known = lines[0].rsplit("/", 1)[0] == domain.rsplit("/", 1)[0]
            self.refuse(1, f"is of version '{lines[0][:80]}', which this program cannot read" if known else f"is no '{domain}'")
        gap = lines.index("") if "" in lines else len(lines)
        for number, line in enumerate(lines[1:gap], 2):
            key, _, value = line.partition(" ")
            if not re.fullmatch("[a-z0-9-]{1,64}", key) or not 1 <= len(value.encode()) <= 8192 or value != value.strip(" ") \
                    or FORBIDDEN.search(value):
                self.refuse(number, "is not a key, a space and a value")
            self.fields.append((key, value))
        self.text = data if gap == len(lines) else "\n".join(lines[:gap]).encode() + b"\n"
        if gap == len(lines) - 1:
            self.refuse(gap + 1, "is empty and no signature follows")
        for number, line in enumerate(lines[gap + 1:], gap + 2):
            match = re.fullmatch(r"signature ([a-z0-9-]{1,64}) ([A-Za-z0-9+/]+={0,2})", line)
            value = decoded(match[2]) if match else None
            if value is None:
                self.refuse(number, "is not a signature")
            self.signatures.append((match[1], value))

    def refuse(self, line, why):
        raise Denied(self.noun, f"line {line} {why}" if line else why)

    def next_is(self, key):
        return self.position < len(self.fields) and self.fields[self.position][0] == key

    def take(self, key, pattern=".+"):
        """The value of the next field; with groups in `pattern`, a tuple of them."""
        if not self.next_is(key):
            self.refuse(self.position + 2, f"is not the field '{key}' that belongs there")
        match = re.fullmatch(pattern, self.fields[self.position][1])
        self.position += 1
        if not match:
            self.refuse(self.position + 1, f"has an ill-formed value for '{key}'")
        return match.groups() if match.groups() else match[0]

    def number(self, key, low=0, high=2**64 - 1):
        value = int(self.take(key, NUMBER))
        if not low <= value <= high:
            self.refuse(self.position + 1, f"has a number outside {low} to {high}")
        return value

    def hex(self, key, length):
        return bytes.fromhex(self.take(key, f"[0-9a-f]{{{2 * length}}}"))

    def maybe_hex(self, key, length):
        value = self.take(key, f"none|[0-9a-f]{{{2 * length}}}")
        return None if value == "none" else bytes.fromhex(value)

    def end(self):
        if self.position != len(self.fields):
            self.refuse(self.position + 2, "is a field that does not belong there")

    def one_signature(self, signer, public):
        """The only signature is `signer`'s, Ed25519 under `public`."""
        if [s for s, _ in self.signatures] != [signer] or not ed25519_signed(public, self.signatures[0][1], self.text):
            raise Denied(self.noun, f"is not signed by the right key ('{signer}' {public.hex()[:16]}...), or was altered")

    @property
    def hash(self):
        """Of what is signed: who hands a document on may choose its signatures."""
        return hashlib.sha256(self.text).digest()


def text_of(data):
    """The signed part of a document that is not taken apart yet."""
    text, gap, _ = data.partition(b"\n\n")
    return text + b"\n" if gap else data


def decoded(text):
    """Canonical, padded base64, or None."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def read_file(path, limit):
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise NotFound(path, error.strerror) from None
    if len(data) > limit:
        raise Denied(path, f"is larger than {limit} bytes")
    return data
