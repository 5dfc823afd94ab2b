"""Threat model, loss. L1: mechanism: every vault of the placement holds a copy, and reads fall over per object.
L2: mechanism: nothing that a restore needs is at home only; the index and the names are rebuilt from the vaults' objects.
"""
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import harness  # noqa: E402


class Loss(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.make_source()
        self.realm = self.make_realm()
        self.ok(self.realm.backup())
        (self.scratch / "source/second").write_bytes(b"second capture\n" * 3000)
        self.ok(self.realm.backup("source", "--wait-all"))

    def burn(self, vault):
        self.realm.daemons.pop(vault).kill()
        shutil.rmtree(self.realm.vault(vault))

    def L1_any_one_vault_burnt_and_the_restore_is_whole(self):
        opening = self.realm.release()
        for vault in harness.VAULTS:
            with self.subTest(vault):
                self.realm.stop(vault)
                ended = self.ok(self.realm.restore(opening, f"without-{vault}"))
                self.assertIn(f"vault {vault}", ended.err)
                self.same_tree(f"without-{vault}")
                self.realm.start(vault)

    def L1_a_vault_burnt_for_good_is_named_and_backups_go_on(self):
        self.burn("lux")
        (self.scratch / "source/third").write_bytes(b"third")
        self.assertIn("vault lux is behind", self.ok(self.realm.backup()).err)
        self.ok(self.realm.restore(self.realm.release(), "restored"))
        self.same_tree("restored")
        self.ok(self.realm.verify(), harness.UNREACHABLE)

    def L1_a_copy_that_burns_while_a_restore_reads_is_gone_round(self):
        """Objects vanish under the running daemon: each read falls over by itself."""
        opening = self.realm.release()
        shutil.rmtree(self.realm.vault("oslo") / "objects")
        self.ok(self.realm.restore(opening, "restored"))
        self.same_tree("restored")

    def L2_home_lost_wholly_is_restored_from_vaults_and_officials_alone(self):
        shutil.copytree(self.scratch / "source", self.scratch / "kept-aside", symlinks=True)
        for gone in ("source", "realm/home", "realm/operator", "realm/ceremony"):
            shutil.rmtree(self.scratch / gone)
        self.burn("rome")  # and one vault with it
        opening = self.realm.release(officials=("carla", "dan", "eve"))
        self.ok(self.realm.restore(opening, "restored"))
        self.same_tree("restored", "kept-aside")
        self.ok(self.realm.exclave("ls", "--site", self.realm.site, *opening))

    def L2_all_but_one_vault_lost_with_home_still_restores(self):
        shutil.copytree(self.scratch / "source", self.scratch / "kept-aside", symlinks=True)
        for gone in ("source", "realm/home"):
            shutil.rmtree(self.scratch / gone)
        for vault in ("lux", "oslo"):
            self.burn(vault)
        self.ok(self.realm.restore(self.realm.release(), "restored"))
        self.same_tree("restored", "kept-aside")


if __name__ == "__main__":
    harness.main()
