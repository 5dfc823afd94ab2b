"""Databases, the way there: what a commit waits for, what is told when it does not, and what hosts see."""
import itertools
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402
from database_writers import Writers  # noqa: E402


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
    def test_a_server_stops_at_once_though_too_few_vaults_answer_and_goes_on_later(self):
        self.protect()
        self.home.sql("insert into t values (1, 'x')")
        self.realm.stop("oslo", "rome")
        began = time.monotonic()
        self.assertEqual(0, self.home.stop())  # a fast shutdown waits for whoever receives its log, without end
        self.assertLess(time.monotonic() - began, 30)
        self.realm.start("oslo", "rome")
        self.home.start()
        self.agent.wait_streaming("people")
        self.home.sql("insert into t values (2, 'y')")
        self.assertNotIn("damaged", self.agent.log())

    def test_without_k_vaults_commits_wait_and_go_on_when_they_are_back(self):
        self.protect()
        self.base()
        self.realm.stop("lux", "oslo")
        began = time.monotonic()
        waiting = [self.commit_beside(i) for i in (1, 2)]
        with self.assertRaises(subprocess.TimeoutExpired):
            waiting[0].wait(3)
        self.assertEqual("0", self.home.sql("select count(*) from t"))  # reads do not wait
        self.assertNotIn("commits have waited", self.agent.log())
        self.wait_for(lambda: "commits have waited" in self.agent.log(), "said that commits wait")
        self.check_told_how_far_behind(2, began)
        self.realm.start("lux", "oslo")
        self.assertEqual([0, 0], [each.wait(60) for each in waiting])
        self.wait_for(lambda: "commits go on" in self.agent.log(), "said that commits go on")
        self.agent.wait("people", lambda s: s["bytes_behind"] == s["commits_behind"] == s["oldest_behind_ms"] == 0, "not behind")
        told = [line.split("dataset people: ")[1] for line in self.agent.log().splitlines() if ": commits " in line]
        self.assertEqual(2, len(told), told)
        self.assertRegex(told[0], r"^commits have waited for 5\.\d s: 1 of 3 vaults have confirmed them, 2 are needed \(lux: .*; oslo: .*\)$")
        self.assertRegex(told[1], r"^commits go on; they had waited for \d+\.\d s$")

    def check_told_how_far_behind(self, commits, began):
        """Bytes as the server counts them, commits, and since when the oldest waits: in the agent's status, and by `status`."""
        unconfirmed = "select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn) from pg_stat_replication"
        status = self.agent.wait("people", lambda s: s["oldest_behind_ms"] > 5000 and
                                 s["bytes_behind"] == int(self.home.sql(unconfirmed)), "as far behind as the server says")
        self.assertGreater(status["bytes_behind"], 0)
        self.assertEqual(commits, status["commits_behind"])
        self.assertLess(status["oldest_behind_ms"], (time.monotonic() - began) * 1000)
        look = lambda *options: self.ok(self.realm.exclave("status", "--home", self.realm.home, *options), harness.UNREACHABLE)  # noqa: E731

        def is_in_words():
            seen = look("--json").json()
            told, = seen["agent"]["databases"]
            base, = seen["last_bases"]
            self.assertEqual(("people", []), (base["dataset"], seen["cuts"]))
            self.assertLess(0, time.time() - base["began"])
            self.assertEqual(commits, told["commits_behind"])
            return re.search(rf"(?m)^people +streaming +sync +{told['bytes_behind'] / 1000:.1f} kB +{commits} +\d+ ms +[\d.]+/[\d.]+ ms +"
                             rf"\d+ ms +{told['durable']} +\d.* ago$", look().out)

        self.wait_for(is_in_words, "said by status")

    def test_an_agent_that_is_killed_under_load_is_back_within_seconds_and_nothing_acknowledged_is_lost(self):
        self.protect()
        self.base()
        with Writers(self.home) as writers:
            measured = [self.kill_agent(writers) for _ in range(3)]
            self.wait_for(lambda: len(writers.acknowledged) > 50, "acknowledged often enough")
            self.lose_home()
        for what, limit, seconds in zip(("a commit is acknowledged", "the status says streaming"), self.BACK_SECONDS, zip(*measured)):
            print(f"an agent that was killed: from its start until {what}: {', '.join(f'{s:.2f}' for s in seconds)} s", flush=True)
            # The best of three: the machine is busy with other tests.
            self.assertTrue(0 < min(seconds) < limit and max(seconds) < 12 * limit, f"until {what}: {seconds}")
        self.restore("--dataset", "people")
        recovered = set(map(int, self.recover().sql("select id from t").split()))
        self.assertEqual(set(), writers.acknowledged_by(self.home) - recovered)
        self.assertEqual(set(), recovered - writers.issued)

    BACK_SECONDS = 5, 10  # a status is written every two seconds

    def kill_agent(self, writers):
        """Seconds from the next one's start: until a commit is acknowledged, until the status says streaming."""
        time.sleep(1)
        self.agent.kill()
        time.sleep(0.3)
        before = len(writers.acknowledged)
        time.sleep(0.2)
        self.assertEqual(before, len(writers.acknowledged), "nobody else acknowledges")
        began = time.monotonic()
        self.agent.start()
        self.agent.wait_streaming("people")
        told_ns = self.agent.statuses()["at_ns"]
        self.wait_for(lambda: len(writers.acknowledged) > before, "acknowledged again")
        return writers.acknowledged[before].at - began, (told_ns - self.agent.began_ns) / 1e9

    def test_a_slot_never_goes_back_though_an_agent_that_was_killed_goes_on_before_it(self):
        """The server believes every position that is reported: one before the slot's moves it back, to log that it may have
        removed. The agent writes its own down now and then, and begins there."""
        self.protect()
        slot = lambda: postgres.number_of(self.home.sql("select restart_lsn from pg_replication_slots"))  # noqa: E731
        position = self.realm.home / "databases/people/position"
        self.wait_for(position.exists, "a position")
        for first in itertools.count(0, 10):  # until what was written down last, which is each five seconds, is older than the slot
            for i in range(first, first + 10):
                self.home.sql(f"insert into t values ({i}, 'acknowledged')")
            self.agent.kill()
            before = slot()
            if postgres.number_of(re.search(r"(?m)^acknowledged (\S+)$", position.read_text())[1]) < before:
                break
            self.agent.start()
            self.agent.wait_streaming("people")
        self.realm.stop("lux", "oslo")  # nothing more becomes durable
        self.agent.start()
        status = self.agent.wait_streaming("people")
        self.assertLess(postgres.number_of(status["durable"]), before, "it did not begin before the slot")
        told = "select count(*) from pg_stat_replication where reply_time > now() - interval '1 s'"
        for _ in range(2):  # reports, of which there is one every five seconds
            self.wait_for(lambda: self.home.sql(told) == "1", "a report")
            self.assertEqual(before, slot())
            time.sleep(1.5)
        self.realm.start("lux", "oslo")
        self.home.sql("insert into t values (-1, 'goes on')")
        self.wait_for(lambda: slot() > before, "moved")

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
        base = self.realm.exclave("backup", "--home", self.realm.home, "--database", "people")
        self.assertEqual(1, base.code, str(base))
        self.assertIn("the server is another one than before", base.err)
        self.assertIn("name a new dataset", base.err)
        # Nor may anything else take the name, which a restore of the latest would find.
        tree = self.realm.exclave("backup", "--home", self.realm.home, self.scratch, "--dataset", "people")
        self.assertEqual(1, tree.code, str(tree))
        self.assertIn("dataset 'people' is of a database", tree.err)

    def test_an_agent_does_not_take_the_name_of_a_tree(self):
        """It would remember the server under it; then neither could be captured."""
        self.make_source()
        realm = self.realm = self.make_realm()
        back_up = ("backup", "--home", realm.home, "source", "--dataset", "people")
        self.ok(realm.exclave(*back_up))
        (realm.home / "agent.toml").write_text('[[database]]\ndataset = "people"\nconnection = "host=/nowhere"\n')
        refused = realm.exclave("agent", "run", "--home", realm.home)
        self.assertEqual(1, refused.code, str(refused))
        self.assertIn("dataset 'people' holds a tree of files, and this is a database", refused.err)
        self.ok(realm.exclave(*back_up))

    def refused_by_status(self, text):
        told = self.realm.exclave("status", "--home", self.realm.home)
        self.assertEqual(harness.PARTIAL, told.code, str(told))
        self.assertIn(text, told.out)


if __name__ == "__main__":
    harness.main()
