"""Threat model, compromised home: everything the agent's machine has, and the vaults' bytes besides.

C1. Mechanism: the agent holds sealing keys only (public keys of periods, and secrets mixed into new ephemerals); opening a
period takes the shares of the officials. Give the agent an opening key, and these tests fail.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import harness  # noqa: E402
from harness import KEY_REFUSED, OK  # noqa: E402


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
        shutil.copy(self.realm.home / "writer.key", false_site / "identity.key")
        ended = self.realm.exclave("restore", "--site", false_site, *self.opening, "--target", "stolen")
        self.assertEqual(ended.code, KEY_REFUSED, str(ended))
        self.assertFalse((self.scratch / "stolen").exists())
        # Nor with the true site's identity, for the release's recipient key never left the site.
        shutil.copy(self.realm.site / "identity.key", false_site / "identity.key")
        ended = self.realm.exclave("restore", "--site", false_site, *self.opening, "--target", "stolen")
        self.assertNotEqual(ended.code, OK, str(ended))
        self.assertIn("this site has no key for release", ended.err)
        self.assertFalse((self.scratch / "stolen").exists())

    def C1_no_secret_at_home_is_the_private_half_of_any_period(self):
        """Every 32 bytes that home keeps, in hex or raw, tried as the X25519 private key of every period of the era."""
        era = (self.realm.home / "acts/era-docs-1.exclave").read_text()
        wanted = set(re.findall(r"\b[0-9a-f]{64}\b", era))
        self.assertGreater(len(wanted), 50, "the era document names its periods' public keys in hex")
        candidates = set()
        for path in [self.realm.home / "era-1.keys", self.realm.home / "writer.key"]:
            candidates |= set(re.findall(r"\b[0-9a-f]{64}\b", path.read_text()))
        self.assertGreater(len(candidates), 1)
        for secret in candidates:
            self.assertNotIn(public_half(secret), wanted, "home keeps the private key of a period")
        # The method itself: a private key's public half is found when it is listed.
        secret = os.urandom(32).hex()
        self.assertIn(public_half(secret), {public_half(secret)})

    def C1_home_holds_nothing_of_the_officials_the_sites_or_the_next_era(self):
        held = b"".join(p.read_bytes() for p in self.realm.home.rglob("*") if p.is_file())
        foreign = [p for folder in ("officials", "sites", "operator", "ceremony", "vaults")
                   for pattern in ("*.key", "*.keys", "*.leaf") for p in (self.realm.root / folder).rglob(pattern)]
        self.assertGreater(len(foreign), 20)
        for path in foreign:
            public = set()
            for act in (self.realm.home / "acts").iterdir():
                public |= set(re.findall(rb"[0-9A-Za-z+/=]{40,}", act.read_bytes()))
            for secret in set(re.findall(rb"[0-9A-Za-z+/=]{40,}", path.read_bytes())) - public:
                self.assertNotIn(secret, held, f"home holds a secret of {path}")


def public_half(secret_hex):
    """X25519 public key of a private key, by the openssl program (independent of ours)."""
    prefix = bytes.fromhex("302e020100300506032b656e04220420")  # PKCS #8 of an X25519 key
    done = subprocess.run(["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"],
                          input=prefix + bytes.fromhex(secret_hex), capture_output=True, check=True)
    return done.stdout[-32:].hex()


if __name__ == "__main__":
    harness.main()
