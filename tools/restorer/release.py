"""From approvals to a period's keys. Pages: release.md, share-leaf.md, key-files.md."""
import collections
import dataclasses
import hashlib
import os
import struct

from .faults import Denied, say
from .policy import MAXIMUM_SHARES, PERIODS
from .primitives import combine, hkdf, p384_signed, unwrap, x25519_public
from .signed_text import DOCUMENT_BYTES, NAME, NUMBER, SECONDS, Document, decoded, read_file

KEY_FILE_BYTES = 16 << 10


class Release:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/release/v1")
        self.id = hashlib.sha256(d.text).digest()
        self.realm, self.registry, self.registry_name = d.hex("realm", 16), d.hex("registry", 16), d.take("registry-name", NAME)
        self.era, self.periods = d.number("era", 1, 2**32 - 1), [d.number("period", 0, 2**32 - 1)]
        while d.next_is("period"):
            self.periods.append(d.number("period", self.periods[-1] + 1, 2**32 - 1))
        self.site, self.site_identity, self.recipient = d.take("site", NAME), d.hex("site-identity", 32), d.hex("recipient", 32)
        self.policy_version, self.policy_hash = d.number("policy-version", 1), d.hex("policy-hash", 32)
        self.approvals, self.reason = d.number("approvals", 1, MAXIMUM_SHARES), d.take("reason")
        if len(self.reason.encode()) > 500 or "  " in self.reason:
            raise Denied(noun, "its reason is longer than 500 bytes, or has two spaces in a row")
        d.number("not-after", 0, SECONDS), d.hex("nonce", 16)
        d.end()
        if len(self.periods) > PERIODS:
            raise Denied(noun, "asks for too many periods")

    def check(self, chain):
        """Returns the policy under which it was decided, and the registry's row in it."""
        noun = self.document.noun
        policy = next((p for p in chain if (p.version, p.hash) == (self.policy_version, self.policy_hash)), None)
        if policy is None or policy.realm != self.realm:
            raise Denied(noun, f"names policy version {self.policy_version} {self.policy_hash.hex()[:16]}..., which is not "
                               "in the chain from the trusted first policy")
        registry = policy.registries.get(self.registry_name)
        if registry is None or registry.id != self.registry:
            raise Denied(noun, f"the policy knows no registry '{self.registry_name}' with this id")
        if policy.sites.get(self.site) != (self.site, self.site_identity):
            raise Denied(noun, f"the policy pins another key for site '{self.site}', or none")
        self.document.one_signature("site", self.site_identity)
        if policy is not chain[-1]:
            say(f"{noun}: was decided under policy version {policy.version}; the newest known is {chain[-1].version}")
        if not max(policy.threshold_release, registry.threshold) <= self.approvals <= len(policy.officials):
            raise Denied(noun, f"asks for {self.approvals} approvals, the policy demands another number")
        return policy, registry


class Approval:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/approval/v1")
        self.release, self.official = d.hex("release", 32), d.take("official", NAME)
        self.x, self.shares = d.number("x", 1, MAXIMUM_SHARES), []
        while not self.shares or d.next_is("share"):
            period, salt, wrapped = d.take("share", rf"({NUMBER}) ([0-9a-f]{{64}}) ([A-Za-z0-9+/]+={{0,2}})")
            if decoded(wrapped) is None:
                d.refuse(d.position + 1, "has base64 with a second spelling")
            self.shares.append((int(period), bytes.fromhex(salt), decoded(wrapped)))
        d.end()

    def open(self, release, policy, era, recipient):
        """{period: y}. Denied either blames nobody (no such approval) or the official by name."""
        noun = self.document.noun
        if self.release != release.id:
            raise Denied(noun, "is for another release")
        official = policy.officials.get(self.official)
        if official is None or [s for s, _ in self.document.signatures] != [self.official] or \
                not p384_signed(official.sign, self.document.signatures[0][1], self.document.text):
            raise Denied(noun, f"is not signed by the official '{self.official}' whom it names")
        blame = f"approval of official '{self.official}' ({noun})"
        if self.official not in era.officials or era.officials.index(self.official) + 1 != self.x \
                or [p for p, _, _ in self.shares] != release.periods:
            raise Denied(blame, "its share index is not that official's, or its periods are not those asked for")
        opened = {}
        for period, salt, wrapped in self.shares:
            context = b"exclave/approval/v1\0" + release.id + self.official.encode() + struct.pack(">I", period)
            y = unwrap(recipient, wrapped, context, f"{blame}, period {period}")
            if hashlib.sha256(salt + bytes([self.x]) + y).digest() != era.commitments[period, self.official]:
                raise Denied(blame, f"the share of period {period} does not fit its commitment in the era document")
            opened[period] = y
        return opened


def read_recipient_key(path, release):
    """key-files.md: the site's private key for this release."""
    data = read_file(path, KEY_FILE_BYTES)
    if os.stat(path).st_mode & 0o77:
        raise Denied(f"key file {path}", "others may read it", f"chmod 600 {path}")
    d = Document(data, f"key file {path}", "exclave/recipient-key/v1")
    release_id, seed = d.hex("release", 32), d.hex("seed", 32)
    d.end()
    if d.signatures or release_id != release.id or x25519_public(seed) != release.recipient:
        raise Denied(d.noun, "is the key of another release")
    return seed


PeriodKey = collections.namedtuple("PeriodKey", "secret sym kem public")


def period_key(secret):
    """share-leaf.md: A to S_p, x_p and X_p."""
    sym, kem = (hkdf("sha512", secret, b"", b"exclave/period/v1 " + label, 32) for label in (b"sym", b"kem"))
    return PeriodKey(secret, sym, kem, x25519_public(kem))


def secret_check(what, secret):
    """era.md: what the era document says of S_p ("period") and of D ("dedup")."""
    return hashlib.sha256(b"exclave/" + what + b"-check/v1\0" + secret).digest()


@dataclasses.dataclass
class Keys:
    """What was released: opens objects of one registry and era, in some periods."""

    realm: bytes
    registry: bytes
    era: int
    periods: dict  # number: PeriodKey
    chain: list    # of policies
    approved_by: list

    def named(self, period):
        return f"registry {self.registry.hex()[:8]}, era {self.era}, period {period}"


def release_keys(release, policy, era, approvals, recipient, chain):
    """Combines the good approvals; says which ones are not, and refuses if too few are left."""
    if any(p >= len(era.periods) for p in release.periods):
        raise Denied(release.document.noun, "asks for a period that the era does not have")
    good, refused = {}, []
    for path in approvals:
        try:
            approval = Approval(read_file(path, DOCUMENT_BYTES), f"approval {path}")
            good[approval.official] = (approval.x, approval.open(release, policy, era, recipient))
        except Denied as error:
            refused.append(str(error))
            say(f"not counted: {error}")
    if len(good) < max(release.approvals, era.threshold):
        raise Denied(release.document.noun, f"{len(good)} of {release.approvals} needed approvals are valid"
                     f" ({', '.join(sorted(good)) or 'none'}); missing {max(release.approvals, era.threshold) - len(good)}",
                     "bring the approvals of other officials")
    periods = {}
    for period in release.periods:
        key = period_key(combine({x: shares[period] for x, shares in good.values()}))
        if key.public != era.periods[period] or secret_check(b"period", key.sym) != era.checks[period]:
            raise Denied(f"period {period}", "the combined key is not the one that the era document publishes")
        periods[period] = key
    return Keys(policy.realm, release.registry, release.era, periods, chain, sorted(good))
