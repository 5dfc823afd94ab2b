"""Two registries with a real PostgreSQL server and an agent each, three vaults, and what can be done to them."""
import contextlib
import shutil
import signal
import subprocess
import threading
import time

import client
import harness
import postgres
from writers import SIDES, Ledger, Writer

SETTLE_SECONDS = 60
START_SECONDS = 60


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
    since they die with the thread that started them."""

    def __init__(self, scratch, templates):
        self.scratch = scratch
        self.ledger, self.writers = Ledger(), []
        self.servers, self.agents, self.restored = {}, {}, []
        self.away = None
        self.bases = {side: [] for side in SIDES}  # (mark when it had ended, snapshot)
        self.realm = harness.Realm(scratch, registry="people", extra=["--registry", "land"])
        try:
            self._build(templates)
        except BaseException:
            self.end()
            raise

    def _build(self, templates):
        self.realm.start()
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
            self.agents[side] = postgres.Agent(self.realm, {side: {"connection": self.servers[side].conninfo()}},
                                               registry=side, more=more[side])
        for side in SIDES:
            self.agents[side].wait_streaming(side)
        for ended in self._both(self.backup).values():
            self.must(ended)

    def end(self):
        for each in self.writers:
            each.stopping.set()
        for agent in self.agents.values():
            agent.kill()
        for server in [*self.servers.values(), *self.restored]:
            server.bury()
        self.realm.kill_all()
        for each in self.writers:
            each.join(client.ANSWER_SECONDS + 10)

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

    def settle(self, commits=12):
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
        getattr(self, "do_" + each.what.replace(" ", "_"))(each)

    def do_nothing(self, each):
        time.sleep(each.seconds)

    def do_kill_agent(self, each):
        self.agents[each.side].kill()
        time.sleep(each.seconds)
        self.agents[each.side].start()

    def do_freeze_agent(self, each):
        self._freeze(self.agents[each.side].process, each.seconds)

    def do_restart_agent(self, each):
        if self.agents[each.side].stop() != 0:
            raise Violation(f"the agent of {each.side} did not end well:\n{self.agents[each.side].log()[-3000:]}")
        time.sleep(each.seconds)
        self.agents[each.side].start()

    def do_kill_vault(self, each):
        self.realm.daemons[each.vault].kill()
        time.sleep(each.seconds)
        self.realm.start(each.vault)

    def do_freeze_vault(self, each):
        self._freeze(self.realm.daemons[each.vault].process, each.seconds)

    def do_vault_leaves(self, each):
        self.realm.daemons.pop(each.vault).kill()
        self.away = each.vault
        time.sleep(each.seconds)

    def do_vault_returns(self, _each=None):
        if self.away is not None:
            self.realm.start(self.away)
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
            shutil.rmtree(self.agents[side].home)
        self.do_vault_returns()
        if lost_vault is not None:
            self.realm.daemons.pop(lost_vault).kill()
            shutil.rmtree(self.realm.vault(lost_vault))

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
            reached = sorted((server.data / "pg_wal").glob("*.history"))[-1].read_text().splitlines()[-1].split("\t")[1]
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
