"""Threat model, compromised home: everything the agent's machine has, and the vaults' bytes besides.

C1. Mechanism: the agent holds sealing keys only (public keys of periods, and secrets mixed into new ephemerals); opening a
period takes the shares of the officials. Give the agent an opening key, and these tests fail.
"""
import base64
import contextlib
import os
import pathlib
import re
import shutil
import string
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import database_case  # noqa: E402
import harness  # noqa: E402
from harness import KEY_REFUSED, OK  # noqa: E402

FRONT_BYTES = 4096  # of a journal's segment; what follows is sealed frames (docs/formats/journal.md)


def memory_of(pid):
    """What a process can write to, joined."""
    parts = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for begin, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps.read(), flags=re.M):
            memory.seek(int(begin, 16))
            with contextlib.suppress(OSError):  # what is reserved and was never touched
                parts.append(memory.read(int(end, 16) - int(begin, 16)))
    return b"|".join(parts)


class C1(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()
        self.ok(self.realm.backup("source", "--wait-all"))
        self.opening = self.realm.release()

    def C1_no_command_reads_back_what_home_deposited(self):
        for command in (["restore", "--home", self.realm.home, "--target", "stolen"], ["verify", "--home", self.realm.home],
                        ["ls", "--home", self.realm.home, "--snapshot", "0000000000"]):
            self.refused(self.realm.exclave(*command), KEY_REFUSED, "hint:")
        self.assertFalse((self.scratch / "stolen").exists())

    def C1_homes_keys_in_a_sites_place_open_nothing(self):
        """The intruder builds a site's folder from home's files, and even gets hold of a genuine, approved release."""
        false_site = self.scratch / "false-site"
        false_site.mkdir()
        shutil.copytree(self.realm.home / "acts", false_site / "acts")
        # Its use is written anew, since a program of the intruder's own would not look at it.
        key = (self.realm.home / "writer.key").read_text()
        (false_site / "identity.key").write_text(key.replace("use writer", "use site"))
        (false_site / "identity.key").chmod(0o600)
        ended = self.realm.exclave("restore", "--site", false_site, *self.opening, "--target", "stolen")
        self.assertEqual(ended.code, KEY_REFUSED, str(ended))
        self.assertIn("is not a site of policy version 1", ended.err)
        self.assertFalse((self.scratch / "stolen").exists())
        # Nor with the true site's identity, for the release's recipient key never left the site.
        shutil.copy(self.realm.site / "identity.key", false_site / "identity.key")
        ended = self.realm.exclave("restore", "--site", false_site, *self.opening, "--target", "stolen")
        self.assertNotEqual(ended.code, OK, str(ended))
        self.assertIn("this site has no key for release", ended.err)
        self.assertFalse((self.scratch / "stolen").exists())

    def C1_no_secret_at_home_opens_any_period(self):
        """All that home keeps, 32 bytes at a time, raw, in hex and in base64, tried as a period's secret A and as x_p."""
        era = (self.realm.home / "acts/era-docs-1.exclave").read_text()
        wanted = set(re.findall(r"^period \d+ ([0-9a-f]{64}) [0-9a-f]{64}$", era, flags=re.M))
        self.assertGreater(len(wanted), 10, "the era document names its periods' public keys in hex")
        tried = 0
        for path in [p for p in self.realm.home.rglob("*") if p.is_file()]:
            candidates = secrets_in(path.read_bytes())
            tried += len(candidates)
            for secret in candidates:
                self.assertTrue(wanted.isdisjoint(public_halves(secret)), f"{path} opens a period")
        self.assertGreater(tried, 10_000)
        # The method itself, on the page's words (docs/formats/object.md#keys): A and x_p of a period are both found.
        secret = os.urandom(32)
        x = derived(secret)
        for planted in (secret, x):
            for text in (b"raw " + planted, planted.hex().encode(), base64.b64encode(planted)):
                self.assertTrue(any(public_half(x) in public_halves(each) for each in secrets_in(b"state" + text)), text)

    def C1_home_holds_nothing_of_the_officials_the_sites_or_the_next_era(self):
        held = b"".join(p.read_bytes() for p in self.realm.home.rglob("*") if p.is_file())
        self.assertEqual({"acts", "agent.lock", "era-1.keys", "state", "writer.key"},
                         {p.name for p in self.realm.home.iterdir()}, "the keys of the next era are the operator's")
        public = set()
        for act in (self.realm.home / "acts").iterdir():
            public |= set(re.findall(rb"[0-9A-Za-z+/=]{40,}", act.read_bytes()))
        foreign = [p for folder in ("officials", "sites", "operator", "ceremony", "vaults")
                   for pattern in ("*.key", "*.keys", "*.leaf") for p in (self.realm.root / folder).rglob(pattern)]
        self.assertGreater(len(foreign), 20)
        for path in foreign:
            for secret in set(re.findall(rb"[0-9A-Za-z+/=]{40,}", path.read_bytes())) - public:
                self.assertNotIn(secret, held, f"home holds a secret of {path}")
                if re.fullmatch(rb"([0-9a-f]{2})+", secret):
                    self.assertNotIn(bytes.fromhex(secret.decode()), held, f"home holds a secret of {path}, raw")


def secrets_in(content):
    """Whatever in these bytes may be a secret of 32 bytes."""
    found = {bytes.fromhex(run[at:at + 64].decode()) for run in re.findall(rb"[0-9a-fA-F]{64,}", content)
             for at in range(0, len(run) - 63)}
    found |= {base64.b64decode(word[at:at + 43] + b"=") for word in re.findall(rb"[0-9A-Za-z+/]{43,}", content)
              for at in range(0, len(word) - 42)}
    windows = {content[at:at + 32] for at in range(0, len(content) - 31)}
    return found | {window for window in windows if not set(window) <= TEXT}  # text was looked at above


class C1OfADatabase(database_case.DatabaseTest):
    """A home that streams a database keeps what a vault lacks, sealed as vaults hold it: a segment's own key is in memory alone."""

    CANARY = "canary-Ludmila-1913-Vyborg"

    def C1_home_keeps_nothing_of_a_databases_log_that_reads_it(self):
        self.protect()
        self.realm.stop("rome")  # what it lacks stays in the spool
        for i in range(40):  # small frames, which are not compressed
            self.home.sql(f"insert into t values ({i}, '{self.CANARY}')")
        self.wait_until_durable()
        self.its_memory_has_no_other_periods_secrets()
        self.agent.kill()
        files = [p for p in self.realm.home.rglob("*") if p.is_file()]
        segments = [p for p in files if "spool" in p.parts and p.stat().st_size > FRONT_BYTES]
        self.assertTrue(any(p.read_bytes()[FRONT_BYTES:].strip(b"\0") for p in segments), "no frames wait for rome")
        era = (self.realm.home / "acts/era-docs-1.exclave").read_text()
        wanted = set(re.findall(r"^period \d+ ([0-9a-f]{64}) [0-9a-f]{64}$", era, flags=re.M))
        self.assertGreater(len(wanted), 10)
        wanted |= {p.read_bytes()[48:80].hex() for p in segments}  # the ephemeral public key of each
        for path in files:
            content = path.read_bytes()
            self.assertNotIn(self.CANARY.encode(), content, path)
            for secret in secrets_in(content[:FRONT_BYTES] if path in segments else content):
                self.assertTrue(wanted.isdisjoint(public_halves(secret)), f"{path} opens a period or a segment")

    def its_memory_has_no_other_periods_secrets(self):
        """Neither as bytes nor as the key file's text; but the vaults' public keys are there, or this reads nothing."""
        keys = re.findall(r"^period (\d+) ([0-9a-f]{64}) [0-9a-f]{64}$", (self.realm.home / "era-1.keys").read_text(), flags=re.M)
        others = {secret for number, secret in keys if number != "0"}
        self.assertGreater(len(others), 20)
        vault = re.search(r"^vault lux identity=([0-9a-f]{64}) ", (self.realm.home / "acts/policy-1.exclave").read_text(), flags=re.M)[1]
        memory = memory_of(self.agent.process.pid)
        self.assertTrue(bytes.fromhex(vault) in memory)  # not assertIn, which would print it all
        for secret in others:
            self.assertFalse(bytes.fromhex(secret) in memory, "the bytes of another period's key")
            self.assertFalse(secret.encode() in memory, "the text of another period's key")


class C7(harness.SystemTest):
    """Mechanism: an object's ephemeral key and salt depend on its content besides on randomness (repo/sealer.h), and each run
    opens a stream of its own, so that an agent started from an old image has no counter that could run twice."""

    def run_twice_from_one_image(self):
        self.make_source()
        realm = self.make_realm()
        self.ok(realm.backup("source", "--wait-all"))
        shutil.copytree(realm.home, self.scratch / "image")
        (self.scratch / "source/first-life").write_bytes(os.urandom(50_000))
        self.ok(realm.backup("source", "--wait-all"))
        shutil.copytree(self.scratch / "source", self.scratch / "first-life", symlinks=True)
        shutil.rmtree(realm.home)
        shutil.copytree(self.scratch / "image", realm.home)
        (self.scratch / "source/first-life").unlink()
        (self.scratch / "source/second-life").write_bytes(os.urandom(60_000))
        self.ok(realm.backup("source", "--wait-all"))
        return realm

    def C7_an_agent_started_from_an_old_image_forks_nothing_and_both_lives_restore(self):
        realm = self.run_twice_from_one_image()
        self.ok(realm.verify("--read-all"))
        snapshots = self.ok(realm.exclave("snapshots", "--site", realm.site, "--json")).json()["snapshots"]
        self.assertEqual(len(snapshots), 3)
        self.ok(realm.restore(realm.release("latest"), "restored-latest"))
        self.same_tree("restored-latest")
        second = snapshots[1]["snapshot"]
        opening = realm.release("second", request_options=["--snapshot", second])
        self.ok(realm.restore(opening, "restored-second", "--snapshot", second))
        self.same_tree("restored-second", "first-life")

    def C7_no_ephemeral_key_and_no_salt_occurs_in_two_objects(self):
        realm = self.run_twice_from_one_image()
        seen = {}
        objects = realm.objects("lux")
        self.assertGreater(len(objects), 6)
        for path in objects:
            head = path.read_bytes()[:104]
            for what, value in (("ephemeral key", head[48:80]), ("salt", head[80:104])):
                self.assertEqual(seen.setdefault((what, value), path), path, f"one {what} in two objects")


def derived(secret):
    """x_p of a period's secret A."""
    return HKDF(hashes.SHA512(), 32, b"", b"exclave/period/v1 kem").derive(secret)


def public_half(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def public_halves(secret):
    return {public_half(secret), public_half(derived(secret))}


TEXT = set(string.printable.encode())

if __name__ == "__main__":
    harness.main()
