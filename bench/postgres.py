"""postgres: base backup, restore and repeat against pgBackRest (one local repository each, two processes, zstd 3, encrypted);
commit latency and catching up against `pg_receivewal --synchronous`, ours being three vault daemons on this machine of
which two must have synced each commit. What stock PostgreSQL pays for the same on the same disk, three pg_receivewal of which any
two must have synced, is measured beside it. One server, in turn, in one run."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from measuring import Deadline, Series, common_options, cpu_seconds_of, finish, measure, require_room, say, size_of, workspace

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from clusters import Cluster, as_server_user, binaries, give_to_server, number_of  # noqa: E402
from processes import children_of, end_with_parent, free_port  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("EXCLAVE_BUILD", "build/release")).resolve() / "bin" / "exclave"
OFFICIALS = ("a", "b", "c")
WAIT_SECONDS = 300
COMMIT_SECONDS = 8
WAL_MEGABYTES = 600
ROOM_ONCE, ROOM_EACH_ROUND = 7 << 30, 4 << 30  # bytes on the disk: the cluster and the log that it keeps; what each peer stores


class Exclave:
    """A realm with one registry, and vaults as daemons over mutual TLS."""

    def __init__(self, directory, cluster, vaults):
        self.directory, self.cluster, self.daemons, self.agent = directory, cluster, [], None
        directory.mkdir()
        self.realm = directory / "realm"
        self.home = self.realm / "home" / "db"
        creation = ["realm", "create", self.realm, "--name", "Bench", "--registry", "db", *sum((["--official", o] for o in OFFICIALS), [])]
        ports = {}
        for number in range(vaults):
            name = f"v{number}"
            ports[name] = free_port()
            creation += ["--vault", f"{name}=127.0.0.1:{ports[name]}"]
        self.run(*creation)
        for name in ports:
            self.daemons.append(self.launch("vault", self.realm / "vaults" / name, "--repair-every", "never", log=f"{name}.log"))
        time.sleep(1)
        (self.home / "agent.toml").write_text(f'[[database]]\ndataset = "db"\nconnection = "{cluster.conninfo()}"\n')

    def run(self, *arguments):
        measured = measure([PROGRAM, *arguments, "--json"])
        measured.report = json.loads(measured.output.splitlines()[-1])
        return measured

    def launch(self, *arguments, log):
        with open(self.directory / log, "ab") as sink:
            return subprocess.Popen([str(PROGRAM), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, preexec_fn=end_with_parent)

    def start_agent(self):
        self.agent = self.launch("agent", "run", "--home", self.home, log="agent.log")

    def stop_agent(self):
        if self.agent is not None:
            self.agent.send_signal(signal.SIGTERM)
            self.agent.wait(60)
            self.agent = None

    def wait_durable(self, end):
        wait_until_told(self.cluster, "exclave_db", end)

    def base(self):
        return measure_partial([PROGRAM, "backup", "--home", self.home, "--database", "db", "--json"])

    def beside(self):
        """Processes that work for its commands."""
        return [*self.daemons, *([] if self.agent is None else [self.agent])]

    def stored(self):
        return size_of(self.realm / "vaults" / "v0" / "objects")

    def restore(self, target):
        request = self.directory / f"{target.name}.request"
        self.run("release", "request", "--site", self.realm / "sites" / "rebuild", "--reason", "bench", "--out", request)
        opening = ["--release", request]
        for official in OFFICIALS[:2]:
            approval = self.directory / f"{target.name}.{official}"
            self.run("release", "approve", "--official", self.realm / "officials" / official, request, "--out", approval, "--yes")
            opening += ["--approval", approval]
        return self.run("restore", "--site", self.realm / "sites" / "rebuild", *opening, "--dataset", "db", "--target", target)

    def close(self):
        self.stop_agent()
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(60)
        self.daemons = []


def measure_partial(command):
    """A base backup beside which no agent says that its log is durable ends with 3."""
    return measure(["sh", "-c", '"$@"; code=$?; [ $code = 3 ] || exit $code', "sh", *command])


class PgBackRest:
    def __init__(self, directory, cluster):
        self.directory, self.cluster = directory, cluster
        directory.mkdir()
        (directory / "repo").mkdir()
        (directory / "conf").write_text(
            f"[global]\nrepo1-path={directory / 'repo'}\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=bench\nrepo1-retention-full=9\n"
            f"process-max=2\ncompress-type=zst\ncompress-level=3\nstart-fast=y\narchive-check=n\narchive-copy=n\nlog-level-console=error\nlog-path={directory}\n"
            f"lock-path={directory}\nrepo1-block=n\n[db]\npg1-path={cluster.data}\npg1-port={cluster.port}\npg1-socket-path={cluster.sockets}\npg1-user=postgres\n"
            .replace("repo1-block=n\n", ""))
        give_to_server(directory)

    def run(self, *arguments):
        return measure(as_server_user(["pgbackrest", f"--config={self.directory / 'conf'}", "--stanza=db", *arguments]))

    def base(self, kind="full"):
        return self.run(f"--type={kind}", "backup")

    @staticmethod
    def beside():
        return []

    def stored(self):
        return size_of(self.directory / "repo" / "backup")

    def restore(self, target):
        target.mkdir()
        give_to_server(target)
        return self.run(f"--pg1-path={target}", "--type=none", "restore")


def pgbench(cluster, clients, seconds):
    """Average milliseconds of a commit of one client."""
    done = cluster.run("pgbench", "-N", "-n", "-c", clients, "-j", min(clients, 2), "-T", seconds, *cluster.where()[:6], "postgres")
    return float(re.search(r"latency average = ([\d.]+) ms", done.stdout)[1])


def wait_for(cluster, *names, any_of=0):
    """From now on commits wait for the one, for `any_of` of those named, or for nobody."""
    listed = ", ".join(names)
    cluster.sql(f"alter system set synchronous_standby_names = '{f'ANY {any_of} ({listed})' if any_of else listed}'")
    cluster.sql("select pg_reload_conf()")
    deadline = time.monotonic() + WAIT_SECONDS
    told = "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')"
    while int(cluster.sql(told)) < len(names):
        if time.monotonic() > deadline:
            sys.exit(f"bench: {listed} do not become synchronous")
        time.sleep(0.1)


def wait_until_told(cluster, name, end):
    """Until the server has been told by `name` that everything before `end` is safe. The server waits, in one session: a look
    from outside takes as much CPU as it has to catch up in 10 ms."""
    position = f"{end >> 32:X}/{end & 0xFFFFFFFF:X}"
    cluster.sql(f"""do $$ declare until timestamp := clock_timestamp() + interval '{WAIT_SECONDS} s'; begin loop
        perform pg_stat_clear_snapshot();
        exit when exists (select from pg_stat_replication where application_name = '{name}' and flush_lsn >= '{position}');
        if clock_timestamp() > until then raise '{name} does not catch up'; end if;
        perform pg_sleep(0.005);
        end loop; end $$""")


class Receiver:
    """pg_receivewal, as our peer in commits and catching up."""

    def __init__(self, cluster, area, name):
        self.cluster, self.directory, self.name, self.process = cluster, area / name, name, None
        self.directory.mkdir()
        give_to_server(self.directory)
        cluster.sql(f"select pg_create_physical_replication_slot('{name}', true)")

    def start(self):
        self.process = subprocess.Popen(
            as_server_user([binaries() / "pg_receivewal", "-D", self.directory, "-S", self.name, "--synchronous", "-d",
                            self.cluster.conninfo() + f" application_name={self.name}"]),
            cwd="/", stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def wait_durable(self, end):
        wait_until_told(self.cluster, self.name, end)

    def forget(self):
        """The server keeps no more log for it."""
        self.cluster.sql(f"select pg_drop_replication_slot('{self.name}')")


class ThreeReceivers:
    """Three pg_receivewal, as what stock PostgreSQL has to offer. Their slots last for one turn: the server keeps no log for them."""

    def __init__(self, cluster, area, number):
        self.cluster, self.area, self.receivers = cluster, area, []
        self.names = [f"receiver_{number}_{letter}" for letter in "abc"]

    def start(self):
        self.receivers = [Receiver(self.cluster, self.area, name) for name in self.names]
        for each in self.receivers:
            each.start()

    def stop(self):
        for each in self.receivers:
            each.stop()
            each.forget()


def cpu_beside(cluster, peer):
    """CPU seconds so far of what works for a peer's commands: its own processes, and the server that is read from."""
    postmaster = (cluster.data / "postmaster.pid").read_text().split("\n")[0]
    ended = sum(map(int, pathlib.Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()[13:15])) / os.sysconf("SC_CLK_TCK")
    running = 0.0
    for pid in [postmaster, *children_of(int(postmaster)), *(each.pid for each in peer.beside())]:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            running += cpu_seconds_of(pid)
    return ended + running


def measure_bases(area, cluster, ours, theirs, series, number):
    for name, peer in (("exclave", ours), ("pgbackrest", theirs)) if number % 2 == 0 else (("pgbackrest", theirs), ("exclave", ours)):
        before = cpu_beside(cluster, peer)
        base = peer.base()
        between = cpu_beside(cluster, peer)
        target = area / f"restored-{name}-{number}"
        restored = peer.restore(target)
        base_cpu, restore_cpu = base.cpu + between - before, restored.cpu + cpu_beside(cluster, peer) - between
        shutil.rmtree(target)
        shutil.rmtree(f"{target}.wal", ignore_errors=True)
        series[name].add(base=base.wall, base_cpu=base_cpu, base_memory=base.memory_kib, restore=restored.wall, restore_cpu=restore_cpu)
        say(f"round {number + 1} {name}: base {base.wall:.2f} s ({base_cpu:.2f} CPU s), restore {restored.wall:.2f} s ({restore_cpu:.2f} CPU s)")


def measure_commits(area, cluster, ours, receiver, series, number):
    three = ThreeReceivers(cluster, area, number)
    turns = [("receiver", receiver.start, receiver.stop, ["receiver"], 0), ("exclave", ours.start_agent, ours.stop_agent, ["exclave_db"], 0),
             ("three", three.start, three.stop, three.names, 2), ("nobody", lambda: None, lambda: None, [], 0)]
    first = number % len(turns)  # who comes second finds the disk at work on what the first has written
    for name, start, stop, waited_for, any_of in turns[first:] + turns[:first]:
        start()
        wait_for(cluster, *waited_for, any_of=any_of)
        for clients in (1, 16):
            series[name].add(**{f"commit_c{clients}": pgbench(cluster, clients, COMMIT_SECONDS)})
        wait_for(cluster)
        stop()
    cluster.run("pgbench", "-i", "-s", max(1, WAL_MEGABYTES // 20), "-q", *cluster.where()[:6], "postgres")  # some hundred MB of log
    end = number_of(cluster.sql("select pg_current_wal_flush_lsn()"))
    catching_up = [("receiver", receiver, receiver.start, receiver.stop, "receiver"), ("exclave", ours, ours.start_agent, ours.stop_agent, "exclave_db")]
    for name, peer, start, stop, slot in catching_up if number % 2 == 0 else reversed(catching_up):
        behind = end - number_of(cluster.sql(f"select restart_lsn from pg_replication_slots where slot_name = '{slot}'"))
        began = time.monotonic()
        start()
        peer.wait_durable(end)
        seconds = time.monotonic() - began
        stop()
        series[name].add(wal=behind / 1e6 / seconds)
        say(f"round {number + 1} {name}: caught up {behind / 1e6:.0f} MB in {seconds:.2f} s")


def run(arguments):
    with workspace(1 << 60, arguments.where) as (area, place):
        require_room(area, ROOM_ONCE + ROOM_EACH_ROUND * arguments.rounds, "fewer --rounds, or --where with more room")
        os.chmod(area, 0o711)
        cluster = Cluster(area, "server", settings=("max_wal_size = 4GB", "shared_buffers = 256MB", "checkpoint_timeout = 1h"))
        peers = []
        try:
            cluster.start()
            cluster.run("pgbench", "-i", "-s", arguments.scale, "--fillfactor=90", "-q", *cluster.where()[:6], "postgres")
            cluster.sql("checkpoint")
            bytes_in = size_of(cluster.data / "base")
            ours, theirs = Exclave(area / "one", cluster, 1), PgBackRest(area / "pgbackrest", cluster)
            three = Exclave(area / "three", cluster, 3)
            peers += [ours, three]
            theirs.run("--no-online", "stanza-create")
            series = {name: Series() for name in ("exclave", "pgbackrest", "receiver", "three", "nobody")}
            ours.start_agent()  # its log makes our bases usable, from where it begins
            ours.wait_durable(number_of(cluster.sql("select pg_current_wal_flush_lsn()")))
            for number in Deadline(arguments.minutes).rounds(arguments.rounds):
                measure_bases(area, cluster, ours, theirs, series, number)
            fraction = repeated(cluster, ours)
            ours.stop_agent()
            cluster.sql("select pg_drop_replication_slot('exclave_db')")
            receiver = Receiver(cluster, area, "receiver")
            three.start_agent()
            three.wait_durable(number_of(cluster.sql("select pg_current_wal_flush_lsn()")))
            three.stop_agent()
            for number in Deadline(arguments.minutes).rounds(arguments.rounds):
                measure_commits(area, cluster, three, receiver, series, number)
            show(arguments, series, bytes_in, fraction, place)
        finally:
            for peer in peers:
                peer.close()
            cluster.kill()


def repeated(cluster, ours):
    """Of a base after one row in every hundredth page was changed in place: new bytes, against those of the first."""
    first = ours.stored()
    ours.base()
    second = ours.stored()
    cluster.sql("update pgbench_accounts set abalance = abalance + 1 where ctid in (select format('(%s,1)', page * 100)::tid "
                "from generate_series(0, (select relpages / 100 - 1 from pg_class where relname = 'pgbench_accounts')) page)")
    cluster.sql("checkpoint")
    ours.base()
    return (ours.stored() - second) / first


def show(arguments, series, bytes_in, fraction, place):
    ours, theirs, receiver, three, nobody = (series[name] for name in ("exclave", "pgbackrest", "receiver", "three", "nobody"))
    print(f"cluster of {bytes_in / 1e9:.2f} GB in {place}, medians of {ours.count()} rounds\n")
    print(f"{'':14}{'base s':>9}{'CPU s':>8}{'peak MB':>9}{'restore s':>11}{'CPU s':>8}")
    for name, s in (("exclave", ours), ("pgbackrest", theirs)):
        print(f"{name:14}{s['base']:9.2f}{s['base_cpu']:8.2f}{s.largest('base_memory') * 1024 / 1e6:9.0f}{s['restore']:11.2f}{s['restore_cpu']:8.2f}")
    print(f"\n{'':14}{'c=1 ms':>9}{'c=16 ms':>9}{'catch-up MB/s':>15}")
    for name, s in (("exclave", ours), ("pg_receivewal", receiver), ("three of them", three), ("nobody", nobody)):
        rate = f"{s['wal']:15.0f}" if "wal" in s.values else ""
        print(f"{name:14}{s['commit_c1']:9.3f}{s['commit_c16']:9.3f}{rate}")
    result = {"benchmark": "postgres", "peer": "pgbackrest, pg_receivewal",
              "base_ratio": round(ours["base"] / theirs["base"], 3), "restore_ratio": round(ours["restore"] / theirs["restore"], 3),
              "repeat_stored_fraction": round(fraction, 4),
              "commit_ratio_c1": round(ours["commit_c1"] / receiver["commit_c1"], 3), "commit_ratio_c16": round(ours["commit_c16"] / receiver["commit_c16"], 3),
              "commit_ratio_c1_to_three": round(ours["commit_c1"] / three["commit_c1"], 3),
              "commit_ratio_c16_to_three": round(ours["commit_c16"] / three["commit_c16"], 3),
              "wal_ratio": round(ours["wal"] / receiver["wal"], 3)}
    print("\n" + ", ".join(f"{key} {value}" for key, value in result.items() if key not in ("benchmark", "peer")))
    finish(arguments, result)


def add_parser(benchmarks):
    parser = benchmarks.add_parser("postgres", help="base backup and restore against pgBackRest, commits and catching up against pg_receivewal")
    parser.add_argument("--scale", type=int, default=60, help="of pgbench: 15 MB each (default 60)")
    parser.add_argument("--where", help="a directory on the file system to measure (default: memory if it fits, else the temporary one)")
    common_options(parser, rounds=3, minutes=15)
    parser.set_defaults(run=run)
