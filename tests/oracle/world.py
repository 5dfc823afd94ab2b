"""Two registries with a real PostgreSQL server and an agent each, three vaults, and what can be done to them."""
import collections
import contextlib
import pathlib
import shutil
import signal
import subprocess
import threading
import time

import client
import disks
import harness
import links
import postgres
import schedule
from writers import SIDES, Ledger, Writer

SETTLE_SECONDS = 60
SETTLE_COMMITS = 12
MEET_SECONDS = 10
START_SECONDS = 60
NO_ROOM = ("No space left on device", "no room in ")  # in a log
# 18 MiB of log that do not compress, more than any segment takes: spool and vaults need new ones, and find no room.
MUCH_LOG = ("select pg_logical_emit_message(false, 'oracle', decode(repeat(string_agg(md5(random()::text), ''), 18), 'hex')) "
            "from generate_series(1, 65536)")


class Violation(AssertionError):
    """What must never happen has happened."""


class Server(postgres.Cluster):
    """A cluster whose first state is copied from a template, and whose server dies with the test."""

    def launch(self, *more):
        prefix = postgres.as_server_user([])
        if prefix:
            prefix[1:1] = ["--pdeathsig", "KILL"]  # a change of user forgets what the parent asked for
        with open(self.log_path, "ab") as sink:
            self.process = subprocess.Popen(
                [*prefix, str(postgres.binaries() / "postgres"), "-D", str(self.data), "-p", str(self.port), "-k",
                 str(self.sockets), "-c", "listen_addresses=127.0.0.1", *more],
                cwd="/", stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, preexec_fn=harness.end_with_parent)

    def start(self, *more):
        """Also where the children of a postmaster that was killed still hold its memory: it is tried again."""
        deadline = time.monotonic() + START_SECONDS
        self.launch(*more)
        while not self.is_ready():
            if self.process.poll() is not None:
                self.launch(*more)
            if time.monotonic() > deadline:
                raise Violation(f"server {self.name} did not start:\n{self.log()[-4000:]}")
            time.sleep(0.05)
        return self

    def is_ready(self):
        try:
            self.ask("select 1")
            return True
        except (OSError, client.ServerError):
            return False

    def ask(self, text):
        with contextlib.closing(client.Client(self.sockets, self.port)) as connection:
            return connection.query(text)

    def bury(self):
        """Ends it for good. What a server that was killed leaves in the kernel goes too: one small segment, named in its
        pid file, that only its next start would have removed."""
        self.crash()
        pid_file = self.data / "postmaster.pid"
        lines = pid_file.read_text().split("\n") if pid_file.exists() else []
        if len(lines) > 6 and len(lines[6].split()) == 2:
            subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, capture_output=True)
            pid_file.unlink()

    def crash(self):
        """Of all its processes at once (tools/clusters.py says why)."""
        if self.process is not None and self.process.poll() is None:
            self.kill_at_once()
        self.process = None


class Templates:
    """initdb takes seconds; a copy of what it makes does not."""

    def __init__(self, scratch):
        self._scratch = scratch

    def make(self, scratch, name):
        template = self._scratch / f"template-{name}"
        if not template.exists():
            made = Server(self._scratch, template.name)
            with open(made.data / "postgresql.conf", "a", encoding="utf-8") as conf:
                conf.write("max_wal_size = 256MB\n"
                           f"synchronous_standby_names = 'exclave_{name}'\n")
        subprocess.run(["cp", "-a", template, scratch / name], check=True)
        return Server(scratch, name, create=False)


class World:
    """One life's realm. Everything it starts ends with `end`; servers and daemons are started by the caller's thread only,
    since they die with the thread that started them. Agents reach vaults and servers through links that can be cut; what
    links and disks met is in `met`."""

    def __init__(self, scratch, templates):
        self.scratch = scratch
        # Otherwise faults that take root are left out: no disk can be made, no home's link be told from another's.
        self.may_take_root = disks.can_be_made()
        self.met = collections.Counter()
        self.ledger, self.writers = Ledger(), []
        self.servers, self.agents, self.restored = {}, {}, []
        self.away = None
        self.bases = {side: [] for side in SIDES}  # (mark when it had ended, snapshot)
        self.realm = harness.Realm(scratch, registry="people", extra=["--registry", "land"])
        self.homes = {side: self.realm.root / "home" / side for side in SIDES}
        self.links = links.Links(lambda port: links.home_of(port, self.homes) if self.may_take_root else None)
        self.vault_ports = {vault: harness.free_port() for vault in harness.VAULTS}
        self.disks = {}  # by directory
        try:
            self._build(templates)
        except BaseException:
            self.end()
            raise

    def _build(self, templates):
        if self.may_take_root:
            for directory in [*self.homes.values(), *map(self.realm.vault, harness.VAULTS)]:
                self.disks[directory] = disks.Disk(directory)
        for vault, port in self.vault_ports.items():
            self.links.open_door(self.realm.ports[vault], vault, port)
        self.start_vaults(*harness.VAULTS)
        for side in SIDES:
            self.servers[side] = templates.make(self.scratch, side)
            self.servers[side].start()
            self.servers[side].ask("set synchronous_commit = local; "
                                   "create table t (id bigint primary key, names bigint not null, filling text)")
        door = harness.free_port()
        more = {"land": f'[cuts]\nlisten = "127.0.0.1:{door}"\ncoordinators = ["people"]\n',
                "people": '[[group]]\nname = "realm"\nevery = "1 h"\n'
                          f'members = ["people", "land/land@127.0.0.1:{door}"]\n'}
        for side in reversed(SIDES):
            server_door = harness.free_port()
            self.links.open_door(server_door, "server", self.servers[side].port, near=side)
            connection = f"host=127.0.0.1 port={server_door} user=postgres dbname=postgres"
            self.agents[side] = postgres.Agent(self.realm, {side: {"connection": connection}}, registry=side, more=more[side])
        for side in SIDES:
            self.agents[side].wait_streaming(side)
        for ended in self._both(self.backup).values():
            self.must(ended)

    def end(self, keeps_disks=True):
        """`keeps_disks`: what lay in them stays, for who looks why."""
        for each in self.writers:
            each.stopping.set()
        for agent in self.agents.values():
            agent.kill()
        for server in [*self.servers.values(), *self.restored]:
            server.bury()
        self.realm.kill_all()
        for each in self.writers:
            each.join(client.ANSWER_SECONDS + 10)
        self.links.end()
        for disk in self.disks.values():
            disk.keep() if keeps_disks else disk.lose()

    def start_vaults(self, *vaults):
        """Behind their doors: at other ports than the policy says."""
        def launch(arguments, cwd, **options):
            port = self.vault_ports[pathlib.Path(arguments[2]).name]
            return harness.launch([*arguments, "--listen", f"127.0.0.1:{port}"], cwd, **options)
        self.realm.start(*vaults, launcher=launch)

    def must(self, ended, codes=(harness.OK,)):
        if ended.code not in codes:
            raise Violation(str(ended))
        return ended

    # --- load ---

    def start_writers(self, count, seed):
        doors = {side: (server.sockets, server.port) for side, server in self.servers.items()}
        for number in range(count):
            self.writers.append(Writer(self.ledger, doors, f"writer {seed} {number}"))
            self.writers[-1].start()

    def settle(self, commits=SETTLE_COMMITS):
        """Until commits are acknowledged on both sides again."""
        begin, deadline = self.ledger.mark(), time.monotonic() + SETTLE_SECONDS
        while any(self.ledger.mark()[side] < begin[side] + commits for side in SIDES):
            self.look_at_processes()
            if time.monotonic() > deadline:
                said = "\n".join(f"{side}: {self.agents[side].status(side)}\n{self.agents[side].log()[-1500:]}\n"
                                 f"{self.servers[side].log()[-1500:]}" for side in SIDES)
                raise Violation(f"commits hang: {begin} became {self.ledger.mark()} in {SETTLE_SECONDS} s\n{said}")
            time.sleep(0.01)
        self.ledger.may_look = dict.fromkeys(SIDES, True)

    def look_at_processes(self):
        for side, agent in self.agents.items():
            if agent.process.poll() is not None:
                raise Violation(f"the agent of {side} ended by itself, {agent.process.returncode}:\n{agent.log()[-3000:]}")
        for vault, daemon in self.realm.daemons.items():
            if daemon.process.poll() is not None:
                raise Violation(f"vault {vault} ended by itself, {daemon.process.returncode}:\n{daemon.log()[-3000:]}")
        for each in self.writers:
            if each.trouble is not None:
                raise Violation(f"a writer met {each.trouble}")

    # --- commands ---

    def backup(self, side):
        ended = self.realm.exclave("backup", "--home", self.agents[side].home, "--database", side, "--json")
        if ended.code in (harness.OK, harness.PARTIAL) and ended.json()["usable"]:
            self.bases[side].append((self.ledger.mark(), ended.json()["snapshot"]))
        return ended

    def take_cut(self):
        """(what was acknowledged before, how the command ended)"""
        before = self.ledger.mark()
        return before, self.realm.exclave("cut", "--home", self.agents["people"].home, "realm", "--json")

    # --- faults ---

    def apply(self, each):
        """What it was: its name, or that it was left out."""
        if each.what in schedule.TAKES_ROOT and not self.may_take_root:
            return "faults left out"
        getattr(self, "do_" + each.what.replace(" ", "_"))(each)
        return each.what

    def do_nothing(self, each):
        time.sleep(each.seconds)

    def do_kill_agent(self, each):
        self.agents[each.side].kill()
        time.sleep(each.seconds)
        self.agents[each.side].start()

    def do_freeze_agent(self, each):
        self._freeze(self.agents[each.side].process, each.seconds)

    def do_restart_agent(self, each):
        self._restart_agent(each.side, each.seconds)

    def do_kill_vault(self, each):
        self.realm.daemons[each.vault].kill()
        time.sleep(each.seconds)
        self.start_vaults(each.vault)

    def do_freeze_vault(self, each):
        self._freeze(self.realm.daemons[each.vault].process, each.seconds)

    def do_vault_leaves(self, each):
        self.realm.daemons.pop(each.vault).kill()
        self.away = each.vault
        time.sleep(each.seconds)

    def do_vault_returns(self, _each=None):
        if self.away is not None:
            self.start_vaults(self.away)
            self.away = None

    def do_crash_server(self, each):
        self.ledger.may_look[each.side] = False
        self.servers[each.side].crash()
        time.sleep(each.seconds)
        self.servers[each.side].start()

    def do_restart_server(self, each):
        self.ledger.may_look[each.side] = False
        code = self.servers[each.side].stop()
        if code != 0:
            raise Violation(f"the server of {each.side} ended with {code}:\n{self.servers[each.side].log()[-3000:]}")
        time.sleep(each.seconds)
        self.servers[each.side].start()

    def do_crash_home(self, each):
        for side in SIDES:
            self.ledger.may_look[side] = False
        for side in SIDES:
            self.agents[side].kill()
            self.servers[side].crash()
        time.sleep(each.seconds)
        for side in SIDES:
            self.servers[side].start()
            self.agents[side].start()

    def do_base(self, each):
        self.must(self.backup(each.side), (harness.OK, harness.PARTIAL))  # partial: a vault is behind

    def do_switch_segment(self, each):
        self.servers[each.side].ask("select pg_switch_wal()")
        self.servers[each.side].ask("checkpoint")

    def do_cut_link(self, each):
        self._trouble(self.links.cut, each, each.vault)

    def do_silence_link(self, each):
        self._trouble(self.links.silence, each, each.vault)

    def do_cut_all_links(self, each):
        self._trouble(self.links.cut, each, *harness.VAULTS)

    def do_silence_all_links(self, each):
        self._trouble(self.links.silence, each, *harness.VAULTS)

    def do_cut_server_link(self, each):
        self._trouble(self.links.cut, each, "server")

    def do_silence_server_link(self, each):
        self._trouble(self.links.silence, each, "server")

    def _trouble(self, act, each, *far_ends):
        before = self.links.counts.total()
        act([(each.side, far) for far in far_ends])
        try:
            time.sleep(each.seconds / 2)
            acknowledged = self.ledger.mark()[each.side]
            time.sleep(each.seconds / 2)
            self.met[f"{each.what}: commits waited"] += self.ledger.mark()[each.side] == acknowledged
        finally:
            self.links.mend()
        self.met[f"{each.what}: met"] += self.links.counts.total() > before

    def _restart_agent(self, side, pause=0):
        agent = self.agents[side]
        if agent.stop() != 0:
            raise Violation(f"the agent of {side} did not end well:\n{agent.log()[-3000:]}")
        time.sleep(pause)
        agent.start()

    def do_fill_vault(self, each):
        """Until it is a witness again: the next fault may take another one."""
        self._fill(self.realm.vault(each.vault), each, self.realm.daemons[each.vault].log)
        begin = time.time()
        for side in SIDES:
            self.agents[side].wait(side, lambda _, side=side: self._is_heard(side, each.vault, begin),
                                   f"heard by vault {each.vault} since that has room again", SETTLE_SECONDS)

    def do_fill_agent(self, each):
        """The stream waits for room, and goes on by itself."""
        self._fill(self.homes[each.side], each, self.agents[each.side].log)

    def _is_heard(self, side, vault, since):
        status = self._status_since(since, side)
        return status is not None and any(each["vault"] == vault and "failure" not in each for each in status["vaults"])

    def _status_since(self, since, side):
        """What the agent wrote of itself after that; None: nothing yet."""
        written = (self.homes[side] / "state/agent.json").stat().st_mtime
        return self.agents[side].status(side) if written > since else None

    def _fill(self, directory, each, log):
        """For that long, and until it is noticed: a busy machine is late."""
        said = len(log())

        def is_met():
            return any(text in log()[said:] for text in NO_ROOM)
        self.disks[directory].fill()
        try:
            self.servers[each.side].ask(MUCH_LOG)
            time.sleep(each.seconds)
            deadline = time.monotonic() + MEET_SECONDS
            while not is_met() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            self.disks[directory].empty()
        self.met[f"{each.what}: met"] += is_met()

    @staticmethod
    def _freeze(process, seconds):
        process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    # --- the end of home, and the way back ---

    def lose_home(self, dying, pause, lost_vault):
        """Under load: nobody has a last word."""
        for who in dying:
            what, side = who.split()
            if what == "server":
                self.ledger.may_look[side] = False
            self.agents[side].kill() if what == "agent" else self.servers[side].crash()
            time.sleep(pause)
        for each in self.writers:
            each.stopping.set()
        for each in self.writers:
            each.join(client.ANSWER_SECONDS + 10)
        for each in self.writers:
            if each.trouble is not None or each.is_alive():
                raise Violation(f"a writer met {each.trouble or 'no answer'}")
        time.sleep(0.3)  # a server's children notice by themselves
        for side in SIDES:
            self.servers[side].bury()
            self.servers[side].data.rename(self.scratch / f"lost-{side}")
            self._lose(self.agents[side].home)
        self.do_vault_returns()
        if lost_vault is not None:
            self.realm.daemons.pop(lost_vault).kill()
            self._lose(self.realm.vault(lost_vault))

    def _lose(self, directory):
        self.disks[directory].lose() if directory in self.disks else shutil.rmtree(directory)

    def open_both(self):
        """Released keys, by side."""
        return self._both(lambda side: self.realm.release(f"for-{side}", request_options=("--registry", side)))

    def restore_both(self, openings, label, goals, options=None):
        """Side -> what the command said. `goals`: side -> --to."""
        def restore(side):
            directory = self.scratch / f"{side}-{label}"
            directory.mkdir()
            postgres.give_to_server(directory)
            return self.realm.restore(openings[side], directory, "--registry", side, "--dataset", side, "--json", "--no-sync",
                                      "--to", goals[side], *((options or {}).get(side, ())))
        return self._both(restore)

    def rows_of_both(self, label, ended):
        """Starts what was restored, waits until it has recovered: side -> {id: names}. Recovery must have ended exactly
        where the restore said."""
        servers = {side: Server(self.scratch, f"{side}-{label}", create=False) for side in SIDES}
        self.restored += servers.values()
        for server in servers.values():
            server.launch("-c", "fsync=off", "-c", "synchronous_standby_names=")
        rows = {}
        for side, server in servers.items():
            deadline = time.monotonic() + START_SECONDS
            while not (server.is_ready() and server.ask("select pg_is_in_recovery()") == [["f"]]):
                if server.process.poll() is not None or time.monotonic() > deadline:
                    raise Violation(f"what was restored of {side} does not recover:\n{server.log()[-3000:]}")
                time.sleep(0.05)
            rows[side] = {int(number): int(names) for number, names in server.ask("select id, names from t")}
            wanted = ended[side].json()["recovers_to"]["position"]
            reached = sorted((server.data / "pg_wal").glob("*.history"))[-1].read_text().rstrip().splitlines()[-1].split("\t")[1]
            if wanted != reached:
                raise Violation(f"{side} was to recover to {wanted}, and ended at {reached}")
        for server in servers.values():
            server.bury()
            shutil.rmtree(server.data, ignore_errors=True)
        return rows

    @staticmethod
    def _both(do):
        results = {}

        def run(side):
            try:
                results[side] = do(side)
            except BaseException as error:  # noqa: BLE001 (handed to the caller)
                results[side] = error
        threads = [threading.Thread(target=run, args=(side,)) for side in SIDES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results.values():
            if isinstance(result, BaseException):
                raise result
        return results
