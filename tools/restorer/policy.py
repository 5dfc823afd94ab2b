"""Who decides, and which keys exist. Pages: policy.md, era.md."""
import collections
import hashlib

from .faults import Denied, NotFound, say
from .primitives import agree_x25519, ed25519_small_order, p384_public, p384_signed
from .signed_text import NAME, NUMBER, SECONDS, Document, text_of

MAXIMUM_SHARES = 255
PERIODS = 80

Official = collections.namedtuple("Official", "name sign decrypt paper")
Vault = collections.namedtuple("Vault", "name identity receipt address")
Site = collections.namedtuple("Site", "name identity")
Registry = collections.namedtuple("Registry", "name id threshold writer quota retention eras")


class Policy:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/policy/v1")
        self.hash, self.realm, self.name = d.hash, d.hex("realm", 16), d.take("name")
        self.version, self.previous = d.number("version", 1), d.maybe_hex("previous", 32)
        self.expires = d.number("expires", 0, SECONDS)
        self.threshold_policy, self.threshold_release = d.number("threshold-policy", 1), d.number("threshold-release", 1)
        point, key = "([0-9a-f]{194})", "([0-9a-f]{64})"
        self.officials = self.rows("official", Official, rf"({NAME}) sign={point} decrypt={point} paper={key}")
        self.ceremony = d.hex("ceremony", 32)
        self.quorum = tuple(map(int, d.take("quorum", rf"k=({NUMBER}) q=({NUMBER}) b=({NUMBER})")))
        address = r"([^ /:][^ ]*:[0-9]{1,5}|dir:/[^ ]+)"
        self.vaults = self.rows("vault", Vault, rf"({NAME}) identity={key} receipt={key} address={address}")
        self.sites = self.rows("site", Site, rf"({NAME}) identity={key}")
        self.registries = self.rows("registry", Registry, rf"({NAME}) id=([0-9a-f]{{32}}) threshold=({NUMBER}) writer={key}"
                                    rf" quota=({NUMBER}) retention=({NUMBER}) eras=({NUMBER})")
        d.end()
        self.check_rules()

    def rows(self, key, kind, pattern):
        """The lines of one list, sorted by name, each name once; hexadecimal becomes bytes, numbers become numbers."""
        rows, last = {}, b""
        while self.document.next_is(key):
            name, *values = self.document.take(key, pattern)
            if name.encode() <= last:
                self.document.refuse(self.document.position + 1, f"is out of order: '{key}' lines are sorted by name")
            last = name.encode()
            rows[name] = kind(name, *(v if f == "address" else bytes.fromhex(v) if len(v) in (32, 64, 194) else int(v)
                                      for f, v in zip(kind._fields[1:], values)))
        return rows

    def check_rules(self):
        n, (k, q, b) = len(self.vaults), self.quorum
        officials = self.officials.values()
        if not 1 <= len(officials) <= MAXIMUM_SHARES or max(self.threshold_policy, self.threshold_release) > len(officials):
            raise Denied(self.document.noun, "its thresholds do not fit the number of officials")
        if any(not 1 <= r.threshold <= len(officials) for r in self.registries.values()):
            raise Denied(self.document.noun, "a registry's threshold does not fit the number of officials")
        if len({r.id for r in self.registries.values()}) != len(self.registries):
            raise Denied(self.document.noun, "two registries have one id")
        good = n >= 3 and 1 <= k <= n and 1 <= q <= n and 2 * q > n + b and k > n - q + b
        if n > 64 or not (good if n != 1 else (k, q, b) == (1, 1, 0)):
            raise Denied(self.document.noun, "its quorum does not fit the number of vaults")
        if any(r.eras >= (1 if self.version == 1 else 2**32) for r in self.registries.values()):
            raise Denied(self.document.noun, "a registry's number of eras is out of range")
        if (self.version == 1) != (self.previous is None):
            raise Denied(self.document.noun, "version and 'previous' contradict each other")
        if len(self.document.signatures) > 510:
            raise Denied(self.document.noun, "has too many signatures")
        keys = [self.ceremony] + [site.identity for site in self.sites.values()]
        keys += [key for v in self.vaults.values() for key in (v.identity, v.receipt)]
        keys += [r.writer for r in self.registries.values()]
        if any(map(ed25519_small_order, keys)):
            raise Denied(self.document.noun, "an Ed25519 key is of small order")
        keys += [o.paper for o in officials]
        sources = [key[:31] + bytes([key[31] & 0x7f]) for key in keys]  # a key and its negative come from one secret
        sources += [point[1:49] for o in officials for point in (o.sign, o.decrypt)]
        if len(set(sources)) != len(sources) or not all(map(any, keys)):
            raise Denied(self.document.noun, "a public key stands in two places, or is zero")
        try:
            for official in officials:
                p384_public(official.sign), p384_public(official.decrypt)
                agree_x25519(b"\1" * 32, official.paper)
        except ValueError:
            raise Denied(self.document.noun, f"a key of official '{official.name}' is unusable") from None

    def signers(self, *deciding):
        """For each policy, how many of its officials signed this document; a line that counts for nobody refuses it."""
        signed = [set() for _ in deciding]
        for name, signature in self.document.signatures:
            fits = [name in p.officials and p384_signed(p.officials[name].sign, signature, self.document.text)
                    for p in deciding]
            if not any(fits):
                raise Denied(self.document.noun, f"the signature of '{name}' is not by that official's key")
            if all(name in names for names, fit in zip(signed, fits) if fit):
                raise Denied(self.document.noun, f"'{name}' signed twice with one key")
            for names, fit in zip(signed, fits):
                if fit:
                    names.add(name)
        return [len(names) for names in signed]

    def check_first(self, trusted):
        if self.hash != trusted or self.version != 1:
            raise Denied(self.document.noun, "is not the trusted first policy")
        if self.signers(self)[0] < self.threshold_policy:
            raise Denied(self.document.noun, "too few officials signed it")

    def check_succeeds(self, old):
        if (self.realm, self.version, self.previous) != (old.realm, old.version + 1, old.hash):
            raise Denied(self.document.noun, f"does not follow policy version {old.version}")
        before, after = ({n: (v.identity, v.receipt) for n, v in p.vaults.items()} for p in (old, self))
        if sum(before.get(name) != after.get(name) for name in before.keys() | after.keys()) > 1:
            raise Denied(self.document.noun, "changes more than one vault at once")
        eras = {r.id: r.eras for r in self.registries.values()}
        if any(eras.get(r.id, r.eras) < r.eras for r in old.registries.values()):
            raise Denied(self.document.noun, "a registry has fewer eras than in the version before")
        by_old, by_new = self.signers(old, self)
        if by_old < old.threshold_policy or by_new < self.threshold_policy:
            raise Denied(self.document.noun, "too few officials of the old or of the new policy signed it")


def first_believed(documents, check):
    """The version whose text all these documents have, from the first of them that bears the signatures it needs."""
    for data in documents:
        try:
            policy = Policy(data, f"policy {hashlib.sha256(data).hexdigest()[:12]}")
            check(policy)
            return policy
        except Denied as error:
            say(f"passed over: {error}")  # anybody can put a file beside the true ones, or a signature under a true one
    return None


def policy_chain(acts, trusted):
    """All policies from the trusted first version on, each signed by the quorum before it."""
    versions = {}
    for data in acts.values():
        if data.startswith(b"exclave/policy/"):
            versions.setdefault(hashlib.sha256(text_of(data)).digest(), []).append(data)
    if trusted not in versions:
        raise NotFound(f"policy {trusted.hex()}", "is in none of the directories of acts", "name one with --acts")
    chain = [first_believed(versions.pop(trusted), lambda policy: policy.check_first(trusted))]
    if chain[0] is None:
        raise Denied(f"policy {trusted.hex()[:12]}", "no document of it bears the signatures that it needs")
    for _ in range(len(acts)):
        named = b"\nprevious " + chain[-1].hash.hex().encode() + b"\n"
        following = [first_believed(documents, lambda policy: policy.check_succeeds(chain[-1]))
                     for documents in versions.values() if named in documents[0]]
        following = [policy for policy in following if policy]
        if len(following) > 1:
            raise Denied(following[1].document.noun, f"two signed policies claim to be version {chain[-1].version + 1}")
        if not following:
            break
        chain += following
    return chain


class Era:
    def __init__(self, data, noun):
        d = self.document = Document(data, noun, "exclave/era/v1")
        self.realm, self.registry = d.hex("realm", 16), d.hex("registry", 16)
        self.number, previous = d.number("era", 1, 2**32 - 1), d.maybe_hex("previous", 32)
        self.threshold, self.starts = d.number("threshold", 1), d.number("starts", 0, SECONDS)
        self.period_seconds, self.dedup_check = d.number("period-seconds", 1, 315_576_000), d.hex("dedup-check", 32)
        self.officials, self.periods, self.checks, self.commitments = [], [], [], {}
        while d.next_is("official"):
            self.officials.append(d.take("official", NAME))
        while d.next_is("period"):
            number, key, check = d.take("period", rf"({NUMBER}) ([0-9a-f]{{64}}) ([0-9a-f]{{64}})")
            if int(number) != len(self.periods):
                d.refuse(d.position + 1, "is not the next period")
            self.periods.append(bytes.fromhex(key))
            self.checks.append(bytes.fromhex(check))
        for period in range(len(self.periods)):
            for name in self.officials:
                number, who, commitment = d.take("share", rf"({NUMBER}) ({NAME}) ([0-9a-f]{{64}})")
                if (int(number), who) != (period, name):
                    d.refuse(d.position + 1, "is not the share line that belongs there")
                self.commitments[period, name] = bytes.fromhex(commitment)
        d.end()
        if len(set(self.officials)) != len(self.officials) or not self.threshold <= len(self.officials) <= MAXIMUM_SHARES \
                or not 1 <= len(self.periods) <= PERIODS or (self.number == 1 and previous is not None) \
                or len(set(self.periods)) != len(self.periods) \
                or self.starts + len(self.periods) * self.period_seconds > SECONDS:
            raise Denied(noun, "its officials, periods, threshold or dates break a rule")
        try:
            for key in self.periods:
                agree_x25519(b"\1" * 32, key)
        except ValueError:
            raise Denied(noun, "a period's key is of small order") from None

    def check(self, policy, registry):
        self.document.one_signature("ceremony", policy.ceremony)
        row = next((r for r in policy.registries.values() if r.id == registry), None)
        if self.realm != policy.realm or self.registry != registry or row is None or self.threshold != row.threshold:
            raise Denied(self.document.noun, "is not for this realm and registry, or has another threshold than the policy")


def era_document(acts, chain, registry, number):
    """The one document of that era which any policy of the chain vouches for."""
    good, reasons = {}, []
    for digest, data in acts.items():
        if not data.startswith(b"exclave/era/") or f"\nregistry {registry.hex()}\nera {number}\n".encode() not in data:
            continue
        for place, policy in enumerate(chain):
            try:
                era = Era(data, f"era document {digest.hex()[:12]}")
                era.check(policy, registry)
                later = [r.eras for p in chain[place + 1:] for r in p.registries.values() if r.id == registry]
                if later and era.number > later[0]:
                    raise Denied(era.document.noun, f"policy version {policy.version} vouches for eras up to {later[0]} only")
                good[digest] = era
            except Denied as error:
                reasons.append(str(error))
    if len(good) != 1:
        raise Denied(f"era {number} of registry {registry.hex()}", f"{len(good)} documents are signed for it, 1 is needed"
                     + "".join(f"; {reason}" for reason in sorted(set(reasons))), "name a directory that has it with --acts")
    return next(iter(good.values()))
