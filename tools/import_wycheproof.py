#!/usr/bin/env python3
"""Turns a local copy of Wycheproof (C2SP/wycheproof) into extra line files for the crypto tests.

  import_wycheproof.py REPOSITORY OUT        REPOSITORY: a git directory or a checkout; OUT: usually testdata/vectors

Writes OUT/<name>.wycheproof.txt in the format of testdata/vectors/README.md. The tests run such a file in addition to
<name>.txt when it is there; git ignores it. Cases about sizes that our types make impossible are left out and counted.
"""
import json
import pathlib
import subprocess
import sys
import zlib


def git(repository, *arguments):
    return subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True).stdout


def cases(repository, name):
    for group in json.loads(git(repository, "show", f"HEAD:testvectors_v1/{name}.json"))["testGroups"]:
        for test in group["tests"]:
            yield group, test


def label(test):
    return f"tc{test['tcId']}"


def aes_256_gcm(repository):
    for group, t in cases(repository, "aes_gcm_test"):
        fits = (group["keySize"], group["ivSize"], group["tagSize"]) == (256, 96, 128)
        yield (label(t), t["result"], t["key"], t["iv"], t["aad"], t["msg"], t["ct"], t["tag"]) if fits else None


def hkdf(repository):
    for bits in ("256", "384", "512"):
        for _, t in cases(repository, f"hkdf_sha{bits}_test"):
            row = (f"sha{bits}-{label(t)}", t["result"], f"sha{bits}", t["ikm"], t["salt"], t["info"], t["okm"])
            yield row if t["result"] == "valid" else None  # the others ask for more than 255 blocks: a precondition


def hmac_sha256(repository):
    for group, t in cases(repository, "hmac_sha256_test"):
        whole = group["tagSize"] == 256 and t["result"] == "valid"
        yield (label(t), t["result"], t["key"], t["msg"], t["tag"]) if whole else None


def x25519(repository):
    for _, t in cases(repository, "x25519_test"):
        zero = "ZeroSharedSecret" in t["flags"]
        yield label(t), "invalid" if zero else "valid", t["private"], t["public"], "" if zero else t["shared"]


def ed25519(repository):
    for group, t in cases(repository, "ed25519_test"):
        yield label(t), t["result"], "", group["publicKey"]["pk"], t["msg"], t["sig"]


def p384_ecdsa(repository):
    for group, t in cases(repository, "ecdsa_secp384r1_sha384_p1363_test"):
        yield label(t), t["result"], group["publicKey"]["uncompressed"], t["msg"], t["sig"]


def p384_ecdh(repository):
    for _, t in cases(repository, "ecdh_secp384r1_ecpoint_test"):
        result = "valid" if t["result"] == "valid" else "invalid"  # "acceptable" is the compressed point: not ours
        yield label(t), result, f"{int(t['private'], 16):096x}", t["public"], t["shared"] if result == "valid" else ""


def c2sp_segments(repository):
    for _, t in cases(repository, "c2sp_chunked_encryption_aes_256_gcm_test"):
        sealed = zlib.decompress(bytes.fromhex(t["ct"]))
        row = (label(t), t["result"], t["key"], t["ctx"], sealed.hex(), t.get("msgSha512", ""))
        yield row if len(t["key"]) == 64 else None


def main():
    repository, out = sys.argv[1], pathlib.Path(sys.argv[2])
    commit = git(repository, "rev-parse", "HEAD").decode().strip()
    for convert in (aes_256_gcm, hkdf, hmac_sha256, x25519, ed25519, p384_ecdsa, p384_ecdh, c2sp_segments):
        name = convert.__name__
        rows = list(convert(repository))
        kept = [row for row in rows if row is not None]
        lines = [f"# Source: C2SP/wycheproof testvectors_v1, commit {commit}, by tools/import_wycheproof.py"]
        lines += [" ".join(field if field else "-" for field in row) for row in kept]
        (out / f"{name}.wycheproof.txt").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(kept)} cases, {len(rows) - len(kept)} left out")


if __name__ == "__main__":
    main()
