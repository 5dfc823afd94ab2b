"""Policy documents as officials would sign them: there is no command for a second version yet."""
import base64
import hashlib
import re

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

import harness


def first_policy(realm):
    return (realm.site / "acts/policy-1.exclave").read_text()


def successor(policy, *changes):
    """The text of the version after `policy`; `changes`: (pattern, replacement) of whole lines."""
    text = policy.split("\n\n")[0] + "\n"
    version = int(re.search(r"^version (\d+)$", text, flags=re.M)[1])
    changes = [(f"version {version}", f"version {version + 1}"),
               (r"previous (?:none|[0-9a-f]{64})", f"previous {hashlib.sha256(text.encode()).hexdigest()}"), *changes]
    for pattern, replacement in changes:
        text, count = re.subn(rf"^{pattern}$", replacement, text, flags=re.M)
        if count != 1:
            raise AssertionError(f"{pattern}: in {count} lines of the policy")
    return text


def mirrored(policy):
    """The same text with its first signature in ECDSA's other spelling, which anybody can compute: s becomes n - s."""
    order = int("f" * 48 + "c7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)
    text = re.search(rb"^signature \S+ (\S+)$", policy, flags=re.M)[1]
    raw = base64.b64decode(text)
    return policy.replace(text, base64.b64encode(raw[:48] + (order - int.from_bytes(raw[48:], "big")).to_bytes(48, "big")))


def signed(text, realm):
    """With the signatures of all officials of `realm`, by the keys in their folders."""
    signatures = ""
    for name in harness.OFFICIALS:
        scalar = re.search(r"^sign ([0-9a-f]{96})$", (realm.official(name) / "official.keys").read_text(), flags=re.M)[1]
        key = ec.derive_private_key(int(scalar, 16), ec.SECP384R1())
        r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA384())))
        signatures += f"signature {name} {base64.b64encode(r.to_bytes(48, 'big') + s.to_bytes(48, 'big')).decode()}\n"
    return f"{text}\n{signatures}".encode()
