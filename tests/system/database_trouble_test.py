"""Databases, the way there: vaults, servers and pages that are not as they should be."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402


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

    def test_H7_a_vault_that_was_set_back_has_its_log_again_and_an_alarm_that_stays(self):
        self.protect()
        self.base()
        earlier = self.scratch / "earlier"
        self.realm.stop("rome")
        shutil.copytree(self.realm.vault("rome"), earlier)
        self.realm.start("rome")
        self.home.sql("insert into t values (1, 'x')")
        end = postgres.number_of(self.home.sql("select pg_current_wal_flush_lsn()"))
        is_whole = lambda s: postgres.number_of(s["durable"]) >= end and self.vault(s, "rome")["bytes_behind"] == 0  # noqa: E731
        self.assertEqual([], self.agent.wait("people", is_whole, "whole at rome")["alarms"])
        self.realm.stop("rome")
        shutil.rmtree(self.realm.vault("rome"))
        earlier.rename(self.realm.vault("rome"))
        self.realm.start("rome", options=())  # it repairs itself, as vaults do
        alarm = r"a vault did not keep its word: vault rome had confirmed \d+ bytes of segment \d+ and holds \d+"
        self.agent.wait("people", lambda s: is_whole(s) and any(re.match(alarm, a) for a in s["alarms"]), "an alarm of rome")
        self.assertRegex(self.agent.log(), alarm)
        self.assertRegex(self.status_at_home(), "(?m)^alarm: database people: " + alarm)

    def test_C7_a_copy_of_home_that_runs_beside_the_real_one_is_an_alarm_for_both(self):
        self.protect()
        self.agent.stop()
        self.home.stop()
        machine = postgres.Cluster(self.scratch, "copied", create=False)
        shutil.copytree(self.home.data, machine.data)
        postgres.give_to_server(machine.data)
        self.clusters.append(machine)
        shutil.copytree(self.realm.home, self.realm.root / "home/copied")
        self.home.start()
        machine.start()
        self.agent.start()
        copy = postgres.Agent(self.realm, {"people": {"connection": machine.conninfo()}}, registry="copied")
        self.agents.append(copy)
        for agent in (self.agent, copy):
            agent.wait_streaming("people")
        alarm = "somebody else writes with this agent's key: "

        def has_alarm(agent):
            for cluster in (self.home, machine):
                cluster.sql("insert into t select coalesce(max(id), 0) + 1, 'each has its own way' from t")
            return any(a.startswith(alarm) for a in agent.statuses()["alarms"])

        for agent in (self.agent, copy):
            self.wait_for(lambda: has_alarm(agent), agent.log)  # noqa: B023
            self.assertIn(alarm, agent.log())
        self.assertIn("\nalarm: " + alarm, self.status_at_home())

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

    def test_a_base_of_which_the_server_left_files_out_is_refused_or_kept_with_an_alarm(self):
        self.protect()
        (self.home.data / "base/1/99999").symlink_to("/etc/hostname")
        back_up = ("backup", "--home", self.realm.home, "--database", "people")
        self.refused(self.realm.exclave(*back_up), harness.CORRUPTION, "left files out", "./base/1/99999", "--keep-bad-pages")
        kept = self.ok(self.realm.exclave(*back_up, "--keep-bad-pages"), harness.PARTIAL)
        self.assertIn("./base/1/99999", kept.err)
        (self.home.data / "base/1/99999").unlink()
        self.base()

    def test_L1_log_that_fewer_than_k_vaults_still_hold_is_an_alarm_until_it_is_repaired(self):
        self.protect()
        self.home.sql("insert into t values (1, 'x')")
        self.wait_until_durable()
        self.agent.stop()
        self.agent.start()  # another journal; the first one is whole at every vault and leaves home
        self.agent.wait_streaming("people")
        spool = self.realm.home / "databases/people/spool"
        self.wait_for(lambda: len(list(spool.iterdir())) == 1, "gone from the spool")
        self.agent.stop()
        alarm = r"alarm: \d+ segments of the databases' log that rome shows are held by fewer than 2 vaults now, .*; lacking at lux, oslo: repair these"
        self.assertNotRegex(self.status_at_home(), alarm)
        self.realm.stop("lux", "oslo")
        for vault in ("lux", "oslo"):
            for part in ("objects", "table", "acts", "journal"):
                shutil.rmtree(self.realm.vault(vault) / part)
        self.realm.start("lux", "oslo")
        told = self.status_at_home()
        self.assertRegex(told, alarm)
        self.assertRegex(told, "(?m)^oslo +ok .*it lacks some of the databases' log")
        self.realm.stop("lux")
        self.ok(self.realm.exclave("repair", self.realm.vault("lux")))
        self.realm.start("lux")
        told = self.status_at_home()
        self.assertNotRegex(told, "alarm: .* segments of the databases' log")
        self.assertRegex(told, "(?m)^oslo +ok .*it lacks some of the databases' log")

    def status_at_home(self):
        return self.ok(self.realm.exclave("status", "--home", self.realm.home), harness.PARTIAL).out  # no agent runs

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
        self.assertAlmostEqual(noted["log_ms"] / 1000 * estimate["log_bytes"] / noted["log_bytes"], estimate["log_seconds"], places=6)
        self.assertNotIn("replay_seconds", estimate)
        self.recover().stop()
        self.assertRegex(status(*site).out, r"database people was restored here on 20.*, replay of [0-9.]+ MB in ")
        shutil.rmtree(self.scratch / "back.wal")
        self.assertIn(", replay of ", status(*site).out)
        shutil.copy(measured, self.realm.home / "speeds")
        self.home.sql("insert into t select i, repeat('x', 500) from generate_series(5001, 10000) i")
        self.wait_until_durable()
        larger = status(*home, "--json").json()["restore_estimates"][0]
        noted = json.loads(measured.read_text())
        self.assertGreater(larger["log_bytes"], estimate["log_bytes"] + 2_500_000)
        self.assertGreater(larger["replay_seconds"], noted["replay_ms"] / 1000, "more log, more time")
        self.assertGreater(larger["log_seconds"], estimate["log_seconds"])
        about, unit = re.search(r"to restore people: .* of log since; about ([\d.]+) (ms|s) by what it took at site ", status(*home).out).groups()
        seconds = larger["base_seconds"] + larger["log_seconds"] + larger["replay_seconds"]
        self.assertAlmostEqual(seconds, float(about) / {"ms": 1000, "s": 1}[unit], delta=0.06)
        self.assertNotIn("not measured", status(*home).out)
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
        for setting in ("wal_level = replica", "max_wal_senders = 10"):
            minimal.sql(f"alter system set {setting}")
        minimal.stop()
        minimal.start()
        weak.sql("alter role weak replication")
        for dataset in ("minimal", "weak"):
            self.assertEqual([], agent.wait(dataset, lambda s: s["state"] == "streaming", "streaming after the remedy")["alarms"])

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
        self.assertIn("kept all the same", kept.err)


if __name__ == "__main__":
    harness.main()
