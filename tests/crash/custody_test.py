"""Commands that make keys, shares and acts, killed and failed at each call: repeated as their own hints say, they end
well, and nobody can take for whole what is not."""
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import calls  # noqa: E402
import harness  # noqa: E402
import matrix  # noqa: E402
from harness import OK  # noqa: E402

MOST_EQUAL = 4  # officials, vaults and eras are alike


class CustodyCrash(matrix.CrashTest):
    """H7: what is written once and must last for decades."""

    def test_H7_a_realm_whose_creation_fails_is_no_realm(self):
        base = self.scratch / "base"
        base.mkdir()
        world = matrix.World(base, harness.Realm(base, create=False))
        self.run_matrix("realm create", world, self.attempt_creation, 500, most_equal=MOST_EQUAL)

    def test_H7_a_ceremony_that_fails_is_held_again_and_its_era_opens(self):
        self.run_matrix("ceremony era", self.make_world(), self.attempt_ceremony, 200, most_equal=MOST_EQUAL)

    def test_H7_a_recovery_that_fails_is_repeated(self):
        self.run_matrix("agent recover", self.make_world(), self.attempt_recovery, 25)

    def test_H7_a_request_that_fails_is_repeated(self):
        self.run_matrix("release request", self.make_world(), self.attempt_request, 30)

    def test_H7_an_approval_that_fails_is_repeated(self):
        self.run_matrix("release approve", self.make_world(), self.attempt_approval, 18)

    # --- realm create ---

    def attempt_creation(self, world, fault):
        realm = world.realm
        command = [harness.program(), *realm.creation]
        watcher = calls.Watcher(self.roles(realm), fault)
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        if first.code == OK:
            self.assertEqual(self.files_of(realm), self.expect_files(realm))
            return watcher
        self.nobody_takes_it_for_whole(realm)
        second = harness.run_process(command, world.scratch)
        if second.code != OK and "exists already" in second.err:
            self.refused(second, harness.FAILED, "hint: ")  # only its last words were missing
        elif second.code != OK:
            self.refused(second, harness.FAILED, "was interrupted", "hint: remove")
            shutil.rmtree(realm.root)
            self.ok(harness.run_process(command, world.scratch))
        self.assertEqual(self.files_of(realm), self.expect_files(realm))
        return watcher

    @staticmethod
    def roles(realm):
        """Folders of one kind are of one class."""
        root = realm.root
        return [("realm", root), *(("official", root / "officials" / o) for o in harness.OFFICIALS),
                *(("vault", root / "vaults" / v) for v in harness.VAULTS)]

    def files_of(self, realm):
        return {calls.class_of(os.fspath(p), calls.sorted_roots(self.roles(realm)))
                for p in realm.root.rglob("*") if p.is_file()}

    def expect_files(self, realm):
        """As the first, undisturbed run left them."""
        if not hasattr(self, "whole"):
            self.whole = self.files_of(realm)
            self.assertNotIn("realm/.tmp", self.whole)
        return self.whole

    def nobody_takes_it_for_whole(self, realm):
        """A folder that shows a policy has all the rest that its holder needs."""
        if not realm.root.exists():
            return
        whole = {path for path in getattr(self, "whole")}
        for label, folder in [*self.roles(realm)[1:], ("realm/home/docs", realm.home), ("realm/sites/rebuild", realm.site),
                              ("realm/ceremony", realm.root / "ceremony")]:
            present = {calls.class_of(os.fspath(p), calls.sorted_roots(self.roles(realm)))
                       for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".tmp-")}
            if any("/policy-" in path for path in present):
                self.assertEqual({p for p in whole if p.startswith(label + "/")}, present, folder)

    # --- ceremony era ---

    def attempt_ceremony(self, world, fault):
        realm = world.realm
        command = [harness.program(), "ceremony", "era", realm.name, "--registry", "docs"]
        watcher = calls.Watcher(self.roles(realm), fault)
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        said = first.out
        if first.code != OK:
            said += self.ok(harness.run_process(command, world.scratch)).out
        newest = max(realm.root.glob("operator/docs/era-*.keys"), key=lambda p: int(p.stem.split("-")[1]))
        self.assertEqual([], list(realm.root.glob("ceremony/*.unfinished")), "nothing is unfinished any more")
        self.assertEqual([], list(realm.root.glob("operator/docs/.tmp-*")), "a draft of keys is left")
        for era in range(3, int(newest.stem.split("-")[1]) + 1):
            self.assertIn(f"era {era} of registry docs is open: carry ", said, "who has to carry its files was not told")
        act = f"acts/era-docs-{newest.stem.split('-')[1]}.exclave"
        opened = (realm.root / "ceremony" / act).read_bytes()
        for official in harness.OFFICIALS:
            self.assertEqual(opened, (realm.official(official) / act).read_bytes())
        realm.start()
        self.ok(realm.exclave("agent", "recover", "--home", realm.home, "--keys", newest))
        self.reaches_all(world.backup())
        self.holds(world)
        world.opening = realm.release("new-era")
        self.restores(world)
        return watcher

    # --- agent recover ---

    def attempt_recovery(self, world, fault):
        realm = world.realm
        realm.start()
        shutil.rmtree(realm.home / "state")
        (realm.home / "era-1.keys").unlink()
        command = [harness.program(), "agent", "recover", "--home", realm.home, "--keys",
                   realm.root / "operator/docs/era-2.keys"]
        watcher = calls.Watcher({"home": realm.home}, fault)
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        if first.code != OK:
            second = harness.run_process(command, world.scratch)
            if second.code != OK:
                self.refused(second, harness.FAILED, "the agent is in era 2 already")
        self.reaches_all(world.backup())
        self.holds(world)
        world.opening = realm.release("new-era")
        self.restores(world)
        self.assertEqual([], [p for p in realm.home.rglob(".tmp-*")], "drafts are left at home")
        return watcher

    # --- release request, release approve ---

    def attempt_request(self, world, fault):
        world.realm.start()
        place = world.scratch / "place"
        place.mkdir()
        request = place / "request"
        command = [harness.program(), "release", "request", "--site", world.realm.site, "--reason", "a test", "--out", request]
        watcher = calls.Watcher({"place": place, "site": world.realm.site}, fault)
        self.comes_to_be(request, watcher, command, world, fault)
        world.opening = ["--release", request]
        for official in harness.OFFICIALS[:3]:
            approval = place / official
            self.ok(world.realm.exclave("release", "approve", "--official", world.realm.official(official), request,
                                        "--out", approval, "--yes"))
            world.opening += ["--approval", approval]
        self.restores(world)
        return watcher

    def attempt_approval(self, world, fault):
        world.realm.start()
        place = world.scratch / "place"
        place.mkdir()
        official = world.realm.official("dan")
        command = [harness.program(), "release", "approve", "--official", official, "release.request", "--out", place / "dan",
                   "--yes"]
        watcher = calls.Watcher({"place": place, "official": official}, fault)
        self.comes_to_be(place / "dan", watcher, command, world, fault)
        world.opening[-1] = place / "dan"
        self.restores(world)
        return watcher

    def comes_to_be(self, file, watcher, command, world, fault):
        """By the first or the second run; a second one finds the file whole or not at all."""
        first = calls.run(watcher, command, world.scratch)
        self.ended_by(first, fault)
        if first.code == OK:
            return
        was_there = file.exists()
        second = harness.run_process(command, world.scratch)
        if was_there:
            self.refused(second, harness.FAILED, "exists already", "hint: ")
        else:
            self.ok(second)


if __name__ == "__main__":
    harness.main()
