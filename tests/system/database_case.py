"""What tests of databases share: a realm, real servers, agents, and the way back."""
import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402


class DatabaseTest(harness.SystemTest):
    SYNCHRONOUS = "synchronous_standby_names = 'exclave_people'"

    def setUp(self):
        super().setUp()
        self.clusters, self.agents = [], []
        self.addCleanup(self.end_all)

    def end_all(self):
        for agent in self.agents:
            agent.kill()
        for cluster in self.clusters:
            cluster.kill()

    def make_cluster(self, name="pg", **options):
        cluster = postgres.Cluster(self.scratch, name, **options)
        self.clusters.append(cluster)
        return cluster

    def make_agent(self, realm, cluster, dataset="people", **options):
        agent = postgres.Agent(realm, {dataset: {"connection": cluster.conninfo(), **options}})
        self.agents.append(agent)
        agent.wait_streaming(dataset)
        return agent

    def protect(self, realm=(), **options):
        """A realm, a server with a table, and an agent that every commit waits for."""
        self.realm = self.make_realm(extra=realm)
        self.home = self.make_cluster(**options).start()
        self.home.sql("create table t (id bigint primary key, what text)")
        self.agent = self.make_agent(self.realm, self.home)
        self.wait_for_commits(self.home)

    def wait_for_commits(self, cluster):
        """From here on every commit waits for the vaults."""
        cluster.sql("alter system set synchronous_standby_names = 'exclave_people'")
        cluster.sql("select pg_reload_conf()")
        deadline = time.monotonic() + 60
        while cluster.sql("select sync_state from pg_stat_replication where application_name = 'exclave_people'") != "sync":
            self.assertLess(time.monotonic(), deadline, cluster.sql("select * from pg_stat_replication"))
            time.sleep(0.1)

    def base(self, *options):
        return self.ok(self.realm.exclave("backup", "--home", self.realm.home, "--database", "people", "--json", *options)).json()

    def promote_home(self):
        """Home's server comes back as a standby that was promoted: on the next timeline, which the agent follows."""
        self.home.stop()
        (self.home.data / "standby.signal").touch()
        postgres.give_to_server(self.home.data)
        self.home.start()
        self.home.run("pg_ctl", "promote", "-D", self.home.data)
        self.agent.wait("people", lambda s: s["state"] == "streaming" and s["timeline"] == 2, "on timeline 2")

    def lose_home(self):
        self.agent.kill()
        self.home.destroy()

    def restore(self, *options, target="back"):
        directory = self.scratch / target
        directory.mkdir()
        postgres.give_to_server(directory)
        ended = self.realm.restore(self.realm.release(f"for-{target}"), directory, "--json", *options)
        self.ok(ended)
        return ended.json()

    def recover(self, target="back"):
        """Starts what was restored, and waits until it has recovered."""
        cluster = self.make_cluster(target, create=False).start()
        deadline = time.monotonic() + 60
        while cluster.sql("select pg_is_in_recovery()") != "f":
            self.assertLess(time.monotonic(), deadline, cluster.log()[-3000:])
            time.sleep(0.1)
        return cluster

    def does_not_open(self, *histories, target="back"):
        """What the server says. `histories`: those that its log has."""
        back = self.make_cluster(target, create=False)
        back.launch()
        self.assertNotEqual(0, back.process.wait(60), back.log()[-2000:])
        found = {path.name for path in (self.scratch / target / "pg_wal").glob("*.history")}
        self.assertFalse(found - set(histories), "a new timeline: it was opened")
        return back.log()

    def commit_beside(self, number):
        """A client of its own, which the commit of row `number` holds."""
        return subprocess.Popen(postgres.as_server_user([postgres.binaries() / "psql", *self.home.where(), "-c",
                                                         f"insert into t values ({number}, 'waits')"]),
                                cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                preexec_fn=harness.end_with_parent)

    def wait_until_durable(self):
        end = self.home.sql("select pg_current_wal_flush_lsn()")
        self.agent.wait("people", lambda s: postgres.number_of(s["durable"]) >= postgres.number_of(end), f"durable up to {end}")

    def wait_for(self, condition, what):
        """`what`: the condition in words, or what gives them."""
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"not {what() if callable(what) else what}")
            time.sleep(0.2)

    def end_of_history(self, cluster):
        """Where the server left its old timeline: what it recovered to."""
        history = sorted(p for p in (cluster.data / "pg_wal").glob("*.history"))[-1]
        return history.read_text().rstrip().splitlines()[-1].split("\t")[1]  # its reason may end with a line feed


class StandbyTest(DatabaseTest):
    """With standbys at home, of which one takes over."""

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

    def lose_all(self, primary, *others):
        """Home at its end: the agent, the server that was primary last, and what the dead ones left."""
        self.agent.kill()
        primary.destroy()
        for gone in others:
            shutil.rmtree(gone.data)
