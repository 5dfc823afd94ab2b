#!/usr/bin/env python3
"""Turns published test vectors into the compact line files under testdata/vectors/.

  import_public_vectors.py VECTORS OUT

VECTORS is the folder cryptography_vectors of Debian's package python3-cryptography-vectors: files of NIST (CAVP), of RFCs
and of the Ed25519 authors. Nothing here computes what the C++ code computes: expected values are copied. The refused
cases are built from the published valid ones by the arithmetic of the curve, in plain integers; each names what is wrong.

Line format: case name, "valid" or "invalid", then the fields in hexadecimal; "-" is an empty field.
"""
import pathlib
import sys

# Curve P-384 (FIPS 186-4) and the order of the Ed25519 base point (RFC 8032).
P = 2**384 - 2**128 - 2**96 + 2**32 - 1
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
B = 0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF
P25519 = 2**255 - 19
L25519 = 2**252 + 27742317777372353535851937790883648493


def blocks(path, marker):
    """The records of a CAVP or RFC file: dicts of "name = value" lines, a new one at each `marker`; sections as "[...]"."""
    section, record = {}, None
    for raw in path.read_text().splitlines():
        line = raw.strip()
        if line.startswith("["):
            name, _, value = line.strip("[]").partition("=")
            section = dict(section) if "=" in line else {}
            section[name.strip()] = value.strip()
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            if name.strip() == marker:
                if record:
                    yield record
                record = dict(section)
            if record is not None:
                record[name.strip()] = value.strip()
        elif line == "FAIL" and record is not None:
            record["FAIL"] = ""
    if record:
        yield record


def write(path, source, columns, rows):
    lines = [f"# Source: {source}", f"# Columns: case result {columns}"]
    lines += [" ".join(field if field else "-" for field in row) for row in rows]
    text = "\n".join(lines) + "\n"
    assert len(text) < 300_000, path
    path.write_text(text)
    print(f"{path.name}: {len(rows)} cases, {len(text)} bytes")


def aes_gcm(vectors):
    taken = {}
    for r in blocks(vectors / "ciphers/AES/GCM/gcmDecrypt256.rsp", "Count"):
        if r["IVlen"] != "96" or r["Taglen"] != "128":
            continue
        group = (r["PTlen"], r["AADlen"], "FAIL" in r)
        if len(taken.setdefault(group, [])) < 6:
            name = f"pt{r['PTlen']}-aad{r['AADlen']}-{r['Count']}"
            verdict = "invalid" if "FAIL" in r else "valid"
            taken[group].append((name, verdict, r["Key"], r["IV"], r["AAD"], r.get("PT", ""), r["CT"], r["Tag"]))
    return [row for rows in taken.values() for row in rows]


def hashes(vectors):
    rows = []
    for bits in ("256", "384", "512"):
        for kind in ("Short", "Long"):
            for i, r in enumerate(blocks(vectors / f"hashes/SHA2/SHA{bits}{kind}Msg.rsp", "Len")):
                if (kind == "Short" and i % 4 == 0) or (kind == "Long" and i % 8 == 0 and len(r["Msg"]) < 12000):
                    message = "" if r["Len"] == "0" else r["Msg"]
                    rows.append((f"sha{bits}-{kind.lower()}-{r['Len']}", "valid", f"sha{bits}", message, r["MD"]))
    return rows


def hmac_sha256(vectors):
    records = blocks(vectors / "HMAC/rfc-4231-sha256.txt", "Len")
    return [(f"rfc4231-{i + 1}", "valid", r["Key"], r["Msg"], r["MD"]) for i, r in enumerate(records)]


def hkdf(vectors):
    rows = []
    for i, r in enumerate(blocks(vectors / "KDF/rfc-5869-HKDF-SHA256.txt", "COUNT")):
        rows.append((f"rfc5869-a{i + 1}", "valid", "sha256", r["IKM"], r["salt"], r["info"], r["OKM"]))
    for r in blocks(vectors / "KDF/hkdf-generated.txt", "COUNT"):
        rows.append(("pyca-1200", "valid", "sha256", r["IKM"], r["salt"], r["info"], r["OKM"]))
    return rows


def x25519(vectors):
    rows = []
    for r in blocks(vectors / "asymmetric/X25519/rfc7748.txt", "COUNT"):
        rows.append((f"rfc7748-5.2-{r['COUNT']}", "valid", r["INPUT_SCALAR"], r["INPUT_U"], r["OUTPUT_U"]))
    # u-coordinates of order 1, 2, 4 and 8, then the ones of the twist, then the encodings that exceed the field.
    eight_a = 325606250916557431795983626356110631294008115727848805560023387167927233504
    eight_b = 39382357235489614581723060781553021112529911719440698176882885853963445705823
    small = {"zero": 0, "one": 1, "order8-a": eight_a, "order8-b": eight_b, "minus-one": P25519 - 1, "p": P25519,
             "p-plus-1": P25519 + 1}
    private = "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
    for name, u in small.items():
        for high_bit in (0, 1):  # the top bit is ignored by RFC 7748
            point = (u | high_bit << 255).to_bytes(32, "little").hex()
            rows.append((f"small-order-{name}-top{high_bit}", "invalid", private, point, ""))
    return rows


def ed25519(vectors):
    rows = []
    lines = (vectors / "asymmetric/Ed25519/sign.input").read_text().splitlines()
    for i in list(range(0, 16)) + list(range(31, 1024, 32)):
        seed, public, message, signed = lines[i].split(":")[:4]
        rows.append((f"ed25519-{i}", "valid", seed[:64], public, message, signed[:128]))
    for i in (1, 2, 3):
        seed, public, message, signed = lines[i].split(":")[:4]
        r, s = signed[:64], int.from_bytes(bytes.fromhex(signed[64:128]), "little")

        def refuse(name, public, message, r, s):
            rows.append((f"{name}-{i}", "invalid", "", public, message, r + s.to_bytes(32, "little").hex()))

        refuse("s-plus-order", public, message, r, s + L25519)
        refuse("s-plus-8-orders", public, message, r, s + 8 * L25519)
        refuse("s-negated", public, message, r, L25519 - s)
        refuse("s-zero", public, message, r, 0)
        refuse("s-order", public, message, r, L25519)
        refuse("s-all-ones", public, message, r, 2**256 - 1)
        refuse("r-sign-flipped", public, message, r[:62] + f"{int(r[62:], 16) ^ 0x80:02x}", s)
        refuse("r-not-canonical", public, message, (P25519 + 1).to_bytes(32, "little").hex(), s)
        refuse("r-zero", public, message, "00" * 32, s)
        refuse("message-longer", public, message + "00", r, s)
        refuse("key-sign-flipped", public[:62] + f"{int(public[62:], 16) ^ 0x80:02x}", message, r, s)
        refuse("key-not-a-point", (2).to_bytes(32, "little").hex(), message, r, s)
        refuse("key-not-canonical", (P25519 + 3).to_bytes(32, "little").hex(), message, r, s)
    return rows


def p384_ecdsa(vectors):
    rows = []
    for i, r in enumerate(blocks(vectors / "asymmetric/ECDSA/FIPS_186-3/SigVer.rsp", "Msg")):
        if "P-384,SHA-384" not in r:
            continue
        verdict = "valid" if r["Result"].startswith("P") else "invalid"
        rows.append((f"nist-{i}", verdict, "04" + r["Qx"] + r["Qy"], r["Msg"], r["R"].zfill(96) + r["S"].zfill(96)))
    good = next(row for row in rows if row[1] == "valid")
    _, _, public, message, signature = good
    r, s = int(signature[:96], 16), int(signature[96:], 16)
    rows.append(("s-negated-is-the-other-signature", "valid", public, message, f"{r:096x}{N - s:096x}"))
    values = {"zero": 0, "one": 1, "order": N, "order-plus-1": N + 1, "order-minus-1": N - 1, "field": P,
              "all-ones": 2**384 - 1}
    for name, value in values.items():
        rows.append((f"r-{name}", "invalid", public, message, f"{value:096x}{s:096x}"))
        rows.append((f"s-{name}", "invalid", public, message, f"{r:096x}{value:096x}"))
        for other, second in values.items():
            rows.append((f"r-{name}-s-{other}", "invalid", public, message, f"{value:096x}{second:096x}"))
    rows.append(("r-and-s-swapped", "invalid", public, message, signature[96:] + signature[:96]))
    rows.append(("signature-short", "invalid", public, message, signature[:-2]))
    rows.append(("signature-long", "invalid", public, message, signature + "00"))
    rows.append(("signature-empty", "invalid", public, message, ""))
    return rows


def small_point():
    """A point with x so small that x + p still fits 48 bytes."""
    x = 0
    while True:
        square = (x**3 - 3 * x + B) % P
        y = pow(square, (P + 1) // 4, P)
        if y * y % P == square:
            return x, y
        x += 1


def p384_ecdh(vectors):
    rows = []
    path = vectors / "asymmetric/ECDH/KASValidityTest_ECCStaticUnified_NOKC_ZZOnly_resp.fax"
    for r in blocks(path, "COUNT"):
        if "ED - SHA384" in r and r["Result"].startswith("P"):
            public = "04" + r["QsCAVSx"].zfill(96) + r["QsCAVSy"].zfill(96)
            rows.append((f"nist-{r['COUNT']}", "valid", r["dsIUT"].zfill(96), public, r["Z"]))
    private, public = rows[0][2], rows[0][3]
    x, y = int(public[2:98], 16), int(public[98:], 16)

    def refuse(name, point):
        rows.append((name, "invalid", private, point, ""))

    refuse("y-off-by-one", f"04{x:096x}{(y + 1) % P:096x}")
    refuse("x-off-by-one", f"04{(x + 1) % P:096x}{y:096x}")
    refuse("swapped", f"04{y:096x}{x:096x}")
    refuse("origin", "04" + "00" * 96)
    refuse("all-ones", "04" + "ff" * 96)
    refuse("field-field", f"04{P:096x}{P:096x}")
    small_x, small_y = small_point()
    refuse("x-not-canonical", f"04{small_x + P:096x}{small_y:096x}")
    refuse("infinity", "00")
    refuse("infinity-padded", "00" * 97)
    refuse("compressed", f"{2 + y % 2:02x}{x:096x}")
    refuse("hybrid", f"{6 + y % 2:02x}{x:096x}{y:096x}")
    refuse("without-prefix", f"{x:096x}{y:096x}")
    refuse("short", public[:-2])
    refuse("long", public + "00")
    refuse("empty", "")
    return rows


def main():
    vectors, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    package = "Debian package python3-cryptography-vectors 38.0.4"
    write(out / "aes_256_gcm.txt", f"NIST CAVP gcmDecrypt256.rsp, from {package}",
          "key nonce associated plaintext ciphertext tag", aes_gcm(vectors))
    write(out / "sha2.txt", f"NIST CAVP SHA*ShortMsg.rsp and SHA*LongMsg.rsp, from {package}", "hash message digest",
          hashes(vectors))
    write(out / "hmac_sha256.txt", f"RFC 4231, from {package}", "key message code", hmac_sha256(vectors))
    write(out / "hkdf.txt", f"RFC 5869 and pyca, from {package}", "hash input_key salt info output", hkdf(vectors))
    write(out / "x25519.txt", f"RFC 7748, from {package}; small-order points by tools/import_public_vectors.py",
          "private public shared", x25519(vectors))
    write(out / "ed25519.txt", f"sign.input of the Ed25519 authors, from {package}; refused ones by "
          "tools/import_public_vectors.py", "seed public message signature", ed25519(vectors))
    write(out / "p384_ecdsa.txt", f"NIST FIPS 186-3 SigVer.rsp, from {package}; refused ones by "
          "tools/import_public_vectors.py", "public message signature", p384_ecdsa(vectors))
    write(out / "p384_ecdh.txt", f"NIST KASValidityTest ECCStaticUnified, from {package}; refused ones by "
          "tools/import_public_vectors.py", "private public shared", p384_ecdh(vectors))


if __name__ == "__main__":
    main()
