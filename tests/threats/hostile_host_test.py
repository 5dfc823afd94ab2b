"""Threat model, hostile host: real daemons, real files. Row numbers are those of docs/threat-model.md.

Each class names the mechanism without which its tests fail.
"""
import base64
import contextlib
import hashlib
import http.client
import http.server
import os
import pathlib
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import harness  # noqa: E402
import policies  # noqa: E402
from harness import CORRUPTION, KEY_REFUSED, NOT_FOUND, OK, PARTIAL, UNREACHABLE  # noqa: E402

MOST_DRIP_SECONDS = 40  # patience with one peer, and what a busy machine adds
MOST_MEMORY_BYTES = 256 << 20  # ten times what a small restore takes


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1:]


def flip_often(content):
    spoilt = bytearray(content)
    for at in range(200, len(spoilt), 1000):
        spoilt[at] ^= 0x80
    return bytes(spoilt)


def replace(path, content):
    """What root at the host can do: objects are read-only files."""
    path.chmod(0o600)
    path.write_bytes(content)


def tls_context(key_file, role, scratch):
    """TLS with the Ed25519 key of one of our key files, spoken by another program than ours."""
    seed = re.search(r"^seed ([0-9a-f]{64})$", key_file.read_text(), flags=re.M)[1]
    private, certificate = scratch / f"{seed[:16]}.pem", scratch / f"{seed[:16]}.crt"
    pkcs8 = bytes.fromhex("302e020100300506032b657004220420" + seed)
    for arguments, stdin in ((["pkey", "-inform", "DER", "-out", private], pkcs8),
                             (["req", "-x509", "-key", private, "-subj", "/CN=own program", "-out", certificate], b"")):
        subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=True)
    context = ssl.SSLContext(role)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, private)
    return context


class HostileHost(harness.SystemTest):
    def own_program_asks(self, vault, key_file, target):
        """The status with which a vault answers GET to somebody who holds this key and does not use our program."""
        context = tls_context(key_file, ssl.PROTOCOL_TLS_CLIENT, self.scratch)
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.realm.ports[vault], timeout=60,
                                                            context=context)) as connection:
            connection.request("GET", target)
            return connection.getresponse().status

    def own_program_serves(self, vault, documents):
        """The host's own program on a vault's port, with the vault's genuine key: {path: bytes}, and 404 for the rest."""
        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802 (the base class's name)
                found = documents.get(self.path)
                self.send_response(404 if found is None else 200)
                self.send_header("Content-Length", str(len(found or b"")))
                self.end_headers()
                self.wfile.write(found or b"")

            def do_PUT(self):  # noqa: N802
                self.close_connection = True
                self.send_error(404)

            do_HEAD = do_GET

            def log_message(self, *_):
                asked.append(self.path)

        asked = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.realm.ports[vault]), Answers)
        server.daemon_threads = True
        context = tls_context(self.realm.vault(vault) / "identity.key", ssl.PROTOCOL_TLS_SERVER, self.scratch)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return asked

    def protect(self, **options):
        self.make_source(**options)
        self.realm = self.make_realm()
        self.ok(self.realm.backup("source", "--wait-all"))

    def wrote_nothing_wrong(self, target):
        """Whatever a refused restore left behind is right, byte for byte."""
        if (self.scratch / target).exists():
            right = harness.tree_contents(self.scratch / "source")
            for path, (kind, content) in harness.tree_contents(self.scratch / target).items():
                self.assertIn(path, right, "a name that was never captured")
                self.assertEqual(right[path][0], kind, path)
                if content:
                    self.assertEqual(right[path][1], content, path)


class H1(HostileHost):
    """Mechanism: everything that leaves the agent is sealed before it is sent (repo's object sealer); names, listings,
    dataset names and the packs' own directories too. A vault's files hold every body that came over the wire."""

    CANARY = b"Canary-in-the-registry-7c1f"

    def plant(self):
        source = self.scratch / "source"
        source.mkdir()
        name = os.fsencode(source) + b"/name-" + self.CANARY
        with open(name, "wb") as file:
            file.write(b"x" * 1000 + self.CANARY + b"y" * 1000)
        (source / "only-this").write_bytes(self.CANARY)  # not compressible into something else
        (source / "far-in").write_bytes(os.urandom(3_000_000) + self.CANARY + os.urandom(1000))
        os.symlink(b"to-" + self.CANARY, os.fsencode(source) + b"/link")
        with contextlib.suppress(OSError):  # a file system without xattrs
            os.setxattr(name, "user.secret", b"attribute-" + self.CANARY)
            os.setxattr(name, b"user." + self.CANARY.lower(), b"1")

    def H1_no_planted_string_occurs_in_any_byte_a_host_has_or_hears(self):
        self.plant()
        self.realm = self.make_realm()
        heard = Tap(self, self.realm.ports["rome"])
        self.realm.stop("rome")
        self.realm.daemons["rome"] = harness.Daemon(self.realm.vault("rome"), self.scratch / "realm-rome.log", self.scratch,
                                                    ["--listen", f"127.0.0.1:{heard.behind}"])
        heard.start()
        self.ok(self.realm.backup("source", "--wait-all", "--dataset", "canary-set"))
        self.ok(self.realm.exclave("ingest", "--home", self.realm.home, "canary-stream", stdin=self.CANARY * 3))
        self.ok(self.realm.restore(self.realm.release(), "restored", "--dataset", "canary-stream"))
        planted = [self.CANARY, self.CANARY.lower(), b"only-this", b"far-in", b"user.secret", b"canary-set", b"canary-stream",
                   os.fsencode(self.scratch / "source")]
        shapes = [shape for text in planted for shape in shapes_of(text)]
        searched = 0
        for vault in harness.VAULTS:
            for path in [p for p in self.realm.vault(vault).rglob("*") if p.is_file()]:
                content = path.read_bytes()
                searched += len(content)
                for shape in shapes:
                    self.assertNotIn(shape, content, f"{path} shows {shape}")
                    self.assertNotIn(shape, os.fsencode(path.relative_to(self.scratch)), path)
            for path in self.realm.objects(vault):  # nor where the content ends and the padding begins
                self.assertNotIn(bytes(16), path.read_bytes()[136:], f"{path} is not sealed to its end")
        self.assertGreater(searched, 3 * 3_000_000, "the vaults hold less than what was planted")
        self.assertGreater(len(heard.bytes), 3_000_000)
        for shape in [*shapes, b"HTTP/1.1", b"Testland"]:
            self.assertNotIn(shape, bytes(heard.bytes), "heard on the wire")

    def H1_the_search_finds_a_canary_where_there_is_one(self):
        """The same strings are in the agent's own listing: the test above can fail."""
        self.plant()
        realm = self.make_realm()
        self.ok(realm.backup())
        listing = self.ok(realm.exclave("ls", "--home", realm.home)).out
        self.assertIn(self.CANARY.decode(), listing)


def shapes_of(text):
    """The bytes themselves, in hex, and in base64 wherever they stand in it."""
    yield text
    yield text.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + text)
        yield encoded[-(-shift * 8 // 6):(shift + len(text)) * 8 // 6]


class Tap:
    """A port that passes bytes on to `behind` and remembers them: what a network's owner hears."""

    def __init__(self, test, port):
        self.port, self.behind, self.bytes = port, harness.free_port(), bytearray()
        self.near_to_far, self.count, self.pumps = True, {True: 0, False: 0}, []
        self.test = test

    def start(self):
        listener = socket.create_server(("127.0.0.1", self.port))
        self.test.addCleanup(listener.close)
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.behind))
                self.test.addCleanup(near.close)
                self.test.addCleanup(far.close)
                for a, b, direction in ((near, far, True), (far, near, False)):
                    self.pumps.append(threading.Thread(target=self.pump, args=(a, b, direction), daemon=True))
                    self.pumps[-1].start()

    def wait_until_all_has_passed(self):
        """All connections have ended, with the vault's last word."""
        for pump in self.pumps:
            pump.join(harness.START_SECONDS)
            self.test.assertFalse(pump.is_alive(), "a connection is still open")

    def pump(self, source, sink, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.bytes += data
                self.count[direction] += len(data)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class H2(HostileHost):
    """Mechanism: packs are padded to four sizes, and nothing about content, names or numbers of files is outside of them. What
    a host sees of two captures with the same number of objects of each size is the same."""

    def trace(self, name, fill):
        """What the host of lux sees of one capture: its objects' sizes, and the bytes on the wire in each direction. The order in
        which objects arrive is no more than which of three uploads at once was quicker."""
        source = self.scratch / f"source-{name}"
        source.mkdir()
        fill(source)
        realm = self.make_realm(name)
        heard = Tap(self, realm.ports["lux"])
        realm.stop("lux")
        realm.daemons["lux"] = harness.Daemon(realm.vault("lux"), self.scratch / f"{name}-lux.log", self.scratch,
                                              ["--repair-every", "never", "--listen", f"127.0.0.1:{heard.behind}"])
        heard.start()
        self.ok(realm.backup(source, "--wait-all"))
        heard.wait_until_all_has_passed()
        sizes = sorted(path.stat().st_size for path in realm.objects("lux"))
        realm.kill_all()
        return {"sizes": sizes, "sent": heard.count[heard.near_to_far], "answered": heard.count[not heard.near_to_far]}

    def H2_data_of_equal_class_counts_leave_equal_traces(self):
        def few_files(source):
            for i in range(350):
                (source / f"deed-{i}").write_bytes(os.urandom(8_000))

        def many_small_files(source):
            for i in range(700):
                folder = source / f"people-whose-name-begins-with-{i % 20}"
                folder.mkdir(exist_ok=True)
                (folder / f"a-long-and-telling-name-{i}").write_bytes(os.urandom(4_000) + b"the same words " * 300)

        few, many = self.trace("few", few_files), self.trace("many", many_small_files)
        self.assertEqual(few["sizes"], many["sizes"])
        self.assertLessEqual(set(few["sizes"]), {1 << 18, 1 << 20, 1 << 22, 1 << 24})
        self.assertEqual(few["sent"], many["sent"])
        self.assertEqual(few["answered"], many["answered"])

    def H2_the_trace_tells_apart_what_differs_in_class_counts(self):
        small = self.trace("small", lambda source: (source / "f").write_bytes(os.urandom(10_000)))
        large = self.trace("large", lambda source: (source / "f").write_bytes(os.urandom(9_000_000)))
        self.assertNotEqual(small["sizes"], large["sizes"])
        self.assertNotEqual(small["sent"], large["sent"])


class H12(HostileHost):
    """Mechanism: as H1, and nothing is deterministic across registries and objects: keys, ephemerals, salts and chunk ids differ,
    so equal content leaves no equal bytes that pooled ciphertext could be joined by."""

    CANARY = b"Canary-for-all-hosts-51e0"

    def H12_all_hosts_together_find_no_planted_string_and_no_block_twice(self):
        source = self.make_source()
        for i in range(3):  # the same content thrice, and the same tree in two registries
            (source / f"copy-{i}").write_bytes(self.CANARY * 40 + bytes(200_000))
        self.realm = self.make_realm(extra=["--registry", "land"])
        for registry in ("docs", "land"):
            self.ok(self.realm.exclave("backup", "--home", self.realm.root / "home" / registry, source, "--wait-all"))
        pool = {}
        for vault in harness.VAULTS:
            for path in self.realm.vault(vault).rglob("*"):
                if path.is_file() and path.suffix != ".key":
                    content = path.read_bytes()
                    self.assertNotIn(self.CANARY, content, path)
                    if "objects" in path.parts:
                        self.assertEqual(pool.setdefault(path.name, content), content, "copies are equal, or one is damaged")
        self.assertGreaterEqual(len(pool), 6)
        seen = {}
        for name, content in pool.items():
            for at in range(48, len(content) - 15, 16):  # behind the header, which names registry and period
                block = content[at:at + 16]
                self.assertNotIn(block, seen, f"{name} at {at} repeats {seen.get(block)}")
                seen[block] = (name, at)


class H3(HostileHost):
    """Mechanism: an object's name is the hash of its bytes, every segment is authenticated against the object's header, and
    the reader goes to the next vault for an object that fails."""

    def damages(self):
        """(name, function of (object's path, all objects)) of what a host can do to an object's file."""
        def exchanged(path, others):
            """Each object gets the bytes of the one that follows it, so that none is left as it was."""
            other = others[(others.index(path) + 1) % len(others)]
            replace(path, (self.realm.vault("oslo") / "objects" / other.parent.name / other.name).read_bytes())

        return [
            ("a byte of the header flipped", lambda p, _: replace(p, flip(p.read_bytes(), 5))),
            ("a byte in every kilobyte flipped", lambda p, _: replace(p, flip_often(p.read_bytes()))),
            ("cut in half", lambda p, _: replace(p, p.read_bytes()[:p.stat().st_size // 2])),
            ("cut by one byte", lambda p, _: replace(p, p.read_bytes()[:-1])),
            ("cut to nothing", lambda p, _: replace(p, b"")),
            ("extended by one byte", lambda p, _: replace(p, p.read_bytes() + b"\0")),
            ("extended by itself", lambda p, _: replace(p, p.read_bytes() * 2)),
            ("bytes of another object", exchanged),
            ("gone", lambda p, _: p.unlink()),
        ]

    def H3_damaged_objects_are_refused_from_one_vault_and_gone_round_with_three(self):
        self.protect(files=12, size=80_000)
        opening = self.realm.release()
        store = self.realm.vault("lux") / "objects"
        shutil.copytree(store, self.scratch / "whole")
        listed = self.realm.exclave("snapshots", "--site", self.realm.site, "--json").json()["snapshots"]
        snapshot = listed[0]["snapshot"]
        by_size = sorted(self.realm.objects("lux"), key=lambda p: p.stat().st_size)
        packs = {by_size[-1].name}
        self.assertGreater(by_size[-1].stat().st_size, by_size[-2].stat().st_size, "which one is the pack?")
        for number, (name, damage) in enumerate(self.damages()):
            with self.subTest(name):
                for path in self.realm.objects("lux"):  # each object of this vault, one after the other
                    if path.exists():
                        damage(path, self.realm.objects("lux"))
                try:
                    self.ok(self.realm.restore(opening, f"three-{number}"))
                    self.same_tree(f"three-{number}")
                    gone = (CORRUPTION, NOT_FOUND, UNREACHABLE)  # another vault might have it
                    self.refused_from_lux_alone(opening, f"one-{number}", gone)
                    # The snapshot itself is whole again, but not what it names.
                    shutil.copy(self.scratch / "whole" / snapshot[:2] / snapshot, store / snapshot[:2] / snapshot)
                    self.refused_from_lux_alone(opening, f"packs-{number}", gone)
                    # The index is whole too: what fails is the content itself.
                    for path in (self.scratch / "whole").rglob("*"):
                        if path.is_file() and path.name not in packs:
                            shutil.copy(path, store / path.parent.name / path.name)
                    refused = self.refused_from_lux_alone(opening, f"content-{number}",
                                                          gone if name == "gone" else (CORRUPTION,))
                    if name == "a byte in every kilobyte flipped":  # no altered byte even reaches the decompressor
                        self.assertIn("authentication tag does not match", refused.err)
                finally:
                    shutil.rmtree(store)
                    shutil.copytree(self.scratch / "whole", store)
        self.ok(self.realm.verify("--read-all"))

    def refused_from_lux_alone(self, opening, target, codes):
        self.realm.stop("oslo", "rome")
        try:
            refused = self.realm.restore(opening, target)
            self.assertIn(refused.code, codes, str(refused))
            self.assertNotIn("bug", refused.err)
            self.wrote_nothing_wrong(target)
            return refused
        finally:
            self.realm.start("oslo", "rome")

    def H3_genuine_objects_of_one_kind_swapped_between_two_captures_do_not_pass_for_each_other(self):
        """Same writer, registry, era, period, size and type: nothing but the name and the chunks' identities differ."""
        self.realm = self.make_realm()
        for tree, seed in (("older", 7), ("source", 8)):
            (self.scratch / tree).mkdir()
            (self.scratch / tree / "file").write_bytes(random.Random(seed).randbytes(900_000))
        self.ok(self.realm.backup("older", "--wait-all", "--dataset", "files"))
        older = set(self.realm.objects("lux"))
        self.ok(self.realm.backup("source", "--wait-all", "--dataset", "files", "--moved"))
        newer = set(self.realm.objects("lux")) - older
        snapshots = {s["snapshot"] for s in self.realm.exclave("snapshots", "--site", self.realm.site, "--json").json()["snapshots"]}

        def kind_of(path):
            """One pack, one index and one snapshot each. They arrive in no order; the pack alone is of the second size."""
            return "snapshot" if path.name in snapshots else "pack" if path.stat().st_size == 1 << 20 else "index"

        self.assertEqual([3, 3], [len(those) for those in (older, newer)])
        came = [{kind_of(path): path for path in those} for those in (older, newer)]
        opening = self.realm.release()
        for number, kind in enumerate(("pack", "index", "snapshot")):
            a, b = came[0][kind], came[1][kind]
            self.assertEqual(a.stat().st_size, b.stat().st_size)
            with self.subTest(kind):
                mine, its = a.read_bytes(), b.read_bytes()
                replace(a, its)
                replace(b, mine)
                try:
                    self.ok(self.realm.restore(opening, f"three-{number}"))
                    self.same_tree(f"three-{number}")
                    if kind != "index":  # what an index says, the packs say too
                        self.refused_from_lux_alone(opening, f"one-{number}", (CORRUPTION, UNREACHABLE))
                finally:
                    replace(a, mine)
                    replace(b, its)

    def H3_a_latest_snapshot_that_nobody_gives_out_whole_is_not_quietly_replaced_by_an_older_one(self):
        self.protect(files=2)
        (self.scratch / "source/later").write_bytes(b"what the host does not want to be seen")
        self.ok(self.realm.backup("source", "--wait-all"))
        opening = self.realm.release()
        older, latest = (s["snapshot"] for s in self.realm.exclave("snapshots", "--site", self.realm.site,
                                                                   "--json").json()["snapshots"])
        for name, damage in (("a byte flipped", lambda p: replace(p, flip(p.read_bytes(), 1000))),
                             ("a byte of the header flipped", lambda p: replace(p, flip(p.read_bytes(), 30))),
                             ("gone", lambda p: p.unlink())):
            with self.subTest(name):
                for vault in harness.VAULTS:
                    damage(self.realm.vault(vault) / "objects" / latest[:2] / latest)
                self.refused(self.realm.restore(opening, "back-in-time"), NOT_FOUND if name == "gone" else CORRUPTION,
                             f"snapshot {latest[:12]} is later than all that can be opened",
                             f"hint: try again when more vaults answer, or take the latest that opens: "
                             f"--snapshot {older[:12]}")
                self.assertFalse((self.scratch / "back-in-time").exists())
        self.ok(self.realm.restore(opening, "knowingly", "--snapshot", older[:12]))
        self.assertFalse((self.scratch / "knowingly/later").exists())

    def H3_every_kind_of_damage_is_found_by_verify_without_keys(self):
        self.protect(files=6)
        generator = random.Random(3)
        single = [("a byte in the middle flipped", lambda p, _: replace(p, flip(p.read_bytes(), p.stat().st_size // 2))),
                  ("the last byte flipped", lambda p, _: replace(p, flip(p.read_bytes(), p.stat().st_size - 1)))]
        for name, damage in self.damages() + single:
            with self.subTest(name):
                victim = generator.choice(self.realm.objects("rome"))
                aside = {p: p.read_bytes() for p in self.realm.objects("rome")}
                damage(victim, self.realm.objects("rome"))
                found = self.ok(self.realm.verify("--read-all"), CORRUPTION)
                self.assertIn("vault rome: object " + victim.name[:12], found.out)
                for path, content in aside.items():
                    if path.exists():
                        replace(path, content)
                    else:
                        path.write_bytes(content)
        self.ok(self.realm.verify("--read-all"))


class H9(HostileHost):
    """Mechanism: limits on sizes and times of every answer (http, wire), and objects checked before they are used. The
    answers inside an authenticated connection are tried in C++ (vault_test.cc); here a port answers before there is one."""

    def hostile_port(self, port, behave):
        listener = socket.create_server(("127.0.0.1", port))
        self.addCleanup(listener.close)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=self.answer, args=(connection, behave), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return listener

    @staticmethod
    def answer(connection, behave):
        with contextlib.suppress(OSError), connection:
            behave(connection)

    def H9_a_port_that_answers_garbage_floods_or_closes_is_gone_round(self):
        self.protect(files=4)
        self.realm.stop("lux")
        opening = self.realm.release()

        def flood(connection):
            while True:
                connection.sendall(os.urandom(1 << 16))

        def huge_record(connection):
            connection.sendall(b"\x16\x03\x03\xff\xff" + b"A" * (1 << 20))
            connection.recv(1)

        behaviours = {"closes": lambda c: None, "garbage": lambda c: c.sendall(os.urandom(4096)),
                      "plain http": lambda c: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
                      "flood": flood, "huge record": huge_record}
        for name, behave in behaviours.items():
            with self.subTest(name):
                listener = self.hostile_port(self.realm.ports["lux"], behave)
                target = f"restored-{name.replace(' ', '-')}"
                ended = self.bounded(["restore", "--site", self.realm.site, *opening, "--target", target])
                self.ok(ended)
                self.assertIn("vault lux", ended.err)
                self.same_tree(target)
                self.ok(self.realm.backup())
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()

    def H9_a_port_that_sends_a_byte_a_second_costs_seconds_and_is_gone_round(self):
        self.protect(files=2)
        self.realm.stop("lux")

        def drip(connection):
            connection.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB begins
            while True:
                connection.sendall(b"\x02")
                time.sleep(1)

        self.hostile_port(self.realm.ports["lux"], drip)
        began = time.monotonic()
        listed = self.ok(self.realm.exclave("snapshots", "--site", self.realm.site))
        self.assertLess(time.monotonic() - began, MOST_DRIP_SECONDS)
        self.assertIn("vault lux", listed.err)
        self.assertIn("oslo, rome", listed.out)

    def bounded(self, arguments):
        """Runs a command, and looks at the most memory that it ever had: a flood must not fill it."""
        out, err = self.scratch / "bounded.out", self.scratch / "bounded.err"
        with open(out, "wb") as out_sink, open(err, "wb") as err_sink:
            process = harness.launch([harness.program(), *arguments], self.scratch, stdout=out_sink, stderr=err_sink)
        patience = threading.Timer(harness.COMMAND_SECONDS, process.kill)
        patience.start()
        _, status, usage = os.wait4(process.pid, 0)
        patience.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = harness.Ended(arguments, process.returncode, out.read_text(errors="replace"), err.read_text(errors="replace"))
        if not harness.is_sanitized():  # whose shadow is memory too
            self.assertLess(usage.ru_maxrss * 1024, MOST_MEMORY_BYTES, str(ended))
        return ended


class H10(HostileHost):
    """Mechanism: peers are pinned by key in the policy, both ways (tls, wire); no authority can vouch for another key."""

    def pose(self, daemon_directory, vault, name):
        return harness.Daemon(daemon_directory, self.scratch / f"{name}.log", self.scratch,
                              ["--listen", f"127.0.0.1:{self.realm.ports[vault]}"])

    def H10_another_vaults_or_a_sites_identity_on_a_port_is_refused_and_gone_round(self):
        self.protect(files=4)
        other = self.make_realm("other", start=False)
        opening = self.realm.release()
        self.realm.stop("lux", "oslo")
        # The host of oslo answers lux's port too, with its own genuine identity and its own genuine data.
        impostors = {"another vault of the realm": self.realm.vault("oslo"), "a vault of another realm": other.vault("lux")}
        for number, (name, directory) in enumerate(impostors.items()):
            with self.subTest(name):
                daemon = self.pose(directory, "lux", f"impostor-{number}")
                try:
                    # One vault alone cannot say that nothing later is durable.
                    ended = self.ok(self.realm.restore(opening, f"restored-{number}"), PARTIAL)
                    self.assertIn("the policy pins", ended.err)
                    self.assertNotRegex(ended.out, "from vault lux: [1-9]")
                    self.same_tree(f"restored-{number}")
                    refused = self.realm.backup()
                    self.assertIn(refused.code, (KEY_REFUSED, UNREACHABLE), str(refused))
                    self.assertIn("only 1 of 3 vaults", refused.err)
                    self.assertIn("the policy pins", refused.err)
                finally:
                    daemon.stop()

    def H10_a_vault_directory_with_a_sites_or_strangers_identity_does_not_start(self):
        self.protect(files=1)
        self.realm.stop("lux")
        other = self.make_realm("other", start=False)
        for key in (self.realm.site / "identity.key", other.vault("lux") / "identity.key"):
            shutil.copy(key, self.realm.vault("lux") / "identity.key")
            self.refused(self.realm.exclave("vault", self.realm.vault("lux")), KEY_REFUSED, "identity", "hint:")

    def H10_a_site_of_another_realm_and_an_agent_are_not_served_as_sites(self):
        """A stranger who knows the ports, with a genuine site identity of a realm of his own."""
        self.protect(files=2)
        other = self.make_realm("other", start=False)
        stranger = self.scratch / "stranger"
        shutil.copytree(self.realm.site, stranger)
        shutil.copy(other.site / "identity.key", stranger / "identity.key")
        ended = self.realm.exclave("snapshots", "--site", stranger)
        self.assertEqual(ended.code, KEY_REFUSED, str(ended))
        # The agent's own key, posing as a site.
        shutil.copy(self.realm.home / "writer.key", stranger / "identity.key")
        self.assertEqual(self.realm.exclave("snapshots", "--site", stranger).code, KEY_REFUSED)

    def H10_the_vault_itself_refuses_whoever_is_no_site(self):
        """With a program of their own, since ours refuses before it asks."""
        self.protect(files=2)
        other = self.make_realm("other", start=False)
        name = self.realm.objects("lux")[0].name
        self.assertEqual(self.own_program_asks("lux", self.realm.site / "identity.key", f"/v1/objects/{name}"), 200)
        for who in (other.site / "identity.key", other.home / "writer.key", self.realm.home / "writer.key",
                    self.realm.vault("oslo") / "identity.key"):
            with self.subTest(str(who.relative_to(self.scratch))):
                self.assertEqual(self.own_program_asks("lux", who, f"/v1/objects/{name}"), 403)
        for path in ("/v1/status", "/v1/acts"):
            self.assertEqual(self.own_program_asks("lux", other.site / "identity.key", path), 403)


class H11(HostileHost):
    """Mechanism: what a vault shows is believed only as a successor of what the reader has, and heads of several vaults are
    compared: an empty or other repository is named, not used."""

    def H11_an_empty_repository_in_one_place_is_noticed_and_the_others_are_used(self):
        self.protect(files=4)
        self.realm.stop("lux")
        for part in ("objects", "table", "acts"):
            shutil.rmtree(self.realm.vault("lux") / part)
        self.realm.start("lux")  # a fresh vault with the genuine identity
        found = self.realm.verify()
        self.assertNotEqual(found.code, OK, str(found))
        self.assertIn("vault lux is behind: stream", found.out)
        listed = self.ok(self.realm.exclave("snapshots", "--site", self.realm.site, "--json")).json()["snapshots"]
        self.assertEqual(["oslo, rome"], [s["complete_at"] for s in listed])
        self.ok(self.realm.restore(self.realm.release(), "restored"))
        self.same_tree("restored")

    def H11_a_vault_that_offers_another_realms_policy_is_not_believed(self):
        """The host keeps the pinned identity, but puts a repository and a policy of its own under it."""
        self.protect(files=4)
        ports = {**self.realm.ports}
        other = self.make_realm("other", start=False, ports=ports)
        opening = self.realm.release()
        self.realm.stop("lux")
        lux = self.realm.vault("lux")
        for part in ("objects", "table", "acts", "acts-to-adopt"):
            shutil.rmtree(lux / part)
        shutil.copytree(other.vault("lux") / "acts-to-adopt", lux / "acts-to-adopt")
        # Its own program would serve this; ours refuses to start with an identity that the policy does not name.
        refused = self.realm.exclave("vault", lux)
        self.assertNotEqual(refused.code, OK, str(refused))
        self.assertIn("in no policy version", refused.err)
        acts = sorted((self.realm.site / "acts").iterdir())
        self.ok(self.realm.restore(opening, "restored"))
        self.same_tree("restored")
        self.assertEqual(acts, sorted((self.realm.site / "acts").iterdir()))

    def H11_a_policy_that_the_hosts_own_officials_signed_is_not_believed(self):
        """The host's own program, with lux's genuine key, shows the realm's next policy with officials of its own."""
        self.protect(files=4)
        other = self.make_realm("other", start=False)
        opening = self.realm.release()
        (first,) = (self.realm.site / "acts").glob("policy-*")
        (era,) = (self.realm.site / "acts").glob("era-docs-1*")
        acts = {hashlib.sha256(text).hexdigest(): text
                for text in (first.read_bytes(), era.read_bytes(), forged_successor(first.read_text(), other))}
        kinds = [f"{'era' if text == era.read_bytes() else 'policy'} {name}\n" for name, text in acts.items()]
        kinds.sort(key=lambda line: line.startswith("era"))
        self.realm.stop("lux")
        asked = self.own_program_serves("lux", {"/v1/acts": ("exclave/acts/v1\n" + "".join(kinds)).encode(),
                                                **{f"/v1/acts/{name}": text for name, text in acts.items()}})
        for folder, command in (
                (self.realm.site, lambda: self.realm.restore(opening, "restored")),
                (self.realm.home, lambda: self.realm.backup())):
            with self.subTest(folder.name):
                before = sorted(p.name for p in (folder / "acts").iterdir())
                ended = self.ok(command())
                self.assertIn("vault lux shows a policy that does not follow ours, and it is not believed", ended.err)
                self.assertEqual(before, sorted(p.name for p in (folder / "acts").iterdir()))
        self.same_tree("restored")
        self.assertTrue(all(f"/v1/acts/{name}" in asked for name in acts if name not in
                            {hashlib.sha256(p.read_bytes()).hexdigest() for p in (first, era)}))

    def H11_a_host_that_adds_a_signature_forks_nobody(self):
        """Mechanism: a policy version is its text, and its signatures are in no hash; a line that counts for nobody is refused.
        lux shows the second version with another spelling of a signature, and with a line of its own."""
        self.protect(files=4)
        second = policies.signed(policies.successor(policies.first_policy(self.realm), ("name .*", "name Renewed")), self.realm)
        third = policies.signed(policies.successor(second.decode(), ("name .*", "name Renewed again")), self.realm)
        (era,) = (self.realm.site / "acts").glob("era-docs-1*")
        self.realm.stop("lux")
        documents = {}
        self.own_program_serves("lux", documents)
        for what, shown in (("a line of its own", second + b"signature mallory AAAA\n"),
                            ("another spelling", policies.mirrored(second))):
            acts = {hashlib.sha256(text).hexdigest(): text for text in (shown, era.read_bytes())}
            listed = "".join(f"{'policy' if text is shown else 'era'} {name}\n" for name, text in acts.items())
            documents.update({"/v1/acts": ("exclave/acts/v1\n" + listed).encode(),
                              **{f"/v1/acts/{name}": text for name, text in acts.items()}})
            self.ok(self.realm.exclave("snapshots", "--site", self.realm.site))
            with self.subTest(what):
                self.assertEqual(what == "another spelling", (self.realm.site / "acts/policy-2.exclave").exists())
        # By now oslo and rome have lux's document from the site; everybody else has the one that was signed.
        for owner in (self.realm.home, *map(self.realm.official, harness.OFFICIALS)):
            (owner / "acts/policy-2.exclave").write_bytes(second)
            (owner / "acts/policy-3.exclave").write_bytes(third)
        ended = self.ok(self.realm.backup())
        self.assertNotIn("vault oslo did not adopt", ended.err)
        self.ok(self.realm.restore(self.realm.release(), "restored"))
        self.same_tree("restored")
        self.assertEqual(third, (self.realm.site / "acts/policy-3.exclave").read_bytes())

    def H11_two_empty_vaults_cannot_make_the_third_forgotten(self):
        self.protect(files=4)
        opening = self.realm.release()
        self.realm.stop("lux", "oslo")
        for vault in ("lux", "oslo"):
            for part in ("objects", "table", "acts"):
                shutil.rmtree(self.realm.vault(vault) / part)
        self.realm.start("lux", "oslo")
        self.ok(self.realm.restore(opening, "restored"))
        self.same_tree("restored")


def forged_successor(policy, other):
    """Version 2 of a policy, whose officials and ceremony key are those of another realm, who sign it."""
    changes = []
    for line in re.findall(r"^(?:official|ceremony) .*$", policies.first_policy(other), flags=re.M):
        kind = " ".join(line.split(" ")[:2 if line.startswith("official") else 1])
        changes.append((rf"{kind} .*", line))
    return policies.signed(policies.successor(policy, *changes), other)


if __name__ == "__main__":
    harness.main()
