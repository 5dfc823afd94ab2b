"""The demo's second half: two PostgreSQL registries with related data, one instant for both, and back. Used by demo/run."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from clusters import Cluster, as_server_user, binaries, give_to_server  # noqa: E402
from processes import end_with_parent, free_port  # noqa: E402

REGISTRIES = ("people", "land")
WAIT_SECONDS = 60
WRITERS = 3


class Session:
    """One psql that stays: a commit costs a commit, not a process."""

    def __init__(self, cluster):
        self.process = subprocess.Popen(as_server_user([binaries() / "psql", *cluster.where(), "-Atq"]), cwd="/", text=True, bufsize=1,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def commit(self, statement):
        """True once the server has acknowledged it."""
        try:
            self.process.stdin.write(f"{statement}\n\\if :ERROR\n\\echo failed\n\\else\n\\echo done\n\\endif\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip() == "done"
        except (BrokenPipeError, OSError):
            return False

    def close(self):
        self.process.kill()
        self.process.wait()


class Workload:
    """Persons, and parcels that name their owners: each person is committed before the parcel in the other database."""

    def __init__(self, people, land):
        self.people, self.land = people, land
        self.acknowledged = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(n * 10_000_000 + 1,)) for n in range(WRITERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(WAIT_SECONDS)

    def write(self, number):
        persons, parcels = Session(self.people), Session(self.land)
        try:
            while not self.stopping.is_set():
                if not persons.commit(f"insert into persons values ({number}, 'Person {number}');"):
                    return
                if not parcels.commit(f"insert into parcels values ({number}, {number});"):
                    return
                self.acknowledged.append(number)
                number += 1
        finally:
            persons.close()
            parcels.close()


class Databases:
    def __init__(self, demo):
        self.demo = demo
        self.line = demo.line
        self.clusters, self.agents = {}, {}
        self.figures = {}

    def home(self, name):
        return self.demo.realm / "home" / name

    # --- protect ---

    def protect(self):
        self.line.heading("3. Protect two databases, in two registries, with related data")
        door = free_port()
        groups = {"people": f'[[group]]\nname = "demoland"\nevery = "5 s"\nmembers = ["people", "land/land@127.0.0.1:{door}"]\n',
                  "land": f'[cuts]\nlisten = "127.0.0.1:{door}"\ncoordinators = ["people"]\n'}
        for name in REGISTRIES:
            cluster = Cluster(self.demo.directory, f"{name}-server").start()
            self.clusters[name] = cluster
            table = "persons (id bigint primary key, name text)" if name == "people" else "parcels (id bigint primary key, owner bigint)"
            cluster.sql(f"create table {table}")
        for name in reversed(REGISTRIES):  # the coordinator last
            (self.home(name) / "agent.toml").write_text(f'[[database]]\ndataset = "{name}"\nconnection = "{self.clusters[name].conninfo()}"\n{groups[name]}')
            self.start_agent(name)
        for name in REGISTRIES:
            cluster = self.clusters[name]
            cluster.sql(f"alter system set synchronous_standby_names = 'exclave_{name}'")
            cluster.sql("select pg_reload_conf()")
            self.wait(name, lambda status: status["state"] == "streaming" and status["waited_for"])
        self.line.say("servers 'people' and 'land' stream their logs; every commit waits until 2 of 3 embassies hold it")
        for name in REGISTRIES:
            base = self.demo.run("backup", "--home", self.home(name), "--database", name)
            if name == "people":
                cluster = self.clusters[name]
                cluster.sql(f"insert into persons values (0, '{self.demo.canary}')")
            self.line.say(f"base backup of {name}: {base['files']} files, {base['bytes'] / 1e6:.1f} MB in {base['seconds']:.2f} s, usable from {base['end']}")

    def start_agent(self, name):
        log = open(self.demo.directory / f"agent-{name}.log", "ab")
        self.agents[name] = subprocess.Popen([str(self.demo.program), "agent", "run", "--home", str(self.home(name))], stdout=log, stderr=log,
                                             stdin=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def wait(self, name, is_it):
        path = self.home(name) / "state/agent.json"
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            databases = json.loads(path.read_text())["databases"] if path.exists() else []
            if databases and is_it(databases[0]):
                return databases[0]
            if time.monotonic() > deadline or self.agents[name].poll() is not None:
                raise RuntimeError(f"the agent of {name} is not ready: {databases}\n{(self.demo.directory / f'agent-{name}.log').read_text()[-2000:]}")
            time.sleep(0.1)

    def work(self):
        """Commits on both servers, cuts meanwhile; ends by losing home in the middle of it."""
        with Workload(self.clusters["people"], self.clusters["land"]) as workload:
            time.sleep(2)
            cut = None
            for _ in range(20):
                self.before_cut = set(workload.acknowledged)
                taken = subprocess.run([str(self.demo.program), "cut", "--home", str(self.home("people")), "demoland", "--json"], capture_output=True, text=True)
                if taken.returncode == 0:
                    cut = json.loads(taken.stdout.splitlines()[-1])
                    break
                time.sleep(1.1)
            if cut is None:
                raise RuntimeError(f"no cut was taken: {taken.stdout}{taken.stderr}")
            self.line.say(f"a cut over both databases: {cut['cut'][:12]}, commits held for {cut['held_us'] / 1000:.1f} ms; {len(self.before_cut)} pairs had been acknowledged before it was asked for")
            time.sleep(3)
            self.destroy_servers()
        self.acknowledged = workload.acknowledged
        self.cut = cut["cut"]
        self.figures.update(acknowledged=len(self.acknowledged), cut_held_us=cut["held_us"])

    def destroy_servers(self):
        """In the middle of the work: agents and servers are killed, and their directories removed."""
        for process in self.agents.values():
            process.kill()
            process.wait()
        self.agents.clear()
        for cluster in self.clusters.values():
            cluster.destroy()
        self.clusters.clear()

    # --- and back ---

    def open_both(self, goal, label, openings):
        """One command for both: none can be started before all are whole. Then they are started."""
        directory = self.demo.directory / f"databases-{label}"
        directory.mkdir()
        give_to_server(directory)
        start = time.monotonic()
        report = self.demo.run("restore", "--site", self.demo.site, *openings, "--all", "--to", goal, "--target", directory)
        for dataset in report["datasets"]:
            name, end = dataset["registry"], dataset["recovers_to"]
            cluster = Cluster(self.demo.directory, f"{directory.name}/{name}/{name}", create=False)
            self.clusters[name] = cluster.start()
            self.line.say(f"{name}: restored to {end['position']} ({end['commits']} commits behind the base{', end proven' if dataset['proven'] else ''})")
        deadline = time.monotonic() + WAIT_SECONDS
        for name, cluster in self.clusters.items():
            while cluster.sql("select pg_is_in_recovery()") != "f":
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} does not come up:\n{cluster.log()[-2000:]}")
                time.sleep(0.05)
        seconds = time.monotonic() - start
        self.line.say(f"both checked, started and running {seconds:.2f} s after the command was given")
        persons = {int(row) for row in self.clusters["people"].sql("select id from persons").split()}
        parcels = [tuple(map(int, row.split("|"))) for row in self.clusters["land"].sql("select id, owner from parcels").split()]
        dangling = [parcel for parcel, owner in parcels if owner not in persons]
        for name in REGISTRIES:
            self.clusters.pop(name).stop(signal.SIGINT)
        return seconds, persons, {parcel for parcel, _ in parcels}, dangling

    def bring_back(self, openings):
        self.line.heading("7. The databases, abroad, to their proven ends; then once more to the cut")
        seconds, persons, parcels, dangling = self.open_both("latest", "latest", openings)
        lost = [number for number in self.acknowledged if number not in parcels or number not in persons]
        self.line.say(f"{len(self.acknowledged)} acknowledged pairs of commits: {len(lost)} lost; {len(parcels)} parcels, {len(dangling)} without their owner")
        _, cut_persons, cut_parcels, cut_dangling = self.open_both("cut:" + self.cut, "cut", openings)
        cut_lost = self.before_cut - cut_parcels
        self.line.say(f"at the cut: {len(cut_persons)} persons, {len(cut_parcels)} parcels, {len(cut_dangling)} without their owner; "
                      f"of the {len(self.before_cut)} pairs acknowledged before it {len(cut_lost)} lost")
        self.figures.update(lost=len(lost), dangling=len(dangling), cut_lost=len(cut_lost), cut_dangling=len(cut_dangling), restore_seconds=round(seconds, 3))
        return not lost and not dangling and not cut_lost and not cut_dangling and 0 < len(cut_parcels) < len(parcels)

    def stop_all(self):
        for process in self.agents.values():
            process.kill()
            process.wait()
        for cluster in self.clusters.values():
            cluster.kill()
