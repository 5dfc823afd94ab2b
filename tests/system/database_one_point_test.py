"""Databases, the way back: a database and its documents, to one point."""
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402


class OnePoint(DatabaseTest):
    """A database and the tree of its documents, which are written before the rows that name them."""

    def setUp(self):
        super().setUp()
        self.papers = self.scratch / "papers"
        self.papers.mkdir()

    def add(self, number):
        (self.papers / str(number)).write_text(f"document {number}")
        self.home.sql(f"insert into t values ({number}, 'a document')")

    def walk(self):
        return self.ok(self.realm.exclave("backup", "--home", self.realm.home, self.papers, "--dataset", "papers", "--json")).json()["snapshot"]

    def restore_all(self, release, target, *options):
        directory = self.scratch / target
        directory.mkdir()
        postgres.give_to_server(directory)
        return self.realm.restore(release, directory, "--all", *options)

    def documents(self, target):
        return sorted(path.name for path in (self.scratch / target / "papers").iterdir())

    def test_one_agent_protects_two_clusters_and_each_comes_back_whole(self):
        self.realm = self.make_realm()
        clusters = {name: self.make_cluster(f"{name}-pg").start() for name in ("people", "land")}
        self.agent = postgres.Agent(self.realm, {name: {"connection": cluster.conninfo()} for name, cluster in clusters.items()})
        self.agents.append(self.agent)
        for name, cluster in clusters.items():
            cluster.sql("create table t (id bigint primary key)")
            self.agent.wait_streaming(name)
            cluster.sql(f"alter system set synchronous_standby_names = 'exclave_{name}'")
            cluster.sql("select pg_reload_conf()")
            self.agent.wait(name, lambda s: s["waited_for"], "waited for")
            self.ok(self.realm.exclave("backup", "--home", self.realm.home, "--database", name))
        for i in range(10):
            clusters["people"].sql(f"insert into t values ({i})")
            clusters["land"].sql(f"insert into t values ({100 + i})")
        # One that is down holds up no other, and goes on when it is back.
        clusters["land"].kill()
        self.agent.wait("land", lambda s: s["state"] == "connecting", "without its server")
        clusters["people"].sql("insert into t values (10)")
        clusters["land"].start()
        clusters["land"].sql("insert into t values (110)")
        self.agent.kill()
        for cluster in clusters.values():
            cluster.destroy()
        self.ok(self.restore_all(self.realm.release("both", request_options=("--all",)), "back"))
        for name, first in (("people", 0), ("land", 100)):
            back = self.recover(f"back/{name}")
            self.assertEqual(f"11|{first}|{first + 10}", back.sql("select count(*), min(id), max(id) from t"))
            back.stop()

    def test_all_datasets_come_back_to_one_point_and_what_is_older_is_said(self):
        self.protect()
        self.base()
        self.add(1)
        walks = [self.walk()]
        self.add(2)
        position = self.home.sql("select pg_create_restore_point('p')")
        time.sleep(0.1)
        walks.append(self.walk())
        self.add(3)
        time.sleep(1.1)  # a time that is said has whole seconds
        walks.append(self.walk())
        self.add(4)
        self.lose_home()
        release = self.realm.release("all", request_options=("--all",))
        listed = self.ok(self.realm.exclave("snapshots", "--site", self.realm.site, *release))
        self.assertRegex(listed.out, r"^snapshot +era +periods +taken +complete at +dataset +kind\n.* people +database\n"
                                     r"(.* papers +tree\n){3}$")
        which = self.realm.restore(release, self.scratch / "which")
        self.refused(which, harness.FAILED, "several datasets: papers, people", "restore takes all of them with --all")
        # The first walk behind the point, neither the one before it nor the newest.
        restored = self.ok(self.restore_all(release, "back", "--to", "name:p", "--json")).json()
        self.assertEqual({"ok", "point_ns", "datasets", "registries"}, set(restored))
        self.assertEqual([{"registry", "not_released", "incidents", "vaults", "approved_by"}], [set(r) for r in restored["registries"]])
        people, papers = restored["datasets"]
        self.assertEqual(("people", "database", position), (people["dataset"], people["kind"], people["recovers_to"]["position"]))
        self.assertEqual(("papers", "tree", walks[1], False), tuple(papers[key] for key in ("dataset", "kind", "snapshot", "behind")))
        self.assertTrue(0 < papers["after_point_ns"] < 60e9, papers)
        self.assertEqual(papers["began_ns"] - restored["point_ns"], papers["after_point_ns"])
        self.assertEqual(["1", "2"], self.documents("back"))
        back = self.recover("back/people")
        self.assertEqual("1 2", back.sql("select string_agg(id::text, ' ' order by id) from t"))
        self.assertEqual(position, self.end_of_history(back))
        back.stop()
        # Behind the newest walk the database names what the tree lacks.
        latest = self.restore_all(release, "latest")
        self.assertEqual(harness.PARTIAL, latest.code, str(latest))
        self.assertEqual(["1", "2", "3"], self.documents("latest"))
        self.assertRegex(latest.out, r"papers +tree +" + walks[2][:12] + r" .* BEFORE it")
        self.assertRegex(latest.err, "dataset papers is older than the point: .* documents written since it began may be missing")
        whole = latest.err.split("--to ")[1].split()[0]
        self.ok(self.restore_all(release, "whole", "--to", whole))
        # A dataset that cannot come back need not keep the others away.
        left = self.ok(self.restore_all(release, "left", "--leave-out", "papers"))
        self.assertIn("dataset papers is left out", left.err)
        self.assertEqual({"people", "people.wal"}, {path.name for path in (self.scratch / "left").iterdir()})
        self.refused(self.realm.restore(release, self.scratch / "none", "--all", "--leave-out", "paper"), harness.NOT_FOUND,
                     "no dataset 'paper'", "there are: papers, people")
        self.assertEqual(harness.USAGE, self.realm.restore(release, self.scratch / "none", "--leave-out", "papers").code)
        # What stands in the way is refused before anything is fetched, or no server may be started on a part; and when it is
        # gone, the same command goes on.
        half = self.scratch / "half"
        (half / "papers").mkdir(parents=True)
        (half / "papers/other").write_text("in the way")
        restore_half = lambda: self.realm.restore(release, half, "--all", "--to", "name:p")  # noqa: E731
        self.refused(restore_half(), harness.FAILED, "dataset papers: target", "is not empty")
        (half / "papers.exclave-restore").write_text("0" * 64 + " -\n")
        self.refused(restore_half(), harness.FAILED, "dataset papers: target", "of another snapshot")
        self.assertTrue((half / "people/PG_VERSION").exists())
        self.assertFalse((half / "people/recovery.signal").exists())
        self.assertFalse((half / "people.wal").exists())
        shutil.rmtree(half / "papers")
        gone_on = self.ok(restore_half())
        self.assertIn("files were finished by an earlier run", gone_on.out)
        self.assertTrue((half / "people/recovery.signal").exists())
        self.assertEqual(["1", "2"], self.documents("half"))
        self.assertEqual({"papers", "people", "people.wal"}, {path.name for path in half.iterdir()})
        self.refused(restore_half(), harness.FAILED, "is not empty", "restore into a fresh directory")
        # What belongs to a log is not passed over in silence for a tree, nor one dataset for another.
        for options, text in ((("--dataset", "papers", "--to", "2026-01-01T00:00:00Z"), "dataset papers is no database: --to"),
                              (("--dataset", "people", "--snapshot", walks[0]), "is of dataset papers, not of people")):
            self.refused(self.realm.restore(release, self.scratch / "none", *options), harness.FAILED, text)
        for options, code, text in ((("--dataset", "people"), harness.USAGE, "--dataset"), (("--to", "sometime"), harness.FAILED, "no place")):
            self.refused(self.realm.restore(release, self.scratch / "none", "--all", *options), code, text)

    def test_an_interrupted_restore_of_all_goes_on_with_its_base_though_a_later_one_was_taken(self):
        self.protect()
        first = self.base()["snapshot"]
        self.add(1)
        first_walk = self.walk()
        back = self.scratch / "back"
        (back / "papers").mkdir(parents=True)
        postgres.give_to_server(back)
        (back / "papers/other").write_text("in the way")
        (back / "papers.exclave-restore").write_text("0" * 64 + " -\n")
        release = self.realm.release("all", request_options=("--all",))
        self.refused(self.realm.restore(release, back, "--all"), harness.FAILED, "dataset papers: target", "of another snapshot")
        self.assertTrue((back / "people.exclave-restore").read_text().startswith(first), "its files were there already")
        later = self.base()["snapshot"]
        self.add(2)
        last_walk = self.walk()
        self.wait_until_durable()
        self.lose_home()
        # A tree that was begun, and does not belong to the point any more, is refused before anything is fetched for it.
        release = self.realm.release("later", request_options=("--all",))
        (back / "papers.exclave-restore").unlink()
        self.mark_unfinished(first_walk, back / "papers")
        self.refused(self.realm.restore(release, back, "--all"), harness.FAILED,
                     f"holds an unfinished restore of another snapshot: {first_walk[:12]}; to the point belongs {last_walk[:12]}",
                     f"--dataset papers --snapshot {first_walk[:12]}")
        shutil.rmtree(back / "papers")
        (back / "papers.exclave-restore").unlink()
        ended = self.ok(self.realm.restore(release, back, "--all", "--json"))
        self.assertIn(f"holds an unfinished restore of snapshot {first[:12]}, which is finished; a later one is {later[:12]}", ended.err)
        people, papers = ended.json()["datasets"]
        self.assertEqual((first, last_walk), (people["snapshot"], papers["snapshot"]))
        self.assertEqual("1 2", self.recover("back/people").sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_a_database_has_one_owner_however_often_a_restore_of_all_was_begun(self):
        self.protect()
        self.base()
        self.home.sql("select pg_create_restore_point('p')")
        self.add(1)
        self.lose_home()
        release = self.realm.release("all", request_options=("--all",))
        # Found by review: the first run made the directory, as root, and failed before it was given away.
        self.refused(self.restore_all(release, "back", "--to", "name:unheard of"), harness.NOT_FOUND, "unheard of")
        back = self.scratch / "back"
        self.assertEqual([], list((back / "people").iterdir()))
        self.ok(self.realm.restore(release, back, "--all", "--to", "name:p"))
        owner = os.stat(back).st_uid, os.stat(back).st_gid
        for path in (back / "people", back / "people/PG_VERSION", back / "people/recovery.signal", back / "people.wal",
                     *(back / "people.wal").iterdir()):
            self.assertEqual(owner, (os.stat(path).st_uid, os.stat(path).st_gid), path)


if __name__ == "__main__":
    harness.main()
