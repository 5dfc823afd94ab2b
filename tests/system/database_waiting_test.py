"""Databases: commits that nobody waited for, that stopped waiting, or that are not decided yet, and what of them comes back."""
import contextlib
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402

WAITING = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
ROWS = "select string_agg(id::text, ' ' order by id) from t"


class Waiting(DatabaseTest):
    def wait_for_waiting(self, count):
        self.wait_for(lambda: self.home.sql(WAITING) == str(count), lambda: f"{count} commits waiting, but {self.home.sql(WAITING)}")

    def test_a_wait_that_is_cancelled_or_whose_client_dies_ends_no_other_and_its_commit_is_held_once_vaults_are_back(self):
        self.protect(settings=["max_prepared_transactions = 2"])
        self.base()
        self.home.sql("insert into t values (1, 'held')")
        self.realm.stop("lux", "oslo")
        cancelled, dead, patient = (self.commit_beside(number) for number in (2, 3, 4))
        self.wait_for_waiting(3)
        self.home.sql("select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep' and query like '%(2,%'")
        self.assertIn("canceling wait for synchronous replication due to user request", cancelled.communicate(timeout=60)[1])
        dead.kill()
        dead.communicate()
        time.sleep(1)
        self.wait_for_waiting(2)  # the server does not look after a client that waits
        self.assertEqual("1 2", self.home.sql(ROWS), "the server shows what was cancelled, and that alone")
        self.assertIsNone(patient.poll())
        self.realm.start("lux", "oslo")
        self.assertEqual("", patient.communicate(timeout=60)[1])
        self.assertEqual(0, patient.returncode)
        self.wait_for_waiting(0)
        # Not decided when home is lost: it comes back as it was, and its outcome is given then.
        self.home.sql("begin; insert into t values (5, 'prepared'); prepare transaction 'later'")
        self.wait_until_durable()
        self.realm.stop("rome")  # the one that had everything all along
        self.lose_home()
        self.assertTrue(self.restore("--dataset", "people")["proven"])
        back = self.recover()
        self.assertEqual("1 2 3 4", back.sql(ROWS))
        self.assertEqual("later", back.sql("select gid from pg_prepared_xacts"))
        back.sql("commit prepared 'later'")
        self.assertEqual("1 2 3 4 5", back.sql(ROWS))

    def test_async_commits_wait_for_nobody_and_status_shows_what_no_vault_has(self):
        self.realm = self.make_realm()
        self.home = self.make_cluster().start()
        self.home.sql("create table t (id bigint primary key, what text)")
        self.agent = self.make_agent(self.realm, self.home, policy="async")
        self.wait_for_commits(self.home)  # though asked to, they wait for this machine's spool alone
        self.base()
        self.home.sql("insert into t values (1, 'held')")
        self.wait_until_durable()
        self.realm.stop("lux", "oslo")
        began = time.monotonic()
        self.home.sql("insert into t values (2, 'acknowledged without them')")
        self.assertLess(time.monotonic() - began, 30)  # in `sync` it would wait for ever
        behind = self.agent.wait("people", lambda s: s["commits_behind"] == 1, "one commit behind")
        self.assertTrue(behind["degraded"])
        self.assertGreater(postgres.number_of(behind["acknowledged"]), postgres.number_of(behind["durable"]))
        self.realm.start("lux", "oslo")
        self.agent.wait("people", lambda s: s["commits_behind"] == 0, "held abroad again")
        self.wait_until_durable()
        self.realm.stop()
        self.home.sql("insert into t values (3, 'never abroad')")
        self.lose_home()
        self.realm.start()
        self.restore("--dataset", "people")
        self.assertEqual("1 2", self.recover().sql(ROWS))


class VaultsThatGoAway(DatabaseTest):
    ROWS = 600  # of 64 KB
    BYTES = ROWS << 16

    def test_L3_vaults_that_die_while_a_restore_fetches_open_nothing_early_and_the_same_command_goes_on(self):
        self.protect()
        self.home.sql("alter table t alter what set storage external")
        self.home.sql("insert into t select i, (select string_agg(md5(random()::text), '') "
                      f"from generate_series(1, 2000 + i % 2)) from generate_series(1, {self.ROWS}) i")
        self.base()
        self.home.sql("insert into t values (0, 'after the base')")
        self.wait_until_durable()
        self.lose_home()
        opening = self.realm.release("back")
        with self.subTest("one"):
            code, told = self.restore_while_they_die(opening, "one", "lux")
            self.assertIn(code, (harness.OK, harness.PARTIAL), told)
            self.comes_back_whole("one")
        self.realm.start("lux")
        with self.subTest("all"):
            code, told = self.restore_while_they_die(opening, "all", *self.realm.ports)
            self.assertEqual(harness.UNREACHABLE, code, told)
            self.assertNotIn("bug", told)
            self.assertFalse((self.scratch / "all/recovery.signal").exists())
            self.does_not_open(target="all")
            self.realm.start()
            again = self.realm.restore(opening, self.scratch / "all", "--dataset", "people")
            self.assertIn("files were finished by an earlier run", self.ok(again).out)
            self.comes_back_whole("all")

    def restore_while_they_die(self, opening, target, *vaults):
        """A restore, in whose midst these are killed; its exit code and what it said."""
        target, log = self.scratch / target, self.scratch / "restore.log"
        for _ in range(20):
            target.mkdir()
            postgres.give_to_server(target)
            with open(log, "wb") as sink:
                process = harness.launch([harness.program(), "restore", "--site", self.realm.site, *opening, "--target", target,
                                          "--dataset", "people"], self.scratch, stdout=sink, stderr=sink)
            while process.poll() is None and not (target / "base").exists():
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)
            in_its_midst = size_of(target) < self.BYTES / 2
            for name in vaults if in_its_midst else ():
                self.realm.daemons.pop(name).kill()
            process.send_signal(signal.SIGCONT)
            code = process.wait(120)
            if in_its_midst:
                return code, log.read_text()
            for path in (target, target.with_name(f"{target.name}.wal")):  # too late: on a busy machine
                shutil.rmtree(path)
        raise AssertionError(f"never in its midst: {log.read_text()}")

    def comes_back_whole(self, target):
        back = self.recover(target)
        self.assertEqual(str(self.ROWS + 1), back.sql("select count(*) from t"))
        back.stop()


def size_of(directory):
    """Files come and go meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


if __name__ == "__main__":
    harness.main()
