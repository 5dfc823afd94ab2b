"""Opens every worked example of docs/formats and the frozen samples of testdata with this reader, and shows it forged ones.

The expected values stand in the pages and in testdata's READMEs; nothing here was made by this reader.
"""
import base64
import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import random
import re
import shutil
import struct
import tempfile
import types

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .faults import Fault, say, shown
from .listing import ListingReader
from .plaintext import (STREAM, TREE, Reader, index_sections, pack_directory, payload_of, read_directory, read_footer,
                        read_record)
from .policy import Era, Policy, era_document, policy_chain
from .primitives import agree_x25519, combine, ed25519_signed, hkdf, raw_public, tree_hash, unwrap, x25519_public
from .release import Approval, Keys, Release, period_key, read_recipient_key, release_keys, secret_check
from .self_test_logs import LogTests
from .signed_text import DOCUMENT_BYTES, FORBIDDEN, Document, read_file, text_of
from .snapshots import Chunks, chunk_id, file_hash, open_record, snapshots
from .streams import Receipt, Streams
from .vaults import Sealed, Vaults, chunked_keys, segment_nonce
from .writing import Restorer, Target


class Page:
    """A page of the documents: its tables of values, and its fenced examples."""

    def __init__(self, path):
        self.path, self.text = path, path.read_text(encoding="utf-8")

    def value(self, name):
        return re.search(rf"^\| {re.escape(name)} \| `([^`]*)` \|$", self.text, re.M)[1]

    def bytes(self, name):
        return bytes.fromhex(self.value(name))

    def hex_block(self, label):
        body = re.search(rf"^```hex {label}\n(.*?)^```", self.text, re.M | re.S)[1]
        return bytes.fromhex(re.sub(r"#.*", "", body))

    def texts(self, domain):
        """Every example of a signed text with this domain."""
        bodies = re.findall(r"^```text[^\n]*\n(.*?)^```", self.text, re.M | re.S)
        return [body.encode() for body in bodies if body.startswith(domain)]

    def only_text(self, domain):
        (text,) = self.texts(domain)
        return text


def wrapped_to(public, context, secret):
    """wrap.md, the sender's side of scheme 2; for shares that an official would never send."""
    ephemeral = b"\x09" * 32
    salt = x25519_public(ephemeral) + public
    material = hkdf("sha384", agree_x25519(ephemeral, public), salt, b"exclave/wrap/v1\0" + context, 44)
    return b"\2" + salt[:32] + AESGCM(material[:32]).encrypt(material[32:], secret, context)


class SelfTest(LogTests):
    def __init__(self, repository):
        self.formats, self.data = repository / "docs/formats", repository / "testdata"
        self.failures = self.checks = 0

    def page(self, name):
        return Page(self.formats / f"{name}.md")

    def equal(self, what, mine, expected):
        self.checks += 1
        if mine != expected:
            self.failures += 1
            say(f"FAILED {what}: {mine!r} instead of {expected!r}")

    def refused(self, what, act):
        """`act` is refused with a Fault: neither taken nor answered with any other error."""
        self.checks += 1
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                act()
        except Fault:
            return
        except Exception as error:  # whatever else comes out is a bug of the reader
            say(f"FAILED {what}: {error!r} instead of a refusal")
        else:
            say(f"FAILED {what}: was taken")
        self.failures += 1

    def run(self):
        for test in (self.wrap, self.shares, self.segments, self.signed_text, self.policy, self.era, self.custody, self.object,
                     self.pack, self.snapshot, self.listing, self.forged_listings, self.stream, self.whole_sample,
                     self.journal, self.database_journal, self.log_files, self.pages_of_log, self.wal_plan):
            before = self.failures
            test()
            print(f"{'ok' if self.failures == before else 'FAILED':6} {test.__name__.replace('_', ' ')}")
        print(f"{self.checks} checks, {self.failures} failed")
        return 1 if self.failures else 0

    # --- keys ---

    def wrap(self):
        page = self.page("wrap")
        for scheme, key in (("p384", "p384 recipient scalar"), ("x25519", "x25519 recipient private key")):
            secret, context = page.bytes(key), page.bytes(f"{scheme} context")
            wrapped = page.bytes(f"{scheme} wrapped")
            self.equal(f"wrap.md {scheme}", unwrap(secret, wrapped, context, "wrap").hex(), page.value(f"{scheme} secret"))
            for i in range(len(wrapped)):
                altered = wrapped[:i] + bytes([wrapped[i] ^ 1]) + wrapped[i + 1:]
                self.refused(f"wrap.md {scheme} with byte {i} altered", lambda w=altered: unwrap(secret, w, context, "wrap"))
            self.refused("another context", lambda: unwrap(secret, wrapped, context + b"x", "wrap"))
            self.refused("a short one", lambda: unwrap(secret, wrapped[:40], context, "wrap"))
        for case, _, _, private, _, context, secret, wrapped in self.vectors("wrap"):
            self.equal(f"wrap.txt {case}", unwrap(private, wrapped, context, case), secret)

    def vectors(self, name):
        """The lines of a file of vectors: hexadecimal columns as bytes."""
        for line in (self.data / f"vectors/{name}.txt").read_text().splitlines():
            if not line.startswith("#"):
                yield [b"" if c == "-" else bytes.fromhex(c) if i > 2 and re.fullmatch("([0-9a-f]{2})+", c) else c
                       for i, c in enumerate(line.split(" "))]

    def shares(self):
        page = self.page("shares")
        ys = {x: page.bytes(f"y of share {x}") for x in (1, 2, 3)}
        for pair in ((1, 2), (1, 3), (2, 3), (3, 2, 1)):
            self.equal(f"shares.md {pair}", combine({x: ys[x] for x in pair}).hex(), page.value("secret"))
        for line in (self.data / "vectors/shares.txt").read_text().splitlines():
            if not line.startswith("#"):
                case, _, threshold, _, secret, _, shares = line.split(" ")
                ys = [bytes.fromhex(y) for y in shares.split(",")]
                last = {x: ys[x - 1] for x in range(len(ys), len(ys) - int(threshold), -1)}
                self.equal(f"shares.txt {case}", combine(last).hex(), secret)

    def segments(self):
        """The chunked encryption apart from objects: other contexts, other lengths."""
        for line in (self.data / "vectors/segments.txt").read_text().splitlines():
            case, _, *fields = line.split(" ")
            if line.startswith("#") or fields[-1] == "-":
                continue
            kek, context, salt = (b"" if f == "-" else bytes.fromhex(f) for f in fields[:3])
            sealed = bytes.fromhex(fields[-1])
            key, nonce, commitment = chunked_keys(kek, salt, context)
            try:
                plain = AESGCM(key).decrypt(segment_nonce(nonce, 0), sealed[56:], None)
            except InvalidTag:
                plain = b"no tag"
            self.equal(f"segments.txt {case}", (sealed[:24], sealed[24:56], len(plain)), (salt, commitment, int(fields[3])))

    # --- documents ---

    def signed_text(self):
        page = self.page("signed-text")
        seed = bytes.fromhex(re.search("seed `([0-9a-f]{64})`", page.text)[1])
        public = raw_public(ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key())
        text = page.only_text("exclave/example/v1")
        d = Document(text, "example", "exclave/example/v1")
        self.equal("signed-text.md", [d.take("name"), d.number("count"), d.take("item"), d.take("item")],
                   ["Grüße aus Lissabon", 3, "one", "item two words"[5:]])
        d.end()
        self.equal("signed-text.md signature", ed25519_signed(public, d.signatures[0][1], d.text), True)
        lines = text.decode().split("\n")

        def altered(what, new):
            self.refused(f"signed text with {what}", lambda: Document(new.encode(), "example", "exclave/example/v1"))

        altered("another version", text.decode().replace("/v1", "/v2"))
        altered("no last line feed", text.decode()[:-1])
        altered("an empty line inside", "\n".join(lines[:2] + [""] + lines[2:]))
        altered("an empty line and no signature", "\n".join(lines[:5]) + "\n\n")
        altered("a line after the signature", text.decode() + "item\n")
        altered("base64 with a second spelling", text.decode().replace("EfXjCA==", "EfXjCB=="))
        altered("base64 without padding", text.decode().replace("EfXjCA==", "EfXjCA"))
        altered("a signer in capitals", text.decode().replace("signature example", "signature Example"))
        altered("a signer with 65 letters", text.decode().replace("signature example", "signature " + "e" * 65))
        for value in ("x\r", " x", "x ", "a\tb", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066", "x" * 8193, ""):
            altered(f"the value {value[:9]!r}", f"exclave/example/v1\nname {value}\n")
        block = page.text.split("## What cannot stand in a value")[1].split("```")[1]
        listed = re.findall(r"U\+([0-9A-F]{4,5})(?:-([0-9A-F]{4,5}))?", block)
        unseen = {c for first, last in listed for c in range(int(first, 16), int(last or first, 16) + 1)}
        mine = {c for c in range(0x110000) if FORBIDDEN.match(chr(c))}
        self.equal("signed-text.md, what cannot stand in a value", mine, unseen)
        for line in ("name", "Name x", "na_me x", " x", "x" * 65 + " x"):
            altered(f"the line {line[:9]!r}", f"exclave/example/v1\n{line}\n")
        self.refused("a field too many", lambda: self.document_of(text, "name"))
        self.refused("a misplaced field", lambda: self.document_of(text, "count"))
        zero = text.replace(b"count 3", b"count 03")
        self.refused("a number with a leading zero", lambda: self.document_of(zero, "name", "count"))

    def document_of(self, text, *keys):
        d = Document(text, "example", "exclave/example/v1")
        for key in keys:
            d.number(key) if key == "count" else d.take(key)
        d.end()

    def policy(self):
        page = self.page("policy")
        text, trusted = page.only_text("exclave/policy/v1"), page.bytes("SHA-256 of the text")
        self.equal("policy.md is the frozen sample", text, (self.data / "policy/policy-v1.txt").read_bytes())
        following = (self.data / "policy/policy-v1-next.txt").read_bytes()
        self.trusted, self.acts = trusted, {hashlib.sha256(t).digest(): t for t in (text, following)}
        self.chain = policy_chain(self.acts, trusted)
        self.equal("the chain of the sample", [(p.version, p.name) for p in self.chain], [(1, "Testland"), (2, "Testland")])
        self.refused("an unknown first policy", lambda: policy_chain(self.acts, bytes(32)))

        def altered(what, old, new):
            changed = text.replace(old, new)
            self.equal(f"{what} alters the policy", changed != text, True)
            self.refused(f"policy with {what}", lambda: Policy(changed, "policy").check_first(hashlib.sha256(text_of(changed)).digest()))

        bob = re.search(rb"official bob .*\n", text)[0]
        altered("officials out of order", bob, bob.replace(b"bob", b"aaa"))
        altered("an official twice", bob, bob + bob)
        altered("a point off the curve", b"sign=04e8", b"sign=04e9")
        altered("a compressed point", b"sign=04e8", b"sign=03e8")
        altered("one key in two places", b"identity=a94162734d082ba17a66505741054e9ecd71bb2cd98c2acaa5ab4cd9999089bc",
                b"identity=240c985c6a499e712c88a2da90c18901792c62d3e6fb52faeae0f08156548eb4")
        altered("a paper key of small order", b"paper=e916a78a9d642b71ade4cbf57aff0d3bf97372dce2323dc963dc8d1225154a6d",
                b"paper=01" + b"00" * 31)
        for y in ("01" + "00" * 31, "ec" + "ff" * 31, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"):
            altered("a ceremony key of small order", re.search(rb"ceremony \w+", text)[0], b"ceremony " + y.encode())
        altered("threshold 3 of 2", b"threshold-policy 2", b"threshold-policy 3")
        altered("threshold 0", b"threshold-release 2", b"threshold-release 0")
        altered("a wrong quorum", b"k=1 q=1", b"k=2 q=1")
        altered("a previous version", b"previous none", b"previous " + b"00" * 32)
        altered("two spaces", b"version 1", b"version  1")
        altered("another name", b"Testland", b"Westland")
        altered("one signature", re.search(rb"signature alice .*\n", text)[0], b"")
        swapped = following.replace(b"name Testland", b"name Bestland")
        unsigned = re.sub(rb"signature alice .*\n", b"", following)
        self.refused("a successor with one signature", lambda: Policy(unsigned, "policy").check_succeeds(self.chain[0]))
        self.refused("a forged successor", lambda: Policy(swapped, "policy").check_succeeds(self.chain[0]))
        with contextlib.redirect_stderr(io.StringIO()):
            chain = policy_chain({**self.acts, hashlib.sha256(swapped).digest(): swapped}, trusted)
        self.equal("a forged successor is passed over", len(chain), 2)
        self.one_version_with_other_signatures(following, trusted, alice=re.search(rb"signature alice .*\n", text)[0])

    def one_version_with_other_signatures(self, following, trusted, alice):
        """Whoever hands a policy on may choose its signatures: that forks nobody."""
        name, other = re.search(rb"signature (alice) (.*)\n", following).groups()
        raw = base64.b64decode(other)
        order = int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
        mirrored = raw[:48] + (order - int.from_bytes(raw[48:], "big")).to_bytes(48, "big")
        twin = following.replace(other, base64.b64encode(mirrored))
        mallory = following + b"signature mallory AAAA\n"
        for what, document, good in (("the other spelling of a signature", twin, True), ("a stranger's signature", mallory, False),
                                     ("an official who signed twice", following + b"signature alice " + other + b"\n", False),
                                     ("a signature of another text", following + alice, False)):
            act = lambda d=document: Policy(d, "policy").check_succeeds(self.chain[0])  # noqa: E731
            self.refused(f"a policy with {what}", act) if not good else act()
            for both in ((following, document), (document, following)):
                acts = {hashlib.sha256(d).digest(): d for d in (*list(self.acts.values())[:1], *both)}
                with contextlib.redirect_stderr(io.StringIO()):
                    chain = policy_chain(acts, trusted)
                self.equal(f"the chain beside {what}", [p.hash for p in chain], [p.hash for p in self.chain])

    def era(self):
        text = self.page("era").only_text("exclave/era/v1")
        self.equal("era.md is the frozen sample", text, (self.data / "policy/era-v1.txt").read_bytes())
        self.acts[hashlib.sha256(text).digest()] = text
        registry = self.chain[0].registries["land"].id
        self.era_sample = era_document(self.acts, self.chain, registry, 1)
        self.equal("era.md", (self.era_sample.officials, len(self.era_sample.periods)), (["alice", "bob"], 2))
        share = re.search(rb"share 1 bob .*\n", text)[0]
        for what, old, new in (("a gap in the periods", b"\nperiod 1 ", b"\nperiod 2 "), ("a missing share", share, b""),
                               ("a share too many", share, share + share), ("threshold 3 of 2", b"threshold 2", b"threshold 3"),
                               ("era 0", b"era 1\n", b"era 0\n"), ("an official twice", b"official bob", b"official alice"),
                               ("another start", b"starts 1800000000", b"starts 1800000001"),
                               ("an end after 2255", b"starts 1800000000", b"starts 8999999999"),
                               ("two equal periods", text.split(b"period 1 ")[1][:64], text.split(b"period 0 ")[1][:64])):
            changed = text.replace(old, new)
            self.equal(f"{what} alters the era", changed != text, True)
            self.refused(f"era with {what}", lambda c=changed: Era(c, "era").check(self.chain[0], registry))

    def custody(self):
        """share-leaf.md, release.md, key-files.md: from key files to A, on both ways, and to S_p and X_p."""
        keys, registry = self.page("key-files"), self.chain[0].registries["land"].id
        scalar = self.key_file(keys.only_text("exclave/official-keys/v1"), "exclave/official-keys/v1", "decrypt", 48)
        paper = self.key_file(keys.only_text("exclave/paper-key/v1"), "exclave/paper-key/v1", "seed", 32)
        self.key_file(keys.only_text("exclave/signing-key/v1"), "exclave/signing-key/v1", "seed", 32)
        page = self.page("share-leaf")
        leaf = page.only_text("exclave/share-leaf/v1")
        self.equal("share-leaf.md is the frozen sample", leaf, (self.data / "custody/share-leaf-v1-alice.txt").read_bytes())
        context = page.bytes("wrap context")
        records = [self.leaf(leaf, "alice", registry, secret, context) for secret in (scalar, paper)]
        self.equal("share-leaf.md record, by both keys", [r.hex() for r in records], [page.value("record")] * 2)
        bob = (self.data / "custody/official-keys-v1-bob.txt").read_bytes()
        bob = self.key_file(bob, "exclave/official-keys/v1", "decrypt", 48)
        other = self.leaf((self.data / "custody/share-leaf-v1-bob.txt").read_bytes(), "bob", registry, bob,
                          context.replace(b"alice", b"bob"))
        secrets = []
        for period in range(2):
            ys = {r[0]: r[5 + 68 * period + 36:5 + 68 * period + 68] for r in (records[0], other)}
            secrets.append(combine(ys))
            self.equal(f"X_p of period {period}", period_key(secrets[-1]).public, self.era_sample.periods[period])
        agent = keys.only_text("exclave/agent-keys/v1").decode()
        for period in range(2):
            sym, public = re.search(rf"^period {period} ([0-9a-f]+) ([0-9a-f]+)$", agent, re.M).groups()
            self.equal("era.md, the check of S_p", secret_check(b"period", bytes.fromhex(sym)), self.era_sample.checks[period])
            self.equal("key-files.md, S_p", (period_key(secrets[period]).sym.hex(), period_key(secrets[period]).public.hex()),
                       (sym, public))
        dedup = self.key_file(agent.encode(), "exclave/agent-keys/v1", "dedup", 32)
        self.equal("era.md, the check of D", secret_check(b"dedup", dedup), self.era_sample.dedup_check)
        self.release(keys, secrets)

    def key_file(self, text, domain, key, length):
        d = Document(text, domain, domain)
        while not d.next_is(key):
            d.take(d.fields[d.position][0])
        return d.hex(key, length)

    def leaf(self, text, official, registry, secret, context):
        """share-leaf.md: the record, checked against the era document's commitments."""
        d = Document(text, f"leaf of {official}", "exclave/share-leaf/v1")
        names = (d.hex("realm", 16), d.hex("registry", 16), d.number("era"), d.take("official"))
        wrapped = {48: d.take("wrapped-decrypt"), 32: d.take("wrapped-paper")}[len(secret)]
        d.one_signature("ceremony", self.chain[0].ceremony)
        self.equal("share-leaf.md, wrap context", b"exclave/share-leaf/v1\0" + names[0] + names[1] + struct.pack(">I", names[2])
                   + names[3].encode(), context)
        self.equal("the leaf's names", names, (self.chain[0].realm, registry, 1, official))
        record = unwrap(secret, base64.b64decode(wrapped), context, d.noun)
        x, periods = struct.unpack(">BI", record[:5])
        self.equal("the record's size", (len(record), x), (5 + 68 * periods, self.era_sample.officials.index(official) + 1))
        for i in range(periods):
            period, salt, y = struct.unpack(">I32s32s", record[5 + 68 * i:73 + 68 * i])
            self.equal("the record's commitment", hashlib.sha256(salt + bytes([x]) + y).digest(),
                       self.era_sample.commitments[period, official])
        return record

    def release(self, keys, secrets):
        page = self.page("release")
        request = Release(page.only_text("exclave/release/v1"), "request")
        with contextlib.redirect_stderr(io.StringIO()):
            policy, _ = request.check(self.chain)
        folder = pathlib.Path(tempfile.mkdtemp())
        try:
            (folder / "key").write_bytes(keys.only_text("exclave/recipient-key/v1"))
            self.refused("a key file that others may read", lambda: self.recipient(folder / "key", request, 0o644))
            recipient = self.recipient(folder / "key", request, 0o600)
            (folder / "alice").write_bytes(page.only_text("exclave/approval/v1"))
            shutil.copy(self.data / "custody/approval-v1-bob.txt", folder / "bob")
            both = [folder / "alice", folder / "bob"]
            opened = release_keys(request, policy, self.era_sample, both, recipient, self.chain)
            self.equal("release.md with both approvals", (opened.periods[1].secret, opened.approved_by),
                       (secrets[1], ["alice", "bob"]))
            self.refused("one approval",
                         lambda: release_keys(request, policy, self.era_sample, both[:1], recipient, self.chain))
            self.refused("one approval twice",
                         lambda: release_keys(request, policy, self.era_sample, both[:1] * 2, recipient, self.chain))
            text = both[0].read_bytes()
            wrapped = re.search(rb"^share \d+ \S+ (\S{8})", text, re.M)[1]
            another = wrapped[:7] + (b"A" if wrapped[7:] != b"A" else b"B")
            for what, old, new in (("another official", b"official alice", b"official bob"), ("another index", b"x 1", b"x 2"),
                                   ("another period", b"share 1", b"share 0"), ("another share", wrapped, another),
                                   ("another release", request.id.hex()[:4].encode(), b"0000")):
                self.refused(f"approval with {what}", lambda t=text.replace(old, new): Approval(t, "approval").open(
                    request, policy, self.era_sample, recipient))
            self.forged_approvals(request, policy, recipient, text)
            other = types.SimpleNamespace(**{**vars(self.era_sample), "periods": self.era_sample.periods[::-1]})
            self.refused("a key that is not the published one",
                         lambda: release_keys(request, policy, other, both, recipient, self.chain))
            asked = page.only_text("exclave/release/v1")
            for old, new in ((b"period 1", b"period 0"), (b"reason drill", b"reason  drill"), (b"14: ", b"14:  "),
                             (b"reason drill", b"reason " + b"d" * 500), (b"approvals 2", b"approvals 1"), (b"site lisbon", b"site oslo"),
                             (b"registry-name land", b"registry-name sea"), (b"policy-version 1", b"policy-version 2"),
                             (b"reason drill", b"reason thrill"), (b"recipient 77", b"recipient 78")):
                self.refused(f"request with {new}", lambda t=asked.replace(old, new): Release(t, "request").check(self.chain))
        finally:
            shutil.rmtree(folder)

    def forged_approvals(self, request, policy, recipient, text):
        """One without the official's signature, and one that she signed over a share that is not hers."""
        signature = re.search(rb"signature alice (.*)\n", text)[1]
        for what, changed in (("a signature of zeros", base64.b64encode(bytes(96))),
                              ("another signature", signature[:20] + b"AAAA" + signature[24:])):
            self.refused(what, lambda c=changed: Approval(text.replace(signature, c), "approval").open(
                request, policy, self.era_sample, recipient))
        keys = (self.data / "custody/official-keys-v1-alice.txt").read_bytes()
        scalar = self.key_file(keys, "exclave/official-keys/v1", "sign", 48)
        key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP384R1())
        context = b"exclave/approval/v1\0" + request.id + b"alice" + struct.pack(">I", 1)
        true_share = unwrap(recipient, Approval(text, "approval").shares[0][2], context, "share")
        for share in (true_share, bytes(32)):
            body = re.sub(rb"(share 1 \w+) .*", rb"\1 " + base64.b64encode(wrapped_to(request.recipient, context, share)), text)
            body = body.split(b"\n\n")[0] + b"\n"
            r, s = utils.decode_dss_signature(key.sign(body, ec.ECDSA(hashes.SHA384())))
            forged = body + b"\nsignature alice " + base64.b64encode(r.to_bytes(48, "big") + s.to_bytes(48, "big")) + b"\n"
            approval = Approval(forged, "approval")
            if share == true_share:
                self.equal("a share wrapped here", approval.open(request, policy, self.era_sample, recipient), {1: true_share})
            else:
                self.refused("a false share under a true signature",
                             lambda a=approval: a.open(request, policy, self.era_sample, recipient))

    def recipient(self, path, request, mode):
        os.chmod(path, mode)
        return read_recipient_key(path, request)

    # --- objects ---

    def sample(self, kind):
        """One of the three sample objects, as bytes; the keys as READMEs and pages give them."""
        readme = Page(self.data / "format/README.md")
        name = readme.value(kind)
        key = period_key(readme.bytes("period secret A"))
        self.equal("keys from A", [key.sym.hex(), key.kem.hex(), key.public.hex()],
                   [readme.value(n) for n in ("S_p", "x_p", "X_p")])
        self.keys = Keys(readme.bytes("realm"), readme.bytes("registry"), 1, {3: key}, [], [])
        return read_file(self.data / f"format/v1/objects/{name[:2]}/{name}", DOCUMENT_BYTES), bytes.fromhex(name)

    def opened(self, kind):
        data, name = self.sample(kind)
        return Sealed.of_bytes(data, f"object {name.hex()}").unlock(self.keys), name

    def object(self):
        page = self.page("object")
        data, name = self.sample("pack")
        self.equal("object.md, front", data[:136].hex(), page.hex_block("front").hex())
        self.equal("object.md, name", (tree_hash(data).hex(), name.hex()), (page.value("name"), page.value("name")))
        sealed = Sealed.of_bytes(data, "sample").unlock(self.keys)
        self.equal("object.md, ss", sealed.steps["ss"].hex(), page.value("ss"))
        for row in re.findall(r"^\| (\d+) \| [\d,]+ \| ([\d,]+) \| ([\d,]+) \|$", page.text, re.M):
            size = 1 << int(row[0])
            header = data[:12] + bytes([int(row[0])]) + data[13:136]
            empty = Sealed(lambda o, n, h=header: h[o:o + n], size, "class")
            self.equal(f"class {row[0]}", (f"{empty.segments:,}", f"{empty.plain_size:,}"), row[1:])
        for i in list(range(136)) + [136, 16535, 16536, 16551, 200000, len(data) - 1]:
            altered = data[:i] + bytes([data[i] ^ 0x40]) + data[i + 1:]
            self.refused(f"an object with byte {i} altered", lambda a=altered: self.open_whole(a))
        for what, altered in (("cut", data[:-1]), ("longer", data + b"\0"), ("cut at a segment", data[:136 + 16400]),
                              ("empty", b"")):
            self.refused(f"an object that was {what}", lambda a=altered: self.open_whole(a))
        order = bytearray(data)
        order[136:136 + 16400], order[136 + 16400:136 + 32800] = data[136 + 16400:136 + 32800], data[136:136 + 16400]
        self.refused("swapped segments", lambda: self.open_whole(bytes(order)))
        moved = Keys(bytes(16), self.keys.registry, 1, self.keys.periods, [], [])
        self.refused("another realm", lambda: Sealed.of_bytes(data, "sample").unlock(moved))

    def open_whole(self, data):
        sealed = Sealed.of_bytes(data, "sample").unlock(self.keys)
        return sealed.plain(0, sealed.plain_size)

    def pack(self):
        page = self.page("pack")
        sealed, name = self.opened("pack")
        tail = page.hex_block("directory") + page.hex_block("footer")
        self.equal("pack.md, directory and footer", sealed.plain(sealed.plain_size - 208, 208).hex(), tail.hex())
        self.equal("pack.md, group", sealed.plain(0, 67), page.hex_block("group"))
        places = dict(pack_directory(sealed, name))
        dedup = Page(self.data / "format/README.md").bytes("dedup key D")
        self.equal("pack.md, file hash", file_hash(dedup, b"Hello, Exclave.\n").hex(), page.value("file hash of hello.txt"))
        self.equal("pack.md, group id", chunk_id(dedup, 2, page.hex_block("group"), "group"), page.bytes("group chunk id"))
        self.equal("pack.md, content id is in the directory", page.bytes("content chunk id") in places, True)
        for group in (b"", b"\0\0\0\0", b"\0\0\0\1", b"x\0\0\0\2\0\0\0\1", b"\xff\xff\xff\xff", b"xx\0\0\0\1\0\0\0\1"):
            self.refused(f"the group {group}", lambda g=group: chunk_id(dedup, 2, g, "group"))
        index, _ = self.opened("index")
        payload, _ = payload_of(index, 2)
        self.equal("pack.md, index", payload.hex(), (page.hex_block("section-header") + page.hex_block("directory")).hex())
        ((pack, object_class, period, entries),) = index_sections(index)
        self.equal("pack.md, section", (pack, object_class, period, dict(entries)), (name, 18, 3, places))
        self.forged_directories(page.hex_block("directory"))

    def forged_directories(self, directory):
        def refused(what, position, new):
            forged = directory[:position] + new + directory[position + len(new):]
            self.refused(f"a directory with {what}", lambda: list(read_directory(Reader(forged, "pack"), 4, b"", 3, 261528)))

        refused("a gap", 48 + 32, struct.pack(">I", 0x44))
        refused("an overlap", 48 + 32, struct.pack(">I", 0x42))
        refused("a first chunk not at 0", 32, struct.pack(">I", 1))
        refused("a raw chunk of two sizes", 36, struct.pack(">II", 0x42, 0x43))
        refused("a zstd chunk that is not smaller", 48 + 40, struct.pack(">I", 0xa0))
        refused("an empty chunk", 36, bytes(8))
        refused("a huge chunk", 48 + 40, struct.pack(">I", 4_259_841))
        refused("kind 4", 44, b"\4")
        refused("kind 0", 44, b"\0")
        refused("codec 2", 45, b"\2")
        refused("a reserved byte", 47, b"\1")
        refused("a chunk beyond the pack", 48 + 36, struct.pack(">II", 0x40000, 0x40001))
        for what, footer in (("type 4", "0401"), ("version 2", "0102"), ("reserved bytes", "01010001"),
                             ("a payload beyond the plaintext", "01010000ffffffff")):
            raw = bytes.fromhex(footer.ljust(32, "0"))
            self.refused(f"a footer with {what}", lambda r=raw: read_footer(types.SimpleNamespace(
                plain=lambda offset, length: r, plain_size=261752, noun="sample")))

    def snapshot(self):
        record = self.page("snapshot").hex_block("record")
        sealed, name = self.opened("snapshot")
        self.equal("snapshot.md", payload_of(sealed, 3), (record, 1))
        read = read_record(record, "record", name, 3)
        self.equal("snapshot.md, fields", (read.kind, read.dataset, read.number, read.host, read.source, read.program,
                                           read.files, read.directories, read.others, read.bytes, read.unreadable, read.oldest),
                   (TREE, b"documents", 7, b"registry-host", b"/srv/documents", b"exclave 0.1.0", 6, 2, 3, 1052830, 1, 3))
        self.equal("snapshot.md, lists", ([s for _, s in read.listing], [(c, p) for _, c, p in read.indexes]),
                   ([248, 228], [(18, 3)]))
        for i in range(len(record)):
            self.refused(f"a record of {i} bytes", lambda r=record[:i]: read_record(r, "record"))
        self.refused("a longer record", lambda: read_record(record + b"\0", "record"))
        for what, position, new in (("version 2", 1, b"\2"), ("kind 3", 2, b"\3"), ("a long varint", 3, b"\x89\x00"),
                                    ("a huge text", 3, b"\xff\x7f"), ("class 19", len(record) - 5, b"\x13"),
                                    ("previous 2", record.index(bytes.fromhex("f9be8c29")) - 1, b"\2"),
                                    ("an empty listing chunk", len(record) - 42, b"\0\0\0\0")):
            changed = record[:position] + new + record[position + len(new):]
            self.refused(f"a record with {what}", lambda r=changed: read_record(r, "record"))
        self.mutated("record", record, lambda r: read_record(r, "record"))

    def mutated(self, what, data, act):
        """Altered bytes are taken or refused; no other error comes out."""
        chance = random.Random(5)
        for i in range(3000):
            changed = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
            self.checks += 1
            try:
                act(bytes(changed))
            except Fault:
                pass
            except Exception as error:
                self.failures += 1
                say(f"FAILED {what}, mutation {i}: {error!r}")

    # --- the listing ---

    def listing(self):
        page = self.page("listing")
        chunks = [page.hex_block("chunk-1"), page.hex_block("chunk-2")]
        entries, reader = [], ListingReader(TREE)
        for chunk in chunks:
            entries += reader.entries(chunk, "listing.md")
        reader.end("listing.md")
        tree = re.search(r"^```text tree\n(.*?)^```", Page(self.data / "format/README.md").text, re.M | re.S)[1].splitlines()
        mine = [f"{'?fdlpscb'[e.type]} {e.mode:04o} {shown(e.owner[2])} {shown(e.owner[3])} {e.size} {shown(e.path)}"
                for e in entries]
        self.equal("listing.md", [line.strip() for line in mine], [line.strip() for line in tree])
        by_path = {e.path: e for e in entries}
        self.equal("listing.md, console", by_path[b"console"].device, (5, 1))
        self.equal("listing.md, docs", by_path[b"docs"].attributes, [(b"user.note", b"kept")])
        self.equal("listing.md, docs.link", by_path[b"docs.link"].target, b"docs/hello.txt")
        self.equal("listing.md, sparse", by_path[b"sparse.img"].extents, [(4096, 41), (65536, 82)])
        self.equal("listing.md, secret", (by_path[b"secret"].problem, by_path[b"secret"].slices), (1, []))
        self.equal("listing.md, slices", [s[1:] for s in by_path[b"docs/second.txt"].slices], [(16, 39)])
        for chunk in chunks:
            self.mutated("listing", chunk, lambda c: list(ListingReader(TREE).entries(c, "listing")))

    def forged_listings(self):
        """listing.md, what a reader must reject; each case differs in one thing from a listing that is taken."""
        def varint(number):
            out = b""
            while number > 0x7f:
                out, number = out + bytes([number & 0x7f | 0x80]), number >> 7
            return out + bytes([number])

        def text(value):
            return varint(len(value)) + value

        def record(path, flags=0, kind=1, mode=0o644, size=0, rest=b"\0", shared=0, owner=b"\0\0\0\0", later=False):
            body = struct.pack(">H", flags) + varint(shared) + text(path)
            if not later:
                body += bytes([kind]) + varint(mode) + (b"" if flags & 1 else owner) + bytes(8) + varint(size)
            return text(body + rest)

        def taken(*records, kind=TREE):
            reader = ListingReader(kind)
            found = list(reader.entries(b"".join(records), "listing"))
            reader.end("listing")
            return found

        def slices(*lengths):
            return varint(len(lengths)) + b"".join(b"\0" + b"c" * 32 + b"\0" + varint(n) for n in lengths)

        root, folder = record(b"", kind=2, rest=b""), record(b"d", kind=2, rest=b"")
        part = [record(b"f", flags=0x40, size=3, rest=slices(1)), record(b"", flags=0xc0, shared=1, rest=slices(1), later=True),
                record(b"", flags=0x80, shared=1, rest=slices(1), later=True)]
        sparse = [record(b"s", flags=0x10, size=90, rest=b"\2\0\1\x05\2" + slices(3))]
        self.equal("parts", [len(e.slices) for e in taken(root, *part)], [0, 3])
        self.equal("a sparse file", taken(root, *sparse)[1].extents, [(0, 1), (5, 2)])
        self.equal("a byte stream", len(taken(record(b"x"), kind=STREAM)), 1)
        for what, records in {
                "an absolute path": [record(b"/x")], "a path above": [record(b"..")], "a dot": [record(b".")],
                "a path above, deeper": [folder, record(b"d/..")], "an empty component": [folder, record(b"d//x")],
                "a final slash": [folder, record(b"d/")], "a NUL": [record(b"a\0b")], "a long component": [record(b"x" * 256)],
                "a part of a directory": [record(b"x", kind=2, flags=0x40, rest=b"")],
                "a content id of a directory": [record(b"x", kind=2, flags=8, rest=bytes(16))],
                "extended attributes above 1 MiB": [
                    record(b"x", flags=4, rest=varint(2) + 2 * (text(b"user.a") + text(bytes(1 << 19))) + b"\0")],
                "an extended attribute without name": [record(b"x", flags=4, rest=varint(1) + text(b"") + text(b"") + b"\0")],
                "a later part that says more": [part[0], record(b"", flags=0xc2, shared=1, rest=b"\1\1" + slices(1), later=True),
                                                part[2]],
                "a user above 32 bits": [record(b"x", owner=varint(1 << 32) + b"\0\0\0")],
                "an unknown flag": [record(b"x", flags=0x100)], "type 0": [record(b"x", kind=0)],
                "type 8": [record(b"x", kind=8, rest=b"")], "mode 010000": [record(b"x", mode=0o10000)],
                "sharing beyond the path": [record(b"x", shared=1)],
                "no chunk before": [record(b"x", size=1, rest=b"\1\1\0\1")],
                "same 2": [record(b"x", size=1, rest=b"\1\2\0\1")],
                "problem 3": [record(b"x", flags=0x20, rest=b"\3\0")],
                "a link without target": [record(b"x", kind=3, rest=b"\0")], "bytes left over": [record(b"x", rest=b"\0\0")],
                "a count too large": [record(b"x", rest=b"\x7f")], "an entry twice": [record(b"x"), record(b"x")],
                "entries out of order": [record(b"x"), record(b"a")],
                "a slash above a byte": [record(b"d!"), folder, record(b"d/x")],
                "a missing directory": [record(b"d/x")], "a file as directory": [record(b"d"), record(b"d/x")],
                "a link as directory": [record(b"d", kind=3, rest=text(b"/etc")), record(b"d/x")],
                "slices too short": [record(b"x", size=2, rest=slices(1))],
                "slices too long": [record(b"x", size=1, rest=slices(2))],
                "an empty slice": [record(b"x", size=1, rest=slices(1, 0))], "no slices": [record(b"x", size=1)],
                "data in a directory": [record(b"d", kind=2, flags=0x10, rest=b"\0")],
                "an end inside an entry": part[:2], "a part without the first": part[1:],
                "another entry inside": [part[0], record(b"g")],
                "a later part with flags": [part[0], record(b"", flags=0x82, shared=1, rest=b"\0\0" + slices(2), later=True)],
                "a part of another path": [part[0], record(b"g", flags=0x80, rest=slices(2), later=True)],
                "extents that overlap": [record(b"s", flags=0x10, size=90, rest=b"\2\0\4\2\2" + slices(6))],
                "extents out of order": [record(b"s", flags=0x10, size=90, rest=b"\2\x08\4\2\2" + slices(6))],
                "an empty extent": [record(b"s", flags=0x10, size=90, rest=b"\2\0\1\5\0" + slices(1))],
                "an extent beyond the size": [record(b"s", flags=0x10, size=6, rest=b"\1\5\2" + slices(2))],
                "extents unlike the slices": [record(b"s", flags=0x10, size=90, rest=b"\1\5\2" + slices(3))],
                "4097 slices": [record(b"x", size=4097,
                                       rest=varint(4097) + b"\0" + b"c" * 32 + b"\0\1" + b"\1\0\1" * 4096)],
        }.items():
            self.refused(f"a listing with {what}", lambda r=records: taken(root, *r))
        self.refused("a listing that begins with the same owner", lambda: taken(record(b"x", flags=1)))
        for what, records in {"a root": [root, record(b"x")], "two files": [record(b"x"), record(b"y")],
                              "a directory": [folder]}.items():
            self.refused(f"a byte stream with {what}", lambda r=records: taken(*r, kind=STREAM))

    # --- streams, and the sample as a whole ---

    def pinning(self, writer, vault=bytes(32)):
        policy = types.SimpleNamespace(registries={"r": types.SimpleNamespace(id=self.keys.registry, writer=writer)},
                                       vaults={"v": types.SimpleNamespace(name="v", receipt=vault)})
        return Keys(self.keys.realm, self.keys.registry, 1, self.keys.periods, [policy], [])

    def stream(self):
        page = self.page("stream")
        texts = [page.only_text(f"exclave/{kind}/v1") for kind in ("stream", "entry", "receipt")]
        folder = self.data / "format/v1"
        for text, name in zip(texts, ("stream.txt", "entry-2.txt", "receipt.txt")):
            self.equal(f"stream.md is {name}", text, (folder / name).read_bytes())
        writer = bytes.fromhex(re.search(rb"^writer (.*)$", texts[0], re.M)[1].decode())
        vault = Receipt(texts[2], "receipt").vault
        self.sample("pack")
        keys = self.pinning(writer, vault)
        files = ("stream.txt", "entry-0.txt", "entry-1.txt", "entry-2.txt", "receipt.txt")
        streams = self.read_streams(keys, [(folder / f).read_bytes() for f in files])
        (stream,) = streams.descriptors
        self.equal("stream.md, stream id", stream.hex(), page.value("stream id"))
        self.equal("stream.md, entries", sorted((i, n) for _, i, n in streams.entries.values()), [(0, None), (1, None), (2, 3)])
        self.equal("nothing missing", streams.gaps, [])
        self.table_dump(keys, texts)
        short = self.read_streams(keys, [(folder / f).read_bytes() for f in files if f != "entry-2.txt"])
        self.equal("a receipt for more than is here", len(short.gaps), 1)
        for what, old, new in (("era", b"era 1", b"era 2"), ("index", b"index 2", b"index 1"),
                               ("chain", b"chain c", b"chain d"), ("snapshot", b"snapshot 3", b"snapshot 2"),
                               ("object", b"object fb", b"object fa"), ("time", b"durable-at 1", b"durable-at 2")):
            altered = [(folder / f).read_bytes() for f in files]
            for k in range(len(altered)):
                if k in (0, 3, 4) and old in altered[k]:
                    altered[k] = altered[k].replace(old, new)
            self.refused(f"streams with another {what}", lambda a=altered: self.whole_streams(keys, a))
        keys.chain[-1].registries["r"].writer = bytes(32)
        self.refused("a writer that is not pinned", lambda: self.read_streams(keys, texts))

    def table_dump(self, keys, texts):
        """vault-directory.md: the same descriptor and entry as rows of a vault's table."""
        dump = re.search(r"^```text dump\n(.*?)^```", self.page("vault-directory").text, re.M | re.S)[1]
        from_rows, from_texts = Streams(keys), Streams(keys)
        from_rows.load_dump(dump.encode(), "vault-directory.md")
        for text in texts[:2]:
            from_texts.add(text, "stream.md")
        self.equal("vault-directory.md, rows", (from_rows.descriptors, from_rows.rows),
                   (from_texts.descriptors, from_texts.rows))

    def whole_streams(self, keys, texts):
        streams = self.read_streams(keys, texts)
        if len(streams.entries) != 3:
            raise Fault("streams", "are not whole")

    def read_streams(self, keys, texts):
        streams = Streams(keys)
        for text in texts:
            streams.add(text, "sample")
        streams.check()
        return streams

    def whole_sample(self):
        """The sample vault, restored."""
        self.sample("pack")
        folder = pathlib.Path(tempfile.mkdtemp())
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                vaults = Vaults([self.data / "format/v1"])
                (record,) = snapshots(vaults, self.keys)
                restorer = Restorer(Chunks(vaults, self.keys, record), Target(folder / "tree"))
                for entry in restorer.chunks.entries():
                    restorer.entry(entry)
                restorer.finish()
            tree = folder / "tree"
            self.equal("hello.txt", (tree / "docs/hello.txt").read_bytes(), b"Hello, Exclave.\n")
            self.equal("second.txt", (tree / "docs/second.txt").read_bytes(), b"A second small file of the same group.\n")
            self.equal("docs.link", os.readlink(tree / "docs.link"), "docs/hello.txt")
            self.equal("sizes", [(tree / n).stat().st_size for n in ("empty", "long.txt", "sparse.img")], [0, 4100, 1 << 20])
            self.equal("sparse.img", (tree / "sparse.img").read_bytes()[:4096], bytes(4096))
            self.equal("mode", (tree / "docs/second.txt").stat().st_mode & 0o777, 0o600)
            self.equal("nothing damaged", restorer.damaged, [])
            vaults.listed = {record.name: (b"", 2, 3)}
            self.equal("a snapshot's note", open_record(vaults, self.keys, record.name).oldest, 3)
            vaults.listed = {record.name: (b"", 2, 2)}
            self.refused("another note", lambda: open_record(vaults, self.keys, record.name))
            vaults.listed = None
            self.one_inode_many_names(restorer, folder)
            self.dishonest_writer(restorer, folder)
        finally:
            shutil.rmtree(folder)

    def one_inode_many_names(self, restorer, folder):
        """Names with equal link ids: one file if they are alike, else files of their own; unreadable ones lead nobody."""
        entries = {e.path: e for e in restorer.chunks.entries()}
        hello, second = entries[b"docs/hello.txt"], entries[b"docs/second.txt"]
        names = [dataclasses.replace(hello, path=b"a", link=(1, 1), problem=1, slices=[], content_id=None),
                 dataclasses.replace(hello, path=b"b", link=(1, 1)),
                 dataclasses.replace(second, path=b"c", link=(1, 1)),
                 dataclasses.replace(hello, path=b"d", link=(1, 1)),
                 dataclasses.replace(hello, path=b"e", link=(1, 1), problem=1, slices=[], content_id=None)]
        other = Restorer(restorer.chunks, Target(folder / "names"))
        with contextlib.redirect_stderr(io.StringIO()):
            for entry in names:
                other.entry(entry)
        at = folder / "names"
        self.equal("names of one inode", [(at / n).read_bytes() for n in "abcde"],
                   [b"", b"Hello, Exclave.\n", b"A second small file of the same group.\n"] + [b"Hello, Exclave.\n"] * 2)
        self.equal("files of one inode", [(at / n).stat().st_nlink for n in "abcde"], [1, 3, 1, 3, 3])
        self.equal("names of one inode that are told", [p.split(":")[0] for p in other.problems], ["a", "c", "e"])

    def dishonest_writer(self, restorer, folder):
        """What is sealed well and still wrong: content ids, slices, sizes, the dedup key, drafts that stay behind."""
        record = restorer.chunks.record
        entries = {e.path: e for e in restorer.chunks.entries()}
        hello, sparse = entries[b"docs/hello.txt"], entries[b"sparse.img"]
        beyond = [(sparse.slices[0][0], 4090, 123)]
        for what, entry in {"another content id": dataclasses.replace(hello, path=b"a", link=None, content_id=bytes(16)),
                            "a slice beyond its chunk": dataclasses.replace(sparse, path=b"b", slices=beyond),
                            "an unknown chunk": dataclasses.replace(hello, path=b"c", link=None, slices=[(bytes(32), 0, 16)]),
                            "a listing as content": dataclasses.replace(
                                hello, path=b"d", link=None, content_id=None, slices=[(record.listing[0][0], 0, 16)])}.items():
            with contextlib.redirect_stderr(io.StringIO()):
                restorer.entry(entry)
            self.equal(f"{what} is left out", [restorer.damaged.pop().path if restorer.damaged else None], [entry.path])
        left = sorted(os.listdir(folder / "tree"))
        self.equal("no draft stays", [n for n in left if n not in {os.fsdecode(p).split("/")[0] for p in entries}], [])
        chunks = record.listing
        for what, wrong in {"another dedup key": dataclasses.replace(record, fields={**record.fields, "dedup": bytes(32)}),
                            "another listing size": dataclasses.replace(record, listing=[(c, n + 1) for c, n in chunks]),
                            "an unknown listing chunk": dataclasses.replace(record, listing=[(bytes(32), 9)]),
                            "listing chunks out of order": dataclasses.replace(record, listing=chunks[::-1])}.items():
            self.refused(what, lambda r=wrong: list(Chunks(restorer.chunks.vaults, self.keys, r).entries()))


def run(repository):
    return SelfTest(repository).run()
