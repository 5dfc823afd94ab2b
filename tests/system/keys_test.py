"""Keys that are wrong, left over or asked for in a wrong way: nothing is sealed that could not be opened, and nothing is kept."""
import fcntl
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import policies  # noqa: E402
from harness import CORRUPTION, FAILED, KEY_REFUSED, LOCKED, NOT_FOUND, OK, PARTIAL, USAGE  # noqa: E402

CREATING = "exclave realm create is at work here, or was interrupted\n"  # what realm.unfinished says


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
        # From 32 seconds on, and until 40: a slow machine that looks once may come too late.
        asked = realm.exclave("status", "--home", realm.home)
        while "alarm: era" not in asked.out and time.monotonic() < begun + 60:
            time.sleep(1)
            asked = realm.exclave("status", "--home", realm.home)
        self.ok(asked, PARTIAL)
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

    def ceremony(self, *options):
        return self.realm.exclave("ceremony", "era", "realm", "--registry", "docs", *options)

    def opened(self, ended):
        """The eras that somebody was told are open."""
        return [int(era) for era in re.findall(r"^era (\d+) of registry docs is open: carry ", ended.out + ended.err, re.M)]

    def keys(self, era):
        return self.realm.root / f"operator/docs/era-{era}.keys"

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

    def unsettled(self):
        """As a run leaves it that was killed after its era counted, and before anybody was told."""
        self.ok(self.ceremony())
        parts = [*self.leaves(3), *sorted(self.realm.root.glob("officials/*/acts/era-docs-3.exclave"))]
        mark = self.realm.root / "ceremony/era-docs-3.unfinished"
        lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()} {p.relative_to(self.realm.root)}\n" for p in parts]
        check = re.search("^dedup-check (.*)$", self.act.read_text(), re.M)[1]
        mark.write_text("".join(lines) + f"dedup-check={check} operator/docs/era-3.keys\n")
        return mark, parts

    def interrupted(self):
        """As a run leaves it that was killed before its era counted."""
        mark, parts = self.unsettled()
        self.act.unlink()
        (self.realm.home / "acts/era-docs-3.exclave").unlink()
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
        draft = self.realm.root / "operator/docs/.tmp-0123456789abcdef"
        draft.write_bytes(b"half of the keys")
        shutil.copy(other / "ceremony/acts/era-docs-3.exclave", self.act)
        ended = self.ok(self.ceremony())
        self.assertFalse(mark.exists())
        self.assertEqual([], [path for path in [*parts, self.keys(3), draft] if path.exists()])
        # Nobody is sent for files that are gone; and the run opened an era, as it was asked to.
        self.assertEqual([4], self.opened(ended), str(ended))
        self.assertIn("home/docs/acts lacked the document of era 3", ended.out)
        self.assertEqual(5, len(self.leaves(4)))
        self.assertEqual(self.act.read_bytes(), (self.realm.home / "acts/era-docs-3.exclave").read_bytes())

    def test_the_true_keys_that_were_brought_before_their_document_are_not_taken_for_an_interrupted_runs(self):
        other = self.scratch / "other"
        shutil.copytree(self.realm.root, other)
        self.ok(self.realm.exclave("ceremony", "era", other, "--registry", "docs"))
        mark, parts = self.interrupted()
        for path in parts:
            path.unlink()  # killed right after the mark
        shutil.copy(other / "operator/docs/era-3.keys", self.keys(3))
        whole = self.everything()
        self.refused(self.ceremony(), FAILED, "operator/docs/era-3.keys' is there already", "hint: ",
                     "acts/era-docs-3.exclave")
        self.assertEqual(whole, self.everything())
        shutil.copy(other / "ceremony/acts/era-docs-3.exclave", self.act)
        self.assertEqual([4], self.opened(self.ok(self.ceremony())))
        self.assertFalse(mark.exists())
        self.assertEqual((other / "operator/docs/era-3.keys").read_bytes(), self.keys(3).read_bytes())

    def test_a_document_that_home_lacked_is_no_opened_era(self):
        """As where its folder is an older copy."""
        (self.realm.home / "acts/era-docs-2.exclave").unlink()
        ended = self.ok(self.ceremony())
        self.assertEqual([3], self.opened(ended), str(ended))
        self.assertIn("home/docs/acts lacked the document of era 2", ended.out)
        self.assertTrue((self.realm.home / "acts/era-docs-2.exclave").exists())

    def test_an_era_that_was_opened_is_told_whatever_becomes_of_the_next(self):
        for era, options in ((4, ()), (6, ("--json",))):
            with self.subTest(options):
                self.keys(era).write_bytes(b"another ceremony's keys")
                ended = self.refused(self.ceremony("--eras", "2", *options), FAILED, f"era-{era}.keys' is there already")
                self.assertEqual([era - 1], self.opened(ended), str(ended))
                self.assertEqual([], list(self.realm.root.glob("ceremony/*.unfinished")))
                self.keys(era).unlink()
                self.assertEqual([era], self.opened(self.ok(self.ceremony())))

    def test_an_opening_that_nobody_was_told_of_is_told_by_the_next_run(self):
        with open("/dev/full", "wb") as full:
            deaf = harness.launch([harness.program(), "ceremony", "era", "realm", "--registry", "docs"], self.scratch,
                                  stdout=full, stderr=subprocess.DEVNULL)
            self.assertNotEqual(OK, deaf.wait(harness.COMMAND_SECONDS))
        leaves = {path: path.read_bytes() for path in self.leaves(3)}
        self.assertEqual([3], self.opened(self.ok(self.ceremony())))
        self.assertEqual(leaves, {path: path.read_bytes() for path in self.leaves(3)})
        self.assertEqual([], self.leaves(4))

    def test_a_damaged_mark_costs_no_leaf(self):
        mark, _ = self.unsettled()
        lines = mark.read_text().splitlines(keepends=True)
        leaves, keys = lines[:5], lines[-1]
        mark.write_text("".join([*leaves, "damaged\n", "0 \n", "\n"]))
        whole = self.everything()
        self.refused(self.ceremony(), CORRUPTION, "ceremony/era-docs-3.unfinished' does not say which ceremony it is of",
                     "hint: ")
        self.assertEqual(whole, self.everything())
        mark.write_text("".join([*leaves, "damaged\n", keys]))
        self.assertEqual([3], self.opened(self.ok(self.ceremony())))
        self.assertFalse(mark.exists())
        whole.pop(b"ceremony/era-docs-3.unfinished")
        self.assertEqual(whole, self.everything())

    def test_no_era_is_opened_in_a_realm_whose_creation_has_not_ended(self):
        """Whoever is told that it was interrupted may remove it."""
        mark = self.realm.root / "realm.unfinished"
        mark.write_text(CREATING)
        whole = self.everything()
        self.refused(self.ceremony(), FAILED,
                     "realm/realm.unfinished' says that the realm's creation is at work, or was interrupted", "hint: wait")
        self.assertEqual(whole, self.everything())
        mark.unlink()
        self.assertEqual([3], self.opened(self.ok(self.ceremony())))

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

    def command(self, *options, vaults=("lux=127.0.0.1:1", "oslo=127.0.0.1:2", "rome=127.0.0.1:3")):
        return [harness.program(), "realm", "create", "realm", "--name", "X", "--registry", "docs", *self.OFFICIALS,
                *(a for v in vaults for a in ("--vault", v)), *options]

    def create(self, *options, **vaults):
        return harness.run_process(self.command(*options, **vaults), self.scratch)

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
        (realm / "realm.unfinished").write_text(CREATING)
        shutil.rmtree(realm / "sites")
        self.refused(self.create(), FAILED, "the creation of the realm in 'realm' was interrupted", "hint: remove",
                     "rm -r 'realm'")

    def test_a_creation_that_is_at_work_is_not_called_interrupted(self):
        realm = self.scratch / "realm"
        (realm / "ceremony").mkdir(parents=True)
        with open(realm / "realm.unfinished", "w", encoding="ascii") as mark:
            mark.write(CREATING)
            mark.flush()
            fcntl.flock(mark, fcntl.LOCK_EX)
            whole = harness.tree_contents(realm)
            refused = self.refused(self.create(), LOCKED, "another exclave is at work in 'realm'", "hint: wait")
            self.assertNotIn("rm -r", refused.err)
            self.assertNotIn("interrupted", refused.err)
            self.assertEqual(whole, harness.tree_contents(realm))

    def test_a_creation_whose_mark_was_removed_meanwhile_does_not_end_well(self):
        """Then the directory was, and what was written before is gone."""
        mark = self.scratch / "realm/realm.unfinished"
        at_work = harness.launch(self.command("--eras", "10"), self.scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while at_work.poll() is None and not (mark.exists() and mark.stat().st_size > 0):
            pass
        mark.unlink()
        out, err = at_work.communicate(timeout=harness.COMMAND_SECONDS)
        self.refused(harness.Ended(at_work.args, at_work.returncode, out.decode(), err.decode()), FAILED,
                     "realm/realm.unfinished' was removed while the realm was being created", "hint: remove")
        self.assertEqual(b"", out)

    def test_a_lock_without_anything_else_is_no_creation(self):
        """A run that was killed before it said that it was at work."""
        realm = self.scratch / "realm"
        realm.mkdir()
        (realm / "realm.unfinished").write_bytes(b"")
        self.ok(self.create())
        self.assertFalse((realm / "realm.unfinished").exists())


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
