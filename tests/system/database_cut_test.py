"""Databases, the way there: one instant of several of them."""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402


class Cuts(DatabaseTest):
    """Two registries, two servers or three, two agents: one instant."""

    def protect_both(self, people_more, land_more, taxes=False):
        """`more`: what each agent's configuration says about cuts. `taxes`: another dataset of the registry `people`, on a server of its own."""
        self.realm = self.make_realm(registry="people", extra=["--registry", "land"])
        self.people, self.land = self.make_cluster("people-pg").start(), self.make_cluster("land-pg").start()
        self.people.sql("create table t (id bigint primary key)")
        self.land.sql("create table t (id bigint primary key, owner bigint)")
        land = postgres.Agent(self.realm, {"land": {"connection": self.land.conninfo()}}, registry="land", more=land_more)
        self.agents.append(land)
        databases = {"people": {"connection": self.people.conninfo()}}
        if taxes:
            self.taxes = self.make_cluster("taxes-pg").start()
            self.taxes.sql("create table t (id bigint primary key, parcel bigint)")
            databases["taxes"] = {"connection": self.taxes.conninfo()}
        people = postgres.Agent(self.realm, databases, registry="people", more=people_more)
        self.agents.append(people)
        for agent, cluster, name in ((people, self.people, "people"), (land, self.land, "land"),
                                     *([(people, self.taxes, "taxes")] if taxes else [])):
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
        self.wait_for(lambda: seen()["cut"] != before["cut"], "another cut of the coordinator")
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

        def is_void_for_lands_settings():
            """The second, if land's agent has not seen yet that they wait again. On a busy machine a hold may end before."""
            void = cut()
            self.assertNotEqual(harness.OK, void.code)
            return re.search("land: .*(the server (has )?loaded its settings|commits do not wait for the vaults alone)", void.out + void.err)

        self.wait_for(is_void_for_lands_settings, "void for land's settings")
        self.wait_for(lambda: cut().code == harness.OK, "cuts again")

    def protect_alone(self):
        """One server, one agent, and a group of these; takes cuts of it."""
        self.realm, self.home = self.make_realm(), self.make_cluster().start()
        self.agent = postgres.Agent(self.realm, {"people": {"connection": self.home.conninfo()}}, more=self.group("1 h", "people"))
        self.agents.append(self.agent)
        self.agent.wait_streaming("people")
        self.wait_for_commits(self.home)
        return lambda: self.realm.exclave("cut", "--home", self.realm.home, "realm", "--json")

    def test_an_agent_with_another_name_beside_its_own_is_not_waited_for_alone_and_takes_part_in_no_cut(self):
        cut = self.protect_alone()
        self.base()
        status = lambda code=harness.OK: self.ok(self.realm.exclave("status", "--home", self.realm.home), code).out  # noqa: E731
        self.wait_for(lambda: cut().code == harness.OK, "a cut")
        last = json.loads((self.realm.home / "state/cut-realm.json").read_text())["cut"]
        self.assertRegex(status(), rf"(?m)^group realm: last cut {last[:12]}, \d.* ago$")
        told, = self.ok(self.realm.exclave("status", "--home", self.realm.home, "--json")).json()["cuts"]
        self.assertEqual(("realm", last), (told["group"], told["cut"]))
        caution = "the server does not wait for exclave_people alone (synchronous_standby_names): commits may be acknowledged that no vault holds"
        self.assertNotIn(caution, status())
        self.name_waited_for("ANY 1 (exclave_people, other)", is_alone=False)
        self.assertIn(caution, self.agent.status("people")["cautions"])
        self.assertIn(f"caution: database people: {caution}\n", status())
        void = "no cut: people: commits do not wait for the vaults alone, or the vaults lack some that did not"
        self.refused(cut(), harness.LOCKED, void)
        told = status(harness.PARTIAL)
        self.assertIn(f"alarm: group realm: {void}\n", told)
        self.assertRegex(told, f"(?m)^group realm: last cut {last[:12]}, ")
        self.name_waited_for("ANY 1 (exclave_people)", is_alone=True)
        self.wait_for(lambda: cut().code == harness.OK, "cuts again")
        told = status()
        self.assertNotIn("alarm", told)
        self.assertNotIn(caution, told)
        self.assertNotIn(last[:12], told)

    def test_a_namesake_of_the_agent_at_the_server_is_told_and_no_cut_is_taken_beside_it(self):
        cut = self.protect_alone()
        self.wait_for(lambda: cut().code == harness.OK, "a cut")
        received = self.scratch / "received"
        received.mkdir()
        postgres.give_to_server(received)
        namesake = subprocess.Popen(
            postgres.as_server_user([postgres.binaries() / "pg_receivewal", "-D", received, "-d",
                                     self.home.conninfo() + " application_name=Exclave_People"]),
            cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=harness.end_with_parent)
        try:
            told = self.agent.wait("people", lambda s: not s["waited_for"], "aware of another of its name")
            self.assertIn("Another receiver streams under this agent's application_name", "".join(told["cautions"]))
            self.refused(cut(), harness.LOCKED, "no cut: people: commits do not wait for the vaults alone")
        finally:
            namesake.kill()
            namesake.wait()
        self.agent.wait("people", lambda s: s["waited_for"], "alone again")
        self.wait_for(lambda: cut().code == harness.OK, "cuts again")

    def name_waited_for(self, names, is_alone):
        self.home.sql(f"alter system set synchronous_standby_names = '{names}'")
        self.home.sql("select pg_reload_conf()")
        self.agent.wait("people", lambda s: s["waited_for"] == is_alone, f"seen {names}")

    def test_a_cut_and_the_proven_ends_keep_every_reference_between_three_databases(self):
        port = harness.free_port()
        people, land = self.protect_both(self.group("1 h", "people", "taxes", f"land/land@127.0.0.1:{port}"),
                                         self.door(port, "people"), taxes=True)
        for agent, name in ((people, "people"), (people, "taxes"), (land, "land")):
            self.ok(self.realm.exclave("backup", "--home", agent.home, "--database", name))
        acknowledged, cuts = self.work(people)
        for agent in (people, land):
            agent.kill()
        for cluster in (self.people, self.taxes, self.land):
            cluster.destroy()
        self.nothing_is_opened_of_a_part("cut:" + cuts[0])
        for goal in ("latest", "cut:" + cuts[0], "cut:latest"):
            with self.subTest(goal=goal):
                persons, parcels, taxes = self.restore_all_of_both(goal)
                self.assertEqual(set(), {owner for _, owner in parcels} - {i for i, in persons}, "a parcel whose owner is not there")
                self.assertEqual(set(), {parcel for _, parcel in taxes} - {i for i, _ in parcels}, "a tax whose parcel is not there")
                if goal == "latest":
                    self.assertEqual(set(), acknowledged - {i for i, _ in taxes})

    def work(self, people):
        """Persons, parcels that name them and taxes on these, committed one after the other; cuts meanwhile."""
        acknowledged, stop = set(), threading.Event()

        def commit(first):
            number = first
            while not stop.is_set():
                self.people.sql(f"insert into t values ({number})")
                self.land.sql(f"insert into t values ({number}, {number})")
                self.taxes.sql(f"insert into t values ({number}, {number})")
                acknowledged.add(number)
                number += 1

        writers = [threading.Thread(target=commit, args=(n * 1_000_000,)) for n in (1, 2)]
        for writer in writers:
            writer.start()
        cuts, not_taken = [], ""
        try:
            def is_enough():
                nonlocal not_taken
                time.sleep(1.5)
                self.assertTrue(all(writer.is_alive() for writer in writers), "a commit failed")
                taken = self.realm.exclave("cut", "--home", people.home, "realm", "--json")
                if taken.code == harness.OK:
                    cuts.append((len(acknowledged), taken.json()["cut"]))
                else:
                    not_taken = str(taken) + people.log()[-1500:]
                return len(cuts) > 1 and len(acknowledged) > cuts[0][0] + 20

            self.wait_for(is_enough, lambda: f"enough: {len(acknowledged)} of each, {len(cuts)} cuts; {not_taken}")
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        return acknowledged, [cut for _, cut in cuts]

    def open_both(self, label):
        """The options that open both registries; asked for once."""
        return [option for name in ("people", "land")
                for option in self.realm.release(f"{label}-{name}", request_options=("--registry", name))]

    def restore_all_of_both(self, goal):
        """The rows of persons, parcels and taxes, as tuples."""
        label = goal[:10].replace(":", "-")
        directory = self.scratch / label
        directory.mkdir()
        postgres.give_to_server(directory)
        restored = self.ok(self.realm.restore(self.open_both(label), directory, "--all", "--to", goal, "--json")).json()
        self.assertEqual([("people", "people"), ("people", "taxes"), ("land", "land")],
                         [(d["registry"], d["dataset"]) for d in restored["datasets"]])
        rows = []
        for place, columns in (("people/people", "id"), ("land/land", "id, owner"), ("people/taxes", "id, parcel")):
            back = self.recover(f"{label}/{place}")
            rows.append({tuple(map(int, row.split("|"))) for row in back.sql(f"select {columns} from t").split()})
            back.stop()
        return rows

    def nothing_is_opened_of_a_part(self, goal):
        """Where one member cannot be brought back, no other one can be started; when the cause is gone, the same command goes on."""
        opening, half = self.open_both("half"), self.scratch / "half"
        (half / "land/land").mkdir(parents=True)
        (half / "land/land/other").write_text("in the way")
        (half / "land/land.exclave-restore").write_text("0" * 64 + " -\n")
        restore = lambda: self.realm.restore(opening, half, "--all", "--to", goal)  # noqa: E731
        self.refused(restore(), harness.FAILED, "dataset land/land: target", "of another snapshot")
        self.assertTrue((half / "people/people/PG_VERSION").exists())
        self.assertFalse((half / "people/people/recovery.signal").exists())
        shutil.rmtree(half / "land/land")
        (half / "land/land.exclave-restore").unlink()
        self.assertIn("files were finished by an earlier run", self.ok(restore()).out)
        for name in ("people", "land"):
            self.assertTrue((half / name / name / "recovery.signal").exists())
        # What is said of several releases is said whole.
        self.refused(self.realm.restore(opening, self.scratch / "none", "--dataset", "people"), harness.FAILED,
                     "several releases are given", "hint: bring the registries of all to one point: --all")
        self.refused(self.realm.restore(opening, self.scratch / "none", "--all", "--registry", "land"), harness.FAILED,
                     "a registry is named, and 2 releases", "leave --registry out")
        self.refused(self.realm.restore([*opening, "--release", opening[1]], self.scratch / "none", "--all"), harness.FAILED,
                     "two releases are of registry people", "hint: give one release for each registry")
        self.assertFalse((self.scratch / "none").exists())


if __name__ == "__main__":
    harness.main()
