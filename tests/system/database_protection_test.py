"""Databases, the way there: the log abroad at every commit, through failures of agents, vaults and servers; cuts; what hosts see."""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402


class Hosts(DatabaseTest):
    CANARY = "canary-Ludmila-1913-Vyborg"

    def H1_no_planted_string_of_a_database_occurs_in_any_byte_that_a_vault_holds(self):
        self.protect()
        self.home.sql(f"insert into t select i, '{self.CANARY}' from generate_series(1, 200) i")
        self.base()
        for i in range(1000, 1040):  # small frames, which are not compressed
            self.home.sql(f"insert into t values ({i}, '{self.CANARY}')")
        self.wait_until_durable()
        searched = 0
        for vault in self.realm.ports:
            for path in self.realm.vault(vault).rglob("*"):
                if path.is_file():
                    content = path.read_bytes()
                    searched += len(content)
                    for planted in (self.CANARY.encode(), self.CANARY.encode().lower(), b"pg_catalog", b"backup_label"):
                        self.assertNotIn(planted, content, path)
        self.assertGreater(searched, 3_000_000)
        self.assertTrue(any((self.realm.vault("lux") / "journal").rglob("*")), "open segments were among them")


class Acknowledgements(DatabaseTest):
    def test_without_k_vaults_commits_wait_and_go_on_when_they_are_back(self):
        self.protect()
        self.realm.stop("lux", "oslo")
        waiting = subprocess.Popen(postgres.as_server_user(
            [postgres.binaries() / "psql", *self.home.where(), "-c", "insert into t values (1, 'waits')"]), cwd="/",
            stdout=subprocess.DEVNULL, preexec_fn=harness.end_with_parent)
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting.wait(3)
        self.assertEqual("0", self.home.sql("select count(*) from t"))  # reads do not wait
        self.assertNotIn("commits have waited", self.agent.log())
        self.wait_for(lambda: "commits have waited" in self.agent.log(), "said that commits wait")
        self.realm.start("lux", "oslo")
        self.assertEqual(0, waiting.wait(60))
        self.wait_for(lambda: "commits go on" in self.agent.log(), "said that commits go on")
        told = [line.split("dataset people: ")[1] for line in self.agent.log().splitlines() if ": commits " in line]
        self.assertEqual(2, len(told), told)
        self.assertRegex(told[0], r"^commits have waited for 5\.\d s: 1 of 3 vaults have confirmed them, 2 are needed \(lux: .*; oslo: .*\)$")
        self.assertRegex(told[1], r"^commits go on; they had waited for \d+\.\d s$")

    def test_an_agent_that_is_killed_under_load_is_back_and_nothing_acknowledged_is_lost(self):
        self.protect()
        self.base()
        acknowledged = self.load_while(lambda: self.kill_agent_three_times())
        self.lose_home()
        self.restore("--dataset", "people")
        recovered = set(map(int, self.recover().sql("select id from t").split()))
        self.assertGreater(len(acknowledged), 50)
        self.assertEqual(set(), acknowledged - recovered)

    def kill_agent_three_times(self):
        for _ in range(3):
            time.sleep(1.5)
            self.agent.kill()
            self.agent.start()
            self.agent.wait_streaming("people")
        time.sleep(1)

    def load_while(self, body):
        """Commits one by one beside `body`; what was acknowledged."""
        acknowledged, stop = set(), threading.Event()

        def commit(first):
            number = first
            while not stop.is_set():
                done = self.home.run("psql", *self.home.where(), "-c", f"insert into t values ({number}, 'x')", check=False)
                if done.returncode == 0:
                    acknowledged.add(number)
                number += 1

        writers = [threading.Thread(target=commit, args=(n * 1_000_000,)) for n in (1, 2)]
        for writer in writers:
            writer.start()
        try:
            body()
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        return acknowledged

    def test_bounded_commits_wait_their_budget_and_what_was_exposed_is_told_and_signed(self):
        self.protect_bounded()
        self.home.sql("insert into t values (1, 'held by the vaults')")
        self.realm.stop("lux", "oslo")
        self.home.sql("insert into t values (2, 'acknowledged without them')")
        status = self.agent.wait("people", lambda s: s["degraded"], "degraded")
        self.assertIn("protection is degraded", " ".join(status["alarms"]))
        self.realm.start("lux", "oslo")
        self.agent.wait("people", lambda s: not s["degraded"], "protected again")
        self.home.sql("insert into t values (3, 'held again')")
        self.check_exposed("1 2 3")

    def test_bounded_a_restart_does_not_forget_what_the_vaults_lack(self):
        self.protect_bounded()
        self.realm.stop("lux", "oslo")
        self.home.sql("insert into t values (1, 'acknowledged without them')")
        self.agent.wait("people", lambda s: s["degraded"], "degraded")
        self.agent.kill()
        self.agent.start()
        told = "were acknowledged without the vaults, in a journal that has ended, and the vaults do not hold them all yet"
        self.agent.wait("people", lambda s: told in " ".join(s["alarms"]), "told of what the vaults lack")
        self.realm.start("lux", "oslo")
        self.agent.wait("people", lambda s: not s["alarms"], "held by the vaults", seconds=150)
        self.home.sql("insert into t values (2, 'held')")
        self.check_exposed("1 2")

    def protect_bounded(self):
        self.realm = self.make_realm()
        self.home = self.make_cluster().start()
        self.home.sql("create table t (id bigint primary key, what text)")
        self.agent = self.make_agent(self.realm, self.home, policy="bounded", budget="1 s")
        self.wait_for_commits(self.home)
        self.base()

    def check_exposed(self, rows):
        self.wait_until_durable()
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertTrue(restored["proven"])
        self.assertGreaterEqual(restored["exposures"], 1)
        self.assertEqual(rows, self.recover().sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_another_server_under_the_same_name_is_refused(self):
        self.protect()
        self.agent.stop()
        other = self.make_cluster("other").start()
        self.agent = postgres.Agent(self.realm, {"people": {"connection": other.conninfo()}})
        self.agents.append(self.agent)
        status = self.agent.wait("people", lambda s: s["alarms"], "alarmed")
        self.assertIn("the server is another one than before", status["alarms"][-1])
        self.refused_by_status("the server is another one than before")

    def refused_by_status(self, text):
        told = self.realm.exclave("status", "--home", self.realm.home)
        self.assertEqual(harness.PARTIAL, told.code, str(told))
        self.assertIn(text, told.out)


class Failover(DatabaseTest):
    def make_standby(self):
        return self.make_standbys("standby")[0]

    def make_standbys(self, *names):
        """They follow home, and an agent's connection follows whichever of all is primary."""
        standbys = []
        for name in names:
            standby = postgres.Cluster(self.scratch, name, create=False)
            self.clusters.append(standby)
            standby.data.mkdir(mode=0o700)
            postgres.give_to_server(standby.data)
            standby.run("pg_basebackup", "-D", standby.data, "-R", "-c", "fast", "-d", self.home.conninfo())
            standbys.append(standby.start())
        self.agent.stop()
        all_of_them = [self.home, *standbys]
        conninfo = (f"host={','.join(str(each.sockets) for each in all_of_them)} "
                    f"port={','.join(str(each.port) for each in all_of_them)} user=postgres dbname=postgres "
                    "target_session_attrs=read-write")
        self.agent = postgres.Agent(self.realm, {"people": {"connection": conninfo}})
        self.agents.append(self.agent)
        self.agent.wait_streaming("people")
        return standbys

    WAITED_FOR = "select count(*) from pg_stat_replication where sync_state = 'sync'"

    def take_over(self, standby):
        """Home is dead; this one goes on, on timeline 2, and its commits wait for the vaults."""
        standby.run("pg_ctl", "promote", "-D", standby.data)
        status = self.agent.wait("people", lambda s: s["state"] == "streaming" and s["timeline"] == 2, "on timeline 2")
        self.wait_for(lambda: standby.sql(self.WAITED_FOR) == "1", "waited for")
        return status

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
        self.agent.kill()
        standby.destroy()
        shutil.rmtree(self.home.data)
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
        self.agent.kill()
        standby.destroy()
        shutil.rmtree(self.home.data)
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
        status = self.agent.wait("people", lambda s: s["state"] == "streaming" and s["alarms"], "on the second's timeline 2")
        self.assertIn("home dropped acknowledged commits: the server left timeline 1", status["alarms"][0])
        second.sql("insert into t values (4, 'on the second')")
        self.agent.stop()
        self.agent.start()
        self.agent.wait_streaming("people")
        self.wait_for(lambda: second.sql(self.WAITED_FOR) == "1", "waited for")
        second.sql("insert into t values (5, 'after a restart')")
        self.agent.kill()
        second.destroy()
        for gone in (self.home, first):
            shutil.rmtree(gone.data)
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
        self.agent.kill()
        second.destroy()
        for gone in (self.home, first):
            shutil.rmtree(gone.data)
        self.restore("--dataset", "people")
        self.assertEqual("1 5", self.recover().sql("select string_agg(id::text, ' ' order by id) from t where id < 10"))

    def test_a_slot_that_others_made_and_that_begins_later_skips_no_log_that_the_server_has(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        self.wait_until_durable()
        self.agent.stop()
        self.home.sql("alter system set synchronous_standby_names = ''")
        self.home.sql("select pg_reload_conf()")
        self.home.sql("select pg_drop_replication_slot('exclave_people')")
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
        self.agent.stop()
        self.home.sql("alter system set synchronous_standby_names = ''")
        self.home.sql("select pg_reload_conf()")
        self.home.sql("select pg_drop_replication_slot('exclave_people')")
        for i in range(3):
            self.home.sql(f"insert into t select i, (select string_agg(md5(random()::text), '') from generate_series(1, 60 + i % 2)) "
                          f"from generate_series({i * 9000 + 10}, {i * 9000 + 9009}) i")
            self.home.sql("select pg_switch_wal()")
            self.home.sql("checkpoint")
        self.agent.start()
        status = self.agent.wait("people", lambda s: s["state"] == "streaming" and s["alarms"], "streaming again")
        self.assertIn("the server no longer has its log from", status["alarms"][0])
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
        self.refused(refused, harness.UNREACHABLE, "is missing from", "newer base backups reach further")
        older = self.scratch / "older-to"
        older.mkdir()
        postgres.give_to_server(older)
        self.ok(self.realm.restore(release, older, "--dataset", "people", "--snapshot", first[:12], "--to", position))
        self.assertEqual("1", self.recover("older-to").sql("select string_agg(id::text, ' ') from t"))

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


@contextlib.contextmanager
def locked(directory):
    """As by another restore."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


class Trouble(DatabaseTest):
    def test_a_vault_that_was_away_catches_up_beside_the_commits(self):
        self.protect()
        self.base()
        self.realm.stop("rome")
        self.home.sql("insert into t select i, (select string_agg(md5(random()::text), '') from generate_series(1, 60 + i % 2)) "
                      "from generate_series(1, 6000) i")
        behind = self.agent.wait("people", lambda s: self.vault(s, "rome")["bytes_behind"] > 1_000_000, "behind at rome")
        self.assertIn("failure", self.vault(behind, "rome"))
        self.realm.start("rome")
        self.agent.wait("people", lambda s: self.vault(s, "rome")["bytes_behind"] == 0, "whole at rome again")
        self.home.sql("insert into t values (9999, 'last')")
        # The one that had everything all along is lost: what rome caught up with is as good.
        self.realm.stop("lux")
        self.lose_home()
        self.restore("--dataset", "people")
        self.assertEqual("6001", self.recover().sql("select count(*) from t"))

    @staticmethod
    def vault(status, name):
        return next(v for v in status["vaults"] if v["vault"] == name)

    def test_with_too_few_vaults_the_end_is_not_proven_and_latest_is_refused(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'x')")
        self.wait_until_durable()
        release = self.realm.release("early")
        self.lose_home()
        self.realm.stop("lux", "oslo")
        target = self.scratch / "back"
        refused = self.realm.restore(release, target, "--dataset", "people")
        self.refused(refused, harness.UNREACHABLE, "the end of the log is not proven: only 1 of 3 vaults", "--accept-unproven-end")
        self.assertRegex(refused.err, "(?m)^vault lux: .*127.0.0.1:")
        self.assertNotRegex(refused.err, r"(\w+): vault \1", "each vault is named once")
        for goal, text in (("name:p", "holds no restore point 'p'"), ("cut:latest", "hold no cut at all")):
            missing = self.realm.restore(release, target, "--dataset", "people", "--to", goal)
            self.refused(missing, harness.UNREACHABLE, text, "it may lie behind the log's end, which is not proven: only 1 of 3 vaults")
        for options, text in ((("--dataset", "nobody"), "hold no snapshot of dataset 'nobody'"),
                              (("--dataset", "people", "--to", "0/1000000"), "no base backup that the release opens ends before 0/1000000"),
                              (("--all", "--to", "0/1000000"), "no base backup that the release opens ends before 0/1000000")):
            missing = self.realm.restore(release, target, *options)
            self.refused(missing, harness.UNREACHABLE, text, "; but vaults that do not answer may hold it (lux: ", "; oslo: ")
        (target / "people").rmdir()  # of --all
        self.assertFalse((self.scratch / "back.wal").exists(), "of a refused restore nothing is left that is in the way")
        accept = lambda: self.realm.restore(release, f"{target}/", "--dataset", "people", "--accept-unproven-end")  # noqa: E731
        with locked(target):
            self.refused(accept(), harness.LOCKED, f"another restore is at work in target '{target}'", "wait until it ends")
        (self.scratch / "back.wal").mkdir()
        with locked(self.scratch / "back.wal"):
            self.refused(accept(), harness.LOCKED, f"another restore is at work in '{target}.wal'", "wait until it ends")
        accepted = self.ok(accept(), harness.PARTIAL)
        self.assertIn("NOT proven", accepted.out)

    def test_L1_a_log_that_lacks_what_its_writer_signed_for_is_not_proven_however_many_vaults_show_it(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'x')")
        self.wait_until_durable()
        self.agent.wait("people", lambda s: s["unsigned_ms"] == 0, "signed for by the vaults")
        release = self.realm.release("early")
        self.lose_home()
        self.realm.stop("oslo")
        for name in ("lux", "rome"):  # under the running vaults' feet
            for path in (p for p in (self.realm.vault(name) / "journal").rglob("*") if p.is_file()):
                data = path.read_bytes()
                last = (len(data.rstrip(b"\0")) - 1) // 4096 * 4096
                path.write_bytes(data[:last] + b"\xff" * 4096 + data[last + 4096:])
        refused = self.realm.restore(release, self.scratch / "back", "--dataset", "people")
        self.refused(refused, harness.UNREACHABLE, "the end of the log is not proven: its writer had signed for", "show")
        self.realm.start("oslo")
        whole = self.ok(self.realm.restore(release, self.scratch / "whole", "--dataset", "people", "--json"))
        told = json.loads(whole.out)
        self.assertTrue(told["proven"])
        self.assertNotIn("why_not_proven", told)
        for name in ("lux", "rome"):
            self.assertTrue(any(problem.startswith(f"{name}: segment ") for problem in told["log_problems"]), told["log_problems"])

    def test_status_says_how_long_a_restore_would_take_only_after_one_was_measured(self):
        self.protect()
        self.base()
        status = lambda *options: self.realm.exclave("status", *options)  # noqa: E731
        home, site = ("--home", self.realm.home), ("--site", self.realm.site)
        told = status(*home)
        self.assertRegex(told.out, r"to restore people: a base of [0-9.]+ MB and .* of log since; how long is not measured yet: "
                                   r"exclave restore measures it at a site, in SITE/speeds/docs\.people\.json")
        self.assertNotIn("was restored here", status(*site).out)
        self.home.sql("insert into t select i, repeat('x', 500) from generate_series(1, 5000) i")
        self.wait_until_durable()
        self.restore("--dataset", "people")
        self.assertRegex(status(*site).out, r"database people was restored here on 20.*: base [0-9.]+ MB in .*, log [0-9.]+ MB in [^,]*\n")
        measured = self.realm.site / "speeds/docs.people.json"
        (self.realm.home / "speeds").mkdir()
        shutil.copy(measured, self.realm.home / "speeds")
        self.assertRegex(status(*home).out, r"to restore people: a base of [0-9.]+ MB and [0-9.]+ MB of log since; about .*s by what it "
                                            r"took at site .* on 20.*Z \(base .* log .*\), and then the server's replay, which is not measured yet")
        estimate = status(*home, "--json").json()["restore_estimates"][0]
        noted = json.loads(measured.read_text())
        self.assertAlmostEqual(noted["base_ms"] / 1000, estimate["base_seconds"], places=6)
        self.assertGreater(estimate["log_bytes"], 2_500_000)
        self.assertEqual(noted["at_ns"], estimate["measured_ns"])
        self.assertNotIn("replay_seconds", estimate)
        self.recover().stop()
        self.assertRegex(status(*site).out, r"database people was restored here on 20.*, replay of [0-9.]+ MB in ")
        shutil.rmtree(self.scratch / "back.wal")
        self.assertIn(", replay of ", status(*site).out)
        shutil.copy(measured, self.realm.home / "speeds")
        self.assertNotIn("not measured", status(*home).out)
        self.assertGreater(status(*home, "--json").json()["restore_estimates"][0]["replay_seconds"], 0)
        for damage in ("", "[]", '{"site": "x"}', measured.read_text().replace('"base_bytes":', '"base_bytes":-')):
            (self.realm.home / "speeds/docs.people.json").write_text(damage)
            self.assertIn("how long is not measured yet", status(*home).out)

    def test_what_is_wrong_with_a_server_is_named_with_its_remedy(self):
        self.realm = self.make_realm()
        minimal = self.make_cluster("minimal", settings=("wal_level = minimal", "max_wal_senders = 0")).start()
        weak = self.make_cluster("weak").start()
        weak.sql("create role weak login")
        agent = postgres.Agent(self.realm, {
            "minimal": {"connection": minimal.conninfo()}, "weak": {"connection": weak.conninfo("weak")},
            "away": {"connection": "host=127.0.0.1 port=1 user=postgres"}})
        self.agents.append(agent)
        for dataset, texts in (("minimal", ["wal_level"]), ("weak", ["may not replicate", "alter role"]), ("away", ["refused"])):
            status = agent.wait(dataset, lambda s: s["alarms"], "alarmed")
            self.assertEqual("connecting", status["state"])
            for text in texts:
                self.assertIn(text, status["alarms"][-1])
        told = self.realm.exclave("status", "--home", self.realm.home)
        self.assertEqual(harness.PARTIAL, told.code, str(told))
        self.assertIn("database minimal is not streamed", told.out)
        self.refused(self.realm.exclave("backup", "--home", self.realm.home, "--database", "minimal"), harness.FAILED, "wal_level")
        self.refused(self.realm.exclave("backup", "--home", self.realm.home, "--database", "none"), harness.FAILED,
                     "agent.toml has no database 'none'", "hint: it has: minimal")

    def test_a_page_that_does_not_bear_its_checksum_is_refused_or_kept_with_an_alarm(self):
        self.protect()
        self.home.sql("insert into t select i, repeat('x', 200) from generate_series(1, 2000) i")
        path = self.home.data / self.home.sql("checkpoint; select pg_relation_filepath('t')").split("\n")[-1]
        with open(path, "r+b") as file:
            file.seek(8192 * 3 + 4000)
            file.write(b"bad")
        self.refused(self.realm.exclave("backup", "--home", self.realm.home, "--database", "people"), harness.CORRUPTION,
                     "do not bear their checksums", "--keep-bad-pages")
        self.assertEqual([], self.ok(self.realm.exclave("snapshots", "--home", self.realm.home, "--json")).json()["snapshots"])
        kept = self.realm.exclave("backup", "--home", self.realm.home, "--database", "people", "--keep-bad-pages")
        self.assertEqual(harness.PARTIAL, kept.code, str(kept))
        self.assertIn("bad page kept", kept.err)


class Cuts(DatabaseTest):
    """Two registries, two servers, two agents: one instant."""

    def protect_both(self, people_more, land_more):
        """`more`: what each agent's configuration says about cuts."""
        self.realm = self.make_realm(registry="people", extra=["--registry", "land"])
        self.people, self.land = self.make_cluster("people-pg").start(), self.make_cluster("land-pg").start()
        self.people.sql("create table t (id bigint primary key)")
        self.land.sql("create table t (id bigint primary key, owner bigint)")
        land = postgres.Agent(self.realm, {"land": {"connection": self.land.conninfo()}}, registry="land", more=land_more)
        self.agents.append(land)
        people = postgres.Agent(self.realm, {"people": {"connection": self.people.conninfo()}}, registry="people",
                                more=people_more)
        self.agents.append(people)
        for agent, cluster, name in ((people, self.people, "people"), (land, self.land, "land")):
            agent.wait_streaming(name)
            cluster.sql(f"alter system set synchronous_standby_names = 'exclave_{name}'")
            cluster.sql("select pg_reload_conf()")
            agent.wait(name, lambda s: s["waited_for"], "waited for")
        return people, land

    @staticmethod
    def group(every, *members, more=""):
        listed = ", ".join(f'"{m}"' for m in members)
        return f'[[group]]\nname = "realm"\nevery = "{every}"\nmembers = [{listed}]\n{more}'

    @staticmethod
    def door(port, coordinator):
        return f'[cuts]\nlisten = "127.0.0.1:{port}"\ncoordinators = ["{coordinator}"]\n'

    def test_a_substitute_takes_cuts_only_while_the_coordinator_takes_none(self):
        ports = harness.free_port(), harness.free_port()
        people, land = self.protect_both(
            self.door(ports[0], "land") + self.group("2 s", "people", f"land/land@127.0.0.1:{ports[1]}"),
            self.door(ports[1], "people") + self.group("2 s", "land", f"people/people@127.0.0.1:{ports[0]}",
                                                       more="substitute = true\n"))
        state = land.home / "state/cut-realm.json"
        seen = lambda: json.loads(state.read_text()) if state.exists() else {"taken": 0}  # noqa: E731
        # Until both databases could take part, it may have tried.
        self.wait_for(lambda: seen().get("cut") is not None and not seen()["standing_in"], "left to the coordinator")
        before = seen()
        time.sleep(5)
        self.assertEqual((seen()["taken"], seen()["standing_in"]), (before["taken"], False), land.log())
        self.assertNotEqual(seen()["cut"], before["cut"])
        people.stop()
        # The database comes back, and with it no coordinator.
        config = people.home / "agent.toml"
        without, kept = config.read_text().split("[[group]]")[0], config.read_text()
        config.write_text(without)
        people.start()
        self.wait_for(lambda: seen()["taken"] > before["taken"], "taken by the substitute")
        self.assertIn("its coordinator takes no cuts", land.log())
        status = self.realm.exclave("status", "--home", land.home)
        self.assertIn("its coordinator takes no cuts; this agent does in its place", status.out + status.err)
        people.stop()
        config.write_text(kept)
        people.start()
        self.wait_for(lambda: not seen()["standing_in"], "left to the coordinator again")
        self.assertIn("its coordinator takes cuts again", land.log())

    def test_a_cut_right_after_commits_stopped_to_wait_is_void(self):
        port = harness.free_port()
        people, _ = self.protect_both(self.group("1 h", "people", f"land/land@127.0.0.1:{port}"), self.door(port, "people"))

        def cut():
            time.sleep(1.2)  # two holds of a member are a second apart
            return self.realm.exclave("cut", "--home", people.home, "realm", "--json")

        self.wait_for(lambda: cut().code == harness.OK, "a cut")
        for names in ("", "exclave_land"):  # and if they wait again, nobody knows what went between
            self.land.sql(f"alter system set synchronous_standby_names = '{names}'")
            self.land.sql("select pg_reload_conf()")
        void = cut()
        self.assertNotEqual(harness.OK, void.code)
        self.assertRegex(void.out + void.err, "land: .*the server (has )?loaded its settings")
        self.wait_for(lambda: cut().code == harness.OK, "cuts again")

    def test_a_cut_and_the_proven_ends_keep_every_reference_between_two_databases(self):
        port = harness.free_port()
        people, land = self.protect_both(self.group("1 h", "people", f"land/land@127.0.0.1:{port}"),
                                         self.door(port, "people"))
        for agent, name in ((people, "people"), (land, "land")):
            self.ok(self.realm.exclave("backup", "--home", agent.home, "--database", name))
        self.not_taken = ""
        acknowledged, cuts = self.work(people)
        self.assertGreater(len(acknowledged), 20)
        self.assertGreater(len(cuts), 0, self.not_taken)
        for agent, cluster in ((people, self.people), (land, self.land)):
            agent.kill()
            cluster.destroy()
        for goal in ("latest", "cut:" + cuts[0]):
            with self.subTest(goal=goal):
                owners, parcels = self.restore_both(goal)
                self.assertEqual(set(), {owner for _, owner in parcels} - owners, "a parcel whose owner is not there")
                if goal == "latest":
                    self.assertEqual(set(), acknowledged - {i for i, _ in parcels})

    def work(self, people):
        """Persons, and parcels that name them, committed one after the other; cuts meanwhile."""
        acknowledged, stop = set(), threading.Event()

        def commit(first):
            number = first
            while not stop.is_set():
                self.people.sql(f"insert into t values ({number})")
                self.land.sql(f"insert into t values ({number}, {number})")
                acknowledged.add(number)
                number += 1

        writers = [threading.Thread(target=commit, args=(n * 1_000_000,)) for n in (1, 2)]
        for writer in writers:
            writer.start()
        cuts = []
        try:
            for _ in range(3):
                time.sleep(1.5)
                taken = self.realm.exclave("cut", "--home", people.home, "realm", "--json")
                if taken.code == harness.OK:
                    cuts.append(taken.json()["cut"])
                else:
                    self.not_taken = str(taken) + people.log()[-1500:]
            time.sleep(1)
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        return acknowledged, cuts

    def restore_both(self, goal):
        rows = []
        for name, columns in (("people", "id"), ("land", "id, owner")):
            label = f"{name}-{goal[:10].replace(':', '-')}"
            opening = self.realm.release(label, request_options=("--registry", name))
            directory = self.scratch / label
            directory.mkdir()
            postgres.give_to_server(directory)
            self.ok(self.realm.restore(opening, directory, "--registry", name, "--dataset", name, "--to", goal))
            back = self.recover(label)
            rows.append(back.sql(f"select {columns} from t").split())
            back.stop()
        return set(map(int, rows[0])), {tuple(map(int, row.split("|"))) for row in rows[1]}


if __name__ == "__main__":
    harness.main()
