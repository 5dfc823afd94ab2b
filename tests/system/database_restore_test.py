"""Databases, the way back: to exactly one place, whole, and never further or less far than is said."""
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import harness  # noqa: E402
import postgres  # noqa: E402
from database_case import DatabaseTest  # noqa: E402


class Restores(DatabaseTest):
    def test_to_the_proven_end_brings_back_every_commit(self):
        self.protect()
        self.home.sql("insert into t select i, repeat('x', 100) from generate_series(1, 5000) i")
        base = self.base()
        self.assertTrue(base["usable"])
        for i in range(6001, 6051):
            self.home.sql(f"insert into t values ({i}, 'one by one')")
        # What has not changed since the first base is not stored again.
        self.assertLess(self.base()["stored_bytes"], base["stored_bytes"] / 2)
        wanted = self.home.sql("select count(*), sum(id), md5(string_agg(id || what, '' order by id)) from t")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertTrue(restored["proven"])
        back = self.recover()
        self.assertEqual(wanted, back.sql("select count(*), sum(id), md5(string_agg(id || what, '' order by id)) from t"))
        self.assertEqual(restored["recovers_to"]["position"], self.end_of_history(back))

    def test_to_a_position_and_to_a_time_end_exactly_there(self):
        self.protect(settings=("track_commit_timestamp = on",))
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        position = self.home.sql("select pg_current_wal_insert_lsn()")
        time.sleep(1.1)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        time.sleep(1.1)
        self.home.sql("insert into t values (2, 'after')")
        self.home.sql("insert into t values (3, 'much later')")
        committed = [int(self.home.sql("select (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::bigint * 1000 "
                                       f"from t where id = {i}")) for i in (1, 3)]
        self.wait_until_durable()
        self.lose_home()
        for target, goal in (("by-position", position), ("by-time", at)):
            with self.subTest(goal=goal):
                restored = self.restore("--dataset", "people", "--to", goal, target=target)
                back = self.recover(target)
                self.assertEqual("1", back.sql("select string_agg(id::text, ' ' order by id) from t"))
                self.assertEqual(restored["recovers_to"]["position"], self.end_of_history(back))
                self.assertEqual(committed, [restored[key]["last_commit_ns"] for key in ("recovers_to", "log_end")])
                if goal == position:
                    self.assertEqual(position, restored["recovers_to"]["position"])
                back.stop()
        # PostgreSQL alone ends with an error where no commit is later than the time asked for.
        quiet = self.scratch / "quiet"
        quiet.mkdir()
        postgres.give_to_server(quiet)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        ended = self.ok(self.realm.restore(self.realm.release("for-quiet"), quiet, "--dataset", "people", "--to", later))
        self.assertIn(f"no commit in the log is later than {later}: this is the log's end\n", ended.err)
        self.assertEqual("1 2 3", self.recover("quiet").sql("select string_agg(id::text, ' ' order by id) from t"))

    def test_a_base_and_what_pgbench_wrote_after_it_end_exactly_at_the_asked_position(self):
        """A few seconds of pgbench; with EXCLAVE_LONG_TESTS ten minutes."""
        seconds = 600 if os.environ.get("EXCLAVE_LONG_TESTS") else 4
        self.protect(settings=("checkpoint_timeout = 30s",))
        self.home.run("pgbench", "-i", "-q", *self.home.where()[:6], "postgres")
        began = self.base()["start"]
        bench = subprocess.Popen(
            postgres.as_server_user([postgres.binaries() / "pgbench", "-n", "-c", "4", "-j", "2", "-T", str(seconds + 1),
                                     *self.home.where()[:6], "postgres"]),
            cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=harness.end_with_parent)
        time.sleep(seconds)
        position = self.home.sql("select pg_current_wal_insert_lsn()")
        while postgres.number_of(position) % 8192 in (24, 40):  # behind a page's header: the record ended before it
            position = self.home.sql("select pg_current_wal_insert_lsn()")
        self.assertEqual(0, bench.wait(120))
        self.wait_until_durable()
        self.lose_home()
        restored = self.restore("--dataset", "people", "--to", position)
        self.assertEqual(position, restored["recovers_to"]["position"])
        # What the server will be given, read by the server's own tool: the log ends at the position, and nothing follows.
        log = self.scratch / "log"
        shutil.copytree(self.scratch / "back.wal", log)
        postgres.give_to_server(log)
        dump = self.home.run("pg_waldump", "-q", "--stats", "--start", began, "--path", log, "--timeline", "1", check=False)
        self.assertRegex(dump.stderr, f"invalid record length at {position}: wanted 24, got 0")
        commits = self.home.run("pg_waldump", "--rmgr", "Transaction", "--start", began, "--end", position, "--path", log).stdout
        back = self.recover()
        self.assertEqual(position, self.end_of_history(back))
        rows = int(back.sql("select count(*) from pgbench_history"))
        self.assertEqual(commits.count("desc: COMMIT"), rows, "one row for each transaction since the base")
        sums = back.sql("select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from pgbench_tellers), "
                        "(select sum(bbalance) from pgbench_branches), (select sum(delta) from pgbench_history)").split("|")
        self.assertEqual(1, len(set(sums)), sums)

    def fill_segments(self, first):
        """Some megabytes of log that does not compress, so that a journal closes more segments than it pays to read."""
        for i in range(first, first + 12):
            self.home.sql(f"insert into t select {i} * 10000 + j, gen_random_uuid()::text || gen_random_uuid()::text from generate_series(1, 10000) j")
        self.wait_until_durable()

    def test_log_from_before_the_base_is_gone_past(self):
        self.protect()
        self.fill_segments(1)
        self.base()
        self.home.sql("insert into t values (1, 'after the base')")
        wanted = self.home.sql("select count(*), sum(id) from t")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertTrue(restored["proven"])
        self.assertGreaterEqual(restored["journal_segments_passed_over"], 2)
        back = self.recover()
        self.assertEqual(wanted, back.sql("select count(*), sum(id) from t"))
        self.assertEqual(restored["recovers_to"]["position"], self.end_of_history(back))

    def test_a_base_that_starts_in_the_midst_of_a_log_file_gets_that_file_from_its_first_page_on(self):
        """A server reads the first page of each log file, also of the one in which its base starts."""
        self.protect(settings=("max_wal_size = 2GB", "checkpoint_timeout = 1h"), initdb=("--wal-segsize=128",))
        self.fill_segments(1)
        # The backup turns to a new log file, and its checkpoint begins some megabytes further on.
        checkpointer = int(self.home.sql("select pid from pg_stat_activity where backend_type = 'checkpointer'"))
        os.kill(checkpointer, signal.SIGSTOP)
        try:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                base = pool.submit(self.base)
                time.sleep(1)
                for first in (101, 201, 301):  # journal segments begin between the file's beginning and the base's start
                    self.fill_segments(first)
                os.kill(checkpointer, signal.SIGCONT)
                start = postgres.number_of(base.result(60)["start"])
        finally:
            os.kill(checkpointer, signal.SIGCONT)
        self.assertGreater(start % (128 << 20), 50 << 20, "in the midst of a file")
        self.home.sql("insert into t values (1, 'after the base')")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertGreaterEqual(restored["journal_segments_passed_over"], 2)
        first = sorted((self.scratch / "back.wal").glob("0000*"))[0]
        self.assertNotEqual(bytes(8), first.read_bytes()[:8])
        self.assertEqual("480001", self.recover().sql("select count(*) from t"))

    def test_a_history_that_stands_before_the_base_alone_is_found(self):
        began = time.monotonic()
        self.protect()
        self.promote_home()
        self.fill_segments(1)
        self.base()
        is_told_once = time.monotonic() < began + 55  # it is repeated each minute
        self.home.sql("insert into t values (1, 'after the base')")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.assertEqual(2, restored["recovers_to"]["timeline"])
        if is_told_once:
            self.assertEqual(0, restored["journal_segments_passed_over"], "all was read, for the history")
        self.assertEqual("120001", self.recover().sql("select count(*) from t"))

    def test_to_a_named_point_ends_at_the_last_one_of_that_name(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'before')")
        early = self.home.sql("select pg_create_restore_point('early')")
        self.home.sql("select pg_create_restore_point('twice')")
        self.home.sql("insert into t values (2, 'between')")
        self.home.sql("select pg_create_restore_point('only one')")
        self.base()  # from which the points before it cannot be reached any more
        twice = self.home.sql("select pg_create_restore_point('twice')")
        self.home.sql("insert into t values (3, 'after')")
        self.home.sql("select pg_create_restore_point('last')")
        self.home.sql("insert into t values (4, 'behind all')")
        self.wait_until_durable()
        self.lose_home()
        restored = self.restore("--dataset", "people", "--to", "name:twice")
        point = restored["restore_point"]
        self.assertEqual(("twice", twice, 2), tuple(point[key] for key in ("name", "position", "of_that_name")))
        self.assertLess(abs(point["time_ns"] / 1e9 - time.time()), 600)
        self.assertEqual(twice, restored["recovers_to"]["position"])
        back = self.recover()
        self.assertEqual("1 2", back.sql("select string_agg(id::text, ' ' order by id) from t"))
        self.assertEqual(twice, self.end_of_history(back))
        release = self.realm.release("others")
        private = self.scratch / "private"
        private.mkdir(mode=0o700)
        told = self.realm.restore(release, private / "told", "--dataset", "people", "--to", "name:early")
        self.ok(told)
        self.assertRegex(told.out, f"chosen: restore point 'early' of 20.*Z at {early}\n")
        self.assertIn(f"the server will recover to {early} ", told.out)
        if os.getuid() == 0:
            self.assertIn(f"chown -R postgres: {private}/told {private}/told.wal", told.err)
            self.assertIn(f"the server's user cannot come through directories above: chmod o+x {private}\n", told.err)
        for goal, code, *texts in (("name:erly", harness.NOT_FOUND, "holds no restore point 'erly'",
                                    "it holds: early, only one, twice, last"),
                                   ("cut:latest", harness.NOT_FOUND, "the journals hold no cut at all", "restore to a time"),
                                   ("name:", harness.FAILED, "a restore point's name has 1 to 63 bytes")):
            self.refused(self.realm.restore(release, self.scratch / "none", "--dataset", "people", "--to", goal), code, *texts)

    def test_a_base_backup_that_the_log_does_not_reach_is_passed_over_for_an_older_one(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'acknowledged')")
        self.agent.kill()
        self.home.sql("alter system set synchronous_standby_names = ''")
        self.home.sql("select pg_reload_conf()")
        self.home.sql("insert into t values (2, 'told to nobody')")
        late = self.realm.exclave("backup", "--home", self.realm.home, "--database", "people", "--json")
        self.assertEqual(harness.PARTIAL, late.code, late.err)
        self.assertIn("alarm: database people's newest base backup is not usable yet: it is consistent from "
                      f"{late.json()['end']} on, and k vaults hold the log up to 0/", self.status_as_if_the_agent_ran())
        self.lose_home()
        target = self.scratch / "back"
        target.mkdir()
        postgres.give_to_server(target)
        ended = self.realm.restore(self.realm.release("late"), target, "--dataset", "people", "--json")
        self.ok(ended)
        self.assertRegex(ended.err, "base backup [0-9a-f]{12} of 20.*Z is of no use: the vaults hold no log of dataset 'people' from this "
                                    "backup's start .* an older one is looked for")
        self.assertTrue(ended.json()["proven"])
        self.assertEqual("1", self.recover().sql("select string_agg(id::text, ' ') from t"))

    def status_as_if_the_agent_ran(self):
        path = self.realm.home / "state/agent.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"at_ns": time.time_ns()}))
        return self.ok(self.realm.exclave("status", "--home", self.realm.home), harness.PARTIAL).out

    def test_a_restore_passes_the_servers_own_checks(self):
        """pg_verifybackup before it starts, page checksums and amcheck behind."""
        self.protect()
        self.home.sql("create extension amcheck; create index on t (what)")
        spaces = self.scratch / "space"
        spaces.mkdir()
        postgres.give_to_server(spaces)
        self.home.sql(f"create tablespace elsewhere location '{spaces}'")
        self.home.sql("create table u tablespace elsewhere as select i, repeat('y', 300) y from generate_series(1, 3000) i")
        self.home.sql("insert into t select i, repeat('x', 100) from generate_series(1, 20000) i")
        self.base()
        self.home.sql("update t set what = 'changed' where id % 7 = 0; delete from u where i > 2990")
        wanted = self.home.sql("select (select count(*) from u), md5(string_agg(id || what, '' order by id)) from t")
        self.lose_home()
        shutil.rmtree(spaces)
        self.restore("--dataset", "people")
        # The tablespaces' place and their map are the restore's own.
        manifest = json.loads((self.scratch / "back/backup_manifest").read_text())
        self.assertTrue(any(f["Path"].startswith("pg_tblspc/") for f in manifest["Files"]))
        checked = postgres.Cluster.run(self.home, "pg_verifybackup", "-n", "-i", "exclave_tablespaces", "-i", "tablespace_map",
                                       "-i", "pg_tblspc", self.scratch / "back", check=False)
        self.assertEqual(0, checked.returncode, checked.stdout + checked.stderr)
        back = self.recover()
        self.assertEqual(wanted, back.sql("select (select count(*) from u), md5(string_agg(id || what, '' order by id)) from t"))
        amcheck = back.run("pg_amcheck", *back.where()[:6], "-d", "postgres", "--heapallindexed", check=False)
        self.assertEqual(0, amcheck.returncode, amcheck.stdout + amcheck.stderr)
        back.stop()
        back.run("pg_checksums", "--check", "-D", back.data)


class SeveralTargets(DatabaseTest):
    """A database and a tree that is older than it, each into its own target."""

    def setUp(self):
        super().setUp()
        self.protect()
        papers = self.scratch / "papers"
        papers.mkdir()
        (papers / "document").write_text("written before the rows that name it")
        self.ok(self.realm.exclave("backup", "--home", self.realm.home, papers, "--dataset", "papers"))
        (self.home.data / "postgresql.auto.conf").unlink()  # so that the restore needs room for one
        self.base()
        self.home.sql("insert into t values (1, 'after the base')")
        self.lose_home()
        self.release = self.realm.release("all", request_options=("--all",))

    def restore_all(self, target, *options):
        return self.realm.restore(self.release, self.scratch / target, "--all", *options)

    def make_target(self, name):
        directory = self.scratch / name
        directory.mkdir()
        postgres.give_to_server(directory)
        return directory

    def files_of_base(self):
        """How many files and directories the base has: what is there, but for what makes it a server's."""
        self.make_target("room")
        self.ok(self.restore_all("room"), harness.PARTIAL)
        base = self.scratch / "room/people"
        made = [base / "postgresql.auto.conf", base / "recovery.signal"]
        self.assertTrue(all(path.exists() for path in made))
        return 1 + sum(1 for _ in base.rglob("*")) - len(made)

    def mount_with_room_for(self, files, place):
        if os.geteuid() != 0 or not shutil.which("mount"):
            self.skipTest("mounting a small file system takes root")
        place.mkdir(parents=True, exist_ok=True)
        if harness.run_process(["mount", "-t", "tmpfs", "-o", f"nr_inodes={files},mode=700", "tmpfs", place], "/").code != 0:
            self.skipTest("no mount here")
        self.addCleanup(harness.run_process, ["umount", "-l", place], "/")
        if os.statvfs(place).f_ffree != files - 1:
            self.skipTest("files are counted otherwise here")

    def make_room(self, place):
        self.ok(harness.run_process(["mount", "-o", "remount,nr_inodes=1000000", place], "/"))

    def test_after_a_failure_at_one_target_none_is_trusted_and_the_same_command_goes_on(self):
        files = self.files_of_base()
        back = self.make_target("back")
        self.mount_with_room_for(files, back / "people")
        self.refused(self.restore_all("back"), harness.FAILED, "dataset people: ", "postgresql.auto.conf",
                     "No space left on device")
        self.assertFalse((back / "people/recovery.signal").exists())
        for name in ("people", "papers"):
            trusted = (back / f"{name}.exclave-restore").read_text().split(" ")[1]
            self.assertEqual("-", trusted, f"{name}: the disk may be the same, and tells of what it lost only once")
        self.make_room(back / "people")
        restored = self.ok(self.restore_all("back", "--json"), harness.PARTIAL).json()
        self.assertEqual([0, 0], [dataset["kept_files"] for dataset in restored["datasets"]])
        self.assertTrue((back / "people/recovery.signal").exists())
        self.assertEqual([], list(back.glob("*.exclave-restore")))

    def test_where_a_servers_signal_cannot_be_made_all_that_was_restored_is_reported(self):
        """The command cannot be run again: what it does not say now, nobody hears."""
        files = self.files_of_base() + 1  # its settings, and no signal
        back = self.make_target("back")
        self.mount_with_room_for(files, back / "people")
        ended = self.refused(self.restore_all("back", "--json"), harness.FAILED,
                             "back/people/recovery.signal' could not be made", "all else is there: make an empty",
                             "dataset papers is older than the point")
        self.assertEqual(1, len(ended.out.splitlines()), "one object")
        told = ended.json()
        self.assertEqual((False, harness.FAILED), (told["ok"], told["exit_code"]))
        self.assertIn("recovery.signal' could not be made", told["message"])
        people, papers = told["datasets"]
        self.assertEqual(people["log_end"]["position"], people["recovers_to"]["position"])
        self.assertTrue(papers["behind"])
        self.refused(self.restore_all("back"), harness.FAILED, "is not empty")

        alone = self.scratch / "alone"
        self.mount_with_room_for(files, alone)
        postgres.give_to_server(alone)
        speeds = self.realm.site / "speeds"
        shutil.rmtree(speeds)
        ended = self.refused(self.realm.restore(self.release, alone, "--dataset", "people"), harness.FAILED,
                             "alone/recovery.signal' could not be made")
        self.assertRegex(ended.out, f"the server will recover to {people['recovers_to']['position']} on timeline 1")
        self.assertEqual(1, len(list(speeds.iterdir())), "how long it took is noted")

        # As the hint says.
        self.make_room(back / "people")
        (back / "people/recovery.signal").touch()
        postgres.give_to_server(back / "people")
        self.assertEqual("1", self.recover("back/people").sql("select count(*) from t"))

    def test_a_place_for_logs_that_is_refused_leaves_its_target_empty(self):
        back = self.make_target("back")
        self.refused(self.restore_all("back", "--wal", back / "people/log"), harness.FAILED, "would lie in the target")
        self.assertEqual([], list((back / "people").iterdir()))
        self.ok(self.restore_all("back", "--wal", self.scratch / "logs"), harness.PARTIAL)
        self.assertTrue((self.scratch / "logs/people/wal.plan").exists())


class Truncation(DatabaseTest):
    """No failure of the way back may look like the end of the log: a server would open the database without the rest."""

    def restore_with_a_log(self):
        """A database at `back` with three segments and more to replay, kept at `pristine` as well; what the restore reported."""
        self.protect()
        self.base()
        for i in range(3):
            self.home.sql(f"insert into t select i, (select string_agg(md5(random()::text), '') from generate_series(1, 60 + i % 2)) from generate_series({i * 9000}, {i * 9000 + 8999}) i")
        self.lose_home()
        restored = self.restore("--dataset", "people")
        self.log = self.scratch / "back.wal"
        self.segments = sorted(p for p in self.log.iterdir() if len(p.name) == 24)
        self.assertGreater(len(self.segments), 3)
        shutil.copytree(self.scratch / "back", self.scratch / "pristine", symlinks=True)
        return restored

    def put_back(self):
        shutil.rmtree(self.scratch / "back")
        shutil.copytree(self.scratch / "pristine", self.scratch / "back", symlinks=True)
        postgres.give_to_server(self.scratch / "back")

    def test_a_log_that_cannot_be_read_stops_recovery_and_never_opens_the_database_early(self):
        restored = self.restore_with_a_log()
        away = self.scratch / "away"
        for lost in [self.log / "wal.plan", *self.segments]:
            with self.subTest(lost=lost.name):
                lost.rename(away)
                self.put_back()
                self.does_not_open()
                away.rename(lost)
        with self.subTest("the whole of it"):
            self.log.chmod(0)
            self.put_back()
            self.assertIn("Permission denied", self.does_not_open())
            self.log.chmod(0o755)
        # What the disk spoils after the restore has checked it, a server takes for the end of its log.
        size = self.segments[0].stat().st_size
        places = {each: size // 2 for each in self.segments[1:-1]}
        places[self.segments[-1]] = postgres.number_of(restored["recovers_to"]["position"]) % size - 30
        for segment, place in places.items():
            with self.subTest(spoiled=segment.name, at=place):
                self.flip_a_byte(segment, place)
                self.put_back()
                self.assertIn("recovery ended before configured recovery target was reached", self.does_not_open())
                self.flip_a_byte(segment, place)
        self.put_back()
        self.assertEqual("27000", self.recover().sql("select count(*) from t"))

    def test_what_stopped_recovery_in_its_midst_and_is_mended_costs_nothing(self):
        self.restore_with_a_log()
        away = self.scratch / "away"
        lost = self.segments[-2]
        lost.rename(away)
        self.does_not_open()
        away.rename(lost)
        self.assertEqual("27000", self.recover().sql("select count(*) from t"))  # from where it stopped

    def test_a_command_that_cannot_run_or_dies_is_no_end_of_the_log(self):
        self.restore_with_a_log()
        config = self.scratch / "back/postgresql.auto.conf"
        command = self.scratch / "command"
        postgres.let_pass(self.scratch)
        for name, script in (("is gone", None), ("may not be run", ""), ("is no program", "\0"),
                             ("is killed", "#!/bin/sh\nkill -KILL $$\n"), ("is ended", "#!/bin/sh\nkill -TERM $$\n"),
                             ("crashes", "#!/bin/sh\nkill -SEGV $$\n")):
            with self.subTest(name):
                command.unlink(missing_ok=True)
                if script is not None:
                    command.write_text(script)
                    command.chmod(0o755 if script else 0o644)
                self.put_back()
                text = config.read_text()
                self.assertIn(str(harness.program()), text)
                config.write_text(text.replace(str(harness.program()), str(command)))
                self.does_not_open()
        self.put_back()
        self.assertEqual("27000", self.recover().sql("select count(*) from t"))

    def test_a_history_that_is_lost_on_the_way_stops_recovery(self):
        self.protect()
        self.base()
        self.home.sql("insert into t values (1, 'on timeline 1')")
        self.promote_home()
        self.home.sql("insert into t values (2, 'on timeline 2')")
        self.wait_until_durable()
        self.lose_home()
        self.restore("--dataset", "people")
        history, away = self.scratch / "back.wal/00000002.history", self.scratch / "away"
        history.rename(away)
        self.does_not_open(history.name)
        away.rename(history)
        self.assertEqual("2", self.recover().sql("select count(*) from t"))

    @staticmethod
    def flip_a_byte(path, place):
        with open(path, "r+b") as file:
            file.seek(place)
            byte = file.read(1)
            file.seek(place)
            file.write(bytes([byte[0] ^ 0x10]))

    def test_wal_fetch_says_absent_only_when_that_is_proven(self):
        fetch = lambda *arguments: self.realm.exclave(*arguments).code  # noqa: E731
        self.realm = self.make_realm(start=False)
        self.assertEqual(200, fetch("wal", "fetch", "nowhere", "000000010000000000000001", "x"))
        self.assertEqual(200, fetch("wal", "fetch", "nowhere"))
        self.assertEqual(200, fetch("wal"))
        self.assertEqual(200, fetch("--json", "wal", "fetch", "--what"))
        directory = self.scratch / "wal"
        directory.mkdir()
        plan = "exclave/wal-plan/v1\nsystem 7\nsegment-bytes 16777216\ntimeline 1 0/2000028 0/3000148\n"
        (directory / "wal.plan").write_text(plan)
        self.assertEqual(1, fetch("wal", "fetch", directory, "000000010000000000000004", "x"))
        self.assertEqual(1, fetch("wal", "fetch", directory, "00000002.history", "x"))
        self.assertEqual(200, fetch("wal", "fetch", directory, "000000010000000000000003", "x"))
        self.assertEqual(200, fetch("wal", "fetch", directory, "000000010000000000000001", "x"))
        self.assertEqual(200, fetch("wal", "fetch", directory, "../../etc/passwd", "x"))
        (directory / "000000010000000000000003").write_bytes(b"short")
        self.assertEqual(200, fetch("wal", "fetch", directory, "000000010000000000000003", "x"))
        (directory / "000000010000000000000003").write_bytes(bytes(16 << 20))
        self.assertEqual(0, fetch("wal", "fetch", directory, "000000010000000000000003", "x"))
        self.assertEqual(16 << 20, (self.scratch / "x").stat().st_size)

        # A machine without memory or threads is no end of a log: of a segment that is there, no code says so.
        codes = {}
        for limit in [*range(4, 400, 12), None]:
            def starve(most=limit):
                harness.end_with_parent()
                if most is not None:
                    resource.setrlimit(resource.RLIMIT_AS, (most << 20, most << 20))
            command = [harness.program(), "wal", "fetch", directory, "000000010000000000000003", "x"]
            codes[limit] = subprocess.run([str(c) for c in command], cwd=self.scratch, preexec_fn=starve, check=False,
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        self.assertEqual(0, codes[None])
        self.assertFalse([c for c in codes.items() if 0 < c[1] < 126], codes)
        self.assertTrue([c for c in codes.values() if c != 0], "it was never short of memory")


if __name__ == "__main__":
    harness.main()
