"""Databases, the way there: another server goes on in the place of the first, or its slot was lost."""
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import StandbyTest  # noqa: E402


class Failover(StandbyTest):
    def drop_slot(self):
        """While the agent is away, and no commit waits for it."""
        self.agent.stop()
        self.home.sql("alter system set synchronous_standby_names = ''")
        self.home.sql("select pg_reload_conf()")
        self.home.sql("select pg_drop_replication_slot('exclave_people')")

    def wait_streaming_with(self, alarm):
        self.agent.wait("people", lambda s: s["state"] == "streaming" and any(alarm in a for a in s["alarms"]), f"streaming with '{alarm}'")

    def test_a_promoted_standby_is_followed_and_both_timelines_come_back(self):
        self.protect()
        self.base()
        standby = self.make_standby()
        self.home.sql("insert into t select i, 'before' from generate_series(1, 500) i")
        self.wait_for(lambda: standby.sql("select count(*) from t") == "500", "replayed by the standby")
        self.home.kill()
        status = self.take_over(standby)
        self.assertEqual([], [a for a in status["alarms"] if "dropped" in a])
        standby.sql("insert into t select i, 'after' from generate_series(501, 800) i")
        self.lose_all(standby, self.home)
        restored = self.restore("--dataset", "people")
        self.assertEqual(2, restored["recovers_to"]["timeline"])
        back = self.recover()
        self.assertEqual("500|300", back.sql("select count(*) filter (where what = 'before'), count(*) filter (where what = 'after') from t"))

    def test_L9_a_standby_that_takes_over_without_the_last_commits_raises_an_alarm_and_is_followed(self):
        self.protect()
        self.base()
        standby = self.make_standby()
        self.home.sql("insert into t values (1, 'on both')")
        self.wait_for(lambda: standby.sql("select count(*) from t") == "1", "replayed by the standby")
        standby.stop()
        self.home.sql("insert into t values (2, 'acknowledged, and only here')")
        self.home.kill()
        standby.start()
        status = self.take_over(standby)
        self.assertEqual(1, len([a for a in status["alarms"] if "home dropped acknowledged commits" in a]), status["alarms"])
        standby.sql("insert into t values (3, 'on the new branch')")
        self.lose_all(standby, self.home)
        restored = self.restore("--dataset", "people")
        self.assertIn("is not followed: home went on without it, on timeline 2", restored["log_problems"][0])
        self.assertEqual("1 3", self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_L9_a_second_standby_that_never_followed_the_first_is_another_branch_of_the_same_number(self):
        self.protect()
        self.base()
        first, second = self.make_standbys("first", "second")
        self.home.sql("insert into t values (1, 'on all')")
        for standby in (first, second):
            self.wait_for(lambda: standby.sql("select count(*) from t") == "1", "replayed by the standby")  # noqa: B023
        second.stop()
        self.home.sql("insert into t values (2, 'not on the second')")
        self.wait_for(lambda: first.sql("select count(*) from t") == "2", "replayed by the first")
        self.home.kill()
        self.take_over(first)
        first.sql("insert into t values (3, 'on the first alone')")
        first.kill()
        second.start()
        second.run("pg_ctl", "promote", "-D", second.data)
        self.wait_streaming_with("home dropped acknowledged commits: the server left timeline 1")
        second.sql("insert into t values (4, 'on the second')")
        self.agent.stop()
        self.agent.start()
        self.agent.wait_streaming("people")
        self.wait_for(lambda: second.sql(self.WAITED_FOR) == "1", "waited for")
        second.sql("insert into t values (5, 'after a restart')")
        self.lose_all(second, self.home, first)
        restored = self.restore("--dataset", "people")
        self.assertTrue(restored["proven"])
        self.assertTrue(any("with another server whose timeline has the same number" in p for p in restored["log_problems"]))
        self.assertEqual("1 4 5", self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_L9_a_standby_promoted_at_the_very_place_of_another_is_no_continuation_of_it(self):
        self.protect()
        self.base()
        first, second = self.make_standbys("first", "second")
        self.home.sql("insert into t values (1, 'on all')")
        end = self.home.sql("select pg_current_wal_flush_lsn()")
        for standby in (first, second):
            self.wait_for(lambda: standby.sql(f"select pg_last_wal_replay_lsn() >= '{end}'") == "t", "replayed")  # noqa: B023
        self.home.kill()
        self.take_over(first)
        first.sql("insert into t values (3, 'on the first alone')")
        first.kill()
        second.run("pg_ctl", "promote", "-D", second.data)
        self.wait_for(lambda: second.sql("select pg_is_in_recovery()") == "f", "promoted")
        histories = [(each.data / "pg_wal/00000002.history").read_text().split("\t")[:2] for each in (first, second)]
        self.assertEqual(*histories, "they left at the same place")
        # Behind what was received from the first, which it does not have.
        second.sql("set synchronous_commit = local; insert into t select i, repeat('x', 500) from generate_series(10, 3000) i")
        status = self.agent.wait("people", lambda s: any("another one than was received" in a for a in s["alarms"]), "alarmed")
        self.assertIn("Take a new base backup", " ".join(status["alarms"]))
        self.wait_for(lambda: second.sql(self.WAITED_FOR) == "1", "waited for")
        self.base()
        second.sql("insert into t values (5, 'on the second')")
        self.lose_all(second, self.home, first)
        self.restore("--dataset", "people")
        self.assertEqual("1 5", self.recover().sql("select string_agg(id::text, ' ' order by id) from t where id < 10"))

    def test_a_slot_that_others_made_and_that_begins_later_skips_no_log_that_the_server_has(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        self.wait_until_durable()
        self.drop_slot()
        self.home.sql("insert into t values (2, 'in between')")
        self.home.sql("checkpoint")
        made_at = self.home.sql("select lsn from pg_create_physical_replication_slot('exclave_people', true)")
        self.assertEqual("t", self.home.sql(f"select '{made_at}' > pg_current_wal_insert_lsn() - 16777216::numeric"))
        self.agent.start()
        status = self.agent.wait("people", lambda s: s["state"] == "streaming", "streaming again")
        self.assertEqual([], status["alarms"])
        self.wait_for_commits(self.home)
        self.home.sql("insert into t values (3, 'after')")
        self.wait_until_durable()
        self.lose_home()
        self.restore("--dataset", "people")
        self.assertEqual("1 2 3", self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_a_slot_that_was_lost_is_an_alarm_and_protection_begins_anew(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        position = self.home.sql("select pg_current_wal_insert_lsn()")
        self.wait_until_durable()
        self.drop_slot()
        for i in range(3):
            self.home.sql(f"insert into t select i, (select string_agg(md5(random()::text), '') from generate_series(1, 60 + i % 2)) "
                          f"from generate_series({i * 9000 + 10}, {i * 9000 + 9009}) i")
            self.home.sql("select pg_switch_wal()")
            self.home.sql("checkpoint")
        self.agent.start()
        self.wait_streaming_with("the server no longer has its log from")
        first = self.ok(self.realm.exclave("snapshots", "--home", self.realm.home, "--json")).json()["snapshots"][0]["snapshot"]
        self.wait_for_commits(self.home)
        self.base()
        self.home.sql("insert into t values (2, 'after')")
        self.wait_until_durable()
        self.lose_home()
        self.restore("--dataset", "people")
        self.assertEqual("2", self.recover().sql("select count(*) from t where id < 10"))
        # The base from before reaches up to the hole, and says so.
        release = self.realm.release("older")
        refused = self.realm.restore(release, self.scratch / "older", "--dataset", "people", "--snapshot", first[:12])
        self.refused(refused, harness.UNREACHABLE, "is missing from", "only a base backup taken behind that reaches further")
        older = self.scratch / "older-to"
        older.mkdir()
        postgres.give_to_server(older)
        self.ok(self.realm.restore(release, older, "--dataset", "people", "--snapshot", first[:12], "--to", position))
        self.assertEqual("1", self.recover("older-to").sql("select string_agg(id::text, ' ') from t"))

    def test_an_agent_whose_disk_was_lost_goes_on_in_the_next_era_and_nothing_that_was_acknowledged_is_missing(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        self.agent.kill()
        for lost in ("state", "databases"):
            shutil.rmtree(self.realm.home / lost)
        (self.realm.home / "era-1.keys").unlink()
        waiting = self.commit_beside(2)
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting.wait(2)
        reserve = self.realm.root / "operator" / self.realm.registry / "era-2.keys"
        self.ok(self.realm.exclave("agent", "recover", "--home", self.realm.home, "--keys", reserve))
        self.agent.start()
        self.agent.wait_streaming("people")
        self.assertEqual(0, waiting.wait(60))
        self.base()
        self.home.sql("insert into t values (3, 'after')")
        self.lose_home()
        self.assertTrue(self.restore("--dataset", "people")["proven"])
        self.assertEqual("1 2 3", self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_a_base_backup_of_a_later_period_needs_no_release_of_the_earlier_ones(self):
        self.protect(realm=("--period", "15 s"))
        self.home.sql("insert into t values (1, 'in an early period')")
        began = time.monotonic()
        self.wait_for(lambda: self.home.sql("insert into t select max(id) + 1, 'x' from t") is not None and time.monotonic() > began + 31,
                      "two periods later")
        self.base()
        self.home.sql("insert into t values (1000000, 'last')")
        wanted = self.home.sql("select count(*) from t")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertTrue(restored["proven"])
        self.assertEqual(wanted, self.recover().sql("select count(*) from t"))


if __name__ == "__main__":
    harness.main()
