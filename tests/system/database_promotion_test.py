"""Databases, the way there: a standby takes over while writers commit all the time, and they go on there."""
import contextlib
import pathlib
import signal
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import StandbyTest  # noqa: E402
from database_writers import Writers  # noqa: E402

COMMITS = 100
# While there is no primary it is not reached; and on a busy machine (sanitizers, other tests) commits may wait for long.
PASSING = ("connect to PostgreSQL: ", "server closed the connection", "commits have waited for the vaults for ")
DROPPED = "home dropped acknowledged commits: the server left timeline 1 at "


class Promotions(StandbyTest):
    """What comes back is what the new primary acknowledged, and what the old one did and the new one has. If it lacks something
    that was acknowledged, that is an alarm; the vaults have it, but a restore follows the new one as soon as there is something of it."""

    def test_L9_under_load_a_standby_that_replays_late_goes_on_without_a_loss_and_without_an_alarm(self):
        standby = self.begin()
        self.set(standby, "recovery_min_apply_delay = '1 h'")
        with Writers(self.home, standby) as writers, self.watched() as alarms:
            self.wait_acknowledged(writers, self.home)
            self.home.stop(signal.SIGQUIT)
            self.wait_for(lambda: standby.sql("select count(*) from pg_stat_wal_receiver") == "0", "cut off")
            replayed, received = standby.sql("select pg_last_wal_replay_lsn(), pg_last_wal_receive_lsn()").split("|")
            self.assertLess(postgres.number_of(replayed), postgres.number_of(received), "it lags")
            acknowledged = self.agent.wait("people", lambda s: s["state"] != "streaming", "cut off")["acknowledged"]
            shown, status, told = self.go_on(writers, standby)
            self.lose_all(standby, self.home)
        dropped = writers.acknowledged_by(self.home) - shown
        if postgres.number_of(received) >= postgres.number_of(acknowledged):
            self.assertEqual((set(), [], harness.OK), (dropped, status["alarms"], told.code), str(told))
            self.assertEqual(set(), alarms)
        else:  # nobody waits for a standby: this one was late by more than a commit takes
            self.assertTrue(not dropped or any(DROPPED in alarm for alarm in status["alarms"]), (dropped, status["alarms"]))
        self.check_what_comes_back(writers, standby, dropped)

    def test_L9_under_load_a_standby_that_was_cut_off_drops_what_comes_back_as_long_as_it_has_not_taken_over(self):
        standby = self.begin()
        with Writers(self.home, standby) as writers, self.watched() as alarms:
            self.wait_acknowledged(writers, self.home)
            self.set(standby, "primary_conninfo = 'host=/nowhere'")
            self.wait_for(lambda: self.home.sql("select count(*) from pg_stat_replication") == "1", "cut off")
            before = writers.acknowledged_by(self.home)
            self.wait_acknowledged(writers, self.home, len(before) + COMMITS)
            self.home.kill()
            acknowledged = writers.acknowledged_by(self.home)
            self.restore("--dataset", "people", target="early")
            early = self.recover("early")
            self.assertEqual(set(), acknowledged - self.rows(early))
            early.stop()
            shown, status, told = self.go_on(writers, standby)
            left_at = self.end_of_history(standby)
            self.lose_all(standby, self.home)
        dropped = acknowledged - shown
        self.assertGreaterEqual(len(dropped), COMMITS)
        self.assertEqual(1, len(status["alarms"]), status["alarms"])
        self.assertIn(f"{DROPPED}{left_at}, ", status["alarms"][0])
        self.assertEqual(harness.PARTIAL, told.code, str(told))
        self.assertEqual(set(status["alarms"]), alarms)
        restored = self.check_what_comes_back(writers, standby, dropped)
        self.assertIn("is not followed: home went on without it, on timeline 2", restored["log_problems"][0])

    def test_L9_what_no_vault_had_when_a_standby_took_over_is_safe_before_anything_behind_it_is_acknowledged(self):
        standby = self.begin()
        self.home.sql("insert into t values (1, 'acknowledged')")
        self.wait_until_durable()
        self.realm.kill_all()
        self.home.sql("set synchronous_commit = local; insert into t values (2, 'on both servers, at no vault')")
        self.wait_for(lambda: standby.sql("select count(*) from t") == "2", "replayed by the standby")
        standby.stop()
        self.home.sql("set synchronous_commit = local; insert into t values (3, 'at home only')")
        end = postgres.number_of(self.home.sql("select pg_current_wal_flush_lsn()"))
        held = self.agent.wait("people", lambda s: postgres.number_of(s["received"]) >= end, "received")
        self.home.kill()
        standby.start()
        standby.run("pg_ctl", "promote", "-D", standby.data)
        after = self.agent.wait("people", lambda s: s["state"] == "streaming" and s["timeline"] == 2, "on timeline 2")
        for what in ("durable", "acknowledged"):
            self.assertLessEqual(postgres.number_of(after[what]), postgres.number_of(held[what]), "no vault answers")
        told = standby.sql("select flush_lsn from pg_stat_replication where application_name = 'exclave_people'")
        if told:  # nothing at all is fine, too
            self.assertLessEqual(postgres.number_of(told), postgres.number_of(held["acknowledged"]))
        self.realm.start()
        standby.sql("insert into t values (4, 'acknowledged by the new primary')")
        self.lose_all(standby, self.home)  # at once: nobody brings the old journal's end to the vaults any more
        self.assertTrue(self.restore("--dataset", "people")["proven"])
        self.assertEqual("1 2 4", self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def begin(self):
        self.protect()
        self.base()
        return self.make_standby()

    @staticmethod
    def set(server, setting):
        server.sql(f"alter system set {setting}")
        server.sql("select pg_reload_conf()")

    def wait_acknowledged(self, writers, server, commits=COMMITS):
        self.wait_for(lambda: len(writers.acknowledged_by(server)) >= commits, f"acknowledged by {server.name}")

    @contextlib.contextmanager
    def watched(self):
        """Every alarm that the agent had meanwhile, but for those that pass by themselves."""
        seen, stopping = set(), threading.Event()

        def watch():
            while not stopping.wait(0.1):
                status = self.agent.status("people")
                seen.update(alarm for alarm in status["alarms"] if not alarm.startswith(PASSING))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield seen
        finally:
            stopping.set()
            watcher.join()

    def go_on(self, writers, standby):
        """It takes over, and writers come to it. What it has of home, and what the agent and `status` say in the end."""
        self.take_over(standby)
        shown = self.rows(standby)
        self.wait_acknowledged(writers, standby)
        status = self.agent.wait("people", lambda s: not any(a.startswith(PASSING) for a in s["alarms"]), "well again")
        return shown, status, self.realm.exclave("status", "--home", self.realm.home)

    @staticmethod
    def rows(server):
        return set(map(int, server.sql("select id from t").split()))

    def check_what_comes_back(self, writers, standby, dropped):
        restored = self.restore("--dataset", "people")
        self.assertEqual((True, 2), (restored["proven"], restored["recovers_to"]["timeline"]))
        recovered = self.rows(self.recover())
        promised = writers.acknowledged_by(standby) | (writers.acknowledged_by(self.home) - dropped)
        self.assertEqual(set(), promised - recovered)
        self.assertEqual(set(), recovered - writers.issued)
        self.assertEqual(set(), recovered & dropped, "home went on without them")
        return restored


if __name__ == "__main__":
    harness.main()
