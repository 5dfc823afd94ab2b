"""Keys that are wrong, left over or asked for in a wrong way: nothing is sealed that could not be opened, and nothing is kept."""
import fcntl
import hashlib
import pathlib
import re
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import policies  # noqa: E402
from harness import FAILED, KEY_REFUSED, LOCKED, NOT_FOUND, PARTIAL, USAGE  # noqa: E402


class AgentKeys(harness.SystemTest):
    """An agent that sealed under keys that no quorum can open would be green for years."""

    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()

    def change_digit(self, line):
        """Another first digit in the first value of the first line that begins with `line`."""
        path = self.realm.home / "era-1.keys"
        digit = re.search(rf"^{line} ([0-9a-f])", path.read_text(), re.M)
        text = path.read_text()
        path.write_text(text[:digit.start(1)] + ("2" if digit[1] == "1" else "1") + text[digit.end(1):])

    def test_agent_refuses_era_keys_with_one_digit_changed(self):
        whole = (self.realm.home / "era-1.keys").read_text()
        for line in ("period 0", "period 53", "dedup", "starts"):
            with self.subTest(line=line):
                self.change_digit(line)
                self.refused(self.realm.backup(), KEY_REFUSED,
                             f"the keys in '{self.realm.home}/era-1.keys' are not those that the ceremony published for era 1",
                             "hint: ", "exclave agent recover")
                self.assertEqual([], self.realm.objects("lux"))
                (self.realm.home / "era-1.keys").write_text(whole)
        self.ok(self.realm.backup())

    def test_agent_refuses_era_keys_that_the_era_document_does_not_publish(self):
        """X_p and S_p of another period: each is well-formed, and the ceremony made it."""
        path = self.realm.home / "era-1.keys"
        path.write_text(re.sub(r"^period 0 .*", "period 0 " + re.search("^period 1 (.*)", path.read_text(), re.M)[1],
                               path.read_text(), flags=re.M))
        self.refused(self.realm.backup(), KEY_REFUSED, "are not those that the ceremony published for era 1")
        self.refused(self.realm.exclave("status", "--home", self.realm.home), KEY_REFUSED, "published for era 1")

    def test_recover_refuses_keys_of_a_ceremony_that_was_held_twice(self):
        twice = self.scratch / "copy"
        shutil.copytree(self.realm.root, twice)
        for root in (self.realm.root, twice):
            self.ok(self.realm.exclave("ceremony", "era", root, "--registry", "docs"))
        self.ok(self.realm.backup())
        before = sorted(p.name for p in self.realm.home.iterdir() if p.suffix != ".lock")
        false, true = (root / "operator/docs/era-3.keys" for root in (twice, self.realm.root))
        self.refused(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys", false), KEY_REFUSED,
                     f"the keys in '{false}' are not those that the ceremony published for era 3", "hint: ")
        self.assertEqual(before, sorted(p.name for p in self.realm.home.iterdir() if p.suffix != ".lock"))
        self.ok(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys", true))
        self.ok(self.realm.backup())
        self.ok(self.realm.restore(self.realm.release()))
        self.same_tree("restored")

    def test_recover_erases_the_keys_of_the_era_before(self):
        self.ok(self.realm.backup())
        first = (self.realm.home / "era-1.keys").read_bytes()
        self.ok(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys",
                                   self.realm.root / "operator/docs/era-2.keys"))
        self.assertEqual(["era-2.keys"], [p.name for p in self.realm.home.glob("era-*")])
        # A recovery that was interrupted before that: the next command finishes it.
        (self.realm.home / "era-1.keys").write_bytes(first)
        (self.realm.home / "era-1.keys").chmod(0o600)
        self.ok(self.realm.backup())
        self.assertEqual(["era-2.keys"], [p.name for p in self.realm.home.glob("era-*")])


class Eras(harness.SystemTest):
    def test_status_alarms_before_the_last_period_ends(self):
        self.make_source()
        realm = self.make_realm(extra=("--period", "4 s", "--periods", "10"))
        begun = time.monotonic()
        self.ok(realm.backup())
        self.ok(realm.exclave("status", "--home", realm.home))
        # The reserve has the most periods an era can have: it does not age out together with the first one.
        text = (realm.home / "acts/era-docs-2.exclave").read_text()
        self.assertEqual(80, len(re.findall("^period ", text, re.M)))
        time.sleep(max(0, begun + 33 - time.monotonic()))
        asked = self.ok(realm.exclave("status", "--home", realm.home), PARTIAL)
        self.assertIn("alarm: era 1 is over by four fifths", asked.out)
        self.assertIn("go on in era 2", asked.out)


    def test_a_damaged_era_or_a_stray_file_among_the_acts_turns_nothing_off(self):
        self.make_source()
        realm = self.make_realm()
        self.ok(realm.backup())
        for place in (realm.home, pathlib.Path(realm.site)):
            (place / "acts/notes.txt").write_text("call the vault's people")
            (place / "acts/era-docs-2.exclave").write_text("exclave/era/v1\n")
        told = self.ok(realm.backup())
        self.assertIn("acts/notes.txt' is not an act of the realm and is left out", told.err)
        self.assertIn("acts/era-docs-2.exclave: line 2: expected", told.err)
        self.ok(realm.restore(realm.release(), "restored"))
        # The ceremony is another matter: it would give the number of the lost era to a second one.
        (pathlib.Path(realm.root) / "ceremony/acts/era-docs-2.exclave").write_text("exclave/era/v1\n")
        self.refused(realm.exclave("ceremony", "era", realm.root, "--registry", "docs"), FAILED,
                     "ceremony/acts' is damaged: its number could be given out twice", "hint: ")


class Ceremonies(harness.SystemTest):
    """A leaf that is overwritten is a share that nobody can make again."""

    def setUp(self):
        super().setUp()
        self.realm = self.make_realm(start=False)
        self.act = self.realm.root / "ceremony/acts/era-docs-3.exclave"

    def ceremony(self):
        return self.realm.exclave("ceremony", "era", "realm", "--registry", "docs")

    def everything(self):
        """But for the lock, which says nothing."""
        found = harness.tree_contents(self.realm.root)
        return {path: found[path] for path in found if not path.endswith(b".lock")}

    def leaves(self, era):
        return sorted(self.realm.root.glob(f"officials/*/share-book/*-era-{era}.leaf"))

    def test_a_copy_of_the_ceremonys_folder_that_lacks_an_era_overwrites_nothing_of_it(self):
        copy = self.scratch / "copy"
        shutil.copytree(self.realm.root / "ceremony", copy)
        self.ok(self.ceremony())
        shutil.rmtree(self.realm.root / "ceremony")
        shutil.copytree(copy, self.realm.root / "ceremony")
        whole = self.everything()
        self.refused(self.ceremony(), FAILED, "officials/alice/share-book/", "-era-3.leaf' is there already",
                     "hint: go on with the copy of ceremony/ that opened it, or bring acts/era-docs-3.exclave")
        self.assertEqual(whole, self.everything())
        # Nor where one of its parts alone is at hand.
        parts = [*self.leaves(3), *self.realm.root.glob("officials/*/acts/era-docs-3.exclave"),
                 self.realm.root / "operator/docs/era-3.keys", self.realm.home / "acts/era-docs-3.exclave"]
        self.assertEqual(12, len(parts))
        aside = {path: path.read_bytes() for path in parts}
        for path in parts:
            path.unlink()
        for path in (parts[4], parts[9], parts[10], parts[11]):
            with self.subTest(path):
                path.write_bytes(aside[path])
                path.chmod(0o600)
                self.refused(self.ceremony(), FAILED, f"{path.relative_to(self.scratch)}' is there already", "hint: ")
                self.assertEqual(aside[path], path.read_bytes())
                path.unlink()
        self.assertEqual([], self.leaves(3), "refused before anything was written")
        # With the document it goes on behind that era.
        for path, content in aside.items():
            path.write_bytes(content)
            path.chmod(0o600)
        shutil.copy(self.realm.official("eve") / "acts/era-docs-3.exclave", self.act)
        self.ok(self.ceremony())
        self.assertEqual(5, len(self.leaves(4)))
        self.assertEqual(aside, {path: path.read_bytes() for path in parts})

    def interrupted(self):
        """As a run leaves it that was killed before its era counted."""
        self.ok(self.ceremony())
        self.act.unlink()
        (self.realm.home / "acts/era-docs-3.exclave").unlink()
        parts = [*self.leaves(3), *self.realm.root.glob("officials/*/acts/era-docs-3.exclave")]
        mark = self.realm.root / "ceremony/era-docs-3.unfinished"
        hashes = {p.relative_to(self.realm.root): hashlib.sha256(p.read_bytes()).hexdigest() for p in parts}
        mark.write_text("".join(f"{h} {p}\n" for p, h in hashes.items()) + "- operator/docs/era-3.keys\n")
        return mark, parts

    def test_an_interrupted_ceremony_is_held_anew_but_replaces_no_file_that_is_not_its_own(self):
        mark, parts = self.interrupted()
        foreign = parts[3]
        own = foreign.read_bytes()
        foreign.write_bytes(b"another ceremony's leaf")
        whole = self.everything()
        self.refused(self.ceremony(), FAILED, f"{foreign.relative_to(self.scratch)}' is there already", "hint: ")
        self.assertEqual(whole, self.everything())
        foreign.write_bytes(own)
        before = {path: path.read_bytes() for path in parts}
        self.ok(self.ceremony())
        self.assertFalse(mark.exists())
        for path in parts:
            self.assertNotEqual(before[path], path.read_bytes(), path)
        self.assertEqual({self.act.read_bytes()}, {p.read_bytes() for p in parts if p.suffix == ".exclave"})

    def test_what_an_interrupted_ceremony_left_is_not_handed_out_for_an_era_that_another_one_opened(self):
        other = self.scratch / "other"
        shutil.copytree(self.realm.root, other)
        self.ok(self.realm.exclave("ceremony", "era", other, "--registry", "docs"))
        mark, parts = self.interrupted()
        shutil.copy(other / "ceremony/acts/era-docs-3.exclave", self.act)
        self.ok(self.ceremony())  # home gets the document
        self.assertFalse(mark.exists())
        self.assertEqual([], [path for path in [*parts, self.realm.root / "operator/docs/era-3.keys"] if path.exists()])
        self.ok(self.ceremony())
        self.assertEqual(5, len(self.leaves(4)))

    def test_no_number_is_given_out_that_the_policy_says_was_opened(self):
        policy = policies.signed(policies.successor(policies.first_policy(self.realm),
                                                    (r"(registry docs .*) eras=0", r"\1 eras=3")), self.realm)
        (self.realm.root / "ceremony/acts/policy-2.exclave").write_bytes(policy)
        whole = self.everything()
        self.refused(self.ceremony(), FAILED, "policy version 2 knows 3 of registry docs, and the last one here is 2",
                     "hint: bring")
        self.assertEqual(whole, self.everything())

    def test_two_ceremonies_in_one_folder_are_not_held_at_once(self):
        with open(self.realm.root / "ceremony/ceremony.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(self.ceremony(), LOCKED, "the ceremony's folder 'realm/ceremony' is in use", "hint: wait")
        self.assertEqual([], self.leaves(3))
        self.ok(self.ceremony())


class RealmCreate(harness.SystemTest):
    OFFICIALS = [a for name in ("alice", "bob", "carla", "dan") for a in ("--official", name)]

    def create(self, *options, vaults=("lux=127.0.0.1:1", "oslo=127.0.0.1:2", "rome=127.0.0.1:3")):
        return harness.run_process([harness.program(), "realm", "create", "realm", "--name", "X", "--registry", "docs",
                                    *self.OFFICIALS, *(a for v in vaults for a in ("--vault", v)), *options], self.scratch)

    def test_realm_create_writes_nothing_when_an_era_would_be_refused(self):
        for options, code, said in ((("--periods", "81"), USAGE, "--periods"), (("--period", "4000 days"), FAILED, "--period"),
                                    (("--period", "3650 days"), FAILED, "1970 and 2255"), (("--period", "1999 ms"), FAILED, "1999 ms"),
                                    (("--retention", "0 s"), FAILED, "--retention"), (("--quota", "0 B"), FAILED, "--quota"),
                                    (("--threshold", "1"), FAILED, "1 of 4")):
            with self.subTest(options):
                self.refused(self.create(*options), code, said)
                self.assertFalse((self.scratch / "realm").exists())
        self.refused(self.create(vaults=("lux=127.0.0.1:1", "oslo=127.0.0.1:1", "rome=127.0.0.1:1")), FAILED, "'lux' and 'oslo'",
                     "127.0.0.1:1", "hint: ")
        self.assertFalse((self.scratch / "realm").exists())
        self.ok(self.create("--periods", "80", "--period", "1 s"))

    def test_a_living_realm_is_never_called_interrupted(self):
        self.ok(self.create())
        self.assertFalse((self.scratch / "realm/realm.unfinished").exists())
        for carried_away in ("vaults", "ceremony", "officials"):
            (self.scratch / "realm" / carried_away).rename(self.scratch / carried_away)
            refused = self.refused(self.create(), FAILED, "'realm' exists already", "nothing was changed")
            self.assertNotIn("rm -r", refused.err)

    def test_a_creation_that_was_interrupted_is_said_to_be_and_repeated(self):
        realm = self.scratch / "realm"
        realm.mkdir()
        (realm / ".tmp-0123456789abcdef").write_bytes(b"half")  # killed before anything had a name
        self.ok(self.create())
        self.assertEqual([], list(realm.glob(".tmp-*")))
        (realm / "realm.unfinished").write_bytes(b"")
        shutil.rmtree(realm / "sites")
        self.refused(self.create(), FAILED, "the creation of the realm in 'realm' was interrupted", "hint: remove",
                     "rm -r 'realm'")


class Releases(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()
        self.ok(self.realm.backup())

    def test_release_close_erases_the_recipient_key(self):
        opening = self.realm.release()
        self.ok(self.realm.restore(opening))
        (key,) = (self.realm.site / "releases").glob("*.key")
        for command in ("status", "verify"):
            self.assertIn(f"release {key.name[:12]} is open", self.ok(self.realm.exclave(command, "--site", self.realm.site)).out)
        request = self.scratch / "release.request"
        for again in range(2):
            closed = self.ok(self.realm.exclave("release", "close", "--site", self.realm.site, request, "--json"))
            self.assertEqual(again == 0, closed.json()["was_open"])
            self.assertFalse(key.exists())
        self.refused(self.realm.restore(opening, "late"), NOT_FOUND, "this site has no key for release")
        self.assertNotIn("is open", self.ok(self.realm.exclave("status", "--site", self.realm.site)).out)
        # By the first digits of its id, as status and verify say it.
        self.realm.release("second")
        (key,) = (self.realm.site / "releases").glob("*.key")
        self.ok(self.realm.exclave("release", "close", "--site", self.realm.site, key.name[:12]))
        self.assertFalse(key.exists())
        self.refused(self.realm.exclave("release", "close", "--site", self.realm.site, "nowhere"), NOT_FOUND, "nowhere")

    def test_a_few_digits_close_no_release(self):
        self.realm.release()
        (key,) = (self.realm.site / "releases").glob("*.key")
        for digits in (key.name[:1], key.name[:7]):
            self.refused(self.realm.exclave("release", "close", "--site", self.realm.site, digits), FAILED,
                         f"'{digits}' is too short", "hint: give at least 8 digits")
            self.assertTrue(key.exists())
        self.ok(self.realm.exclave("release", "close", "--site", self.realm.site, key.name[:8]))
        self.assertFalse(key.exists())

    def test_an_approval_that_blames_nobody_is_not_called_a_bad_share(self):
        self.realm.release("other", harness.OFFICIALS[3:4])
        opening = [*self.realm.release(), "--approval", self.scratch / "other.dan", "--approval", "source/empty"]
        ended = self.ok(self.realm.restore(opening))
        self.assertIn("other.dan: is for another release", ended.err)
        self.assertEqual(2, ended.err.count("not counted: "), ended.err)
        self.assertNotIn("bad share", ended.err)

    def test_a_request_that_nobody_could_approve_is_not_made(self):
        for options, said in ((("--valid", "0 s"), "--valid"), (("--valid", "100000 days"), "365 days"),
                              (("--reason", "a  b"), "two spaces"), (("--reason", "r" * 501), "500 bytes"),
                              (("--reason", "a\u200bb"), "plain text")):
            with self.subTest(options):
                reason = () if "--reason" in options else ("--reason", "a test")
                self.refused(self.realm.exclave("release", "request", "--site", self.realm.site, "--out", "asked", *reason, *options),
                             FAILED, said)
                self.assertFalse((self.scratch / "asked").exists())
                self.assertEqual([], list((self.realm.site / "releases").iterdir()))

    def test_an_official_is_told_first_until_when_a_request_is_good(self):
        self.realm.release("short", officials=(), request_options=("--valid", "1 s"))
        request = self.scratch / "short.request"
        time.sleep(2.5)
        shown = self.ok(self.realm.exclave("release", "show", "--official", self.realm.official("alice"), request))
        self.assertRegex(shown.out, r"\AEXPIRED at 20.*Z: do not approve\.\n")
        self.refused(self.realm.exclave("release", "approve", "--official", self.realm.official("alice"), request, "--out", "given",
                                        "--yes"), KEY_REFUSED, "expired at")
        self.assertFalse((self.scratch / "given").exists())


if __name__ == "__main__":
    harness.main()
