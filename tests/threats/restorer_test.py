"""Threat model, loss. L5: everybody who knows the software is gone, and the program with them.

Mechanism: what lies on a vault's disk is documented to the byte, and stock tools open it: `tools/restore.py` is Python and
python3-cryptography, written from docs/formats by somebody who never saw the program's sources. Here the real program captures
and releases; then home, daemons and program are away, and the restorer has a vault's directory, the site's folder and the
officials' approvals. If a format and its page drift apart, these tests fail.
"""
import base64
import contextlib
import hashlib
import os
import pathlib
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import harness  # noqa: E402
from harness import CORRUPTION, KEY_REFUSED, NOT_FOUND, OK, PARTIAL  # noqa: E402

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RESTORER = REPOSITORY / "tools/restore.py"
ROOT = os.geteuid() == 0
PACK, INDEX, SNAPSHOT = "123"
PERIOD = "2 s"
LARGE_BYTES = 3_000_000


def make_nasty_tree(tree):
    """Every kind of entry, name and attribute that a capture takes; what only root can make, if this is root."""
    generator = random.Random(5)
    (tree / "plain/deep").mkdir(parents=True)
    for i in range(30):
        (tree / f"plain/file-{i}").write_bytes(generator.randbytes(generator.randrange(9000)) + b"text " * (i * 40))
    (tree / "large").write_bytes(generator.randbytes(LARGE_BYTES))
    (tree / "compressible").write_bytes(b"".join(b"line %d\n" % i for i in range(200_000)))
    (tree / "twin").write_bytes((tree / "large").read_bytes())
    (tree / "empty").touch()
    os.link(tree / "large", tree / "plain/hard-link")
    os.link(tree / "plain/file-1", tree / "second-name")
    (tree / "link").symlink_to("plain/file-1")
    (tree / "link-out").symlink_to("/etc/passwd")
    os.link(tree / "link", tree / "link-twice", follow_symlinks=False)
    os.mkfifo(tree / "pipe", 0o640)
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(tree)  # a socket's path has at most 108 bytes
        listener.bind("socket")
        os.chdir(here)
    for name in (b"not-utf-8-\xff\xfe", b"new\nline", b" space ", b"-dash", b"*", "Grüße".encode(), b"x" * 255):
        with open(os.path.join(os.fsencode(tree), name), "wb") as file:
            file.write(name)
    with open(tree / "sparse", "wb") as file:
        for i in range(4500):  # more extents than one record of the listing holds
            file.seek(i * 8192)
            file.write(b"data %d" % i)
        file.truncate(4500 * 8192 + 5_000_000)
    with open(tree / "only-a-hole", "wb") as file:
        file.truncate(10_000_000)
    os.makedirs(tree / "/".join(["d"] * 400))
    attributes_of(tree)
    for i, name in enumerate(("plain/file-2", "large", "plain/deep", "sparse", "pipe")):
        os.utime(tree / name, ns=(1, 1_500_000_000_123_456_789 + i))
    os.utime(tree / "empty", ns=(1, -1_234_567_891))
    os.utime(tree / "link", ns=(1, 987_654_321), follow_symlinks=False)
    (tree / "read-only").mkdir()
    (tree / "read-only/inside").write_text("x")
    (tree / "read-only").chmod(0o555)


def attributes_of(tree):
    os.setxattr(tree / "plain/file-3", "user.note", b"kept \x00\xff")
    os.setxattr(tree / "plain", "user.on-directory", b"")
    if shutil.which("setfacl"):
        for options in (["-m", "u:1:rw,g:2:r", tree / "plain/file-4"], ["-d", "-m", "u:1:rwx", tree / "plain/deep"]):
            subprocess.run(["setfacl", *options], check=True)
    (tree / "plain/file-5").chmod(0o400)
    if not ROOT:
        return
    os.mknod(tree / "character", stat.S_IFCHR | 0o620, os.makedev(5, 1))
    os.mknod(tree / "block", stat.S_IFBLK | 0o660, os.makedev(7, 300))
    os.chown(tree / "plain/file-6", 12345, 54321)
    os.chown(tree / "link-out", 1, 2, follow_symlinks=False)
    (tree / "plain/file-7").chmod(0o6755)
    (tree / "plain/deep").chmod(0o3771)
    (tree / "plain/file-8").chmod(0)
    os.setxattr(tree / "link-out", "trusted.note", b"on a link", follow_symlinks=False)
    os.setxattr(tree / "plain/file-9", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))


def facts_of(root):
    """Everything that must come back, by path: types, modes, owners, times, attributes, names of one file, contents, holes."""
    facts, first_names = {}, {}

    def data_areas(path, size):
        areas, at = [], 0
        with open(path, "rb") as file:
            while at < size:
                try:
                    begin = os.lseek(file.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                at = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
                areas.append((begin, at))
        return areas

    def visit(path, relative):
        found = os.lstat(path)
        kind = stat.S_IFMT(found.st_mode)
        fact = facts[relative] = {
            "mode": oct(found.st_mode), "owner": (found.st_uid, found.st_gid), "time": found.st_mtime_ns,
            "attributes": sorted((n, os.getxattr(path, n, follow_symlinks=False))
                                 for n in os.listxattr(path, follow_symlinks=False))}
        if kind == stat.S_IFDIR:
            for name in sorted(os.listdir(path)):
                visit(os.path.join(path, name), os.path.join(relative, name))
            return
        fact["same file as"] = first_names.setdefault((found.st_dev, found.st_ino), relative)
        fact["names"] = found.st_nlink
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                fact["content"] = (found.st_size, hashlib.file_digest(file, "sha256").hexdigest())
            fact["data"] = data_areas(path, found.st_size)
        elif kind == stat.S_IFLNK:
            fact["target"] = os.readlink(path)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            fact["device"] = found.st_rdev

    sys.setrecursionlimit(5000)
    visit(os.fsencode(root), b"")
    return facts


class Stranger(harness.SystemTest):
    """A realm whose records were captured twice in two periods, with a stream between; then only vaults' bytes are left."""

    def setUp(self):
        super().setUp()
        tree = self.scratch / "source"
        tree.mkdir()
        make_nasty_tree(tree)
        self.realm = self.make_realm(extra=("--period", PERIOD))
        first_policy = (self.realm.root / "ceremony/acts/policy-1.exclave").read_bytes()
        self.first_policy = hashlib.sha256(first_policy.split(b"\n\n")[0] + b"\n").hexdigest()
        self.stream = b"".join(b"row %d of a dump\n" % i for i in range(150_000))
        self.ok(self.realm.backup("source", "--wait-all"))
        time.sleep(2.1)  # into another period
        (tree / "plain/file-10").write_text("changed since")
        (tree / "new").write_bytes(b"new " * 90_000)
        self.ok(self.realm.exclave("ingest", "--home", self.realm.home, "dump", "--wait-all", stdin=self.stream))
        self.ok(self.realm.backup("source", "--wait-all"))
        self.expected = facts_of(tree)

    def lose_everything(self, *vaults):
        """The officials answer; then the program, home and the records are gone. What is left: site, vaults' disks."""
        self.opening = self.realm.release()
        self.realm.stop()
        self.site = self.scratch / "site"
        shutil.copytree(self.realm.site, self.site)
        for vault in vaults:
            shutil.copytree(self.realm.vault(vault), self.scratch / vault)
        for gone in (self.realm.root, self.scratch / "source"):
            shutil.rmtree(gone)

    def restorer(self, command, *options, vaults=("lux",), opening=None, first_policy=None):
        """`tools/restore.py` with the keys of the release, and with a PATH where no exclave is."""
        arguments = [sys.executable, RESTORER, command]
        for vault in vaults:
            arguments += ["--vault", self.scratch / vault]
        arguments += ["--first-policy", first_policy or self.first_policy, "--site", self.site]
        return harness.run_process([*arguments, *(opening or self.opening), *options], self.scratch,
                                   env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"})

    def restore(self, target, *options, **more):
        return self.restorer("restore", "--no-sync", "--target", target, *options, **more)

    def same_facts(self, target, expected=None):
        expected = expected or self.expected
        found = facts_of(self.scratch / target)
        for path in sorted(expected.keys() | found.keys()):
            self.assertEqual(found.get(path), expected.get(path), path)

    def kinds(self, vault="lux"):
        """Each object's file, by what stands inside; asked from the restorer's explanation."""
        files = {PACK: [], INDEX: [], SNAPSHOT: []}
        for path in sorted(p for p in (self.scratch / vault / "objects").rglob("*") if p.is_file()):
            explained = self.ok(self.restorer("explain", "--object", path))
            files[re.search(r"^  type +(\d) ", explained.out, re.M)[1]].append(path)
        return files

    def refusal(self, ended, code, *texts):
        self.assertEqual(ended.code, code, str(ended))
        self.assertNotIn("Traceback", ended.err, str(ended))
        for text in texts:
            self.assertIn(text, ended.err, str(ended))

    def nothing_wrong_in(self, target):
        """What a restore of damaged bytes left: less than everything, and all of it right. Returns the missing paths."""
        if not (self.scratch / target).exists():
            return set(self.expected)
        found = facts_of(self.scratch / target)
        self.assertEqual(set(found) - set(self.expected), set(), "drafts or foreign files")
        for path, fact in found.items():
            for key in ("content", "target", "mode", "owner", "attributes", "data"):
                self.assertEqual(fact.get(key), self.expected[path].get(key), (path, key))
        return set(self.expected) - set(found)

    # --- it comes back ---

    def L5_tree_and_stream_come_back_bit_for_bit_from_one_vaults_disk(self):
        self.lose_everything("lux")
        listed = self.ok(self.restorer("list")).out.splitlines()
        self.assertEqual([line.split()[1:3] for line in listed[1:]], [["files", "1"], ["dump", "1"], ["files", "2"]])
        oldest, newest = map(int, re.search(r" (\d+)-(\d+) +/.*source$", listed[3]).groups())
        self.assertLess(oldest, newest)  # several periods' keys were at work
        self.ok(self.restore("restored", "--dataset", "files"))
        self.same_facts("restored")
        self.ok(self.restore("dumped", "--dataset", "dump"))
        self.assertEqual((self.scratch / "dumped/dump").read_bytes(), self.stream)
        self.ok(self.restore("some", "--dataset", "files", "plain/deep", "new"))
        self.assertEqual(sorted(p.name for p in (self.scratch / "some").iterdir()), ["new", "plain"])
        self.assertEqual(self.ok(self.restorer("ls", "--dataset", "files")).out.count("\n"), len(self.expected))
        self.refusal(self.restore("none", "no/such/path", "--dataset", "files"), NOT_FOUND, "no/such/path")
        self.refusal(self.restore("restored", "--dataset", "files"), 1, "is not empty")
        self.assertIn("0 damaged", self.ok(harness.run_process(
            [sys.executable, RESTORER, "check", "--vault", self.scratch / "lux"], self.scratch)).out)

    def L5_every_worked_example_of_the_format_pages_opens(self):
        ended = self.ok(harness.run_process([sys.executable, RESTORER, "self-test"], self.scratch))
        self.assertRegex(ended.out, r"\n\d{4,} checks, 0 failed\n")

    # --- damage ---

    def L5_damaged_objects_are_named_left_out_and_gone_round(self):
        self.lose_everything("lux", "oslo")
        files = self.kinds()
        self.assertGreaterEqual(len(files[PACK]), 3)
        left_out = set()
        for number, path in enumerate(files[PACK]):
            with self.subTest(pack=path.name):
                left_out |= self.damaged_pack(path, number)
        self.assertIn(b"large", left_out)  # or the damage reached nothing that mattered
        self.damaged_index(files[INDEX])
        for path in files[SNAPSHOT]:
            with self.subTest(snapshot=path.name), self.flipped(path, 300):
                self.refusal(self.restore("x", "--snapshot", path.name), NOT_FOUND, path.name, "altered")
                self.assertIn(path.name[:12], self.ok(self.restorer("list", vaults=("lux", "oslo"))).out)

    @contextlib.contextmanager
    def flipped(self, path, position):
        """One bit of a file is another one, as long as the block lasts."""
        good = path.read_bytes()
        path.write_bytes(good[:position] + bytes([good[position] ^ 4]) + good[position + 1:])
        yield
        path.write_bytes(good)

    def damaged_pack(self, path, number):
        """One bit of one pack: named, nothing of it written; a second vault's directory makes it whole."""
        position = (20, 60, 110, 140, path.stat().st_size - 1)[number % 5]  # header, ct, commitment, segments
        with self.flipped(path, position):
            ended = self.restore(f"hurt-{number}", "--dataset", "files")
            self.refusal(ended, ended.code)
            missing = self.nothing_wrong_in(f"hurt-{number}")
            if ended.code != OK:  # else the pack holds only what another dataset or an older snapshot needs
                self.refusal(ended, CORRUPTION, path.name, "altered" if position != 20 else "")
                self.assertTrue(missing)
            self.assertEqual(ended.code == OK, not missing, str(ended))
            self.ok(self.restore(f"round-{number}", "--dataset", "files", vaults=("lux", "oslo")))
            self.same_facts(f"round-{number}")
            twin = self.scratch / "oslo" / path.relative_to(self.scratch / "lux")
            with self.flipped(twin, 5000):
                ended = self.restore(f"both-{number}", "--dataset", "files", vaults=("lux", "oslo"))
                self.assertEqual(ended.code, CORRUPTION if missing else OK, str(ended))
                self.nothing_wrong_in(f"both-{number}")
        return missing

    def damaged_index(self, paths):
        """Index objects are a convenience: the packs' own directories say the same."""
        for path in paths:
            path.rename(path.with_name("kept"))
        ended = self.ok(self.restore("without-index", "--dataset", "files"))
        self.assertIn("the packs' own directories are used", ended.err)
        self.same_facts("without-index")
        for path in paths:
            path.with_name("kept").rename(path)

    def L5_what_stands_in_for_an_object_is_refused_by_name(self):
        """A link, a pipe, a cut or foreign file under an object's name; an object under another one's name."""
        self.lose_everything("lux", "oslo")
        pack = next(p for p in self.kinds()[PACK] if p.stat().st_size >= 1 << 22)
        other = self.kinds()[INDEX][0]
        whole = pack.read_bytes()
        for what, make in {"link": lambda: pack.symlink_to(self.scratch / "oslo" / pack.relative_to(self.scratch / "lux")),
                           "pipe": lambda: os.mkfifo(pack), "cut": lambda: pack.write_bytes(whole[:-1]),
                           "shorter class": lambda: pack.write_bytes(whole[:1 << 20]), "nothing": lambda: pack.touch(),
                           "another object": lambda: shutil.copy(other, pack),
                           "zeros": lambda: pack.write_bytes(bytes(1 << 22)), "gone": lambda: None}.items():
            with self.subTest(what):
                pack.unlink(missing_ok=True)
                make()
                target = what.replace(" ", "-")
                self.refusal(self.restore(target, "--dataset", "files"), CORRUPTION, pack.name)
                self.assertIn(b"large", self.nothing_wrong_in(target))
                self.ok(self.restore(target + "-round", "--dataset", "files", vaults=("lux", "oslo")))
                self.same_facts(target + "-round")

    # --- keys ---

    def L5_without_enough_true_approvals_nothing_opens(self):
        self.lose_everything("lux")
        request, approvals = self.opening[:2], [self.opening[i:i + 2] for i in (2, 4, 6)]
        two = approvals[0] + approvals[1]

        def refused(label, opening, *texts, code=KEY_REFUSED, **more):
            with self.subTest(label):
                self.refusal(self.restore("early", opening=opening, **more), code, *texts)
                self.assertFalse((self.scratch / "early").exists())

        refused("two of three", request + two, "2 of 3 needed approvals are valid (alice, bob); missing 1")
        refused("none", request, "0 of 3")
        refused("one three times", request + approvals[0] * 3, "1 of 3")
        alices, carlas = (approvals[i][1].read_text() for i in (0, 2))
        forged = self.scratch / "forged"
        for label, old, new in (("share index", "x 3", "x 4"), ("official", "official carla", "official dan"),
                                ("signature", carlas.split()[-1], alices.split()[-1])):
            forged.write_text(carlas.replace(old, new))
            refused(f"another {label}", request + two + ["--approval", forged], "2 of 3", "not counted")
        foreign = self.scratch / "foreign"
        text = request[1].read_text()
        foreign.write_text(text.replace("a test", "a jest"))
        refused("an altered request", ["--release", foreign] + self.opening[2:], str(foreign))
        refused("another root of trust", self.opening, "policy", code=NOT_FOUND, first_policy="00" * 32)
        key = next((self.site / "releases").iterdir())
        key.chmod(0o644)
        refused("a key that others may read", self.opening, str(key), "others may read it")
        key.chmod(0o600)
        key.write_text(re.sub("seed .*", "seed " + "11" * 32, key.read_text()))
        refused("another recipient key", self.opening, str(key))

    def L5_a_forged_policy_or_era_beside_the_true_ones_changes_nothing(self):
        self.lose_everything("lux")
        acts = self.scratch / "lux/acts"
        policy = next(p for p in acts.iterdir() if p.read_bytes().startswith(b"exclave/policy/"))
        forged = policy.read_text().replace("version 1\nprevious none", f"version 2\nprevious {self.first_policy}")
        (acts / "forged").write_text(forged.replace("threshold-release 3", "threshold-release 1"))
        era = next(p for p in acts.iterdir() if "\nera 1\n" in p.read_text())
        (acts / "forged-era").write_text(era.read_text().replace("threshold 3", "threshold 1"))
        ended = self.ok(self.restore("restored", "--dataset", "dump"))
        self.assertIn("passed over", ended.err)
        for site_act in (self.site / "acts").iterdir():
            site_act.unlink()
        era.unlink()
        self.refusal(self.restore("no-era", "--dataset", "dump"), KEY_REFUSED, "era 1", "not signed by the right key")
        self.assertFalse((self.scratch / "no-era").exists())

    # --- streams ---

    def L5_the_writers_signed_streams_are_read_from_disk_and_from_a_vault(self):
        pages = self.pages_of_a_running_vault()
        self.lose_everything("lux")
        dump = self.scratch / "table.txt"
        read = harness.run_process(["ldb", f"--db={self.scratch / 'lux/table'}", "dump", "--hex"], self.scratch)
        self.assertEqual(read.code, 0, f"rocksdb-tools are needed: {read}")
        dump.write_text(read.out)
        for streams in ([dump], pages):
            options = [o for page in streams for o in ("--streams", page)]
            ended = self.ok(self.restorer("list", *options))
            self.assertRegex(ended.err, r"streams: [1-9]\d* entries signed by the registry's writers")
            self.assertNotIn("missing", ended.err)
            self.assertEqual(ended.out.count("\n"), 4)
            self.ok(self.restore(f"by-{streams[0].name}", "--dataset", "files", *options))
            self.same_facts(f"by-{streams[0].name}")
        self.altered_streams(dump, pages)

    def pages_of_a_running_vault(self):
        """What a running vault answers, fetched by hand as docs/protocols/vault-http.md says."""
        seed = re.search("^seed (.*)$", (self.realm.site / "identity.key").read_text(), re.M)[1]
        (self.scratch / "key.der").write_bytes(bytes.fromhex("302e020100300506032b657004220420" + seed))
        for command in ("openssl pkey -inform DER -in key.der -out key.pem",
                        "openssl req -new -x509 -key key.pem -subj /CN=exclave -days 36500 -out cert.pem"):
            self.assertEqual(harness.run_process(command.split(), self.scratch).code, 0, command)

        def get(path, name):
            page = self.scratch / name
            fetched = harness.run_process(["curl", "-sSf", "--insecure", "--tlsv1.3", "--cert", "cert.pem", "--key", "key.pem",
                                           "-o", page, f"https://127.0.0.1:{self.realm.ports['lux']}{path}"], self.scratch)
            self.assertEqual(fetched.code, 0, str(fetched))
            return page

        policy = (self.realm.site / "acts/policy-1.exclave").read_text()
        registry = re.search(r"^registry \S+ id=(\w+) ", policy, re.M)[1]
        pages = [get(f"/v1/registries/{registry}/heads", "heads")]
        for text in re.findall(r"^stream (\S+)$", pages[0].read_text(), re.M):
            signed = base64.b64decode(text).split(b"\n\n")[0] + b"\n"
            stream = hashlib.sha256(signed).hexdigest()
            pages.append(get(f"/v1/streams/{stream}/entries?from=0&limit=1000", f"entries-{stream[:8]}"))
        self.assertEqual(len(pages), 4)
        return pages

    def altered_streams(self, dump, pages):
        """Streams that lack an entry, tell another history, or do not know an object."""
        rows = dump.read_text().splitlines()
        entries = [i for i, row in enumerate(rows) if row.startswith("0x65") and len(row.split(" ==> ")[0]) == 2 + 82]
        self.assertGreaterEqual(len(entries), 9)
        altered = self.scratch / "altered.txt"
        # The last entry of a stream is its snapshot: without it, the snapshot is not believed.
        last = entries[-1]
        altered.write_text("\n".join(rows[:last] + rows[last + 1:]) + "\n")
        shorter = self.restorer("list", "--streams", altered)
        self.assertEqual((shorter.code, shorter.out.count("\n")), (OK, 3))
        self.assertIn("stands in no signed stream", shorter.err)
        altered.write_text("\n".join(rows[:entries[0]] + rows[entries[0] + 1:]) + "\n")
        self.assertIn("is missing before it", self.restorer("list", "--streams", altered).err)
        key, value = rows[last].split(" ==> ")
        altered.write_text("\n".join(rows[:last] + [f"{key} ==> 0x{'AB' * 32}{value[66:]}"] + rows[last + 1:]) + "\n")
        self.refusal(self.restorer("list", "--streams", altered), KEY_REFUSED, "does not follow from the entry before it")
        # A receipt for more than is shown.
        page = pages[1].read_text().splitlines()
        cut = max(i for i, line in enumerate(page) if line.startswith("entry "))
        pages[1].write_text("\n".join(page[:cut]) + "\n")
        said = self.restorer("list", *(o for p in pages for o in ("--streams", p))).err
        self.assertIn("vault lux signed for entries 0 to", said)
        # A snapshot that is signed for, and gone from the disk.
        name = value[2:66].lower()
        (self.scratch / "lux/objects" / name[:2] / name).unlink()
        self.assertIn(f"snapshot {name}: the signed stream", self.restorer("list", "--streams", dump).err)

    def L5_who_is_not_root_restores_the_content_and_is_told_what_is_missing(self):
        if not ROOT:
            self.skipTest("needs root, to stop being it")
        self.lose_everything("lux")
        self.scratch.chmod(0o755)
        for path in (self.site, self.scratch / "lux"):
            subprocess.run(["chown", "-R", "65534:65534", path], check=True)
        (self.scratch / "hers").mkdir()
        os.chown(self.scratch / "hers", 65534, 65534)
        ended = harness.run_process(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", RESTORER, "restore", "--no-sync",
             "--vault", "lux", "--first-policy", self.first_policy, "--site", self.site, *self.opening, "--dataset", "files",
             "--target", "hers/tree"], self.scratch)
        self.refusal(ended, PARTIAL, "owners were not restored", "character: could not be created",
                     "attribute security.capability")
        found = facts_of(self.scratch / "hers/tree")
        self.assertEqual(set(self.expected) - set(found), {b"character", b"block"})
        for path, fact in found.items():
            kept = self.expected[path]
            self.assertEqual((fact.get("content"), fact["time"]), (kept.get("content"), kept["time"]), path)
            self.assertEqual(int(fact["mode"], 8) & 0o1777, int(kept["mode"], 8) & 0o1777, path)
            self.assertEqual(int(fact["mode"], 8) & 0o6000, 0, path)


if __name__ == "__main__":
    harness.main()
